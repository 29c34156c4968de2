"""A change of a stream's level: when, by how much, and how likely by chance.

The p-value. A CUSUM that passes its threshold has none of its own: its threshold fixes how long one
waits for a false alarm, not how unlikely the present height is. So the change is tested as what it
is, a difference of two means: the nights since it began against those of the baseline, in spreads
of the stream, with the uncertainty of both means, and Student's t of as many degrees as the
baseline has nights less one. A night counts for three spreads at most here, or a few terrible ones
would be proof. That the beginning was chosen, because it
looks worst, is paid for: the largest of the differences over the last 1 to R nights, all ending
tonight, is above b with a probability of at most about

    Q(b) + b φ(b) ln(R) / 2        on either side

(the differences of growing windows are an Ornstein-Uhlenbeck process in the logarithm of their
length; Siegmund 1985). Where the time of the change was known beforehand (a new firmware) nothing
was chosen, and nothing is paid. The nights are taken to be independent of one another. Where bad
nights come in spells the p-value is too small; what that amounts to is measured, not assumed away
(`campaigns/history.py`).
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.statistics.baseline import NORMAL, Baseline, level_of
from labctl.statistics.intervals import Interval
from labctl.statistics.streams import Measure, Point, in_unit

CAP = 3.0
"""Spreads that a night counts for at most in a p-value."""


class Cause(enum.Enum):
    """How a change came to be looked at."""

    FOUND = "found"
    """The stream's CUSUM found it; its beginning is an estimate."""
    VERSION = "version"
    """Something with a version changed between two nights, which was known."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level. Effect and interval are in the measure's unit (a share: 0.02 is 2 points).

    `interval` holds the effect with 95 % confidence for a change that was known beforehand. One
    that was found was found because it looked large: in its first nights `effect` is too large on
    average, and the interval too hopeful. Both come right as nights go by.
    """

    cause: Cause
    began_us: int
    """The first night of the new level (an estimate, unless it was known)."""
    found_us: int
    """The night at which there was enough of it to say so."""
    until_us: int
    """The last night that is part of it."""
    over: bool
    """The stream has gone back since, to where it was before."""
    nights: int
    before: float
    after: float
    interval: Interval
    p: float
    worse: bool

    @property
    def effect(self) -> float:
        """How much more (or less) it is than before, in the measure's unit."""
        return self.after - self.before


def measure_change(
    measure: Measure,
    old: Baseline,
    points: Sequence[Point],
    *,
    cause: Cause,
    found_us: int,
    over: bool,
    looks: int,
) -> Change:
    """What the nights of `points` are in relation to the baseline `old`.

    `looks` is how many nights the beginning was chosen from, 1 when it was not chosen.
    """
    share = bool(points[0].attempted)
    nights = len(points)
    step = level_of(points, old) - old.level
    # Nights with many attempts know more; the old level is as uncertain as its nights are few.
    weight = math.fsum(1 / old.spread(point) for point in points)
    error = math.sqrt(nights) / weight * math.sqrt(1 + nights / old.nights)
    certain = math.fsum(min(max(old.deviation(point), -CAP), CAP) for point in points)
    t = certain / math.sqrt(nights) / math.sqrt(1 + nights / old.nights)
    half = student_quantile(0.975, old.nights - 1) * error
    before = in_unit(old.level, share=share)
    after = in_unit(old.level + step, share=share)
    low = in_unit(old.level + step - half, share=share) - before
    high = in_unit(old.level + step + half, share=share) - before
    return Change(
        cause=cause,
        began_us=points[0].at_us,
        found_us=found_us,
        until_us=points[-1].at_us,
        over=over,
        nights=nights,
        before=before,
        after=after,
        interval=Interval(low, high),
        p=chance(t, old.nights - 1, looks),
        worse=step * measure.worse > 0,
    )


def chance(t: float, degrees: int, looks: int) -> float:
    """The two-sided p-value of the largest of `looks` differences that end tonight (see above)."""
    b = abs(normal_of_student(t, degrees))
    one_sided = NORMAL.cdf(-b) + b * NORMAL.pdf(b) * math.log(max(looks, 1)) / 2
    return min(1.0, 2 * one_sided)


def normal_of_student(t: float, degrees: int) -> float:
    """The normal deviate with the same tail as Student's t (Wallace 1959; 0.02 at 5 degrees)."""
    z = math.sqrt(degrees * math.log1p(t * t / degrees)) * (8 * degrees + 1) / (8 * degrees + 3)
    return math.copysign(z, t)


def student_quantile(probability: float, degrees: int) -> float:
    """Student's t below which this share lies: `normal_of_student` the other way round."""
    z = NORMAL.inv_cdf(probability) * (8 * degrees + 3) / (8 * degrees + 1)
    return math.copysign(math.sqrt(degrees * math.expm1(z * z / degrees)), z)
