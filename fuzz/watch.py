"""What is watched beside the traffic: secrets in the record, and tables that grow."""

from __future__ import annotations

import asyncio
import gc
import logging
import types
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import fields
from functools import partial
from typing import Any, Final

from fuzz.finding import Finding
from labctl.events import Event, Note
from labctl.secret import Secret

TABLE_LIMIT: Final = 1024
"""Entries that a table may have more than it had when the hub was warm."""

WITHIN_LIMIT: Final = 64 * TABLE_LIMIT
"""The same for all that the entries of a table hold."""

_SHORT: Final = 8
_CLEAN_LIMIT: Final = 4096


def spellings(octets: bytes) -> tuple[str, ...]:
    """How octets could turn up in a text."""
    plain = octets.hex()
    return (
        plain,
        plain.upper(),
        octets.hex(":"),
        octets.hex(" "),
        octets[::-1].hex(),
        repr(octets)[2:-1],
        str(int.from_bytes(octets, "big")),
    )


class Secrecy(logging.Handler):
    """Looks for secrets in events and in log records. A text that was seen before is clean."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._known: set[bytes] = set()
        self._texts: tuple[str, ...] = ()
        self._clean: set[str] = set()
        self.leak: str | None = None

    def add(self, secrets: Iterable[bytes | Secret]) -> None:
        """From now on these are looked for."""
        fresh = {s.reveal() if isinstance(s, Secret) else s for s in secrets} - self._known
        fresh = {octets for octets in fresh if len(octets) >= _SHORT}
        if fresh:
            self._known |= fresh
            self._texts += tuple(text for octets in fresh for text in spellings(octets))
            self._clean.clear()

    def event(self, event: Event) -> None:
        """An event was emitted."""
        kind = type(event)
        names = _TEXTS.get(kind)
        if names is None:
            names = _TEXTS[kind] = _texts_of(kind)
        for name in names:
            value = getattr(event, name)
            self._look(value if isinstance(value, str) else repr(value), kind.__name__)
        if isinstance(event, Note):
            for value in event.detail.values():
                if not isinstance(value, str | int | float | bool | list | dict | None):
                    self.leak = f"a Note {event.kind} with a {type(value).__name__} in it"

    def emit(self, record: logging.LogRecord) -> None:
        """A log record was written."""
        self._look(record.getMessage(), "a log record")

    def _look(self, text: str, where: str) -> None:
        if text in self._clean:
            return
        if any(secret in text for secret in self._texts):
            self.leak = f"a secret in {where}"
        if len(self._clean) >= _CLEAN_LIMIT:
            self._clean.clear()
        self._clean.add(text)

    def check(self) -> None:
        """Raise `Finding` when a secret was seen."""
        if self.leak:
            raise Finding(self.leak)


_TEXTS: Final[dict[type[Event], tuple[str, ...]]] = {}


def _texts_of(kind: type[Event]) -> tuple[str, ...]:
    """The fields of an event that can hold octets or text: not its numbers."""
    return tuple(
        field.name for field in fields(kind) if field.type not in ("int", "bool", "int | None")
    )


_WALKED: Final = (dict, list, tuple, set, frozenset, deque)
_THROUGH: Final = (types.MethodType, types.CellType, types.CoroutineType, partial, asyncio.Task)
_NOT_THROUGH: Final = (type, types.ModuleType, asyncio.AbstractEventLoop)


def census(*roots: object) -> Counter[str]:
    """The number of entries of every container that can be reached, by who holds it."""
    sizes: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[tuple[object, str]] = [(root, type(root).__name__) for root in roots]
    while todo:
        thing, label = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, types.FunctionType):
            todo.extend((cell, label) for cell in thing.__closure__ or ())
        elif isinstance(thing, _WALKED):
            sizes[label] += len(thing)
            below: Iterable[Any] = gc.get_referents(thing)
            todo.extend((part, label + "[]") for part in below if gc.is_tracked(part))
        elif isinstance(thing, _THROUGH):
            todo.extend((part, label) for part in gc.get_referents(thing) if gc.is_tracked(part))
        elif type(thing).__module__.startswith("labctl.") and not isinstance(thing, _NOT_THROUGH):
            todo.extend(
                (part, f"{type(thing).__name__}.{name}") for name, part in _attributes(thing)
            )
    return sizes


def _attributes(thing: object) -> list[tuple[str, object]]:
    found = list(getattr(thing, "__dict__", {}).items())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                found.append((name, getattr(thing, name)))
    return found


_BY_THE_DAY: Final = frozenset(
    {"Ledger._days", "Ledger._days[]", "LoadProfile._day_starts", "Timeline._moments"}
    | {"Timeline._moments[]", "Timeline._starts"}
)
"""What grows by an entry a day, whoever attacks: the meters' past, of which years go by here."""


class Tables:
    """Compares what a hub holds now with what it held when it was warm."""

    def __init__(self, roots: Callable[[], tuple[object, ...]]) -> None:
        self._roots = roots
        self._before = census(*roots())
        self.largest: dict[str, int] = {}

    def check(self) -> None:
        """Raise `Finding` when a table has grown beyond `TABLE_LIMIT`."""
        for label, size in census(*self._roots()).items():
            grown = size - self._before.get(label, 0)
            if grown > self.largest.get(label, 0):
                self.largest[label] = grown
            if label in _BY_THE_DAY:
                continue
            if grown > (WITHIN_LIMIT if label.endswith("[]") else TABLE_LIMIT):
                raise Finding(f"{label} has grown by {grown} entries, to {size}")
