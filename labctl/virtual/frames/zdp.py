"""Zigbee Device Profile payloads (R22 2.4), after the transaction sequence number."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct, error

from labctl.virtual.frames.error import FrameError

RESPONSE = 0x8000
"""Set in the cluster identifier of every response."""


class Cluster(IntEnum):
    """The requests that this node answers or sends."""

    NWK_ADDR = 0x0000
    IEEE_ADDR = 0x0001
    NODE_DESC = 0x0002
    POWER_DESC = 0x0003
    SIMPLE_DESC = 0x0004
    ACTIVE_EP = 0x0005
    MATCH_DESC = 0x0006
    DEVICE_ANNCE = 0x0013
    PARENT_ANNCE = 0x001F
    BIND = 0x0021
    UNBIND = 0x0022
    MGMT_LQI = 0x0031
    MGMT_BIND = 0x0033
    MGMT_LEAVE = 0x0034
    MGMT_PERMIT_JOINING = 0x0036
    MGMT_NWK_UPDATE = 0x0038


class ZdpStatus(IntEnum):
    """R22 table 2.137."""

    SUCCESS = 0x00
    INV_REQUESTTYPE = 0x80
    DEVICE_NOT_FOUND = 0x81
    INVALID_EP = 0x82
    NOT_ACTIVE = 0x83
    NOT_SUPPORTED = 0x84
    NO_MATCH = 0x86
    NO_ENTRY = 0x88
    NO_DESCRIPTOR = 0x89
    TABLE_FULL = 0x8C
    NOT_AUTHORIZED = 0x8D


class Fields:
    """Takes little-endian fields off a payload, one by one."""

    __slots__ = ("at", "octets")

    def __init__(self, octets: bytes) -> None:
        self.octets, self.at = octets, 0

    def take(self, count: int) -> bytes:
        """The next `count` octets."""
        end = self.at + count
        if end > len(self.octets):
            raise FrameError("a ZDP payload is cut short")
        taken, self.at = self.octets[self.at : end], end
        return taken

    def u8(self) -> int:
        """The next octet."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two octets."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """The next four octets."""
        return int.from_bytes(self.take(4), "little")

    def u16_list(self, count: int) -> tuple[int, ...]:
        """The next `count` 16-bit numbers."""
        octets = self.take(2 * count)
        return tuple(octets[i] | octets[i + 1] << 8 for i in range(0, len(octets), 2))


def u16(*values: int) -> bytes:
    """16-bit numbers, least significant octet first."""
    return b"".join(value.to_bytes(2, "little") for value in values)


_ANNOUNCE = Struct("<H8sB")


def device_announce(short: int, eui64: bytes, capability: int) -> bytes:
    """Device_annce (R22 2.4.3.1.11)."""
    return _ANNOUNCE.pack(short, eui64, capability)


def decode_device_announce(body: bytes) -> tuple[int, bytes, int]:
    """`(short address, 64-bit address, capability)`."""
    try:
        short, eui64, capability = _ANNOUNCE.unpack_from(body)
    except error as cause:
        raise FrameError("a Device_annce is cut short") from cause
    return short, eui64, capability


@dataclass(slots=True)
class MatchRequest:
    """Match_Desc_req (R22 2.4.3.1.7)."""

    address: int
    profile: int
    input_clusters: tuple[int, ...] = ()  # wanted servers
    output_clusters: tuple[int, ...] = ()  # wanted clients

    def encode(self) -> bytes:
        """The body."""
        return (
            u16(self.address, self.profile)
            + bytes((len(self.input_clusters),))
            + u16(*self.input_clusters)
            + bytes((len(self.output_clusters),))
            + u16(*self.output_clusters)
        )

    @classmethod
    def decode(cls, body: bytes) -> MatchRequest:
        """From the body."""
        fields = Fields(body)
        address, profile = fields.u16(), fields.u16()
        inputs = fields.u16_list(fields.u8())
        outputs = fields.u16_list(fields.u8())
        return cls(address, profile, inputs, outputs)


@dataclass(frozen=True, slots=True)
class Binding:
    """A source binding (R22 2.4.3.2.2): to an endpoint of a device, or to a group."""

    source: bytes
    endpoint: int
    cluster: int
    destination: bytes | int  # 64-bit address, or group
    destination_endpoint: int = 0

    def encode(self) -> bytes:
        """The body of Bind_req and Unbind_req."""
        head = self.source + bytes((self.endpoint,)) + u16(self.cluster)
        if isinstance(self.destination, int):
            return head + b"\x01" + u16(self.destination)
        return head + b"\x03" + self.destination + bytes((self.destination_endpoint,))

    @classmethod
    def decode(cls, body: bytes) -> Binding:
        """From the body of Bind_req or Unbind_req."""
        fields = Fields(body)
        source, endpoint, cluster = fields.take(8), fields.u8(), fields.u16()
        mode = fields.u8()
        if mode == 0x01:
            return cls(source, endpoint, cluster, fields.u16())
        if mode == 0x03:
            return cls(source, endpoint, cluster, fields.take(8), fields.u8())
        raise FrameError(f"a binding with destination address mode {mode}")


@dataclass(frozen=True, slots=True)
class NodeDescriptor:
    """R22 2.3.2.3."""

    logical_type: int  # 0 coordinator, 1 router, 2 end device
    capability: int
    manufacturer_code: int
    max_buffer: int
    max_incoming: int
    max_outgoing: int
    server_mask: int
    frequency_bands: int = 0x08  # bit 3: 2400-2483.5 MHz

    def encode(self) -> bytes:
        """The 13 octets."""
        return (
            bytes((self.logical_type, self.frequency_bands << 3, self.capability))
            + u16(self.manufacturer_code)
            + bytes((self.max_buffer,))
            + u16(self.max_incoming, self.server_mask, self.max_outgoing)
            + b"\x00"
        )

    @classmethod
    def decode(cls, octets: bytes) -> NodeDescriptor:
        """From the 13 octets."""
        fields = Fields(octets)
        logical, flags, capability = fields.u8(), fields.u8(), fields.u8()
        manufacturer, buffer = fields.u16(), fields.u8()
        incoming, mask, outgoing = fields.u16(), fields.u16(), fields.u16()
        fields.u8()
        return cls(
            logical & 7, capability, manufacturer, buffer, incoming, outgoing, mask, flags >> 3
        )


def encode_simple_descriptor(
    endpoint: int,
    profile: int,
    device: int,
    version: int,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
) -> bytes:
    """R22 2.3.2.5."""
    return (
        bytes((endpoint,))
        + u16(profile, device)
        + bytes((version & 0x0F, len(inputs)))
        + u16(*inputs)
        + bytes((len(outputs),))
        + u16(*outputs)
    )
