"""P-values: Student's t against tables, and the price of having chosen the beginning."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, fmean, stdev

import pytest

from labctl.statistics.changes import chance, normal_of_student, student_quantile


@pytest.mark.parametrize(
    ("probability", "degrees", "table"),
    [(0.975, 10, 2.228), (0.975, 29, 2.045), (0.995, 29, 2.756), (0.9995, 29, 3.659)],
)
def test_students_t_is_that_of_the_tables(probability: float, degrees: int, table: float) -> None:
    assert student_quantile(probability, degrees) == pytest.approx(table, rel=0.003)
    tail = 1 - NormalDist().cdf(normal_of_student(table, degrees))
    assert tail == pytest.approx(1 - probability, rel=0.04)


def test_t_goes_back_and_forth_and_keeps_its_sign() -> None:
    for probability in (0.0001, 0.2, 0.5, 0.7, 0.999):
        t = student_quantile(probability, 12)
        assert NormalDist().cdf(normal_of_student(t, 12)) == pytest.approx(probability)


def test_a_known_beginning_costs_nothing_and_a_chosen_one_does() -> None:
    assert chance(2.045, 29, 1) == pytest.approx(0.05, rel=0.02)
    assert chance(-2.045, 29, 1) == chance(2.045, 29, 1)
    assert chance(2.045, 29, 30) > 0.2
    assert chance(0.0, 29, 30) == 1.0
    assert 0.0 <= chance(1e6, 29, 30) < 1e-12


def test_the_largest_of_many_differences_is_as_seldom_as_its_p_value_says() -> None:
    """Thirty nights of baseline, then forty in which nothing happens; any of them may be the first.

    A p-value may be too large (the formula is of nights without gaps between them), never much too
    small.
    """
    drawn = random.Random(4)
    p_values = []
    for _ in range(3000):
        old = [drawn.gauss(0, 1) for _ in range(30)]
        level, spread = fmean(old), stdev(old)
        total, largest = 0.0, 0.0
        for nights in range(1, 41):
            total += (drawn.gauss(0, 1) - level) / spread
            t = total / math.sqrt(nights) / math.sqrt(1 + nights / 30)
            largest = max(largest, abs(t))
        p_values.append(chance(largest, 29, 40))
    for promised in (0.2, 0.05, 0.01):
        seen = sum(p <= promised for p in p_values) / len(p_values)
        assert promised / 5 < seen < promised * 1.1
