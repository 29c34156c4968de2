"""Non-volatile items, and what hosts may do with them.

An item has three numbers: system, item, sub-item. The legacy items of older stacks are the
sub-items of item 0 in system 1, and are reached by commands of their own as well.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from enum import IntEnum

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.znp.codec import eui64_octets
from labctl.virtual.znp.status import Z
from labctl.virtual.znp.structures import AddressEntry, DeviceEntry, KeyData, Nib, TclkEntry

ZSTACK = 1
MAX_READ = 246
"""Octets that one read returns at most."""

MAX_LEGACY = 0x03FF
"""The highest legacy item that hosts can create."""

KEYS_IN_TABLE = 3
INSTALL_CODES = 40
DEVICES = 51
POLL_RATE_OLD = 0x0024
"""Not there at all: reads and writes of it reach the first two octets of the poll rate."""

_LOCKED = range(0x0069, 0x006C)  # certificate, private key, the authority's key
_LOCKED_WITHOUT_KEY_MANAGEMENT = (0x003A, 0x003B, 0x0062)


class Item(IntEnum):
    """Legacy items that the firmware itself uses."""

    EXTADDR = 0x0001
    STARTUP_OPTION = 0x0003
    NIB = 0x0021
    EXTENDED_PAN_ID = 0x002D
    POLL_RATE = 0x0035
    ACTIVE_KEY = 0x003A
    ALTERNATE_KEY = 0x003B
    APS_ACK_WAIT = 0x0044
    APS_USE_EXT_PANID = 0x0047
    LINK_KEYS = 0x004C
    END_DEVICE_TIMEOUT = 0x0052
    ON_A_NETWORK = 0x0055
    PRECFGKEY = 0x0062
    SECURE_PERMIT_JOIN = 0x0065
    NWKKEY = 0x0082
    PANID = 0x0083
    CHANLIST = 0x0084
    LOGICAL_TYPE = 0x0087
    TCLK_SEED = 0x0101


class Table(IntEnum):
    """Items of system 1 with a sub-item for each entry."""

    ADDRESSES = 0x0001
    BINDINGS = 0x0002
    DEVICES = 0x0003
    TCLK = 0x0004
    INSTALL_CODES = 0x0005
    KEY_DATA = 0x0006
    MATERIAL = 0x0007


_SIZES = {
    Table.ADDRESSES: (257, AddressEntry().pack()),
    Table.BINDINGS: (50, b"\xff" * 14),
    Table.DEVICES: (DEVICES, DeviceEntry().pack()),
    Table.TCLK: (200, TclkEntry().pack()),
    Table.INSTALL_CODES: (INSTALL_CODES, bytes(16)),
    Table.KEY_DATA: (KEYS_IN_TABLE, KeyData().pack()),
    Table.MATERIAL: (5, bytes(12)),
}

_CONFIGURATION = {
    0x0004: "0a",
    0x0028: "02",
    0x0029: "03",
    0x002A: "02",
    0x002B: "08",
    0x002C: "1e",
    0x002E: "02",
    0x002F: "05",
    0x0030: "1e",
    0x0032: "01",
    0x0033: "78",
    0x0034: "0a",
    0x0035: "b80b0000b8010000640000006400000000000000e80300000000000000000000145a002001000000",
    0x0036: "01",
    0x0037: "01",
    0x0038: "ff",
    0x0039: "0d",
    0x003C: "00",
    0x003D: "01",
    0x003E: "01",
    0x0042: "0000" + "ff" * 20,
    0x0043: "03",
    0x0044: "f401",
    0x0045: "02",
    0x0046: "803e",
    0x0047: "00" * 8,
    0x0048: "01",
    0x0049: "feff",
    0x004B: "02",
    0x004D: "e803",
    0x004E: "0a",
    0x004F: "0500",
    0x0051: "01",
    0x0052: "08",
    0x0053: "08",
    0x0054: "00",
    0x0062: "00" * 16,
    0x0063: "00",
    0x0065: "01",
    0x0066: "01",
    0x0067: "00",
    0x006D: "01",
    0x0071: "00" * 8,
    0x0081: "00" * 17,
    0x0083: "ffff",
    0x0084: "00000000",
    0x0085: "00",
    0x0086: "04",
    0x0087: "00",
    0x0088: "14",
    0x008F: "00",
    0x00A1: "e0",
}
"""Sizes and values of a real CC2652R, with the settings of the build that is emulated."""

_NETWORK = {
    Item.ACTIVE_KEY: bytes(17),
    Item.ALTERNATE_KEY: bytes(17),
    Item.LINK_KEYS: bytes(2 + KEYS_IN_TABLE * 6),
    Item.ON_A_NETWORK: b"\0",
    Item.NWKKEY: bytes(24),
}

Key = tuple[int, int, int]


def _default(item: Item) -> bytes:
    if item in _CONFIGURATION:
        return bytes.fromhex(_CONFIGURATION[item])
    if item is Item.NIB:
        return Nib().pack()
    return _NETWORK.get(item, bytes(_OTHER_SIZES[item]) if item in _OTHER_SIZES else b"")


_OTHER_SIZES = {
    Item.EXTADDR: 8,
    Item.STARTUP_OPTION: 1,
    Item.EXTENDED_PAN_ID: 8,
    Item.TCLK_SEED: 16,
}


class Nvram:
    """The items, in `items`. `changed` is called after each change, `written` with the number of a
    legacy item that the host wrote."""

    def __init__(self, items: dict[Key, bytes], changed: Callable[[], None]) -> None:
        self.items = items
        self.written: Callable[[int], None] = lambda item: None
        self.keys_locked = False
        """Whether hosts may not read the items with network keys."""
        self._changed = changed

    def __repr__(self) -> str:
        return f"<{len(self.items)} items>"

    # -- what the firmware does at boot ----------------------------------------------------------

    def initialise(
        self,
        factory_eui64: Eui64,
        rng: random.Random,
        *,
        ack_wait_s: float = 1.0,
        trust_centre_keys: int = 200,
    ) -> None:
        """Clear what the startup option says, and make every item that is missing."""
        option = self[Item.STARTUP_OPTION][0]
        if option & 0x02:  # network state
            for table in Table:
                self._remove_table(table)
            for item in (*_NETWORK, Item.NIB, Item.TCLK_SEED, Item.EXTENDED_PAN_ID):
                self.items.pop((ZSTACK, 0, item), None)
        if option & 0x01:  # configuration
            for number in _CONFIGURATION:
                self.items.pop((ZSTACK, 0, number), None)
        if len(self.items.get((ZSTACK, 0, Item.EXTADDR), b"")) != 8:
            self._make(Item.EXTADDR, eui64_octets(factory_eui64))
        defaults: dict[int, bytes] = {
            **{item: bytes.fromhex(value) for item, value in _CONFIGURATION.items()},
            **{int(item): value for item, value in _NETWORK.items()},
            Item.NIB: Nib().pack(),
            Item.EXTENDED_PAN_ID: self[Item.EXTADDR],
            Item.APS_ACK_WAIT: round(ack_wait_s * 500).to_bytes(2, "little"),
        }
        for number, value in defaults.items():
            if number not in self:
                self._make(number, value)
        if len(self.items.get((ZSTACK, 0, Item.TCLK_SEED), b"")) != 16:
            self._make(Item.TCLK_SEED, rng.randbytes(16))
        for table, (most, empty) in _SIZES.items():
            for sub in range(trust_centre_keys if table is Table.TCLK else most):
                self.items.setdefault((ZSTACK, table, sub), empty)
        self._make(Item.STARTUP_OPTION, b"\0")
        self._changed()

    def _make(self, number: int, value: bytes) -> None:
        self.items[ZSTACK, 0, number] = value

    def _remove_table(self, table: Table) -> None:
        for key in [key for key in self.items if key[:2] == (ZSTACK, table)]:
            del self.items[key]

    # -- for the firmware --------------------------------------------------------------------------

    def __contains__(self, item: int) -> bool:
        return (ZSTACK, 0, item) in self.items

    def __getitem__(self, item: Item) -> bytes:
        """The value; what it is on a new stick when a host has deleted it or made it too short."""
        value = self.items.get((ZSTACK, 0, item), b"")
        default = _default(item)
        return value if len(value) >= len(default) else default

    def __setitem__(self, item: Item, value: bytes) -> None:
        if self.items.get((ZSTACK, 0, item)) != value:
            self.items[ZSTACK, 0, item] = value
            self._changed()

    def entry(self, table: Table, sub: int) -> bytes:
        """One entry of a table; an empty one when a host has deleted it."""
        empty = _SIZES[table][1]
        value = self.items.get((ZSTACK, table, sub), b"")
        return value if len(value) == len(empty) else empty

    def entries(self, table: Table) -> Iterator[bytes]:
        """All entries of a table."""
        count = _SIZES[table][0]
        if table is Table.TCLK:  # its size is the build's
            count = next(
                (sub for sub in range(count) if (ZSTACK, table, sub) not in self.items), count
            )
        return (self.entry(table, sub) for sub in range(count))

    def set_entry(self, table: Table, sub: int, value: bytes | None) -> None:
        """Write an entry; None empties it."""
        if value is None:
            value = _SIZES[table][1]
        if self.items.get((ZSTACK, table, sub)) != value:
            self.items[ZSTACK, table, sub] = value
            self._changed()

    # -- for hosts ---------------------------------------------------------------------------------

    def length(self, key: Key) -> int:
        """0 for what is not there."""
        if key == (ZSTACK, 0, POLL_RATE_OLD):
            return 0
        return len(self.items.get(key, b""))

    def create(self, key: Key, length: int, value: bytes = b"") -> Z:
        """NV_ITEM_UNINIT says that it is new. What is there already stays as it is."""
        system, item, sub = key
        if key in self.items:
            return Z.SUCCESS
        if not 1 <= system <= 7 or (system == ZSTACK and item == 0 and sub > MAX_LEGACY):
            return Z.NV_OPER_FAILED
        if not 0 < length <= 512 or len(value) > length:
            return Z.NV_OPER_FAILED
        self.items[key] = value.ljust(length, b"\xff")
        self._told(key)
        return Z.NV_ITEM_UNINIT

    def read(self, key: Key, offset: int, length: int = MAX_READ) -> tuple[Z, bytes]:
        """As much as there is from `offset` on, up to `MAX_READ` octets."""
        if key == (ZSTACK, 0, POLL_RATE_OLD):
            return Z.SUCCESS, self[Item.POLL_RATE][offset:2]
        if key[:2] == (ZSTACK, 0):
            locked = _LOCKED_WITHOUT_KEY_MANAGEMENT if self.keys_locked else ()
            if key[2] in _LOCKED or key[2] in locked:
                return Z.INVALID_PARAMETER, b""
        value = self.items.get(key)
        if value is None:
            return Z.NV_OPER_FAILED, b""
        if offset >= len(value):
            return Z.INVALID_PARAMETER, b""
        return Z.SUCCESS, value[offset : offset + min(length, MAX_READ)]

    def write(self, key: Key, value: bytes) -> Z:
        """Always from the item's first octet on: newer stacks know of no offset."""
        if key == (ZSTACK, 0, POLL_RATE_OLD):
            key, value = (ZSTACK, 0, Item.POLL_RATE), value[:2]
        old = self.items.get(key)
        if old is None:
            return Z.NV_OPER_FAILED
        if not value or len(value) > len(old):
            return Z.INVALID_PARAMETER
        self.items[key] = value + old[len(value) :]
        self._told(key)
        return Z.SUCCESS

    def delete(self, key: Key, length: int | None = None) -> Z:
        """With `length` only when it is that long."""
        value = self.items.get(key)
        if value is None:
            return Z.NV_ITEM_UNINIT
        if length is not None and len(value) != length:
            return Z.NV_BAD_ITEM_LEN
        del self.items[key]
        self._changed()
        return Z.SUCCESS

    def _told(self, key: Key) -> None:
        self._changed()
        if key[:2] == (ZSTACK, 0):
            self.written(key[2])
