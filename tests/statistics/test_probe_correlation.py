"""What correlated probes are worth."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy import corrcoef

from labctl.statistics.correlation import LagOne, design_effect


def autoregression(rng: random.Random, rho: float, count: int) -> Iterator[float]:
    value = rng.gauss(0, 1)
    for _ in range(count):
        yield value
        value = rho * value + (1 - rho * rho) ** 0.5 * rng.gauss(0, 1)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_the_lag_1_correlation_of_a_long_series_is_found(rho: float) -> None:
    lag, values = LagOne(), list(autoregression(random.Random(3), rho, 4000))
    for value in values:
        lag.add(value - 70)
    assert lag.value() == pytest.approx(rho, abs=0.04)
    assert lag.value() == pytest.approx(max(0, corrcoef(values[1:], values[:-1])[0, 1]), abs=0.01)
    assert lag.value() < lag.upper() < lag.value() + 0.04


@pytest.mark.parametrize("rho", [0.3, 0.6])
def test_short_series_are_not_taken_for_less_correlated_than_they_are(rho: float) -> None:
    rng, found = random.Random(4), []
    for _ in range(800):
        lag = LagOne()
        for value in autoregression(rng, rho, 33):
            lag.add(value)
        found.append(lag.value())
    assert sum(found) / len(found) == pytest.approx(rho, abs=0.04)


@pytest.mark.parametrize("rho", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_the_design_effect_is_the_variance_of_a_share(rho: float, share: float) -> None:
    """Measured: how much the share scatters, over what independent probes would."""
    threshold = {0.1: -1.2816, 0.5: 0.0}[share]
    rng, count, rounds = random.Random(5), 120, 800
    shares = [
        sum(value < threshold for value in autoregression(rng, rho, count)) / count
        for _ in range(rounds)
    ]
    variance = sum((one - share) ** 2 for one in shares) / rounds
    measured = variance * count / (share * (1 - share))
    assert design_effect(rho, share) == pytest.approx(measured, rel=0.2)


@given(st.floats(0, 0.995), st.floats(0, 1))
def test_correlated_probes_are_never_worth_more(correlation: float, share: float) -> None:
    assert 1 <= design_effect(correlation, share) <= 1.001 * (1 + correlation) / (1 - correlation)


def test_independent_probes_are_worth_themselves() -> None:
    assert design_effect(0.0, 0.1) == 1.0


@pytest.mark.parametrize("values", [[], [1.0], [-70.0] * 50, [-60.0, -80.0] * 20])
def test_series_that_show_no_correlation_have_none(values: list[float]) -> None:
    lag = LagOne()
    for value in values:
        lag.add(value)
    assert lag.value() == 0.0


@pytest.mark.parametrize("correlation", [-0.1, 1.0])
def test_what_is_no_correlation_is_refused(correlation: float) -> None:
    with pytest.raises(ValueError, match="lag-1 correlation"):
        design_effect(correlation, 0.1)
