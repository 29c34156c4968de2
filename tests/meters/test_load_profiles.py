"""Loads that are not the usual model: CSV files, the sun, and homes that generate."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_makers import DAY_S, HOUR_S, ORIGIN_S, US, at, electricity

from labctl.meters import (
    CsvError,
    CsvProfile,
    LoadProfile,
    MeterRole,
    NetProfile,
    Outside,
    ProfileShape,
    SolarProfile,
)

CSV = """timestamp,W
2026-01-05T00:00:00Z,100
2026-01-05T01:00:00Z,400
2026-01-05T02:00:00+00:00,0
"""
JULY_S = ORIGIN_S - 180 * DAY_S


def test_rates_hold_until_the_next_row() -> None:
    profile = CsvProfile(CSV, origin_s=ORIGIN_S)
    assert profile.amount_at(ORIGIN_S) == 0
    assert profile.at((ORIGIN_S + 1800) * US).rate == 100
    assert profile.at((ORIGIN_S + 3600) * US).rate == 400
    assert profile.amount_at(ORIGIN_S + 7200) == (100 + 400) * 3600


def test_outside_its_span_a_file_repeats_or_holds() -> None:
    repeated = CsvProfile(CSV, origin_s=ORIGIN_S)
    assert repeated.at((ORIGIN_S + 4 * HOUR_S) * US).rate == 400
    assert repeated.at((ORIGIN_S - 2 * HOUR_S) * US).rate == 400
    assert repeated.amount_at(ORIGIN_S - 3 * HOUR_S) == -500 * 3600
    held = CsvProfile(CSV, origin_s=ORIGIN_S, outside=Outside.HOLD)
    assert held.at((ORIGIN_S + 9 * HOUR_S) * US).rate == 0
    assert held.at((ORIGIN_S - 9 * HOUR_S) * US).rate == 100
    assert held.amount_at(ORIGIN_S - HOUR_S) == -100 * 3600


@pytest.mark.parametrize(
    ("unit", "value", "gas", "amount"),
    [
        ("kW", "0.3", False, 300 * 1800),
        ("Wh", "150", False, 150 * 3600),
        ("kWh", "0.15", False, 150 * 3600),
        ("m3/h", "1.5", True, 1_500_000 * 1800),
        ("m3", "0.75", True, 750_000 * 3600),
    ],
)
def test_units_of_a_half_hour(unit: str, value: str, gas: bool, amount: int) -> None:
    text = f"\ufefftimestamp,{unit}\r\n# kept\r\n\r\n2026-01-05T00:00:00Z,{value}\r\n"
    text += "2026-01-05T00:30:00Z,0\r\n"
    assert CsvProfile(text, origin_s=ORIGIN_S, gas=gas).amount_at(ORIGIN_S + 1800) == amount


@given(st.lists(st.integers(ORIGIN_S * 4 - 40_000, ORIGIN_S * 4 + 40_000), min_size=2, max_size=9))
def test_amounts_of_a_file_never_fall(quarters: list[int]) -> None:
    for outside in Outside:
        profile = CsvProfile(CSV, origin_s=ORIGIN_S, outside=outside)
        amounts = [profile.at(quarter * US // 4).amount for quarter in sorted(quarters)]
        assert amounts == sorted(amounts)


def test_a_meter_counts_what_the_file_says() -> None:
    meter = electricity(profile=CsvProfile(CSV, origin_s=ORIGIN_S))
    assert meter.at(at(1.5)).demand_w == 400
    assert [half.amount for half in meter.history.half_hours(ORIGIN_S + 3 * HOUR_S, 6)] == [
        *(50, 50, 200, 200, 0, 0)
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "two rows"),
        ("timestamp,W\n", 1, "two rows"),
        ("timestamp,W\n2026-01-05T00:00:00Z,1\n", 2, "two rows"),
        ("2026-01-05T00:00:00Z,1\n", 1, "header"),
        ("timestamp,A\n", 1, "header"),
        ("timestamp,m3\n", 1, "header"),
        ("timestamp,W\n2026-01-05T00:00:00Z,1,2\n", 2, "2 columns"),
        ("timestamp,W\n2026-01-05T00:00:00Z\n", 2, "2 columns"),
        ("timestamp,W\n\nyesterday,1\n", 3, "not an instant"),
        ("timestamp,W\n2026-01-05T00:00:00,1\n", 2, "UTC"),
        ("timestamp,W\n1999-01-05T00:00:00Z,1\n", 2, "2000"),
        ("timestamp,W\n2026-01-05T00:00:00Z,x\n", 2, "not a number"),
        ("timestamp,W\n2026-01-05T00:00:00Z,-1\n", 2, "range"),
        ("timestamp,W\n2026-01-05T00:00:00Z,nan\n", 2, "range"),
        ("timestamp,W\n2026-01-05T00:00:00Z,1\n2026-01-05T00:00:00Z,1\n", 3, "not after"),
        ('timestamp,W\n2026-01-05T00:00:00Z,"1\n', 2, "end of data"),
    ],
)
def test_a_spoiled_file_is_told_by_its_line(text: str, line: int, said: str) -> None:
    with pytest.raises(CsvError, match=said) as caught:
        CsvProfile(text, origin_s=ORIGIN_S)
    assert caught.value.line == line


@given(st.text(max_size=80), st.booleans())
def test_any_text_is_a_profile_or_a_csv_error(text: str, headed: bool) -> None:
    lines: list[int] = []
    try:
        CsvProfile(("timestamp,W\n" if headed else "") + text, origin_s=ORIGIN_S)
    except CsvError as error:
        lines.append(error.line)
    assert all(line >= 1 for line in lines)


def test_the_sun_shines_by_day_and_more_in_summer() -> None:
    sun = SolarProfile(peak=4000, origin_s=ORIGIN_S, seed=1)
    for midnight in (ORIGIN_S, JULY_S):
        assert sun.at((midnight + HOUR_S) * US).rate == 0
        assert 0 < sun.at((midnight + 12 * HOUR_S) * US).rate <= 4000
    assert sun.at((JULY_S + 5 * HOUR_S) * US).rate > 0 == sun.at((ORIGIN_S + 5 * HOUR_S) * US).rate
    week = 7 * DAY_S
    winter = sun.amount_at(ORIGIN_S + week) - sun.amount_at(ORIGIN_S)
    assert sun.amount_at(JULY_S + week) - sun.amount_at(JULY_S) > 3 * winter > 0
    clear = SolarProfile(peak=4000, origin_s=ORIGIN_S, seed=1, noise_percent=0)
    solstice_noon = 1_750_507_200  # 2025-06-21T12:00Z
    assert clear.at(solstice_noon * US).rate == pytest.approx(4000, rel=0.01)


def home() -> tuple[LoadProfile, SolarProfile, NetProfile, NetProfile]:
    load = LoadProfile(ProfileShape.DOMESTIC, base=250, peak=1500, origin_s=ORIGIN_S, seed=1)
    sun = SolarProfile(peak=4000, origin_s=ORIGIN_S, seed=2)
    grid = NetProfile(load, sun, origin_s=ORIGIN_S)
    surplus = NetProfile(sun, load, origin_s=ORIGIN_S)
    return load, sun, grid, surplus


@given(st.integers(-300 * 48, 20 * 48), st.integers(1, 200))
@settings(deadline=None)
def test_import_less_export_is_load_less_generation(slot: int, count: int) -> None:
    load, sun, grid, surplus = home()
    start = ORIGIN_S + slot * 1800
    end = start + count * 1800

    def grown(profile: LoadProfile | SolarProfile | NetProfile) -> int:
        return profile.amount_at(end) - profile.amount_at(start)

    assert grown(grid) - grown(surplus) == grown(load) - grown(sun)


def test_a_home_that_generates_imports_or_exports() -> None:
    _, sun, grid, surplus = home()
    meter = electricity(profile=grid, export=surplus, start_received_wh=None)
    exported = meter.received_history.day(JULY_S + DAY_S, 1)
    assert exported is not None
    assert exported > 1000
    noon = meter.at((JULY_S + 12 * HOUR_S) * US)
    night = meter.at((JULY_S + HOUR_S) * US)
    assert noon.demand_w is not None
    assert night.demand_w is not None
    assert noon.demand_w < 0 < night.demand_w
    assert noon.received > night.received
    own = electricity(name="x", profile=surplus, role=MeterRole.EXPORT)
    assert own.at(ORIGIN_S * US).summation == 0
    assert own.received_history.day(JULY_S + DAY_S, 1) == exported
    generated = electricity(name="g", profile=sun, role=MeterRole.GENERATION)
    assert (generated.history.day(JULY_S + DAY_S, 1) or 0) > exported


def test_an_export_meter_has_no_account() -> None:
    with pytest.raises(ValueError, match="export"):
        electricity(role=MeterRole.EXPORT, export=home()[3])


def test_a_profile_that_runs_for_years_remembers_some_of_them() -> None:
    """And counts on as one does that was asked for nothing before."""

    def profile() -> LoadProfile:
        return LoadProfile(ProfileShape.DOMESTIC, base=300, peak=3000, origin_s=ORIGIN_S, seed=3)

    old = profile()
    for day in range(-800, 20 * 365):
        old.amount_at(ORIGIN_S + day * DAY_S + HOUR_S)
    assert len(old._days) <= 1000
    for day in (-800, -1, 0, 1, 731, 4000):
        instant = ORIGIN_S + day * DAY_S + 12_345
        assert old.amount_at(instant) == profile().amount_at(instant)
    assert len(old._days) <= 1000
