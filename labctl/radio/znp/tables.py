"""Items of the stick's non-volatile memory that labctl reads and writes, as SimpleLink has them.

Structures are those of 32-bit processors (aligned). A trust-centre entry does not hold a key but
says where it comes from: an install code's slot, the stick's seed, or the global default key.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

from labctl.smart_energy.eui64 import Eui64

NOBODY = Eui64("00" * 8)
EVERYBODY = Eui64("ff" * 8)
ZSTACK, APPLICATION = 1, 7
"""Systems that items belong to."""


class Item(NamedTuple):
    """An item's three numbers. Legacy items are the sub-items of item 0 of `ZSTACK`."""

    system: int
    item: int
    sub: int

    def pack(self) -> bytes:
        """As every SYS_NV command begins."""
        return struct.pack("<BHH", *self)


ADDRESSES = 0x0001
TRUST_CENTRE_KEYS = 0x0004
INSTALL_CODE_KEYS = 0x0005
APPLICATION_KEYS = 0x0006
"""Tables of `ZSTACK`: a sub-item for each entry."""

EXTADDR = Item(ZSTACK, 0, 0x0001)
STARTUP_OPTION = Item(ZSTACK, 0, 0x0003)
ACTIVE_KEY = Item(ZSTACK, 0, 0x003A)
APPLICATION_KEY_OWNERS = Item(ZSTACK, 0, 0x004C)
MARK = Item(APPLICATION, 0x024C, 0x0000)
"""labctl's own: that it formed the network which the stick holds, and which one that is."""

KEY_OCTETS = 16
NO_KEY = bytes(KEY_OCTETS)

PROVISIONAL, UNVERIFIED, VERIFIED, DEFAULT = 0x00, 0x01, 0x02, 0xFF
"""Attributes of a trust-centre key: of an install code; of the seed, unverified or verified; the
default one."""

_HAS_SLOT = 0x80
_SLOT = 0x7F
_TRUST_CENTRE = struct.Struct("<II8sBBBB")
_ADDRESS = struct.Struct("<BxH8s")
_OWNER = struct.Struct("<HHBx")
_MARK = struct.Struct("<2sB8sH")
_MARK_VERSION = 1

SECURITY_USER = 0x02
"""The bit that says: an address is kept because there is a key for it."""


@dataclass(frozen=True, slots=True)
class TrustCentreEntry:
    """One entry of the trust centre's table, 20 octets."""

    partner: Eui64 = NOBODY
    attribute: int = DEFAULT
    sent: int = 0
    received: int = 0
    key_type: int = 0
    seed_shift: int = 0
    source: int = 0

    SIZE = _TRUST_CENTRE.size

    @property
    def is_empty(self) -> bool:
        """Whether it is nobody's. Removing a key leaves zeros, as if of an install code."""
        return self.partner in (NOBODY, EVERYBODY)

    @property
    def slot(self) -> int | None:
        """Which install-code key it is, if it is one of those."""
        if self.is_empty or self.attribute != PROVISIONAL or not self.source & _HAS_SLOT:
            return None
        return self.source & _SLOT

    def with_slot(self, slot: int) -> TrustCentreEntry:
        """The same, with the key of an install code."""
        return replace(self, attribute=PROVISIONAL, source=_HAS_SLOT | slot)

    def pack(self) -> bytes:
        """As it is in memory."""
        return _TRUST_CENTRE.pack(
            self.sent,
            self.received,
            self.partner.little_endian,
            self.attribute,
            self.key_type,
            self.seed_shift,
            self.source,
        )

    @classmethod
    def unpack(cls, octets: bytes) -> TrustCentreEntry:
        """From memory. Raises `ValueError` for another length."""
        if len(octets) != cls.SIZE:
            raise ValueError(f"a trust-centre key entry has {cls.SIZE} octets, not {len(octets)}")
        sent, received, partner, attribute, key_type, shift, source = _TRUST_CENTRE.unpack(octets)
        partner = Eui64.from_little_endian(partner)
        return cls(partner, attribute, sent, received, key_type, shift, source)


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """One entry of the address manager, 12 octets: who is where, and who needs to know."""

    users: int
    nwk: int
    eui64: Eui64

    SIZE = _ADDRESS.size

    @property
    def is_empty(self) -> bool:
        """Whether it is nobody's: all FF, or zeros from hosts that wrote those."""
        return self.users in (0x00, 0xFF) or self.eui64 in (NOBODY, EVERYBODY)

    def pack(self) -> bytes:
        """As it is in memory; padding is FF there."""
        packed = bytearray(_ADDRESS.pack(self.users, self.nwk, self.eui64.little_endian))
        packed[1] = 0xFF
        return bytes(packed)

    @classmethod
    def unpack(cls, octets: bytes) -> AddressEntry:
        """From memory. Raises `ValueError` for another length."""
        if len(octets) != cls.SIZE:
            raise ValueError(f"an address entry has {cls.SIZE} octets, not {len(octets)}")
        users, nwk, eui64 = _ADDRESS.unpack(octets)
        return cls(users, nwk, Eui64.from_little_endian(eui64))


def key_owners(octets: bytes) -> list[tuple[int, int]]:
    """Of the application link keys: index in the address manager, and slot, for each in use.

    Raises `ValueError` when the item is shorter than its own count says.
    """
    if len(octets) < 2:
        raise ValueError("the table of application link keys is cut short")
    count = int.from_bytes(octets[:2], "little")
    if len(octets) < 2 + count * _OWNER.size:
        raise ValueError("the table of application link keys is cut short")
    found = (_OWNER.unpack_from(octets, 2 + each * _OWNER.size) for each in range(count))
    return [(address, slot) for address, slot, _ in found]


@dataclass(frozen=True, slots=True)
class Mark:
    """Which network labctl formed on this stick."""

    extended_pan_id: Eui64
    pan_id: int

    SIZE = _MARK.size

    def pack(self) -> bytes:
        """As it is in memory."""
        return _MARK.pack(b"LB", _MARK_VERSION, self.extended_pan_id.little_endian, self.pan_id)

    @classmethod
    def unpack(cls, octets: bytes) -> Mark | None:
        """From memory; None for what is not such a mark."""
        if len(octets) != cls.SIZE:
            return None
        mark, version, extended, pan_id = _MARK.unpack(octets)
        if mark != b"LB" or version != _MARK_VERSION:
            return None
        return cls(Eui64.from_little_endian(extended), pan_id)
