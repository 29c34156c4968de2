"""Level and spread of a stream, and the scale on which nights are compared."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from drift_nights import key

from labctl.statistics.baseline import baseline, level_and_spread
from labctl.statistics.streams import (
    LOSS,
    RSSI,
    Night,
    Point,
    Reading,
    Stream,
    in_unit,
    on_scale,
    seconds,
)


def points(values: list[float]) -> list[Point]:
    return [Point.of_reading(Reading(day, value)) for day, value in enumerate(values)]


def test_undisturbed_nights_have_nearly_the_mean_and_standard_deviation() -> None:
    chance = random.Random(1)
    levels, spreads = [], []
    for _ in range(400):
        level, spread = level_and_spread(points([chance.gauss(-60, 2) for _ in range(30)]))
        levels.append(level)
        spreads.append(spread)
    assert statistics.fmean(levels) == pytest.approx(-60, abs=0.06)
    # The mean of 30 scatters by 2/sqrt(30); this one by a few per cent more.
    assert statistics.stdev(levels) == pytest.approx(2 / math.sqrt(30), rel=0.12)
    assert statistics.fmean(spreads) == pytest.approx(2, rel=0.03)


def test_three_terrible_nights_of_thirty_do_not_make_the_baseline() -> None:
    chance = random.Random(2)
    calm = [chance.gauss(-60, 2) for _ in range(27)]
    level, spread = level_and_spread(points([*calm, -90.0, -90.0, -90.0]))
    assert level == pytest.approx(-60, abs=1.2)
    assert spread < 3.5
    assert statistics.stdev([*calm, -90.0, -90.0, -90.0]) > 8


def test_counting_is_taken_off_the_spread_between_nights() -> None:
    chance = random.Random(3)
    nights = [
        Point.of_night(Night(day, sum(chance.random() < 0.05 for _ in range(200)), 200))
        for day in range(90)
    ]
    base = baseline(nights, LOSS)
    assert base.between < 0.15 * nights[0].variance
    assert in_unit(base.level, share=True) == pytest.approx(0.05, abs=0.006)


def test_a_night_of_few_attempts_without_loss_is_no_worse_than_one_of_many() -> None:
    """Anscombe's zero of 30 is at 1.2 %, that of 300 at 0.1 %: neither lost anything."""
    many = [Point.of_night(Night(day, 0, 300)) for day in range(30)]
    base = baseline(many, LOSS)
    few = Point.of_night(Night(30, 0, 30))
    assert few.y - many[0].y > 0.07
    assert abs(base.deviation(few)) < 0.05


def test_values_that_never_differ_have_the_width_of_their_last_digit() -> None:
    base = baseline(points([-70.0] * 30), RSSI)
    assert (base.level, math.sqrt(base.between)) == (-70.0, RSSI.least_effect / 6)


def test_a_baseline_of_mostly_equal_values_has_a_spread() -> None:
    level, spread = level_and_spread(points([5.0] * 20 + [7.0] * 10))
    assert 5.0 < level < 6.0
    assert 0.5 < spread < 1.5


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.02, 0.5, 1.0])
def test_the_scale_goes_back_and_forth(share: float) -> None:
    assert in_unit(on_scale(share, share=True), share=True) == pytest.approx(share)
    assert in_unit(on_scale(share, share=False), share=False) == share


def test_what_is_not_a_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="5 lost of 4"):
        Night(0, 5, 4)
    with pytest.raises(ValueError, match="nan"):
        Reading(0, math.nan)
    with pytest.raises(ValueError, match="out of order"):
        Stream(key(), LOSS, (Night(1, 0, 1), Night(1, 0, 1)))
    with pytest.raises(ValueError, match="shares and nights of values"):
        Stream(key(), LOSS, (Night(1, 0, 1), Reading(2, 0.5)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="least effect"):
        seconds("join", 0)
