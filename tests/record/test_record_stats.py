"""Percentiles and bounds against slow and obvious ways to get them."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.record.stats import histogram, percentile, upper_bound


@given(st.lists(st.integers(-120, 20), min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_the_least_value_with_that_share_at_or_below_it(
    values: list[int], percent: int
) -> None:
    slow = min(
        v
        for v in values
        if Fraction(sum(w <= v for w in values), len(values)) >= Fraction(percent, 100)
    )
    assert percentile(histogram(values), percent) == slow


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile({}, 50) is None


@pytest.mark.parametrize("percent", [0, 101])
def test_other_percentiles_are_a_mistake(percent: int) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile({1: 1}, percent)


@pytest.mark.parametrize(
    ("share", "lost", "probes"),
    [
        (0.10, (0, 1, 2, 3, 5), (29, 46, 61, 76, 103)),
        (0.05, (0, 1, 2, 3, 5), (59, 93, 124, 153, 208)),
        (0.01, (0, 1, 2, 3, 5), (299, 473, 628, 773, 1049)),
    ],
)
def test_bounds_agree_with_the_survey_table(
    share: float, lost: tuple[int, ...], probes: tuple[int, ...]
) -> None:
    for k, n in zip(lost, probes, strict=True):
        assert upper_bound(k, n) < share <= upper_bound(k, n - 1)


@given(st.integers(1, 40), st.data())
def test_at_the_bound_so_few_losses_are_as_unlikely_as_was_said(
    n: int, data: st.DataObject
) -> None:
    k = data.draw(st.integers(0, n - 1))
    p = upper_bound(k, n)
    chance = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))
    assert chance == pytest.approx(0.05, rel=1e-6)


def test_large_counts_do_not_overflow_and_all_lost_is_all_lost() -> None:
    assert upper_bound(3, 3) == 1.0
    assert 0.1 < upper_bound(2_000, 17_000) < 0.13
    with pytest.raises(ValueError, match="share"):
        upper_bound(1, 0)
