"""The structures of Z-Stack that hosts read and write in its memory, as on a 32-bit processor.

Fields lie at multiples of their size; what is between is 00 (FF in the address manager and in the
link key table, as real dumps have it).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp.codec import eui64_octets, eui64_of

NOBODY = Eui64("00" * 8)
EVERYBODY = Eui64("ff" * 8)

_NIB = struct.Struct("<15Bx H3Bx HBx H8sHBx I4B II B8sB 17s17s2s 7Bx HHBx")
_ADDRESS = struct.Struct("<BBH8s")
_TCLK = struct.Struct("<II8s4B")
_KEY_DATA = struct.Struct("<16sII")
_MATERIAL = struct.Struct("<I8s")
_LINK_KEY = struct.Struct("<HHBB")
_DEVICE = struct.Struct("<HH5BxxxI")
_ASSOCIATED = struct.Struct("<HH4B 4BIHxx BxxxI IBBxx")

assert _NIB.size == 116
assert _ASSOCIATED.size == 36


@dataclass(slots=True)
class Nib:
    """The network information base: what of it matters here; the rest is as in a formed dump."""

    channel: int = 0
    pan_id: int = 0xFFFE
    extended_pan_id: Eui64 = NOBODY
    short: int = 0xFFFE
    state: int = 0
    channels: int = 0
    key_loaded: bool = False
    manager: int = 0x0000
    update_id: int = 0
    security_level: int = 5
    persistence_s: int = 8

    SIZE = _NIB.size

    def pack(self) -> bytes:
        """For item 0x0021."""
        return _NIB.pack(
            *(0, 5, 2, 51, 15, 51, 0, 30, 0, 0, 0, 1, self.security_level, 1, 0x8F),
            *(self.persistence_s, 2, 13, 30),
            *(self.short, self.channel),
            *(0x0000, bytes(8), self.pan_id, self.state),
            *(self.channels, 15, 15, 4, 0),
            *(1, 1),
            *(0, eui64_octets(self.extended_pan_id), self.key_loaded),
            *(bytes(17), bytes(17), bytes(2)),
            *(15, 5, 0, 1, 120, 10, 1),
            *(self.manager, 0, self.update_id),
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Nib:
        """From item 0x0021. Raises `struct.error` when it has another length."""
        values = _NIB.unpack(octets)
        return cls(
            short=values[19],
            channel=values[20],
            pan_id=values[23],
            state=values[24],
            channels=values[25],
            extended_pan_id=eui64_of(values[33]),
            key_loaded=bool(values[34]),
            manager=values[45],
            update_id=values[47],
            security_level=values[12],
            persistence_s=values[15],
        )


ASSOCIATED, SECURITY, BINDING = 0x01, 0x02, 0x04
"""Users of an address manager entry."""


@dataclass(slots=True)
class AddressEntry:
    """One entry of the address manager; empty ones are FF throughout."""

    users: int = 0xFF
    short: int = 0xFFFF
    eui64: Eui64 = EVERYBODY

    @property
    def empty(self) -> bool:
        """Whether nobody is in it: also zeros, which hosts have written for it."""
        return self.users in (0x00, 0xFF) or self.eui64 in (EVERYBODY, NOBODY)

    def pack(self) -> bytes:
        """Twelve octets."""
        return _ADDRESS.pack(self.users, 0xFF, self.short, eui64_octets(self.eui64))

    @classmethod
    def unpack(cls, octets: bytes) -> AddressEntry:
        """From twelve octets."""
        users, _, short, eui64 = _ADDRESS.unpack(octets)
        return cls(users, short, eui64_of(eui64))


PROVISIONAL, UNVERIFIED, VERIFIED, DEFAULT = 0x00, 0x01, 0x02, 0xFF
"""Attributes of a trust-centre link key: by install code, unique, unique and verified, global."""

HAS_INSTALL_CODE = 0x80


@dataclass(slots=True)
class TclkEntry:
    """A trust-centre link key: where it comes from, not the key itself. Empty: no partner."""

    sent: int = 0
    received: int = 0
    partner: Eui64 = NOBODY
    attribute: int = DEFAULT
    key_type: int = 0
    seed_shift: int = 0
    install_code: int = 0
    """Index into the table of install-code keys, with `HAS_INSTALL_CODE`; 0: none."""

    @property
    def empty(self) -> bool:
        """Whether nobody is in it."""
        return self.partner == NOBODY

    def pack(self) -> bytes:
        """Twenty octets."""
        return _TCLK.pack(
            self.sent,
            self.received,
            eui64_octets(self.partner),
            self.attribute,
            self.key_type,
            self.seed_shift,
            self.install_code,
        )

    @classmethod
    def unpack(cls, octets: bytes) -> TclkEntry:
        """From twenty octets."""
        sent, received, partner, *rest = _TCLK.unpack(octets)
        return cls(sent, received, eui64_of(partner), *rest)


@dataclass(slots=True)
class KeyData:
    """An application link key and its counters."""

    key: bytes = field(default=bytes(16), repr=False)
    sent: int = 0
    received: int = 0

    def pack(self) -> bytes:
        """Twenty-four octets."""
        return _KEY_DATA.pack(self.key, self.sent, self.received)

    @classmethod
    def unpack(cls, octets: bytes) -> KeyData:
        """From twenty-four octets."""
        return cls(*_KEY_DATA.unpack(octets))


@dataclass(slots=True)
class LinkKeyEntry:
    """Whose an application link key is: an index of the address manager, and one of the keys."""

    address: int
    key: int
    authentication: int


def pack_link_keys(entries: list[LinkKeyEntry], slots: int) -> bytes:
    """Item 0x004C: the count, the entries, zeros up to its fixed size."""
    packed = b"".join(_LINK_KEY.pack(e.address, e.key, e.authentication, 0xFF) for e in entries)
    return (struct.pack("<H", len(entries)) + packed).ljust(2 + slots * _LINK_KEY.size, b"\0")


def unpack_link_keys(octets: bytes) -> list[LinkKeyEntry]:
    """From item 0x004C."""
    count = struct.unpack_from("<H", octets)[0]
    room = (len(octets) - 2) // _LINK_KEY.size
    return [
        LinkKeyEntry(*_LINK_KEY.unpack_from(octets, 2 + index * _LINK_KEY.size)[:3])
        for index in range(min(count, room))
    ]


def pack_material(counter: int, extended_pan_id: Eui64) -> bytes:
    """A network's outgoing frame counter."""
    return _MATERIAL.pack(counter, eui64_octets(extended_pan_id))


def unpack_material(octets: bytes) -> tuple[int, Eui64]:
    """Counter and network."""
    counter, extended = _MATERIAL.unpack(octets)
    return counter, eui64_of(extended)


SLEEPY_CHILD, AWAKE_CHILD = 1, 2
NO_RELATION = 0xFF


@dataclass(slots=True)
class DeviceEntry:
    """A child in the list of associated devices: its address manager index, and how it sleeps."""

    short: int = 0xFFFF
    address: int = 0xFFFF
    relation: int = NO_RELATION
    timeout: int = 8

    def pack(self) -> bytes:
        """Sixteen octets; how they are laid out is inferred from the size."""
        if self.relation == NO_RELATION:
            return b"\xff" * _DEVICE.size
        return _DEVICE.pack(self.short, self.address, self.relation, 0x0C, 0, 0, 1, self.timeout)

    @classmethod
    def unpack(cls, octets: bytes) -> DeviceEntry:
        """From sixteen octets."""
        short, address, relation, _, _, _, _, timeout = _DEVICE.unpack(octets)
        return cls(short, address, relation, timeout)

    def associated(self, lqi: int) -> bytes:
        """The structure in memory, thirty-six octets; FF when there is no such device."""
        if self.relation == NO_RELATION:
            return b"\xff" * _ASSOCIATED.size
        return _ASSOCIATED.pack(
            *(self.short, self.address, self.relation, 0x0C, 0, 0),
            *(0, 0, lqi, 0, 0, 0),
            *(1, self.timeout),
            *(0, 0, 0),
        )
