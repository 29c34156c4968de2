"""Meters: pure functions of time, summations that never fall, demand that is their slope."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.meters import (
    ElectricityMeter,
    GasMeter,
    GasProxy,
    LoadProfile,
    MeterSettings,
    ProfileShape,
)

ORIGIN_S = 1_767_600_000  # 2026-01-05T08:00:00Z
DAY_S = 86_400
US = 1_000_000

seconds = st.integers(min_value=ORIGIN_S - 40 * DAY_S, max_value=ORIGIN_S + 40 * DAY_S)


def electricity(seed: int = 1, start_wh: int = 20_000_000, **profile: int) -> ElectricityMeter:
    return ElectricityMeter(
        MeterSettings(
            name="electricity",
            mpxn="1200012345678",
            serial_number="E6S1",
            tariff=None,
            profile=LoadProfile(
                ProfileShape.DOMESTIC,
                origin_s=ORIGIN_S,
                seed=seed,
                **{"base": 250, "peak": 5750, **profile},  # type: ignore[arg-type]
            ),
        ),
        start_wh=start_wh,
    )


def gas(offset_s: int = 0) -> GasProxy:
    profile = LoadProfile(
        ProfileShape.HEATING,
        base=0,
        peak=1_200_000,
        origin_s=ORIGIN_S,
        seed=2,
        season_percent=80,
    )
    settings = MeterSettings(
        name="gas", mpxn="4100012345", serial_number="G4A1", tariff=None, profile=profile
    )
    return GasProxy(GasMeter(settings, start_litres=4_321_000), wake_offset_s=offset_s)


def test_the_register_shows_its_start_at_the_origin() -> None:
    assert electricity(start_wh=1_234_567).at(ORIGIN_S * US).summation == 1_234_567
    assert gas().meter.at(ORIGIN_S * US).summation == 4_321_000


@given(st.lists(seconds, min_size=2, max_size=12))
@settings(max_examples=40, deadline=None)
def test_summations_never_fall(instants: list[int]) -> None:
    for meter in (electricity(), gas()):
        readings = [meter.at(s * US).summation for s in sorted(instants)]
        assert readings == sorted(readings)


@given(st.lists(seconds, min_size=2, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_a_reading_depends_on_the_instant_alone(
    instants: list[int], shuffler: random.Random
) -> None:
    one, other = electricity(), electricity()
    expected = {s: one.at(s * US) for s in instants}
    shuffled = list(instants)
    shuffler.shuffle(shuffled)
    for s in shuffled:
        assert other.at(s * US) == expected[s]


def test_seeds_differ_and_repeat() -> None:
    later_us = (ORIGIN_S + 5 * DAY_S) * US
    assert electricity(seed=1).at(later_us) == electricity(seed=1).at(later_us)
    assert electricity(seed=1).at(later_us) != electricity(seed=2).at(later_us)


@given(st.integers(min_value=0, max_value=30 * 1440), st.integers(min_value=1, max_value=59))
@settings(max_examples=60, deadline=None)
def test_demand_is_the_slope_of_the_summation(minute: int, upto_s: int) -> None:
    meter = electricity()
    start_s = ORIGIN_S + 60 * minute
    first, last = meter.at(start_s * US), meter.at((start_s + upto_s) * US)
    assert first.demand_w is not None
    grown_wh = last.summation - first.summation
    assert abs(grown_wh - first.demand_w * upto_s / 3600) <= 1.1  # two roundings to whole Wh


def test_a_day_of_ten_second_readings_agrees_with_its_half_hours() -> None:
    meter = electricity()
    end_s = ORIGIN_S + DAY_S
    whole = meter.consumed(ORIGIN_S, end_s)
    halves = [meter.consumed(s, s + 1800) for s in range(ORIGIN_S, end_s, 1800)]
    assert sum(halves) == whole
    demands = [meter.at(s * US).demand_w or 0 for s in range(ORIGIN_S, end_s, 10)]
    assert sum(demands) * 10 / 3600 == pytest.approx(whole, abs=20)
    assert len(set(demands)) > 500, "a display has something to show"


def test_consumption_follows_the_day() -> None:
    meter = electricity()
    midnight = ORIGIN_S - ORIGIN_S % DAY_S
    days = range(14)
    night = sum(
        meter.consumed(midnight + d * DAY_S + 2 * 3600, midnight + d * DAY_S + 5 * 3600)
        for d in days
    )
    evening = sum(
        meter.consumed(midnight + d * DAY_S + 17 * 3600, midnight + d * DAY_S + 20 * 3600)
        for d in days
    )
    assert evening > 5 * night > 0


def test_gas_follows_the_season() -> None:
    january = gas().consumed(ORIGIN_S, ORIGIN_S + 7 * DAY_S)
    july = gas().consumed(ORIGIN_S + 180 * DAY_S, ORIGIN_S + 187 * DAY_S)
    assert january > 3 * july > 0


def test_a_flat_profile_without_noise_is_exact() -> None:
    profile = LoadProfile(
        ProfileShape.FLAT, base=360, peak=0, origin_s=ORIGIN_S, seed=1, noise_percent=0
    )
    assert profile.amount_at(ORIGIN_S) == 0
    assert profile.amount_at(ORIGIN_S + 10) == 3600
    assert profile.amount_at(ORIGIN_S - 100 * DAY_S) == -360 * 100 * DAY_S


def test_a_register_does_not_go_below_zero_before_it_was_installed() -> None:
    meter = electricity(start_wh=1000)
    assert meter.at((ORIGIN_S - 300 * DAY_S) * US).summation == 0


@pytest.mark.parametrize("offset_s", [0, 417])
def test_the_proxy_shows_the_last_wake_up(offset_s: int) -> None:
    proxy = gas(offset_s)
    woke_s = ORIGIN_S + 1800 + offset_s
    before, at = proxy.at((woke_s - 1) * US), proxy.at(woke_s * US)
    assert at.taken_s == woke_s
    assert before.taken_s == woke_s - 1800
    assert at.summation > before.summation
    assert proxy.at((woke_s + 1799) * US) == at
    assert at == proxy.meter.at(woke_s * US)


def test_gas_energy_is_volume_times_conversion_times_calorific_value() -> None:
    # 100 m3 x 1.02264 x 39.5 MJ/m3 / 3.6 = 1122.063 kWh
    assert gas().meter.energy_wh(100_000) == 1_122_063


@pytest.mark.parametrize(
    "bad",
    [
        {"base": -1, "peak": 0},
        {"base": 0, "peak": -1},
        {"base": 0, "peak": 0, "noise_percent": 101},
        {"base": 0, "peak": 0, "season_percent": -1},
    ],
)
def test_a_profile_that_cannot_be_is_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="profile"):
        LoadProfile(ProfileShape.FLAT, origin_s=0, seed=1, **bad)  # type: ignore[arg-type]


def test_meters_that_do_not_fit_the_air_are_refused() -> None:
    profile = LoadProfile(ProfileShape.FLAT, base=0, peak=0, origin_s=0, seed=1)
    good = MeterSettings(
        name="e", mpxn="1" * 32, serial_number="1" * 24, tariff=None, profile=profile
    )
    with pytest.raises(ValueError, match="MPxN"):
        replace(good, mpxn="1" * 33)
    with pytest.raises(ValueError, match="serial"):
        replace(good, serial_number="1" * 25)
    with pytest.raises(ValueError, match="below 0"):
        ElectricityMeter(good, start_wh=-1)
    with pytest.raises(ValueError, match="offset"):
        GasProxy(gas().meter, wake_offset_s=1800)
