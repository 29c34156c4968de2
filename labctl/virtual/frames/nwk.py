"""Zigbee NWK frames and commands (R22 3.3 and 3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from labctl.virtual.frames.error import FrameError

PROTOCOL_VERSION = 2  # Zigbee PRO
BROADCAST_ALL = 0xFFFF
BROADCAST_RX_ON = 0xFFFD
BROADCAST_ROUTERS = 0xFFFC
FIRST_BROADCAST = 0xFFF8
UNKNOWN_ADDRESS = 0xFFFE

_HEADER = Struct("<HHHBB")


class Kind(IntEnum):
    """Frame type (R22 table 3.41)."""

    DATA = 0
    COMMAND = 1
    INTER_PAN = 3


class Command(IntEnum):
    """NWK commands (R22 table 3.42)."""

    ROUTE_REQUEST = 0x01
    ROUTE_REPLY = 0x02
    NETWORK_STATUS = 0x03
    LEAVE = 0x04
    ROUTE_RECORD = 0x05
    REJOIN_REQUEST = 0x06
    REJOIN_RESPONSE = 0x07
    LINK_STATUS = 0x08
    NETWORK_REPORT = 0x09
    NETWORK_UPDATE = 0x0A
    END_DEVICE_TIMEOUT_REQUEST = 0x0B
    END_DEVICE_TIMEOUT_RESPONSE = 0x0C


def is_broadcast(address: int) -> bool:
    """Whether this NWK address is one of the broadcast addresses (R22 3.6.5)."""
    return address >= FIRST_BROADCAST


@dataclass(slots=True)
class NwkFrame:
    """One NWK frame. `body` is what follows the header: the auxiliary header and ciphertext while
    `security` is set and nobody has deciphered it, the payload otherwise."""

    destination: int
    source: int
    radius: int
    sequence: int
    body: bytes = b""
    kind: int = Kind.DATA
    security: bool = True
    discover_route: int = 0
    destination_eui64: bytes | None = None
    source_eui64: bytes | None = None
    source_route: tuple[int, ...] | None = None
    relay_index: int = 0
    multicast_control: int | None = None
    end_device_initiator: bool = False
    header: bytes = b""  # as received: authenticated by security

    def encode_header(self) -> bytes:
        """Everything before the auxiliary header or the payload."""
        control = self.kind | PROTOCOL_VERSION << 2 | self.discover_route << 6
        if self.security:
            control |= 0x0200
        if self.end_device_initiator:
            control |= 0x2000
        tail = b""
        if self.destination_eui64 is not None:
            control |= 0x0800
            tail += self.destination_eui64
        if self.source_eui64 is not None:
            control |= 0x1000
            tail += self.source_eui64
        if self.multicast_control is not None:
            control |= 0x0100
            tail += bytes((self.multicast_control,))
        if self.source_route is not None:
            control |= 0x0400
            tail += bytes((len(self.source_route), self.relay_index))
            tail += b"".join(relay.to_bytes(2, "little") for relay in self.source_route)
        head = _HEADER.pack(control, self.destination, self.source, self.radius, self.sequence)
        return head + tail if tail else head

    def encode(self) -> bytes:
        """The whole frame, with `body` as it is."""
        return self.encode_header() + self.body


def decode(octets: bytes) -> NwkFrame:
    """The frame in `octets`; `body` is not yet deciphered."""
    if len(octets) < 8:
        raise FrameError("a NWK header has at least 8 octets")
    control, destination, source, radius, sequence = _HEADER.unpack_from(octets)
    kind = control & 3
    if kind > Kind.COMMAND:
        raise FrameError(f"NWK frame type {kind} is not carried here")
    if control >> 2 & 0x0F != PROTOCOL_VERSION:
        raise FrameError("a NWK protocol version other than Zigbee PRO's")
    frame = NwkFrame(
        destination,
        source,
        radius,
        sequence,
        b"",
        kind,
        bool(control & 0x0200),
        control >> 6 & 3,
    )
    frame.end_device_initiator = bool(control & 0x2000)
    at = 8
    if control & 0x1D00:
        at = _decode_optional(octets, control, frame)
    frame.header = octets[:at]
    frame.body = octets[at:]
    return frame


def _decode_optional(octets: bytes, control: int, frame: NwkFrame) -> int:
    at = 8
    if control & 0x0800:
        frame.destination_eui64, at = octets[at : at + 8], at + 8
    if control & 0x1000:
        frame.source_eui64, at = octets[at : at + 8], at + 8
    if at > len(octets):
        raise FrameError("a NWK header is cut short in its addresses")
    if control & 0x0100:
        if at >= len(octets):
            raise FrameError("a NWK header is cut short before its multicast control")
        frame.multicast_control, at = octets[at], at + 1
    if control & 0x0400:
        if at + 2 > len(octets):
            raise FrameError("a NWK header is cut short in its source route")
        count, frame.relay_index = octets[at], octets[at + 1]
        at += 2
        end = at + 2 * count
        if end > len(octets):
            raise FrameError("a NWK header is cut short in its source route")
        frame.source_route = tuple(octets[i] | octets[i + 1] << 8 for i in range(at, end, 2))
        at = end
    return at


# -- commands: everything after the command identifier ----------------------------------------


def rejoin_request(capability: int) -> bytes:
    """R22 3.4.6."""
    return bytes((Command.REJOIN_REQUEST, capability))


def decode_rejoin_request(payload: bytes) -> int:
    """The capability information of a rejoin request."""
    if len(payload) < 2:
        raise FrameError("a rejoin request is cut short")
    return payload[1]


def rejoin_response(short: int, status: int) -> bytes:
    """R22 3.4.7; `status` is an association status (0 is success)."""
    return bytes((Command.REJOIN_RESPONSE,)) + short.to_bytes(2, "little") + bytes((status,))


def decode_rejoin_response(payload: bytes) -> tuple[int, int]:
    """Short address and status of a rejoin response."""
    if len(payload) < 4:
        raise FrameError("a rejoin response is cut short")
    return payload[1] | payload[2] << 8, payload[3]


def leave(*, request: bool, rejoin: bool, remove_children: bool = False) -> bytes:
    """R22 3.4.4. `request` asks the receiver to go; without it the sender says that it goes."""
    options = (0x20 if rejoin else 0) | (0x40 if request else 0) | (0x80 if remove_children else 0)
    return bytes((Command.LEAVE, options))


def decode_leave(payload: bytes) -> tuple[bool, bool, bool]:
    """`(request, rejoin, remove children)` of a leave command."""
    if len(payload) < 2:
        raise FrameError("a leave command is cut short")
    options = payload[1]
    return bool(options & 0x40), bool(options & 0x20), bool(options & 0x80)


def link_status(neighbours: list[tuple[int, int, int]]) -> bytes:
    """R22 3.4.8: `(address, incoming cost 1-7, outgoing cost 0-7)` of each, in one frame."""
    if len(neighbours) > 31:
        raise ValueError("one link status command has at most 31 entries")
    entries = b"".join(
        address.to_bytes(2, "little") + bytes((incoming | outgoing << 4,))
        for address, incoming, outgoing in sorted(neighbours)
    )
    return bytes((Command.LINK_STATUS, 0x60 | len(neighbours))) + entries  # first and last


def decode_link_status(payload: bytes) -> list[tuple[int, int, int]]:
    """`(address, incoming cost, outgoing cost)` of each entry."""
    if len(payload) < 2 or len(payload) < 2 + 3 * (payload[1] & 0x1F):
        raise FrameError("a link status command is cut short")
    return [
        (payload[at] | payload[at + 1] << 8, payload[at + 2] & 7, payload[at + 2] >> 4 & 7)
        for at in range(2, 2 + 3 * (payload[1] & 0x1F), 3)
    ]


def network_status(code: int, address: int) -> bytes:
    """R22 3.4.3: what went wrong with frames for `address`."""
    return bytes((Command.NETWORK_STATUS, code)) + address.to_bytes(2, "little")


def decode_network_status(payload: bytes) -> tuple[int, int]:
    """Code and address of a network status command."""
    if len(payload) < 4:
        raise FrameError("a network status command is cut short")
    return payload[1], payload[2] | payload[3] << 8


END_DEVICE_TIMEOUTS_S = (10, *(60 << i for i in range(1, 15)))
"""Seconds for each value of the requested timeout enumeration (R22 table 3.54): 10 s, 2 min,
4 min, ... 16384 min."""


def end_device_timeout_request(timeout: int) -> bytes:
    """R22 3.4.11; `timeout` is an index of `END_DEVICE_TIMEOUTS_S`."""
    return bytes((Command.END_DEVICE_TIMEOUT_REQUEST, timeout, 0))


def decode_end_device_timeout_request(payload: bytes) -> int:
    """The requested timeout's index."""
    if len(payload) < 3:
        raise FrameError("an end device timeout request is cut short")
    return payload[1]


def end_device_timeout_response(status: int, parent_information: int) -> bytes:
    """R22 3.4.12; bit 0 of `parent_information`: MAC data polls keep a child alive, bit 1: so do
    end device timeout requests."""
    return bytes((Command.END_DEVICE_TIMEOUT_RESPONSE, status, parent_information))


def decode_end_device_timeout_response(payload: bytes) -> tuple[int, int]:
    """Status and parent information."""
    if len(payload) < 3:
        raise FrameError("an end device timeout response is cut short")
    return payload[1], payload[2]
