"""How many independent probes a run of correlated ones is worth.

Fading at one spot changes slowly: probes soon after one another meet nearly the same channel. An
interval that takes them for independent is too short, and a verdict from it too sure. Correlation
shows in the levels long before it shows in the losses, which are few; so the levels' lag-1
correlation is measured, and turned into that of "below the threshold" under the assumption that
the levels behave as a monotone function of a Gaussian first-order autoregression.
"""

from __future__ import annotations

import functools
import math
from statistics import NormalDist

_TERMS = 24
_NEARLY_ONE = 0.995
"""Correlations above are as good as a frozen channel: 61 probes are worth one or two."""


class LagOne:
    """The lag-1 correlation of a series, kept up to date as values come in.

    The estimate is corrected for its bias of -(1+3r)/n, which would otherwise make short series
    look less correlated than they are.
    """

    __slots__ = ("_first", "_last", "_products", "_squares", "_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = self._squares = self._products = self._first = self._last = 0.0

    def add(self, value: float) -> None:
        """Take in the next value."""
        if self.count == 0:
            self._first = value
        else:
            self._products += self._last * value
        self.count += 1
        self._sum += value
        self._squares += value * value
        self._last = value

    def upper(self, deviations: float = 2.33) -> float:
        """What the correlation may well be: so many of its standard errors above the estimate."""
        if self.count < 5:
            return _NEARLY_ONE
        value = self.value()
        error = math.sqrt((1 - value * value) / self.count)
        return min(value + deviations * error, _NEARLY_ONE)

    def value(self) -> float:
        """From 0 to 0.995. A series without variation, or of fewer than 5 values, has 0.

        Values that alternate have 0 too: probes are never taken to be worth more than they are.
        """
        n = self.count
        if n < 5:
            return 0.0
        mean = self._sum / n
        variation = self._squares - n * mean * mean
        if variation <= 1e-9 * max(1.0, self._squares):
            return 0.0
        inner = 2 * self._sum - self._first - self._last
        covariation = self._products - mean * inner + (n - 1) * mean * mean
        raw = covariation / variation
        return min(max((n * raw + 1) / (n - 3), 0.0), _NEARLY_ONE)


def design_effect(correlation: float, share: float) -> float:
    """By how much correlation lengthens a series that is to say how often a level is missed.

    `correlation` is the levels' lag-1 correlation (0 to 0.995), `share` how often they are below
    the threshold (0 to 1). 1 for independent probes; 61 probes with a design effect of 3 are worth
    about 20. Of rare events neighbours are less correlated than the levels are, so it is less
    than the (1+r)/(1-r) that holds for a mean.
    """
    if not 0 <= correlation < 1:
        raise ValueError(f"a lag-1 correlation is from 0 to below 1, not {correlation}")
    if correlation == 0.0:
        return 1.0
    # 1 + 2·Σ over lags k of the correlation of two indicators whose levels correlate as r^k.
    # That of a lag is Σ over j of weight_j·r^(jk) (Mehler's expansion); the lags are a geometric
    # series for each j.
    weights = _weights(round(min(max(share, 0.01), 0.99), 2))
    effect = 1.0
    for order, weight in enumerate(weights, 1):
        power = correlation**order
        effect += 2 * weight * power / (1 - power)
    return effect


@functools.lru_cache(maxsize=128)
def _weights(share: float) -> tuple[float, ...]:
    """Mehler's weights for the indicator of the lowest `share` of a Gaussian; they sum to 1."""
    z = NormalDist().inv_cdf(share)
    scale = NormalDist().pdf(z) ** 2 / (share * (1 - share))
    # Hermite polynomials of orders j-2 and j-1, each over the root of its factorial.
    before, now = 0.0, 1.0
    weights = []
    for order in range(1, _TERMS):
        weights.append(scale * now * now / order)
        before, now = now, (z * now - math.sqrt(order - 1) * before) / math.sqrt(order)
    weights.append(max(0.0, 1.0 - math.fsum(weights)))
    return tuple(weights)
