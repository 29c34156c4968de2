"""Nights for the tests of drift: exact ones, and drawn ones."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from labctl.statistics.cusum import judge
from labctl.statistics.drift import DEFAULT, Drift, Settings
from labctl.statistics.streams import DAY_US, LOSS, RSSI, Measure, Night, Reading, Stream, StreamKey


def key(device: str = "ihd", case: str = "reads", quantity: str = "loss", **more: str) -> StreamKey:
    return StreamKey(more.pop("rig", "north"), device, case, quantity, **more)


def values(*levels: float, version: str = "", first: int = 0) -> tuple[Reading, ...]:
    return tuple(
        Reading((first + day) * DAY_US, level, version) for day, level in enumerate(levels)
    )


def wobble(level: float, nights: int, width: float = 1.0) -> list[float]:
    """Values around a level that are the same in each test: the spread is about `width`."""
    pattern = (0.0, 1.1, -0.9, 0.4, -0.3, 1.6, -1.4, -0.6, 0.8, 0.1, -1.0, 0.2)
    return [level + width * pattern[day % len(pattern)] for day in range(nights)]


def shares(
    chance: random.Random,
    *parts: tuple[int, float],
    attempts: int = 300,
    between: float = 0.2,
) -> tuple[Night, ...]:
    """Parts of so many nights at a level of loss, scattered between nights and by counting."""
    nights: list[Night] = []
    for count, level in parts:
        for _ in range(count):
            share = level * math.exp(chance.gauss(0, between))
            lost = sum(chance.random() < share for _ in range(attempts))
            nights.append(Night(len(nights) * DAY_US, lost, attempts))
    return tuple(nights)


def loss_drift(nights: Iterable[Night], settings: Settings = DEFAULT, **names: str) -> Drift:
    return judge(Stream(key(**names), LOSS, tuple(nights)), settings)


def value_drift(
    nights: Iterable[Reading],
    settings: Settings = DEFAULT,
    measure: Measure = RSSI,
    **names: str,
) -> Drift:
    return judge(Stream(key(**names), measure, tuple(nights)), settings)
