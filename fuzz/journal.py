"""What a world went through, so that it can be gone through again."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from fuzz.arrivals import decode
from fuzz.finding import Finding
from fuzz.world import World
from labctl.events import DeviceKind

_LENGTH: Final = struct.Struct("<I")


def write(path: Path, attacker: DeviceKind, batches: Iterable[bytes]) -> None:
    """Write what the attacker is and the batches, each after its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (attacker.value.encode(), *batches)
    path.write_bytes(b"".join(_LENGTH.pack(len(row)) + row for row in rows))


def read(path: Path) -> tuple[DeviceKind, list[bytes]]:
    """What a journal holds. Raises `ValueError` when the file is none."""
    octets = path.read_bytes()
    batches = []
    at = 0
    while at < len(octets):
        if at + _LENGTH.size > len(octets):
            raise ValueError(f"{path} is cut off")
        (length,) = _LENGTH.unpack_from(octets, at)
        at += _LENGTH.size
        batches.append(octets[at : at + length])
        at += length
    if not batches:
        raise ValueError(f"{path} is empty")
    return DeviceKind(batches[0].decode()), batches[1:]


def replay(batches: Sequence[bytes], attacker: DeviceKind = DeviceKind.CAD) -> Finding | None:
    """What a fresh world finds in these batches."""
    world = World(attacker)
    try:
        world.start()
        for batch in batches:
            world.throw(decode(batch))
        world.check_tables()
        world.stop()
    except Finding as finding:
        return finding
    return None


def shorten(
    batches: Sequence[bytes],
    *,
    patience_s: float,
    attacker: DeviceKind = DeviceKind.CAD,
) -> list[bytes]:
    """A shorter row of batches that is still found fault with, as far as `patience_s` allows.

    Takes away what is not needed in ever smaller pieces, from the front: what failed is at the end.
    """
    kept = list(batches)
    until = time.monotonic() + patience_s
    piece = max(1, len(kept) - 1)
    while piece and time.monotonic() < until:
        at = 0
        while at < len(kept) and len(kept) > 1 and time.monotonic() < until:
            without = kept[:at] + kept[at + piece :]
            if without and replay(without, attacker) is not None:
                kept = without
            else:
                at += piece
        piece //= 2
    return kept
