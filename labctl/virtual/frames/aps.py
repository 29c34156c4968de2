"""Zigbee APS frames and commands (R22 2.2.5 and 4.4.9)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from labctl.virtual.frames.error import FrameError

DATA_HEADER_OCTETS = 8
FRAGMENT_OCTETS = 2  # extended header of a data frame

_ADDRESSES = Struct("<BHHBB")


class Kind(IntEnum):
    """Frame type (R22 table 2.20)."""

    DATA = 0
    COMMAND = 1
    ACK = 2
    INTER_PAN = 3


class Delivery(IntEnum):
    """Delivery mode (R22 table 2.21)."""

    UNICAST = 0
    BROADCAST = 2
    GROUP = 3


class Fragmentation(IntEnum):
    """Fragmentation sub-field of the extended header (R22 table 2.22)."""

    NONE = 0
    FIRST = 1
    PART = 2


class Command(IntEnum):
    """APS commands (R22 table 4.28)."""

    TRANSPORT_KEY = 0x05
    UPDATE_DEVICE = 0x06
    REMOVE_DEVICE = 0x07
    REQUEST_KEY = 0x08
    SWITCH_KEY = 0x09
    TUNNEL = 0x0E
    VERIFY_KEY = 0x0F
    CONFIRM_KEY = 0x10


class KeyType(IntEnum):
    """Key type of Transport-Key and Request-Key (R22 tables 4.9 and 4.19)."""

    NETWORK = 0x01
    REQUEST_APPLICATION = 0x02
    APPLICATION = 0x03
    TRUST_CENTRE = 0x04


@dataclass(slots=True)
class ApsFrame:
    """One APS frame. `body` is what follows the header, still enciphered while `security` is set.

    `fragmentation`, `block` and `acknowledged` make up the extended header: in a first fragment
    `block` is the number of fragments, else the number of this one; `acknowledged` is the bit
    field of an acknowledgement, one bit for each block from `block` on.
    """

    kind: int = Kind.DATA
    counter: int = 0
    body: bytes = b""
    delivery: int = Delivery.UNICAST
    security: bool = False
    ack_request: bool = False
    ack_format: bool = False  # acknowledges a command: no endpoints
    destination_endpoint: int = 0
    cluster: int = 0
    profile: int = 0
    source_endpoint: int = 0
    group: int = 0
    fragmentation: int = Fragmentation.NONE
    block: int = 0
    acknowledged: int = 0
    header: bytes = b""  # as received: authenticated by security

    def encode_header(self) -> bytes:
        """Everything before the auxiliary header or the payload."""
        control = self.kind | self.delivery << 2
        if self.ack_format:
            control |= 0x10
        if self.security:
            control |= 0x20
        if self.ack_request:
            control |= 0x40
        if self.fragmentation:
            control |= 0x80
        if self.kind == Kind.COMMAND or self.ack_format:
            head = bytes((control, self.counter))
        elif self.delivery == Delivery.GROUP:
            head = (
                bytes((control,))
                + self.group.to_bytes(2, "little")
                + self.cluster.to_bytes(2, "little")
                + self.profile.to_bytes(2, "little")
                + bytes((self.source_endpoint, self.counter))
            )
        else:
            head = bytes((control,)) + _ADDRESSES.pack(
                self.destination_endpoint,
                self.cluster,
                self.profile,
                self.source_endpoint,
                self.counter,
            )
        if not self.fragmentation:
            return head
        if self.kind == Kind.ACK:
            return head + bytes((self.fragmentation, self.block, self.acknowledged))
        return head + bytes((self.fragmentation, self.block))

    def encode(self) -> bytes:
        """The whole frame, with `body` as it is."""
        return self.encode_header() + self.body


def decode(octets: bytes) -> ApsFrame:
    """The frame in `octets`; `body` is not yet deciphered."""
    if len(octets) < 2:
        raise FrameError("an APS frame has at least 2 octets")
    control = octets[0]
    kind = control & 3
    delivery = control >> 2 & 3
    if kind == Kind.INTER_PAN:
        raise FrameError("inter-PAN frames are not carried here")
    if delivery == 1:
        raise FrameError("APS indirect delivery no longer exists")
    frame = ApsFrame(
        kind,
        0,
        b"",
        delivery,
        bool(control & 0x20),
        bool(control & 0x40),
        bool(control & 0x10),
    )
    if kind == Kind.COMMAND or (kind == Kind.ACK and frame.ack_format):
        frame.counter, at = octets[1], 2
    elif delivery == Delivery.GROUP and kind == Kind.DATA:
        frame.ack_format = False
        if len(octets) < 9:
            raise FrameError("an APS header is cut short")
        frame.group = octets[1] | octets[2] << 8
        _, frame.cluster, frame.profile, frame.source_endpoint, frame.counter = (
            _ADDRESSES.unpack_from(octets, 2)
        )
        at = 9
    else:
        if kind == Kind.DATA:
            frame.ack_format = False
        if len(octets) < DATA_HEADER_OCTETS:
            raise FrameError("an APS header is cut short")
        (
            frame.destination_endpoint,
            frame.cluster,
            frame.profile,
            frame.source_endpoint,
            frame.counter,
        ) = _ADDRESSES.unpack_from(octets, 1)
        at = DATA_HEADER_OCTETS
    if control & 0x80:
        at = _decode_extended(octets, at, frame)
    frame.header = octets[:at]
    frame.body = octets[at:]
    return frame


def _decode_extended(octets: bytes, at: int, frame: ApsFrame) -> int:
    if at >= len(octets):
        raise FrameError("an APS extended header is cut short")
    fragmentation = octets[at] & 3
    if fragmentation == 3:
        raise FrameError("fragmentation 3 is reserved")
    frame.fragmentation = fragmentation
    at += 1
    if fragmentation == Fragmentation.NONE:
        return at
    needed = 2 if frame.kind == Kind.ACK else 1
    if at + needed > len(octets):
        raise FrameError("an APS extended header is cut short")
    frame.block = octets[at]
    if needed == 2:
        frame.acknowledged = octets[at + 1]
    return at + needed


# -- commands: the payload from the command identifier on ---------------------------------------


@dataclass(slots=True)
class TransportKey:
    """R22 4.4.9.1. Only network keys have a sequence; only application keys an initiator flag."""

    key_type: int
    key: bytes
    sequence: int = 0
    destination: bytes = bytes(8)
    source: bytes = bytes(8)  # of the trust centre; for application keys: the partner
    initiator: bool = False

    def encode(self) -> bytes:
        """The payload."""
        head = bytes((Command.TRANSPORT_KEY, self.key_type)) + self.key
        if self.key_type == KeyType.NETWORK:
            return head + bytes((self.sequence,)) + self.destination + self.source
        if self.key_type == KeyType.APPLICATION:
            return head + self.source + bytes((self.initiator,))
        return head + self.destination + self.source

    @classmethod
    def decode(cls, payload: bytes) -> TransportKey:
        """From the payload."""
        if len(payload) < 18:
            raise FrameError("a Transport-Key is cut short")
        key_type, key, rest = payload[1], payload[2:18], payload[18:]
        if key_type == KeyType.NETWORK:
            if len(rest) < 17:
                raise FrameError("a Transport-Key is cut short")
            return cls(key_type, key, rest[0], rest[1:9], rest[9:17])
        if key_type == KeyType.APPLICATION:
            if len(rest) < 9:
                raise FrameError("a Transport-Key is cut short")
            return cls(key_type, key, source=rest[:8], initiator=bool(rest[8]))
        if key_type == KeyType.TRUST_CENTRE:
            if len(rest) < 16:
                raise FrameError("a Transport-Key is cut short")
            return cls(key_type, key, destination=rest[:8], source=rest[8:16])
        raise FrameError(f"a Transport-Key of type {key_type:#04x}")


def update_device(device: bytes, short: int, status: int) -> bytes:
    """R22 4.4.9.2; status 0 secured rejoin, 1 unsecured join, 2 left, 3 trust centre rejoin."""
    return bytes((Command.UPDATE_DEVICE,)) + device + short.to_bytes(2, "little") + bytes((status,))


def decode_update_device(payload: bytes) -> tuple[bytes, int, int]:
    """`(device, short address, status)`."""
    if len(payload) < 12:
        raise FrameError("an Update-Device is cut short")
    return payload[1:9], payload[9] | payload[10] << 8, payload[11]


def remove_device(target: bytes) -> bytes:
    """R22 4.4.9.3."""
    return bytes((Command.REMOVE_DEVICE,)) + target


def decode_remove_device(payload: bytes) -> bytes:
    """The address of the device that is to go."""
    if len(payload) < 9:
        raise FrameError("a Remove-Device is cut short")
    return payload[1:9]


def request_key(key_type: int, partner: bytes | None = None) -> bytes:
    """R22 4.4.9.4; an application link key is asked for with its partner."""
    return bytes((Command.REQUEST_KEY, key_type)) + (partner or b"")


def decode_request_key(payload: bytes) -> tuple[int, bytes | None]:
    """Key type, and the partner for an application link key."""
    if len(payload) < 2:
        raise FrameError("a Request-Key is cut short")
    if payload[1] != KeyType.REQUEST_APPLICATION:
        return payload[1], None
    if len(payload) < 10:
        raise FrameError("a Request-Key is cut short")
    return payload[1], payload[2:10]


def switch_key(sequence: int) -> bytes:
    """R22 4.4.9.5."""
    return bytes((Command.SWITCH_KEY, sequence))


def decode_switch_key(payload: bytes) -> int:
    """The sequence number of the network key that is in use from now on."""
    if len(payload) < 2:
        raise FrameError("a Switch-Key is cut short")
    return payload[1]
