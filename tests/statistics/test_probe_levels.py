"""Levels with lost probes among them, and two directions compared."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from labctl.statistics.levels import Levels, asymmetry

series = st.lists(st.one_of(st.none(), st.integers(-110, -20)), max_size=80)


def test_lost_probes_are_below_all_that_arrived() -> None:
    """Left out, the 10th percentile would be -70: the worst packets have no level."""
    levels = Levels.of([None] * 5 + [-70] * 10 + [-60] * 85)
    assert levels.percentile(10) == -70
    assert levels.percentile(5) is None
    assert Levels.of([None] * 10 + [-70] * 10 + [-60] * 80).percentile(10) is None
    assert levels.percentile(50) == -60
    assert (levels.probes, levels.delivered, levels.lost) == (100, 95, 5)


@given(series, st.integers(1, 100))
def test_a_percentile_is_a_nearest_rank_that_occurred(
    probes: list[int | None], percent: int
) -> None:
    levels = Levels.of(probes)
    found = levels.percentile(percent)
    ordered = sorted(probes, key=lambda level: -1000 if level is None else level)
    if not probes:
        assert found is None
        return
    rank = next(i for i in range(1, len(probes) + 1) if i * 100 >= len(probes) * percent)
    assert found == ordered[rank - 1]


@given(series, st.integers(-110, -20))
def test_what_is_lost_is_short_of_any_level(probes: list[int | None], dbm: int) -> None:
    expected = sum(level is None or level < dbm for level in probes)
    assert Levels.of(probes).below(dbm) == expected


def test_the_medians_interval_is_that_of_the_ranks() -> None:
    """For 61 probes at 95 %: the 23rd and the 39th, by the binomial."""
    levels = Levels.of(range(-100, -39))
    assert binom.cdf(22, 61, 0.5) <= 0.025 < binom.cdf(23, 61, 0.5)
    assert levels.median_interval() == (-100 + 22, -100 + 38)
    wider = levels.median_interval(design_effect=3.0)
    assert wider[0] is not None
    assert wider[1] is not None
    assert wider[0] < -78
    assert wider[1] > -62


def test_the_medians_interval_covers() -> None:
    rng, inside = random.Random(6), 0
    for _ in range(1000):
        low, high = Levels.of(round(rng.gauss(-70, 6)) for _ in range(33)).median_interval()
        assert low is not None
        assert high is not None
        inside += low <= -70 <= high
    assert inside >= 940


@pytest.mark.parametrize("probes", [[], [-70], [-70] * 4, [None] * 61])
def test_too_few_or_lost_probes_bound_no_median(probes: list[int | None]) -> None:
    assert None in Levels.of(probes).median_interval()


def normal(rng: random.Random, dbm: float, count: int = 61) -> Levels:
    return Levels.of(round(rng.gauss(dbm, 4)) for _ in range(count))


def test_a_direction_that_is_much_weaker_is_found() -> None:
    rng = random.Random(7)
    found = asymmetry(normal(rng, -60), normal(rng, -72))
    assert found.found
    assert found.interval is not None
    assert 12 in found.interval
    assert found.difference_db in range(9, 16)
    other_way = asymmetry(normal(rng, -72), normal(rng, -60))
    assert other_way.found
    assert other_way.difference_db in range(-15, -8)


def test_ordinary_asymmetry_is_no_finding() -> None:
    rng = random.Random(8)
    assert not any(asymmetry(normal(rng, -60), normal(rng, -62)).found for _ in range(300))


def test_what_the_powers_explain_is_no_finding() -> None:
    rng = random.Random(9)
    down, up = normal(rng, -60), normal(rng, -72)
    assert not asymmetry(down, up, expected_db=12).found
    assert asymmetry(up, down, expected_db=12).found


def test_few_probes_find_nothing() -> None:
    down, up = Levels.of([-60, -61, -59]), Levels.of([-75, -76, -74])
    found = asymmetry(down, up)
    assert (found.difference_db, found.interval, found.found) == (15, None, False)


def test_a_median_that_was_lost_is_no_difference() -> None:
    found = asymmetry(Levels.of([-60] * 61), Levels.of([None] * 40 + [-95] * 21))
    assert (found.difference_db, found.found) == (None, False)


@pytest.mark.parametrize("percent", [0, 101])
def test_what_is_no_percentile_is_refused(percent: int) -> None:
    with pytest.raises(ValueError, match="a percentile is from 1 to 100"):
        Levels.of([-70]).percentile(percent)
