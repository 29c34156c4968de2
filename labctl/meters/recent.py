"""Dictionaries that keep what was worked out last, and no more than so much of it."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def keep(cache: dict[K, V], key: K, value: V, most: int) -> V:
    """Put a value into a cache of at most `most`; the oldest makes room. Returns the value."""
    while len(cache) >= most:
        del cache[next(iter(cache))]
    cache[key] = value
    return value
