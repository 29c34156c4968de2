"""IEEE 802.15.4 MAC frames as Zigbee uses them (802.15.4-2011 clause 5.2), without MAC security.

`encode` leaves the frame check sequence away; `with_fcs` and `check_fcs` add and take it, because
the radio does that, not the layer above it.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from labctl.virtual.frames.error import FrameError

MAX_PSDU = 127  # aMaxPHYPacketSize, octets with the FCS
FCS_OCTETS = 2
DATA_HEADER_OCTETS = 9  # data frame between short addresses of one PAN
BROADCAST = 0xFFFF
NO_SHORT_ADDRESS = 0xFFFE  # associated, but to be addressed by the 64-bit address alone

_REVERSED = bytes(int(f"{octet:08b}"[::-1], 2) for octet in range(256))


def fcs(octets: bytes) -> int:
    """The ITU CRC-16 of 802.15.4 5.2.1.9: polynomial 0x1021, least significant bit first, from 0.

    `binascii` has that polynomial for the other bit order, and in C; mirroring octets on the way
    in and the result on the way out gives the same number ten times faster than a loop here.
    """
    crc = binascii.crc_hqx(octets.translate(_REVERSED), 0)
    return _REVERSED[crc >> 8] | _REVERSED[crc & 0xFF] << 8


def with_fcs(mpdu: bytes) -> bytes:
    """The PSDU: `mpdu` and its check sequence."""
    return mpdu + fcs(mpdu).to_bytes(2, "little")


def check_fcs(psdu: bytes) -> bytes:
    """The frame without its check sequence; `FrameError` when that is wrong."""
    if not 5 <= len(psdu) <= MAX_PSDU:
        raise FrameError(f"a PSDU has 5 to {MAX_PSDU} octets, not {len(psdu)}")
    mpdu = psdu[:-2]
    if fcs(mpdu) != psdu[-2] | psdu[-1] << 8:
        raise FrameError("the frame check sequence is wrong")
    return mpdu


class Kind(IntEnum):
    """Frame type (802.15.4 table 2)."""

    BEACON = 0
    DATA = 1
    ACK = 2
    COMMAND = 3


class Command(IntEnum):
    """MAC command frames (802.15.4 table 5)."""

    ASSOCIATION_REQUEST = 0x01
    ASSOCIATION_RESPONSE = 0x02
    DISASSOCIATION = 0x03
    DATA_REQUEST = 0x04
    PAN_ID_CONFLICT = 0x05
    ORPHAN = 0x06
    BEACON_REQUEST = 0x07
    REALIGNMENT = 0x08


class AssociationStatus(IntEnum):
    """Association status (802.15.4 table 6)."""

    SUCCESS = 0x00
    AT_CAPACITY = 0x01
    ACCESS_DENIED = 0x02


Address = int | bytes | None
"""A short address, the 8 octets of a long one, or none."""


@dataclass(slots=True)
class MacFrame:
    """One MAC frame. With both addresses and equal PANs, the source PAN is left out (5.2.1.1.5)."""

    kind: int
    sequence: int
    payload: bytes = b""
    destination_pan: int | None = None
    destination: Address = None
    source_pan: int | None = None
    source: Address = None
    ack_request: bool = False
    frame_pending: bool = False

    def encode(self) -> bytes:
        """The MPDU without check sequence."""
        control = self.kind
        if self.frame_pending:
            control |= 0x10
        if self.ack_request:
            control |= 0x20
        fields = b""
        compressed = False
        if self.destination is not None:
            assert self.destination_pan is not None
            fields += self.destination_pan.to_bytes(2, "little")
            mode, octets = _address(self.destination)
            control |= mode << 10
            fields += octets
            compressed = self.source is not None and self.source_pan == self.destination_pan
        if self.source is not None:
            assert self.source_pan is not None
            if compressed:
                control |= 0x40
            else:
                fields += self.source_pan.to_bytes(2, "little")
            mode, octets = _address(self.source)
            control |= mode << 14
            fields += octets
        return (
            control.to_bytes(2, "little") + bytes((self.sequence & 0xFF,)) + fields + self.payload
        )


def _address(address: int | bytes) -> tuple[int, bytes]:
    if isinstance(address, int):
        return 2, address.to_bytes(2, "little")
    return 3, address


_SHORT_DATA = Struct("<HBHHH")
_SHORT_HEADERS = frozenset((0x8841, 0x8861, 0x8851, 0x8871, 0x8843, 0x8863, 0x8853, 0x8873))


def encode_data(
    sequence: int, pan: int, destination: int, source: int, payload: bytes, *, pending: bool = False
) -> bytes:
    """A data frame between short addresses in one PAN; broadcasts ask for no acknowledgement."""
    control = 0x8841 if destination == BROADCAST else 0x8861
    if pending:
        control |= 0x10
    return _SHORT_DATA.pack(control, sequence, pan, destination, source) + payload


def decode(mpdu: bytes) -> MacFrame:
    """The frame in `mpdu` (without check sequence)."""
    if len(mpdu) < 3:
        raise FrameError("a MAC frame has at least 3 octets before its check sequence")
    control = mpdu[0] | mpdu[1] << 8
    if control in _SHORT_HEADERS and len(mpdu) >= DATA_HEADER_OCTETS:
        # Nearly all frames of a Zigbee network have this shape.
        _, sequence, pan, destination, source = _SHORT_DATA.unpack_from(mpdu)
        return MacFrame(
            control & 7,
            sequence,
            mpdu[DATA_HEADER_OCTETS:],
            pan,
            destination,
            pan,
            source,
            bool(control & 0x20),
            bool(control & 0x10),
        )
    kind = control & 7
    if kind > Kind.COMMAND:
        raise FrameError(f"MAC frame type {kind} is reserved")
    if control & 0x08:
        raise FrameError("MAC security is not used by Zigbee")
    if control >> 12 & 3 > 1:
        raise FrameError("a MAC frame version that Zigbee does not use")
    reader = _Reader(mpdu, 3)
    destination_mode, source_mode = control >> 10 & 3, control >> 14 & 3
    destination_pan = reader.u16() if destination_mode else None
    destination_address = reader.address(destination_mode)
    source_pan: int | None = None
    if source_mode:
        source_pan = destination_pan if control & 0x40 else reader.u16()
    elif control & 0x40:
        raise FrameError("PAN compression without a source address")
    if source_mode and source_pan is None:
        raise FrameError("PAN compression without a destination address")
    source_address = reader.address(source_mode)
    if kind == Kind.COMMAND and reader.at >= len(mpdu):
        raise FrameError("a MAC command frame without a command")
    return MacFrame(
        kind,
        mpdu[2],
        mpdu[reader.at :],
        destination_pan,
        destination_address,
        source_pan,
        source_address,
        bool(control & 0x20),
        bool(control & 0x10),
    )


class _Reader:
    __slots__ = ("at", "octets")

    def __init__(self, octets: bytes, at: int) -> None:
        self.octets, self.at = octets, at

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.octets):
            raise FrameError("a MAC frame is cut short in its addresses")
        taken = self.octets[self.at : end]
        self.at = end
        return taken

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def address(self, mode: int) -> Address:
        if mode == 0:
            return None
        if mode == 2:
            return self.u16()
        if mode == 3:
            return self.take(8)
        raise FrameError("MAC addressing mode 1 is reserved")


def ack(sequence: int, *, pending: bool) -> bytes:
    """An acknowledgement (802.15.4 5.2.2.3), without check sequence."""
    return bytes((0x12 if pending else 0x02, 0x00, sequence))


@dataclass(slots=True)
class ZigbeeBeacon:
    """A beacon's superframe flags and its Zigbee payload (802.15.4 5.2.2.1, R22 3.6.7)."""

    extended_pan_id: bytes
    association_permit: bool
    pan_coordinator: bool = True
    stack_profile: int = 2
    protocol_version: int = 2
    router_capacity: bool = False
    end_device_capacity: bool = True
    depth: int = 0
    update_id: int = 0

    def encode(self) -> bytes:
        """The MAC payload of the beacon frame: superframe, GTS, pending addresses, Zigbee."""
        superframe = 0x0FFF  # beaconless: beacon and superframe order 15, final slot 15
        superframe |= 0x4000 if self.pan_coordinator else 0
        superframe |= 0x8000 if self.association_permit else 0
        capacity = self.depth << 3
        capacity |= 0x04 if self.router_capacity else 0
        capacity |= 0x80 if self.end_device_capacity else 0
        head = superframe.to_bytes(2, "little") + b"\x00\x00\x00"
        profile = self.stack_profile | self.protocol_version << 4
        return (
            head
            + bytes((profile, capacity))
            + self.extended_pan_id
            + b"\xff\xff\xff"  # tx offset: beaconless
            + bytes((self.update_id,))
        )

    @classmethod
    def decode(cls, payload: bytes) -> ZigbeeBeacon:
        """From the MAC payload of a beacon frame; `FrameError` when it is none of Zigbee's."""
        if len(payload) < 4:
            raise FrameError("a beacon is cut short")
        superframe = payload[0] | payload[1] << 8
        if payload[2] & 7:
            raise FrameError("a beacon with guaranteed time slots is none of Zigbee's")
        pending = payload[3]
        body = payload[4 + 2 * (pending & 7) + 8 * (pending >> 4 & 7) :]
        if len(body) < 15 or body[0] != 0:
            raise FrameError("a beacon without a Zigbee payload")
        return cls(
            extended_pan_id=body[3:11],
            association_permit=bool(superframe & 0x8000),
            pan_coordinator=bool(superframe & 0x4000),
            stack_profile=body[1] & 0x0F,
            protocol_version=body[1] >> 4,
            router_capacity=bool(body[2] & 0x04),
            end_device_capacity=bool(body[2] & 0x80),
            depth=body[2] >> 3 & 0x0F,
            update_id=body[14],
        )


def capability(*, router: bool, mains_powered: bool, rx_on_when_idle: bool) -> int:
    """The capability information of an association (802.15.4 5.3.1.2, R22 table 3.62)."""
    return (
        0x80  # allocate address
        | (0x02 if router else 0)
        | (0x04 if mains_powered else 0)
        | (0x08 if rx_on_when_idle else 0)
    )


def association_response(short: int, status: int) -> bytes:
    """The payload of an association response (802.15.4 5.3.2)."""
    return bytes((Command.ASSOCIATION_RESPONSE,)) + short.to_bytes(2, "little") + bytes((status,))


def decode_association_response(payload: bytes) -> tuple[int, int]:
    """Short address and status from the payload of an association response."""
    if len(payload) < 4:
        raise FrameError("an association response is cut short")
    return payload[1] | payload[2] << 8, payload[3]
