"""Bindings, and the other ZDO requests that the NCP leaves to its host (R22 2.4.3.2, 2.4.4).

The NCP answers discovery, node descriptors and neighbour tables alone; answering those here too
would give a device two replies.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from labctl.hub.endpoints import Endpoint
from labctl.smart_energy.eui64 import Eui64

DEVICE_ANNOUNCE: Final = 0x0013
BIND: Final = 0x0021
UNBIND: Final = 0x0022
MGMT_BIND: Final = 0x0033
RESPONSE: Final = 0x8000

SUCCESS: Final = 0x00
INV_REQUEST: Final = 0x80
INVALID_ENDPOINT: Final = 0x82
NOT_SUPPORTED: Final = 0x84
NO_ENTRY: Final = 0x88
NOT_AUTHORIZED: Final = 0x8D
TABLE_FULL: Final = 0x8C

_UNICAST = 0x03
_BIND = struct.Struct("<8sBHB8sB")
_ANNOUNCE = struct.Struct("<H8sB")
_PAGE = 3  # entries of 21 octets in one Mgmt_Bind_rsp, so that it needs no fragments

_ANSWERED_BY_THE_NCP = frozenset({0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x31, 0x32, 0x34, 0x36})
_NEVER_ANSWERED = frozenset({DEVICE_ANNOUNCE, 0x001F})


@dataclass(frozen=True, slots=True)
class Binding:
    """What a device asked to be told of: a server cluster of ours, and where to send it."""

    endpoint: int
    cluster_id: int
    partner: Eui64
    partner_endpoint: int


@dataclass(frozen=True, slots=True)
class Announce:
    """A Device_annce (2.4.3.1.11)."""

    nwk: int
    eui64: Eui64
    capability: int


@dataclass(frozen=True, slots=True)
class ZdoAnswer:
    """A ZDO response. `refusal` says why, when it is one."""

    cluster_id: int
    data: bytes
    status: int
    refusal: str = ""


def parse_announce(data: bytes) -> Announce | None:
    """Read a Device_annce, transaction number included; None when it is malformed."""
    if len(data) < 1 + _ANNOUNCE.size:
        return None
    nwk, eui64, capability = _ANNOUNCE.unpack_from(data, 1)
    return Announce(nwk, Eui64.from_little_endian(eui64), capability)


class BindingTable:
    """The hub's bindings. A device may bind the hub's servers to itself and to nobody else."""

    def __init__(
        self,
        own: Callable[[Eui64], Eui64],
        endpoints: Mapping[int, Endpoint],
        limit: int,
    ) -> None:
        """`own` tells which address of the hub a device knows it by."""
        self._own = own
        self._endpoints = endpoints
        self._limit = limit
        self._bindings: dict[Binding, None] = {}  # a set that keeps its order

    def of(self, endpoint: int, cluster_id: int) -> list[Binding]:
        """The bindings of one of our servers, in the order in which they were made."""
        return [b for b in self._bindings if (b.endpoint, b.cluster_id) == (endpoint, cluster_id)]

    def forget(self, partner: Eui64) -> None:
        """Drop all bindings of a device."""
        for binding in tuple(self._bindings):
            if binding.partner == partner:
                del self._bindings[binding]

    def answer(
        self, cluster_id: int, data: bytes, sender: Eui64, *, authorised: bool
    ) -> ZdoAnswer | None:
        """Answer a unicast ZDO request; None when no answer is due."""
        if cluster_id & RESPONSE or cluster_id in _ANSWERED_BY_THE_NCP | _NEVER_ANSWERED:
            return None
        if not data:
            return None  # not even a transaction number to answer with
        sequence, body = data[0], data[1:]
        if cluster_id not in (BIND, UNBIND, MGMT_BIND):
            status, refusal = NOT_SUPPORTED, f"ZDO request 0x{cluster_id:04X} is not supported"
        elif not authorised:
            status, refusal = NOT_AUTHORIZED, "binding request before key establishment"
        elif cluster_id == MGMT_BIND:
            return self._list(sequence, body, sender)
        else:
            status, refusal = self._bind(cluster_id, body, sender)
        return ZdoAnswer(cluster_id | RESPONSE, bytes((sequence, status)), status, refusal)

    def _bind(self, cluster_id: int, body: bytes, sender: Eui64) -> tuple[int, str]:
        if len(body) < _BIND.size:
            return INV_REQUEST, "malformed (un)bind request"
        source, endpoint, cluster, mode, partner, partner_endpoint = _BIND.unpack_from(body)
        if mode != _UNICAST:
            return NOT_SUPPORTED, "the hub does not bind to groups"
        binding = Binding(endpoint, cluster, Eui64.from_little_endian(partner), partner_endpoint)
        if Eui64.from_little_endian(source) != self._own(sender):
            return NOT_SUPPORTED, "the binding's source is not the hub"
        if binding.partner != sender:
            return NOT_AUTHORIZED, f"binding on behalf of {binding.partner}"
        if endpoint not in self._endpoints:
            return INVALID_ENDPOINT, f"the hub has no endpoint {endpoint}"
        if cluster_id == UNBIND:
            if binding not in self._bindings:
                return NO_ENTRY, "unbind of what was not bound"
            del self._bindings[binding]
            return SUCCESS, ""
        service = self._endpoints[endpoint].services.get(cluster)
        if service is None or not service.server:
            return NOT_SUPPORTED, f"endpoint {endpoint} does not serve cluster 0x{cluster:04X}"
        if binding not in self._bindings:
            if len(self._bindings) >= self._limit:
                return TABLE_FULL, "the binding table is full"
            self._bindings[binding] = None
        return SUCCESS, ""

    def _list(self, sequence: int, body: bytes, sender: Eui64) -> ZdoAnswer:
        start = body[0] if body else 0
        entries = list(self._bindings)
        page = entries[start : start + _PAGE]
        data = bytes((sequence, SUCCESS, min(len(entries), 255), start, len(page)))
        for binding in page:
            data += _BIND.pack(
                self._own(sender).little_endian,
                binding.endpoint,
                binding.cluster_id,
                _UNICAST,
                binding.partner.little_endian,
                binding.partner_endpoint,
            )
        return ZdoAnswer(MGMT_BIND | RESPONSE, data, SUCCESS)
