"""Surfaces through waypoints, and what they are off by."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy
import pytest
from scipy.interpolate import RBFInterpolator

from labctl.statistics.surface import LEAST_PLACES, fit

Point = tuple[float, float, float]


def house(count: int, seed: int = 1, noise_db: float = 2.0) -> list[Point]:
    rng = random.Random(seed)
    places = [(rng.uniform(0, 12), rng.uniform(0, 10)) for _ in range(count)]
    return [
        (x, y, -40 - 28 * math.log10(1 + math.hypot(x, y)) + rng.gauss(0, noise_db))
        for x, y in places
    ]


def test_under_15_places_there_is_none() -> None:
    points = house(LEAST_PLACES)
    assert fit(points) is not None
    assert fit(points[:-1]) is None
    # The same place again is not another place.
    assert fit([*points[:-1], points[0]]) is None
    assert fit([]) is None


def test_places_on_a_line_have_no_surface() -> None:
    assert fit([(float(i), 2.0 * i, -60.0) for i in range(20)]) is None


@pytest.mark.parametrize("count", [15, 40])
def test_the_error_is_that_of_leaving_each_place_out(count: int) -> None:
    points = house(count)
    surface = fit(points)
    assert surface is not None
    errors = []
    for left_out, (x, y, value) in enumerate(points):
        rest = numpy.array([each for i, each in enumerate(points) if i != left_out])
        told = RBFInterpolator(rest[:, :2], rest[:, 2], kernel="linear", smoothing=1)
        errors.append(value - told([[x, y]])[0])
    assert surface.leave_one_out_db == pytest.approx(math.sqrt(sum(e * e for e in errors) / count))
    values = [each[2] for each in points]
    plain = [v - (sum(values) - v) / (count - 1) for v in values]
    assert surface.spread_db == pytest.approx(math.sqrt(sum(e * e for e in plain) / count))


def test_a_surface_of_distance_predicts_and_one_of_chance_does_not() -> None:
    near = fit(house(30))
    assert near is not None
    assert near.informative
    rng = random.Random(2)
    chance = fit([(rng.random() * 12, rng.random() * 10, rng.gauss(-70, 6)) for _ in range(30)])
    assert chance is not None
    assert not chance.informative


def test_it_ends_at_the_hull() -> None:
    surface = fit([(x, y, -60.0 - x) for x in range(4) for y in range(4)])
    assert surface is not None
    inside, outside = surface.at([(1.5, 1.5), (3.5, 1.5)])
    assert inside == pytest.approx(-61.5, abs=0.5)
    assert outside is None
    rows = surface.grid([0.5, 2.5, 9.0], [1.0, -1.0])
    assert [[value is None for value in row] for row in rows] == [
        [False, False, True],
        [True, True, True],
    ]
    assert surface.at([]) == []


def test_a_place_measured_twice_counts_once_with_the_median() -> None:
    points = house(20)
    x, y, value = points[0]
    twice = fit([*points, (x, y, value + 10), (x, y, value)])
    once = fit(points)
    assert once is not None
    assert twice is not None
    assert twice.places == 20
    assert twice.leave_one_out_db == pytest.approx(once.leave_one_out_db)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="three numbers"):
        fit([(0.0, 0.0, math.nan)])


def test_scipy_is_loaded_only_for_a_surface() -> None:
    """It takes longer than all of labctl."""
    script = (
        "import sys, labctl.statistics.surface, labctl.statistics.places;"
        "sys.exit('scipy' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
