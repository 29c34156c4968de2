"""The statistics behind reports and verdicts: percentiles that occurred, and how sure a count is.

Percentiles are by nearest rank (the smallest value with at least that share of all values at or
below it), so that half a decibel never appears where the radio only knows whole ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def histogram(values: Iterable[int]) -> dict[int, int]:
    """How often each value occurs."""
    counts: dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """The nearest-rank percentile (1 to 100) of a histogram, None when it is empty."""
    if not 1 <= percent <= 100:
        raise ValueError(f"a percentile is from 1 to 100, not {percent}")
    total = sum(counts.values())
    upto = 0
    for value in sorted(counts):
        upto += counts[value]
        if upto and upto * 100 >= total * percent:
            return value
    return None


def _at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) for X binomial with n trials of probability p, 0 < p < 1."""
    log_p, log_q = math.log(p), math.log1p(-p)
    log_n = math.lgamma(n + 1)
    return math.fsum(
        math.exp(log_n - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * log_p + (n - i) * log_q)
        for i in range(k + 1)
    )


def upper_bound(k: int, n: int, confidence: float = 0.95) -> float:
    """The one-sided Clopper-Pearson upper bound of a share, when `k` of `n` trials went wrong.

    With this confidence the true share is below it, as long as the trials are independent.
    """
    if not 0 <= k <= n or n == 0:
        raise ValueError(f"{k} of {n} is not a share")
    if k == n:
        return 1.0
    alpha = 1.0 - confidence
    if k == 0:
        return -math.expm1(math.log(alpha) / n)
    low, high = k / n, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _at_most(k, n, middle) > alpha:
            low = middle
        else:
            high = middle
    return high
