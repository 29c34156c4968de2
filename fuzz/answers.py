"""An independent look at what the hub sends: is it ZCL, and does it answer what was asked?

Written from ZCL chapter 2 on the virtual devices' decoder, which shares nothing with the hub's.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from fuzz.finding import Finding
from labctl.radio.coordinator import Incoming, Outgoing
from labctl.virtual.devices import published, zcl
from labctl.virtual.devices.zcl import Frame, ZclError

_ZDO: Final = 0x0000
_KEY_ESTABLISHMENT: Final = 0x0800
_QUESTIONS: Final = frozenset({0x0004, 0x0005, 0x0006, 0x0031})
"""Simple_Desc, Active_EP, Match_Desc and Mgmt_Lqi requests."""

_REMEMBERED: Final = 4096
_DISCOVER_ANSWERS: Final = {0x0D: 3, 0x16: 4}
_COMMAND_LISTS: Final = frozenset({0x12, 0x14})
_ANSWERS: Final = frozenset({0x01, 0x04, 0x07, 0x09, 0x0B, 0x0D, 0x10, 0x12, 0x14, 0x16})
_MOST_ANSWERS: Final = 64
"""Frames in answer to one request: more would make the hub an amplifier."""

Key = tuple[int, int, int, int, int]


class Conversation:
    """The requests that the hub heard of late, and what it said to them."""

    def __init__(self) -> None:
        self._asked: OrderedDict[Key, list[int]] = OrderedDict()
        self.answers = 0
        self.own = 0
        self.longest = b""
        self.most = 0

    def heard(self, packet: Incoming) -> None:
        """A packet was handed to the hub."""
        sequence = _sequence(packet)
        if sequence is None:
            return
        endpoints = packet.destination_endpoint, packet.source_endpoint
        if packet.profile_id == _ZDO:
            endpoints = 0, 0
        key = (packet.nwk, *endpoints, packet.cluster_id, sequence)
        self._asked.setdefault(key, [0]).append(packet.aps_encrypted)
        self._asked.move_to_end(key)
        if len(self._asked) > _REMEMBERED:
            self._asked.popitem(last=False)

    def said(self, packet: Outgoing) -> None:
        """The hub sent a packet. Raises `Finding`."""
        if len(packet.data) > len(self.longest):
            self.longest = packet.data
        try:
            if packet.profile_id == _ZDO:
                self._zdo(packet)
            else:
                self._zcl(packet)
        except ZclError as error:
            raise Finding(
                f"the hub sent what is no ZCL to 0x{packet.nwk:04X}, cluster "
                f"0x{packet.cluster_id:04X}: {packet.data.hex()}: {error}"
            ) from error

    def _zdo(self, packet: Outgoing) -> None:
        if packet.cluster_id in _QUESTIONS and len(packet.data) >= 2:
            self.own += 1  # the hub asks where a device's servers are, and how it hears the hub
            return
        if not packet.cluster_id & 0x8000 or len(packet.data) < 2:
            raise Finding(f"ZDO 0x{packet.cluster_id:04X} of the hub's own: {packet.data.hex()}")
        key = (packet.nwk, 0, 0, packet.cluster_id & 0x7FFF, packet.data[0])
        self._answers(packet, key)

    def _zcl(self, packet: Outgoing) -> None:
        if packet.profile_id != 0x0109:
            raise Finding(f"the hub sent profile 0x{packet.profile_id:04X}")
        frame = Frame.parse(packet.data)
        if not frame.cluster_specific:
            _general(frame)
            if frame.command not in _ANSWERS:
                self.own += 1  # the hub reads who a device is
                return
            if not frame.disable_default_response:
                raise Finding(f"an answer that asks for an answer: {packet.data.hex()}")
        elif packet.data[0] & 0x10 == 0:
            self.own += 1  # published without having been asked for
            _published(packet, frame)
            return
        else:
            _published(packet, frame)
        key = (
            packet.nwk,
            packet.source_endpoint,
            packet.destination_endpoint,
            packet.cluster_id,
            frame.sequence,
        )
        if frame.cluster_specific and not frame.from_server and key not in self._asked:
            self.own += 1  # the hub as the client of a device: it begins key establishment
            return
        self._answers(packet, key)

    def _answers(self, packet: Outgoing, key: Key) -> None:
        asked = self._asked.get(key)
        if asked is None:
            raise Finding(
                f"an answer to nothing: to 0x{packet.nwk:04X} endpoint "
                f"{packet.destination_endpoint}, cluster 0x{packet.cluster_id:04X}: "
                f"{packet.data.hex()}"
            )
        as_asked = packet.profile_id == _ZDO or packet.aps_encrypt in asked[1:]
        if packet.cluster_id == _KEY_ESTABLISHMENT and not packet.aps_encrypt:
            as_asked = True  # in the clear whatever came (SE 1.4a 5.4.6)
        if not as_asked:
            raise Finding(
                f"the answer has other APS security than the request: {packet.data.hex()}"
            )
        asked[0] += 1
        self.answers += 1
        self.most = max(self.most, asked[0] // (len(asked) - 1))
        if asked[0] > _MOST_ANSWERS * (len(asked) - 1):
            raise Finding(f"{asked[0]} answers to one request: {packet.data.hex()}")


def _sequence(packet: Incoming) -> int | None:
    if packet.profile_id == _ZDO:
        return packet.data[0] if packet.data else None
    if len(packet.data) < 3:
        return None
    if packet.data[0] & 0x04:
        return packet.data[3] if len(packet.data) >= 5 else None
    return packet.data[1]


def _general(frame: Frame) -> None:
    """Whether a general command's payload is what it has to be (2.5)."""
    command, payload = frame.command, frame.payload
    if command == zcl.Global.READ:
        zcl.parse_read_attributes(payload)
    elif command == zcl.Global.READ_RESPONSE:
        for record in zcl.parse_read_response(payload):
            if not 0 <= record.status <= 0xFF:
                raise ZclError(f"status {record.status}")
    elif command == zcl.Global.WRITE_RESPONSE:
        zcl.parse_write_response(payload)
    elif command == zcl.Global.DEFAULT_RESPONSE:
        zcl.parse_default_response(payload)
        if len(payload) != 2:
            raise ZclError("a Default Response with more than it has")
    elif command in _DISCOVER_ANSWERS:
        if len(payload) % _DISCOVER_ANSWERS[command] != 1 or payload[0] > 1:
            raise ZclError("not an answer to Discover Attributes")
    elif command in _COMMAND_LISTS:
        if not payload or payload[0] > 1:
            raise ZclError("not an answer to Discover Commands")
    elif command == 0x07:
        if payload != b"\x00" and (not payload or len(payload) % 4):
            raise ZclError("not a Configure Reporting Response")
    elif command == 0x09:
        if len(payload) < 4:
            raise ZclError("not a Read Reporting Configuration Response")
    else:
        raise ZclError(f"general command 0x{command:02X} is none that a hub sends")


def _published(packet: Outgoing, frame: Frame) -> None:
    """A cluster command: as far as displays know it, it has to be readable to the last octet."""
    if frame.from_server and frame.manufacturer is None:
        published.read(packet.cluster_id, frame.command, frame.payload)
