"""What a world went through, so that it can be gone through again."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from fuzz.arrivals import decode
from fuzz.finding import Finding
from fuzz.world import World

_LENGTH: Final = struct.Struct("<I")


def write(path: Path, batches: Iterable[bytes]) -> None:
    """Write batches, each after its length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(_LENGTH.pack(len(batch)) + batch for batch in batches))


def read(path: Path) -> list[bytes]:
    """The batches of a journal. Raises `ValueError` when the file is cut off."""
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
    return batches


def replay(batches: Sequence[bytes]) -> Finding | None:
    """What a fresh world finds in these batches."""
    world = World()
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
    fails: Callable[[Sequence[bytes]], bool] = lambda batches: replay(batches) is not None,
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
            if without and fails(without):
                kept = without
            else:
                at += piece
        piece //= 2
    return kept
