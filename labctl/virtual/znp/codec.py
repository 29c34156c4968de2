"""Parameters of MT frames: layouts, and the table of all frames (`commands`).

Parameters travel between codec and handlers by name.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from labctl.smart_energy.eui64 import Eui64


class ParameterError(Exception):
    """The data of a frame is shorter than its layout says."""


class Address(NamedTuple):
    """A destination with its mode: a short address, a group, an EUI-64 or none."""

    mode: int
    short: int
    eui64: Eui64


NO_ADDRESS, GROUP, SHORT, EXTENDED, BROADCAST = 0x00, 0x01, 0x02, 0x03, 0x0F
"""Address modes."""

Reader = Callable[["Cursor"], Any]
Writer = Callable[[Any], bytes]


class Cursor:
    """Reads data from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        """The next octets. Raises `ParameterError` when there are fewer."""
        end = self.at + count
        if end > len(self.data):
            raise ParameterError
        taken, self.at = self.data[self.at : end], end
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self.data) - self.at)


def eui64_octets(address: Eui64) -> bytes:
    """As it is sent: the low octet first."""
    return bytes(reversed(address.big_endian))


def eui64_of(octets: bytes) -> Eui64:
    """From the order in which it is sent."""
    return Eui64.from_big_endian(bytes(reversed(octets)))


def _integer(letter: str) -> tuple[Reader, Writer]:
    layout = struct.Struct("<" + letter)
    return (lambda cursor: layout.unpack(cursor.take(layout.size))[0]), layout.pack


def _read_address(cursor: Cursor) -> Address:
    mode, octets = cursor.take(1)[0], cursor.take(8)
    return Address(mode, int.from_bytes(octets[:2], "little"), eui64_of(octets))


def _write_address(address: Address) -> bytes:
    octets = struct.pack("<H6x", address.short)
    if address.mode == EXTENDED:
        octets = eui64_octets(address.eui64)
    return bytes((address.mode,)) + octets


def _counted(size: int) -> tuple[Reader, Writer]:
    def read(cursor: Cursor) -> bytes:
        return cursor.take(int.from_bytes(cursor.take(size), "little"))

    return read, lambda value: len(value).to_bytes(size, "little") + value


def _words() -> tuple[Reader, Writer]:
    def read(cursor: Cursor) -> tuple[int, ...]:
        count = cursor.take(1)[0]
        return struct.unpack(f"<{count}H", cursor.take(2 * count))

    return read, lambda words: struct.pack(f"<B{len(words)}H", len(words), *words)


def _fixed(size: int) -> tuple[Reader, Writer]:
    return (lambda cursor: cursor.take(size)), bytes


_TYPES: Mapping[str, tuple[Reader, Writer]] = {
    "u8": _integer("B"),
    "u16": _integer("H"),
    "u32": _integer("I"),
    "i8": _integer("b"),
    "eui64": ((lambda cursor: eui64_of(cursor.take(8))), eui64_octets),
    "key": _fixed(16),
    "address": (_read_address, _write_address),
    "bytes": _counted(1),
    "bytes16": _counted(2),
    "u16*": _words(),
    "rest": (Cursor.rest, bytes),
    "associated": _fixed(36),
    "octets100": _fixed(100),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields in order: name, reader, writer."""

    fields: tuple[tuple[str, Reader, Writer], ...]

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Values by name; octets after the last field are ignored. Raises `ParameterError`."""
        cursor = Cursor(data)
        return {name: read(cursor) for name, read, _ in self.fields}

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """The data of a frame."""
        return b"".join(write(values[name]) for name, _, write in self.fields)


@dataclass(frozen=True, slots=True)
class FrameType:
    """A request with its response, or what the stick sends by itself (then `request` is None)."""

    command: int
    name: str
    request: Layout | None
    response: Layout


_LINE = re.compile(r"(\w{4}) (\w+)(?:\((.*?)\) ->|:)(.*)")


def parse_table(text: str) -> dict[str, FrameType]:
    """The notation of `commands`, by name."""
    table = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"not a frame: {line}")
        command, name, request, response = match.groups()
        table[name] = FrameType(
            int(command, 16),
            name,
            None if request is None else _layout(request),
            _layout(response),
        )
    return table


def _layout(text: str) -> Layout:
    fields = [field.split() for field in text.split(",") if field.strip()]
    return Layout(tuple((name, *_TYPES[kind]) for kind, name in fields))
