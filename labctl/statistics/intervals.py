"""Intervals for a share of probes: Wilson to show, Clopper-Pearson to decide with, Wald never.

Wilson's interval has the stated coverage on average and is short, which is what a reader wants to
see. Clopper and Pearson's has at least the stated coverage at every share, which is what a claim
needs. Wald's (share ± z·√(pq/n)) has neither: with no loss it has no width at all.

All of them are of independent probes. For correlated ones pass effective numbers
(`labctl.statistics.correlation`).
"""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

_HALVINGS = 60


class Sides(enum.Enum):
    """Which ends of an interval carry the error."""

    BOTH = "both"
    """Half the error at each end."""
    UPPER = "upper"
    """All of it above: from 0 to an upper bound."""
    LOWER = "lower"
    """All of it below: from a lower bound to 1."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included: a share from 0 to 1, or a difference in dB."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def normal_quantile(probability: float) -> float:
    """The standard normal value below which this share lies, 0 < probability < 1."""
    return NormalDist().inv_cdf(probability)


def wilson(
    hits: float, trials: float, confidence: float = 0.95, sides: Sides = Sides.BOTH
) -> Interval:
    """The score interval of a share (Wilson 1927), `hits` of `trials`.

    Both may be effective numbers, so that they need not be whole. No trials: from 0 to 1.
    """
    _check(hits, trials, confidence)
    if trials == 0:
        return Interval(0.0, 1.0)
    error = 1.0 - confidence
    z = normal_quantile(1.0 - (error / 2 if sides is Sides.BOTH else error))
    share = hits / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = (
        z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / trials) ** 2 / 4)
    )
    # At 0 and all hits the ends are exactly 0 and 1; rounding would leave 1e-17 of them.
    low = 0.0 if sides is Sides.UPPER or hits == 0 else max(0.0, middle - half)
    high = 1.0 if sides is Sides.LOWER or hits == trials else min(1.0, middle + half)
    return Interval(low, high)


@functools.lru_cache(maxsize=8192)
def clopper_pearson(
    hits: int, trials: int, confidence: float = 0.95, sides: Sides = Sides.BOTH
) -> Interval:
    """The exact interval of a share (Clopper and Pearson 1934), `hits` of `trials`.

    The share is inside with at least this confidence, whatever it is. No trials: from 0 to 1.
    """
    _check(hits, trials, confidence)
    if trials == 0:
        return Interval(0.0, 1.0)
    error = 1.0 - confidence
    if sides is Sides.BOTH:
        error /= 2
    low = 0.0 if sides is Sides.UPPER else 1.0 - _upper(trials - hits, trials, error)
    high = 1.0 if sides is Sides.LOWER else _upper(hits, trials, error)
    return Interval(low, high)


def at_most(hits: int, trials: int, share: float) -> float:
    """P(X <= hits) of a binomial X; `share` from 0 to 1."""
    if hits < 0:
        return 0.0
    if hits >= trials or share <= 0.0:
        return 1.0
    if share >= 1.0:
        return 0.0
    log_p, log_q = math.log(share), math.log1p(-share)
    log_all = math.lgamma(trials + 1)
    return min(
        1.0,
        math.fsum(
            math.exp(
                log_all
                - math.lgamma(i + 1)
                - math.lgamma(trials - i + 1)
                + i * log_p
                + (trials - i) * log_q
            )
            for i in range(hits + 1)
        ),
    )


def _upper(hits: int, trials: int, error: float) -> float:
    """The share at which `hits` or fewer are only as likely as `error`."""
    if hits == trials:
        return 1.0
    if hits == 0:
        return -math.expm1(math.log(error) / trials)
    low, high = hits / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_most(hits, trials, middle) > error:
            low = middle
        else:
            high = middle
    return high


def _check(hits: float, trials: float, confidence: float) -> None:
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is not a share")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence is between 0 and 1, not {confidence}")
