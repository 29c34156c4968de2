"""The stick's non-volatile items, read and written one by one through a connection."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection, Refused
from labctl.radio.znp.tables import ZSTACK, Item

_MOST_ENTRIES = 512
"""No table of any firmware has more."""


class Memory:
    """SYS_NV commands: the ones that SimpleLink firmware has. No item here is longer than a frame.

    Raises `Refused`, and what `Connection.ask` raises.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def length(self, item: Item) -> int:
        """Octets; 0 when there is no such item."""
        answer = await self._connection.ask(mt.NV_LENGTH, item.pack())
        return int.from_bytes(answer[:4], "little")

    async def read(self, item: Item) -> bytes | None:
        """The whole item; None when there is none, or the firmware does not show it."""
        length = await self.length(item)
        if not length:
            return None
        return await self._read(item, length)

    async def _read(self, item: Item, length: int) -> bytes | None:
        answer = await self._connection.ask(mt.NV_READ, item.pack() + struct.pack("<HB", 0, length))
        if len(answer) < 2 or answer[0] != mt.SUCCESS or answer[1] > len(answer) - 2:
            return None
        value = answer[2 : 2 + answer[1]]
        return value if len(value) == length else None

    async def write(self, item: Item, value: bytes) -> None:
        """Over the item that is there, from its first octet: firmware ignores other offsets."""
        data = item.pack() + struct.pack("<HB", 0, len(value)) + value
        await self._connection.must(f"writing item {_named(item)}", mt.NV_WRITE, data)

    async def put(self, item: Item, value: bytes) -> None:
        """Write, and make the item first when it is not there."""
        length = await self.length(item)
        if not length:
            # What this answers for a new item is "uninitialised": the write tells.
            await self._connection.ask(mt.NV_CREATE, item.pack() + struct.pack("<I", len(value)))
        elif length != len(value):
            raise Refused(f"item {_named(item)} has {length} octets, not {len(value)}", 0x0C)
        await self.write(item, value)

    async def entries(self, table: int, size: int) -> AsyncIterator[bytes]:
        """All entries of a table of `ZSTACK`, of `size` octets each."""
        for sub in range(_MOST_ENTRIES):
            value = await self._read(Item(ZSTACK, table, sub), size)
            if value is None:
                return
            yield value

    async def entry(self, table: int, sub: int, size: int) -> bytes | None:
        """One entry; None beyond the end."""
        return await self._read(Item(ZSTACK, table, sub), size)


def _named(item: Item) -> str:
    return "/".join(f"{number:04x}" for number in item)
