"""Key establishment at the speed of a table: the same points are multiplied again and again.

The fuzzed hub draws its ephemeral keys from a few values, so that a valid exchange costs its
arithmetic once in a process. What is calculated is the product's own; only the repetition goes.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache

from labctl.smart_energy.curves import KoblitzCurve

_MEMORY = 4096
_KEYS = 3
"""Different ephemeral keys that a source gives in turn."""


def remember_products() -> None:
    """Let the curves remember. Calling it again does nothing."""
    for name in ("multiply", "in_subgroup"):
        method = getattr(KoblitzCurve, name)
        if not hasattr(method, "cache_info"):
            setattr(KoblitzCurve, name, lru_cache(maxsize=_MEMORY)(method))


def source(seed: int) -> Callable[[int], bytes]:
    """Octets that repeat after `_KEYS` draws of one length."""
    rng = random.Random(seed)
    drawn: dict[int, list[bytes]] = {}
    turns: dict[int, int] = {}

    def octets(length: int) -> bytes:
        if length not in drawn:
            # The first octet is 0, so that the value is below every curve's order.
            drawn[length] = [b"\x00" + rng.randbytes(length - 1) for _ in range(_KEYS)]
            turns[length] = 0
        turns[length] += 1
        return drawn[length][turns[length] % _KEYS]

    return octets


def drawn_from(octets: Callable[[int], bytes], lengths: tuple[int, ...]) -> set[bytes]:
    """All values that a source of `source` can give."""
    return {octets(length) for length in lengths for _ in range(_KEYS)}
