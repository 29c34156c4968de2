"""Intervals of a share, held against published values and against scipy."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from labctl.statistics.intervals import Interval, Sides, at_most, clopper_pearson, wilson

counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(hits: int, trials: int, low: float, high: float) -> None:
    found = wilson(hits, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        # The same table, method 5.
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_clopper_pearson_as_published(hits: int, trials: int, low: float, high: float) -> None:
    found = clopper_pearson(hits, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@given(counts, st.sampled_from((0.8, 0.9, 0.95, 0.99)))
def test_both_are_scipys(count: tuple[int, int], confidence: float) -> None:
    hits, trials = count
    for sides, alternative in (
        (Sides.BOTH, "two-sided"),
        (Sides.UPPER, "less"),
        (Sides.LOWER, "greater"),
    ):
        test = binomtest(hits, trials, alternative=alternative)
        exact = test.proportion_ci(confidence, method="exact")
        score = test.proportion_ci(confidence, method="wilson")
        ours = clopper_pearson(hits, trials, confidence, sides)
        assert (ours.low, ours.high) == pytest.approx((exact.low, exact.high), abs=1e-9)
        ours = wilson(hits, trials, confidence, sides)
        assert (ours.low, ours.high) == pytest.approx((score.low, score.high), abs=1e-9)


@given(counts, st.floats(0, 1))
def test_the_binomial_tail_is_scipys(count: tuple[int, int], share: float) -> None:
    hits, trials = count
    assert at_most(hits, trials, share) == pytest.approx(binom.cdf(hits, trials, share), abs=1e-9)


def test_an_interval_without_trials_says_nothing() -> None:
    assert wilson(0, 0) == clopper_pearson(0, 0) == Interval(0.0, 1.0)


def test_wilson_takes_effective_numbers_and_is_wider_for_fewer() -> None:
    whole, part = wilson(58, 61), wilson(58 / 2.5, 61 / 2.5)
    assert part.low < whole.low
    assert part.high > whole.high


@given(counts)
def test_the_share_itself_is_inside_and_the_exact_interval_is_the_longer(
    count: tuple[int, int],
) -> None:
    hits, trials = count
    shown, exact = wilson(hits, trials), clopper_pearson(hits, trials)
    assert hits / trials in shown
    assert hits / trials in exact
    assert 0 <= shown.low <= shown.high <= 1


def test_clopper_pearson_covers_at_least_and_wilson_on_average() -> None:
    """Exactly, over all outcomes of 61 probes, for shares from 0.5 to 99.5 %."""
    trials = 61
    covered = {wilson: [], clopper_pearson: []}
    for permille in range(5, 1000, 5):
        share = permille / 1000
        for method, found in covered.items():
            found.append(
                math.fsum(
                    binom.pmf(hits, trials, share)
                    for hits in range(trials + 1)
                    if share in method(hits, trials)
                )
            )
    assert min(covered[clopper_pearson]) >= 0.95
    assert sum(covered[wilson]) / len(covered[wilson]) == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("count", [(-1, 5), (6, 5)])
def test_what_is_no_share_is_refused(count: tuple[int, int]) -> None:
    for method in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="is not a share"):
            method(*count)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_what_is_no_confidence_is_refused(confidence: float) -> None:
    for method in (wilson, clopper_pearson):
        with pytest.raises(ValueError, match="a confidence is between"):
            method(1, 2, confidence)
