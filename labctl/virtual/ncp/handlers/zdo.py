"""ZDO: what the NCP answers by itself, and what the host hears of it or answers instead."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from labctl.virtual.ncp.handlers.base import Part
from labctl.virtual.ncp.handlers.configuration import ConfigId, ZdoFlag
from labctl.virtual.ncp.handlers.messaging import ZDO_RESPONSE_REQUIRED
from labctl.virtual.node import Indication, SimpleDescriptor

NWK_ADDR = 0x0000
IEEE_ADDR = 0x0001
NODE_DESC = 0x0002
POWER_DESC = 0x0003
SIMPLE_DESC = 0x0004
ACTIVE_EP = 0x0005
MATCH_DESC = 0x0006
DEVICE_ANNCE = 0x0013
PARENT_ANNCE = 0x001F

_ENDPOINT_REQUESTS = frozenset({SIMPLE_DESC, ACTIVE_EP, MATCH_DESC})
_BINDING_REQUESTS = frozenset({0x0021, 0x0022, 0x0033})
_SUPPORTED = frozenset(
    {
        *(NWK_ADDR, IEEE_ADDR, NODE_DESC, POWER_DESC, DEVICE_ANNCE, PARENT_ANNCE),
        *(0x0031, 0x0032, 0x0034, 0x0036, 0x0038),
        *_ENDPOINT_REQUESTS,
        *_BINDING_REQUESTS,
    }
)
_RESPONSE = 0x8000

_SUCCESS, _NOT_SUPPORTED = 0x00, 0x84
_INVALID_EP, _NOT_ACTIVE, _DEVICE_NOT_FOUND = 0x82, 0x83, 0x81
_NO_DESCRIPTOR = 0x89


class Zdo(Part):
    """Who answers is decided by configuration value 0x2A (APPLICATION_ZDO_FLAGS)."""

    def reset(self) -> None:
        """Defaults of the descriptors."""
        self.manufacturer_code = 0x0000
        self.power_descriptor = 0xC110  # mains, always on

    # -- requests from the air ------------------------------------------------------------------

    def host_answers(self, cluster_id: int) -> bool:
        """Whether the host has claimed this request for itself."""
        flags = self.ezsp.configuration[ConfigId.APPLICATION_ZDO_FLAGS]
        if cluster_id in _ENDPOINT_REQUESTS:
            return bool(flags & ZdoFlag.APP_HANDLES_ENDPOINTS)
        if cluster_id in _BINDING_REQUESTS:
            return bool(flags & ZdoFlag.APP_HANDLES_BINDING)
        return cluster_id not in _SUPPORTED and bool(flags & ZdoFlag.APP_HANDLES_UNSUPPORTED)

    def request(self, indication: Indication) -> bool:
        """A request came over the air. True when the host is to answer it, and has been told."""
        if not self.host_answers(indication.cluster_id):
            return False
        self.ezsp.messaging.hand_up(indication, ZDO_RESPONSE_REQUIRED)
        return True

    def observed(self, indication: Indication) -> None:
        """A frame that the NCP deals with by itself: the host gets a copy of some."""
        cluster_id = indication.cluster_id
        if cluster_id & _RESPONSE or cluster_id == DEVICE_ANNCE:
            self.ezsp.messaging.hand_up(indication)
            return
        if self.host_answers(cluster_id):
            return  # `request` has handed it up
        flags = self.ezsp.configuration[ConfigId.APPLICATION_ZDO_FLAGS]
        if cluster_id in _SUPPORTED and flags & ZdoFlag.APP_RECEIVES_SUPPORTED:
            self.ezsp.messaging.hand_up(indication)

    # -- requests from the host to its own NCP --------------------------------------------------

    def looped_back(self, indication: Indication) -> None:
        """The host sent a ZDO frame to the NCP's own address."""
        cluster_id = indication.cluster_id
        if cluster_id & _RESPONSE or not indication.payload:
            self.observed(indication)
            return
        if self.request(indication):
            return
        self.observed(indication)
        sequence, body = indication.payload[:1], indication.payload[1:]
        answer = self._answers().get(cluster_id)
        try:
            response = bytes([_NOT_SUPPORTED]) if answer is None else answer(body)
        except (struct.error, IndexError):
            return  # a request cut short gets no answer
        if response is None:
            return
        self.ezsp.messaging.hand_up(
            replace(
                indication,
                cluster_id=cluster_id | _RESPONSE,
                payload=sequence + response,
                counter=(indication.counter + 1) & 0xFF,
                ack_requested=False,
            )
        )

    def _answers(self) -> dict[int, Callable[[bytes], bytes | None]]:
        return {
            NWK_ADDR: self._nwk_addr,
            IEEE_ADDR: self._ieee_addr,
            NODE_DESC: self._node_desc,
            POWER_DESC: self._power_desc,
            SIMPLE_DESC: self._simple_desc,
            ACTIVE_EP: self._active_ep,
            MATCH_DESC: self._match_desc,
            DEVICE_ANNCE: lambda body: None,
            PARENT_ANNCE: lambda body: None,
            0x0034: lambda body: bytes([_NOT_SUPPORTED]),
            0x0036: lambda body: bytes([_SUCCESS]),
        }

    def _own(self) -> bytes:
        """Address of interest in most responses."""
        return struct.pack("<H", self.ezsp.network.node_id)

    def _is_own(self, body: bytes) -> bool:
        return body[:2] == self._own()

    def _addresses(self) -> bytes:
        return bytes([_SUCCESS]) + self.ezsp.contents.node.eui64.little_endian + self._own()

    def _nwk_addr(self, body: bytes) -> bytes | None:
        return (
            self._addresses() if body[:8] == self.ezsp.contents.node.eui64.little_endian else None
        )

    def _ieee_addr(self, body: bytes) -> bytes:
        if self._is_own(body):
            return self._addresses()
        return bytes([_DEVICE_NOT_FOUND]) + bytes(8) + body[:2]

    def _node_desc(self, body: bytes) -> bytes:
        if not self._is_own(body):
            return bytes([_DEVICE_NOT_FOUND]) + body[:2]
        values = self.ezsp.configuration
        descriptor = struct.pack(
            "<BBBHBHHHB",
            0x00,  # coordinator
            0x40,  # 2.4 GHz
            0x8F,  # alternate coordinator, FFD, mains, receiver on, allocate address
            self.manufacturer_code,
            82,
            int.from_bytes(values.get_value(0x05)["value"], "little"),
            0x2C01 | 0x0040,  # R22; primary trust centre, network manager
            int.from_bytes(values.get_value(0x06)["value"], "little"),
            0x00,
        )
        return bytes([_SUCCESS]) + self._own() + descriptor

    def _power_desc(self, body: bytes) -> bytes:
        return bytes([_SUCCESS]) + self._own() + struct.pack("<H", self.power_descriptor)

    def _endpoint(self, body: bytes) -> SimpleDescriptor | None:
        return self.ezsp.configuration.endpoints.get(body[2])

    def _simple_desc(self, body: bytes) -> bytes:
        if body[2] == 0 or body[2] > 240:
            return bytes([_INVALID_EP]) + self._own() + b"\x00"
        found = self._endpoint(body)
        if found is None:
            return bytes([_NOT_ACTIVE]) + self._own() + b"\x00"
        descriptor = struct.pack(
            "<BHHB", found.endpoint, found.profile_id, found.device_id, found.device_version
        )
        for clusters in (found.input_clusters, found.output_clusters):
            descriptor += bytes([len(clusters)]) + struct.pack(f"<{len(clusters)}H", *clusters)
        return bytes([_SUCCESS]) + self._own() + bytes([len(descriptor)]) + descriptor

    def _active_ep(self, body: bytes) -> bytes:
        endpoints = bytes(sorted(self.ezsp.configuration.endpoints))
        return bytes([_SUCCESS]) + self._own() + bytes([len(endpoints)]) + endpoints

    def _match_desc(self, body: bytes) -> bytes:
        profile_id = struct.unpack_from("<H", body, 2)[0]
        inputs = struct.unpack_from(f"<{body[4]}H", body, 5)
        offset = 5 + 2 * body[4]
        outputs = struct.unpack_from(f"<{body[offset]}H", body, offset + 1)
        matching = bytes(
            sorted(
                each.endpoint
                for each in self.ezsp.configuration.endpoints.values()
                if each.profile_id == profile_id
                and (
                    not set(inputs).isdisjoint(each.input_clusters)
                    or not set(outputs).isdisjoint(each.output_clusters)
                )
            )
        )
        return bytes([_SUCCESS]) + self._own() + bytes([len(matching)]) + matching
