"""What a fuzzer throws octets at: an entry of a table, which the first octet chooses."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A decoder or loader: raises only what is a finding. `samples` are octets that it takes."""

    name: str
    decode: Callable[[bytes], None]
    samples: Sequence[bytes]


def chosen(entries: Sequence[Entry], octets: bytes) -> Entry:
    """The entry that the first of some octets means; the rest is for it."""
    return entries[octets[0] % len(entries)]


def once_more(
    arguments: Sequence[str],
    entries: Sequence[Entry],
    usage: str | None,
    show: Callable[[bytes], str] = bytes.hex,
) -> int:
    """A command: throw the octets of a file that a fuzzer wrote down; returns the exit code."""
    if len(arguments) != 1:
        print(usage, file=sys.stderr)
        return 2
    octets = Path(arguments[0]).read_bytes()
    entry = chosen(entries, octets)
    print(f"{entry.name}: {show(octets[1:])}")
    entry.decode(octets[1:])
    print("nothing found")
    return 0
