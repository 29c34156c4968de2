"""How long the answers are that a radio gives to ZDO requests by itself (R22 2.4.4.2).

The radio answers discovery from the descriptors that the hub registered, without a word to it. What
it sends costs airtime all the same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final

from labctl.radio.coordinator import EndpointDescriptor, Incoming

_NWK_ADDR, _IEEE_ADDR, _NODE_DESC, _POWER_DESC = 0x0000, 0x0001, 0x0002, 0x0003
_SIMPLE_DESC, _ACTIVE_EP, _MATCH_DESC = 0x0004, 0x0005, 0x0006
_HEAD: Final = 1 + 1 + 2
"""Sequence number, status, the address of interest."""

_ANY_PROFILE: Final = 0xFFFF
_FIXED: Final = {
    _NWK_ADDR: _HEAD + 8,
    _IEEE_ADDR: _HEAD + 8,
    _NODE_DESC: _HEAD + 13,
    _POWER_DESC: _HEAD + 2,
}


def answer_octets(packet: Incoming, endpoints: Sequence[EndpointDescriptor]) -> int | None:
    """The octets of the answer to a request; None where there is none, or it is not known."""
    if packet.cluster_id in _FIXED:
        return None if packet.broadcast else _FIXED[packet.cluster_id]
    answer = _OF.get(packet.cluster_id)
    return None if answer is None else answer(packet, endpoints)


def _active(packet: Incoming, endpoints: Sequence[EndpointDescriptor]) -> int | None:
    return _HEAD + 1 + len(endpoints)


def _simple(packet: Incoming, endpoints: Sequence[EndpointDescriptor]) -> int | None:
    wanted = packet.data[3] if len(packet.data) > 3 else None
    for each in endpoints:
        if each.endpoint == wanted:
            return _HEAD + 1 + 8 + 2 * (len(each.server_clusters) + len(each.client_clusters))
    return _HEAD + 1


def _match(packet: Incoming, endpoints: Sequence[EndpointDescriptor]) -> int | None:
    """A broadcast that matches nothing is answered with silence."""
    try:
        profile, servers, clients = _asked(packet.data)
    except (struct.error, IndexError):
        return 2
    matching = sum(
        profile in (_ANY_PROFILE, each.profile_id)
        and not (
            servers.isdisjoint(each.server_clusters) and clients.isdisjoint(each.client_clusters)
        )
        for each in endpoints
    )
    return None if packet.broadcast and not matching else _HEAD + 1 + matching


def _asked(data: bytes) -> tuple[int, frozenset[int], frozenset[int]]:
    """Profile, server and client clusters of a Match_Desc_req."""
    profile, servers = struct.unpack_from("<HB", data, 3)
    inputs = struct.unpack_from(f"<{servers}H", data, 6)
    at = 6 + 2 * servers
    outputs = struct.unpack_from(f"<{data[at]}H", data, at + 1)
    return profile, frozenset(inputs), frozenset(outputs)


_OF: Final[dict[int, Callable[[Incoming, Sequence[EndpointDescriptor]], int | None]]] = {
    _ACTIVE_EP: _active,
    _SIMPLE_DESC: _simple,
    _MATCH_DESC: _match,
}
