"""The file beside a thing's kernel locks: who has it, and a counter that only grows.

In a folder that several users share, nobody may replace the file of another (the sticky bit): it is
written in place. It has two pages, and a new state goes over the older one, with a checksum: who is
killed in the middle leaves the other page, and who reads in the middle reads that one.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from labctl.leases.entry import Entry

PAGE = 4096
_MAGIC = b"labctl-lease-1"


class DamagedRecordError(Exception):
    """Neither page can be read, and the file is not new."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is said of a thing. The first entry is whose turn it is; `token` is his, or 0.

    The others are those who gave it to a process of their own for a while. `counter` is the last
    token that was given out. `sequence` numbers the states of the record.
    """

    sequence: int = 0
    counter: int = 0
    thing: str = ""
    entries: tuple[Entry, ...] = ()

    @property
    def token(self) -> int:
        """The token that may write."""
        return self.entries[0].token if self.entries else 0


def read(path: Path) -> Record:
    """The state of the record. Raises `OSError`, `DamagedRecordError`."""
    return parse(pages(path))


def pages(path: Path) -> bytes:
    """What stands in the record, unread; nothing when there is none. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, 2 * PAGE, 0)
    finally:
        os.close(descriptor)


def parse(pages: bytes) -> Record:
    """The newer of the two states. Raises `DamagedRecordError`."""
    found = [state for at in (0, PAGE) if (state := _parsed(pages[at : at + PAGE])) is not None]
    if found:
        return max(found, key=lambda state: state.sequence)
    if pages.strip(b"\0"):
        raise DamagedRecordError
    return Record()  # new


def write(path: Path, state: Record) -> None:
    """Put a state into a record that is there, over the older one. Raises `OSError`."""
    entries = [entry.as_json() for entry in state.entries]
    body = json.dumps({"thing": state.thing, "entries": entries}, ensure_ascii=False).encode()
    head = b"%s %d %d %d" % (_MAGIC, state.sequence, state.counter, len(body))
    page = b"%s %d\n%s" % (head, zlib.crc32(body, zlib.crc32(head)), body)
    if len(page) > PAGE:
        raise OSError(f"{len(state.entries)} owners inside each other are too many for the record")
    # Without O_CREAT: in a sticky folder Linux refuses that for files of other users
    # (fs.protected_regular).
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if os.pwrite(descriptor, page.ljust(PAGE, b"\0"), PAGE * (state.sequence % 2)) != PAGE:
            raise OSError("the record was not written as a whole")
    finally:
        os.close(descriptor)


def _parsed(page: bytes) -> Record | None:
    head, newline, rest = page.partition(b"\n")
    words = head.split(b" ")
    if not newline or len(words) != 5 or words[0] != _MAGIC:
        return None
    try:
        sequence, counter, length, checksum = (int(word) for word in words[1:])
        body = rest[:length]
        if zlib.crc32(body, zlib.crc32(head.rpartition(b" ")[0])) != checksum:
            return None
        said = json.loads(body)
        entries = tuple(Entry.of_json(entry) for entry in said["entries"])
        return Record(sequence, counter, str(said["thing"]), entries)
    except (ValueError, KeyError, TypeError):
        return None
