"""What labctl reads and writes of the monitor-and-test interface (MT) by itself.

The driver has a definition for every command, and these go past it: those that it has wrong, those
that it cannot express, and those that carry keys, since it logs what it sends. Both octets of a
command are one number here, the one with type and subsystem first.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from labctl.smart_energy.eui64 import Eui64

NV_LENGTH = 0x2132
NV_READ = 0x2133
NV_WRITE = 0x2134
NV_CREATE = 0x2130
OSAL_NV_READ_EXT = 0x211C
OSAL_NV_WRITE_EXT = 0x211D
AF_DATA_REQUEST_EXT = 0x2402
AF_DATA_STORE = 0x2411
AF_DATA_RETRIEVE = 0x2412
ZDO_REMOVE_LINK_KEY = 0x2524
ZDO_SEC_ENTRY_LOOKUP_EXT = 0x2543
ZDO_SEC_DEVICE_REMOVE = 0x2544
ZDO_EXT_UPDATE_NWK_KEY = 0x254E
ZDO_EXT_SWITCH_NWK_KEY = 0x254F
ZDO_EXT_NWK_INFO = 0x2550
ADDRMGR_EUI64_LOOKUP = 0x2740
ADDRMGR_NWK_LOOKUP = 0x2741
BDB_ADD_INSTALL_CODE = 0x2F04

AF_DATA_CONFIRM = 0x4480
AF_INCOMING = 0x4481
AF_INCOMING_EXT = 0x4482
RPC_ERROR = 0x6000

RESPONSE = 0x4000
"""What tells a response from its request."""

ANSWERS_NOTHING_UNKNOWN = 0x0F
"""APP_CNF, the one subsystem that is silent when it does not know a command."""

MAX_DATA = 250
EXT_HEADER = 20
HUGE_FROM = MAX_DATA - EXT_HEADER + 1
"""Payloads from here on go out in pieces (AF_DATA_STORE)."""

STORE_OCTETS = 240
RETRIEVE_OCTETS = 240
"""A response has a status and a length beside it; 240 is what other hosts ask for."""

SUCCESS = 0x00

SHORT, BROADCAST = 0x02, 0x0F
"""Address modes."""

ACK_REQUEST, SUPPRESS_ROUTE_DISCOVERY, SECURITY = 0x10, 0x20, 0x40
"""Options of AF_DATA_REQUEST."""

RADIUS = 30


def key_with_address(eui64: Eui64, key: bytes, *, format: int) -> bytes:
    """Data of APP_CNF BDB_ADD_INSTALLCODE; format 2 is a ready key of 16 octets."""
    return bytes((format,)) + eui64.little_endian + key


@dataclass(frozen=True, slots=True)
class DataRequest:
    """AF_DATA_REQUEST_EXT, but for its data."""

    nwk: int
    destination_endpoint: int
    source_endpoint: int
    cluster_id: int
    number: int
    options: int
    broadcast: bool = False

    def pack(self, length: int) -> bytes:
        """The header for so many octets of payload, which need not follow."""
        return struct.pack(
            "<BH6xBHBHBBBH",
            BROADCAST if self.broadcast else SHORT,
            self.nwk,
            self.destination_endpoint,
            0,  # within this PAN
            self.source_endpoint,
            self.cluster_id,
            self.number,
            self.options,
            RADIUS,
            length,
        )


@dataclass(frozen=True, slots=True)
class Message:
    """AF_INCOMING_MSG and AF_INCOMING_MSG_EXT alike.

    `length` is the payload's; where `data` is shorter, the rest has to be fetched by `timestamp`.
    """

    nwk: int | None
    cluster_id: int
    source_endpoint: int
    destination_endpoint: int
    group: int
    broadcast: bool
    lqi: int
    secured: bool
    timestamp: int
    length: int
    data: bytes

    @property
    def is_huge(self) -> bool:
        """Whether the payload is still in the stick."""
        return len(self.data) < self.length


_INCOMING = struct.Struct("<HHHBBBBBIBB")
_INCOMING_EXT = struct.Struct("<HHB8sBHBBBBIBH")
_TRAILER = 3
"""The MAC source address and the radius follow the data."""


def unpack_message(command: int, data: bytes) -> Message:
    """An incoming message. Raises `ValueError` when it is shorter than it says."""
    try:
        if command == AF_INCOMING:
            group, cluster, nwk, source, destination, cast, lqi, secured, stamp, _, length = (
                _INCOMING.unpack_from(data)
            )
            short: int | None = nwk
            at, needed = _INCOMING.size, length
        else:
            group, cluster, mode, address, source, _pan, destination, *rest = (
                _INCOMING_EXT.unpack_from(data)
            )
            cast, lqi, secured, stamp, _, length = rest
            short = int.from_bytes(address[:2], "little") if mode == SHORT else None
            at, needed = _INCOMING_EXT.size, 0
    except struct.error as error:
        raise ValueError("an incoming message is cut short") from error
    payload = data[at : at + length]
    if command == AF_INCOMING_EXT and len(data) - at <= _TRAILER < length:
        payload = b""  # a huge one: only the trailer is here
    if len(payload) < needed:
        raise ValueError("an incoming message is cut short")
    return Message(
        short,
        cluster,
        source,
        destination,
        group,
        bool(cast),
        lqi,
        bool(secured),
        stamp,
        length,
        payload,
    )


@dataclass(frozen=True, slots=True)
class Confirm:
    """AF_DATA_CONFIRM: what became of a data request, by its number and its source endpoint."""

    status: int
    endpoint: int
    number: int


def unpack_confirm(data: bytes) -> Confirm:
    """Raises `ValueError` when it is cut short."""
    if len(data) < 3:
        raise ValueError("a data confirm is cut short")
    return Confirm(data[0], data[1], data[2])


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """ZDO_EXT_NWK_INFO as it is: the driver has no state there, and a channel of four octets."""

    nwk: int
    state: int
    pan_id: int
    extended_pan_id: Eui64
    channel: int


_NETWORK_INFO = struct.Struct("<HBHH8s8sB")


def unpack_network_info(data: bytes) -> NetworkInfo:
    """Raises `ValueError` when it is cut short."""
    try:
        nwk, state, pan_id, _parent, extended, _eui64, channel = _NETWORK_INFO.unpack_from(data)
    except struct.error as error:
        raise ValueError("the network information is cut short") from error
    return NetworkInfo(nwk, state, pan_id, Eui64.from_little_endian(extended), channel)
