"""Looking for a secret in octets, in whatever encoding something might have left it there."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WELL_KNOWN = {bytes(16), b"\xff" * 16, b"ZigBeeAlliance09"}
"""Fillers and the key that everybody has: in every driver's defaults."""

_BETWEEN = re.compile(rb"[\s,;:\-()\[\]{}]+")
_JOINTS = re.compile(rb"0x|\\x|[\s:,;\-_.'\"(){}\[\]]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A secret and what it is, for the failure's message. Not printed itself."""

    name: str
    octets: bytes = b""
    digits: str = ""


def octets(name: str, value: bytes) -> Wanted:
    """A key or a code."""
    return Wanted(name, octets=value)


def digits(name: str, value: str) -> Wanted:
    """What a person types: a PIN, a top-up code, a pairing code."""
    return Wanted(name, digits=value)


class Heap:
    """Octets to search: as they are, in lower case, and without what stands between digits."""

    def __init__(self, content: bytes) -> None:
        self._raw = content
        self._lower = content.lower()
        self._joined = _JOINTS.sub(b"", self._lower)
        self._words = _BETWEEN.sub(b" ", self._lower)

    def has(self, wanted: Wanted) -> str | None:
        """In which encoding the secret is here; None when it is not."""
        if wanted.digits:
            return self._has_digits(wanted.digits)
        for name, needle in _raw_forms(wanted.octets):
            if needle in self._raw:
                return name
        for name, needle in _text_forms(wanted.octets):
            if needle in self._lower:
                return name
        for name, needle in _number_forms(wanted.octets):
            if needle in self._words:
                return name
        for name, needle in _joined_forms(wanted.octets):
            if needle in self._joined:
                return name
        return None

    def _has_digits(self, text: str) -> str | None:
        needle = text.encode()
        if len(text) >= 16:
            return "digits" if needle in self._joined else None
        # A short one is a word of its own, or everything would hold it by chance.
        found = re.search(rb"(?<![0-9A-Za-z.:+\-])" + needle + rb"(?![0-9A-Za-z:\-])", self._raw)
        return "digits" if found else None


def _orders(key: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", key
    yield " reversed", key[::-1]


def _halves(key: bytes) -> Iterator[bytes]:
    """Half of a key is enough to be a leak, and pages of a database may part it."""
    half = max(8, len(key) // 2)
    yield key[:half]
    yield key[-half:]


def _raw_forms(key: bytes) -> Iterator[tuple[str, bytes]]:
    for order, value in _orders(key):
        for half in _halves(value):
            yield f"octets{order}", half
        yield f"base64{order}", base64.b64encode(value).rstrip(b"=")
        for variant, altchars in (("base64", None), ("base64url", b"-_")):
            for lead in range(3):
                # whole groups of three octets, wherever the key begins in what was encoded
                inner = value[(3 - lead) % 3 :]
                inner = inner[: len(inner) // 3 * 3]
                yield f"{variant}{order}", base64.b64encode(inner, altchars)
        yield f"base32{order}", base64.b32encode(value[: len(value) // 5 * 5])


def _text_forms(key: bytes) -> Iterator[tuple[str, bytes]]:
    """All in lower case, as is what they are looked for in."""
    for order, value in _orders(key):
        literal = repr(value)[2:-1]
        yield f"literal{order}", literal.lower().encode()
        yield f"literal{order}", literal.replace("'", "\\'").lower().encode()
        yield f"escaped literal{order}", literal.replace("\\", "\\\\").lower().encode()
        yield f"JSON{order}", json.dumps(value.decode("latin-1"))[1:-1].lower().encode()
        yield f"latin-1 as UTF-8{order}", value.decode("latin-1").lower().encode()
        yield f"number{order}", str(int.from_bytes(value, "big")).encode()


def _number_forms(key: bytes) -> Iterator[tuple[str, bytes]]:
    """Octets as numbers, one after the other, with one space between them."""
    for order, value in _orders(key):
        yield f"list of numbers{order}", " ".join(map(str, value)).encode()
        yield f"list of numbers{order}", " ".join(map(hex, value)).encode()


def _joined_forms(key: bytes) -> Iterator[tuple[str, bytes]]:
    for order, value in _orders(key):
        for half in _halves(value):
            yield f"hexadecimal{order}", half.hex().encode()


def leaks(files: Iterable[tuple[Path, bytes]], wanted: Iterable[Wanted]) -> list[str]:
    """Each secret that is in a file, and how; without the secret itself."""
    every = list(wanted)
    found = []
    for path, content in files:
        heap = Heap(content)
        for secret in every:
            how = heap.has(secret)
            if how is not None:
                found.append(f"{path}: {secret.name} ({how})")
    return found


def keys_in(path: Path) -> Iterator[Wanted]:
    """Every secret that a JSON file of labctl's state holds under a name with `key` or `code`."""
    for name, value in _walk(json.loads(path.read_text())):
        if "public" in name or not any(word in name for word in ("key", "code", "secret")):
            continue
        if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9a-fA-F]{2}){16,}", value):
            continue
        value_octets = bytes.fromhex(value)
        if value_octets not in WELL_KNOWN:
            yield octets(f"{path.name} {name}", value_octets)


def _walk(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _walk(inner, name if str(key).isdigit() else f"{name}.{key}".strip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, name)
    else:
        yield name, value
