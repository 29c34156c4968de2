"""The journal: everything that was done to the meters of a rig, in the order of time.

A meter's state at an instant follows from its declared start values and the journal alone, so the
same journal gives the same values. The journal only grows; saved as JSON Lines it carries the
meters over a restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from labctl.meters.entries import Entry

_WORKED_OUT: dict[str, Any] = {"tariff": {"table": True, "switching": {"_cache": True}}}


class JournalError(ValueError):
    """An entry that the journal cannot take, or a line that is not an entry."""


class Journal:
    """An append-only list of entries."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Raise `JournalError` as `append` does."""
        self._entries: list[Entry] = []
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add an entry. Raises `JournalError` when it is older than the last one."""
        if self._entries and entry.at_us < self._entries[-1].at_us:
            raise JournalError(
                f"the entry {entry.what!r} is of {entry.at_us} µs, and the journal already "
                f"goes to {self._entries[-1].at_us} µs"
            )
        self._entries.append(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def since(self, number: int) -> list[Entry]:
        """The entries from `number` (0 is the first) on."""
        return self._entries[number:]

    def to_json_lines(self) -> str:
        """One JSON object a line; `from_json_lines` reads it back as it was."""
        return "".join(to_json(entry) + "\n" for entry in self._entries)

    @classmethod
    def from_json_lines(cls, text: str) -> Journal:
        """Read what `to_json_lines` wrote.

        Raises `JournalError`, with the line counted from 1, for anything else.
        """
        journal = cls()
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    journal.append(from_json(line))
                except JournalError as error:
                    raise JournalError(f"line {number}: {error}") from error
        return journal


def to_json(entry: Entry) -> str:
    """An entry as one line of JSON, without what follows from the rest of it."""
    return _adapter().dump_json(entry, exclude=_WORKED_OUT, exclude_none=True).decode()


def from_json(line: str) -> Entry:
    """Read one entry. Raises `JournalError` with what is wrong and where in the entry."""
    try:
        return _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise JournalError(f"{where}: {first['msg']}" if where else first["msg"]) from error


@cache
def _adapter() -> TypeAdapter[Entry]:
    return TypeAdapter(Annotated[Entry, Field(discriminator="what")])
