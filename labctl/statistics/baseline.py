"""A stream's own level and spread, from nights some of which may be bad ones.

Huber's proposal 2: nights further than 1.5 spreads from the level count as if they were there, and
level and spread are solved for together, from the median and the median deviation on. One night in
ten of any size moves the level by a fifth of a spread. For undisturbed nights it is nearly as good
as mean and standard deviation (96 %), where median and median deviation would need half as many
nights again, and a baseline of thirty has none to give away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from labctl.statistics.streams import Measure, Point

NORMAL = NormalDist()
_CORNER = 1.5
_CONSISTENCY = (
    2 * NORMAL.cdf(_CORNER)
    - 1
    - 2 * _CORNER * NORMAL.pdf(_CORNER)
    + 2 * _CORNER**2 * (1 - NORMAL.cdf(_CORNER))
)
"""What the square of a normal deviate, cut at the corner, is on average."""
_ROUNDS = 12
_PRECISE = 1e-3


@dataclass(frozen=True, slots=True)
class Baseline:
    """Level and spread of a stream on the scale of comparison, from so many nights.

    `between` is the variance between nights that is left when that of counting is taken off.
    """

    level: float
    between: float
    nights: int

    def spread(self, point: Point) -> float:
        """The standard deviation that this night has by itself: between nights and by counting."""
        return math.sqrt(self.between + point.variance)

    def deviation(self, point: Point) -> float:
        """How many spreads a night is away from the level."""
        return (point.y - point.expected(self.level)) / self.spread(point)


def level_and_spread(points: Sequence[Point]) -> tuple[float, float]:
    """Huber's level and spread of at least two nights, on the scale of comparison."""
    level = median(point.y for point in points)
    spread = median(abs(point.y - point.expected(level)) for point in points) / 0.6745
    degrees = len(points) - 1
    for _ in range(_ROUNDS):
        deviations = [point.y - point.expected(level) for point in points]
        if not spread:
            # More than half of the nights are alike; the rest decides how wide a night is.
            spread = math.sqrt(math.fsum(d * d for d in deviations) / degrees)
            if not spread:
                break
        corner = _CORNER * spread
        cut = [min(max(d, -corner), corner) for d in deviations]
        step = math.fsum(cut) / len(cut)
        level += step
        before = spread
        spread = math.sqrt(math.fsum((d - step) ** 2 for d in cut) / (degrees * _CONSISTENCY))
        if abs(step) < _PRECISE * before and abs(spread - before) < _PRECISE * before:
            break
    return level, spread


def baseline(points: Sequence[Point], measure: Measure) -> Baseline:
    """What the nights of a stream are like when nothing happens to it."""
    level, spread = level_and_spread(points)
    counting = math.fsum(point.variance for point in points) / len(points)
    least = measure.least_spread**2 if not points[0].attempted else 0.0
    return Baseline(level, max(spread**2 - counting, least), len(points))


def level_of(points: Sequence[Point], spreads: Baseline) -> float:
    """The level of some nights of a stream whose spread is known from others, on the same scale.

    Huber's as well: a single bad night among them pulls it by no more than a night can.
    """
    level = spreads.level + median(point.y - point.expected(spreads.level) for point in points)
    widths = [spreads.spread(point) for point in points]
    weight = math.fsum(1 / width for width in widths)
    for _ in range(_ROUNDS):
        deviations = [
            (point.y - point.expected(level)) / width
            for point, width in zip(points, widths, strict=True)
        ]
        step = math.fsum(min(max(d, -_CORNER), _CORNER) for d in deviations) / weight
        level += step
        if abs(step) * weight < _PRECISE * len(points):
            break
    return level
