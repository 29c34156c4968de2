"""Histories: everything agrees with the summation to the last Wh, before the start too."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_makers import DAY_S, ORIGIN_S, US, at, electricity, gas, journals

from labctl.meters import ElectricityMeter, GasProxy, Journal, TimeBase
from labctl.meters.entries import TenancyChanged
from labctl.meters.history import DAYS_KEPT, HALF_HOURS_KEPT

instants = st.integers(ORIGIN_S - 400 * DAY_S, ORIGIN_S + 20 * DAY_S)
ELECTRICITY = electricity()
GAS = gas()


def utc(*parts: int) -> int:
    return int(datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp())  # type: ignore[misc,arg-type]


def test_two_years_of_days_and_thirteen_months_of_half_hours_are_there_from_the_first_minute() -> (
    None
):
    for meter in (electricity(), gas()):
        days = meter.history.days(ORIGIN_S, DAYS_KEPT)
        halves = meter.history.half_hours(ORIGIN_S, HALF_HOURS_KEPT)
        assert all(interval.amount is not None for interval in (*days, *halves))
        assert sum(day.amount or 0 for day in days) > 1_000_000
        assert days[-1].end_s == halves[-1].end_s == ORIGIN_S
        assert utc(2024, 1, 5) == days[0].start_s
        assert meter.history.days(ORIGIN_S, DAYS_KEPT + 2)[0].amount is None, "meters forget"


@given(instants)
@settings(max_examples=25, deadline=None)
def test_half_hours_add_up_to_days_and_days_to_weeks_and_months(now_s: int) -> None:
    history = ELECTRICITY.history
    for back in (1, 3):
        day = history.day(now_s, back)
        end_s = now_s - now_s % DAY_S - (back - 1) * DAY_S
        halves = history.half_hours(end_s, 48)
        assert sum(half.amount or 0 for half in halves) == day
        assert all((half.amount or 0) >= 0 for half in halves)
        delivered = ELECTRICITY.at(end_s * US).summation
        assert delivered - ELECTRICITY.at((end_s - DAY_S) * US).summation == day
    date = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
    of_week = [history.day(now_s, date.weekday() + back) for back in range(1, 8)]
    assert sum(amount or 0 for amount in of_week) == history.week(now_s, 1)
    this_month = [history.day(now_s, back) for back in range(date.day)]
    assert sum(amount or 0 for amount in this_month) == history.month(now_s, 0)


@given(journals(), st.lists(instants, min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_whatever_is_done_summations_do_not_fall_and_half_hours_add_up(
    journal: Journal, times: list[int]
) -> None:
    for meter in (electricity(journal), gas(journal)):
        readings = [meter.at(time * US).summation for time in sorted(times)]
        assert readings == sorted(readings)
        end_s = max(times)
        halves = meter.history.half_hours(end_s, 96)
        stood = meter.works.delivered
        assert [half.amount for half in halves] == [
            stood(half.end_s) - stood(half.start_s) for half in halves
        ]


@pytest.mark.parametrize(
    ("date", "hours"),
    [((2025, 3, 30), 23), ((2025, 10, 26), 25), ((2025, 6, 1), 24), ((2024, 3, 31), 23)],
)
@pytest.mark.parametrize("meter", [electricity(days=TimeBase.LOCAL), gas(days=TimeBase.LOCAL)])
def test_a_local_day_has_as_many_half_hours_as_the_clock_gave_it(
    meter: ElectricityMeter | GasProxy, date: tuple[int, int, int], hours: int
) -> None:
    start = datetime.datetime(*date, tzinfo=ZoneInfo("Europe/London"))
    after_s = int((start + datetime.timedelta(days=1)).timestamp())
    whole = meter.history.days(after_s, 1, now_s=ORIGIN_S)[0]
    assert (whole.start_s, whole.end_s) == (int(start.timestamp()), after_s)
    assert whole.end_s - whole.start_s == hours * 3600
    halves = [
        meter.works.delivered(edge + 1800) - meter.works.delivered(edge)
        for edge in range(whole.start_s, whole.end_s, 1800)
    ]
    assert len(halves) == 2 * hours
    assert sum(halves) == whole.amount == meter.history.day(after_s + 7200, 1)


def test_the_default_day_is_of_utc_in_summer_too() -> None:
    now_s = utc(2025, 7, 1, 23, 30)  # July 2 in local time
    assert ELECTRICITY.history.day(now_s) == ELECTRICITY.consumed(utc(2025, 7, 1), now_s)
    local = electricity(days=TimeBase.LOCAL)
    assert local.history.day(now_s) == local.consumed(utc(2025, 7, 1, 23), now_s)


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    now_s = utc(2025, 12, 31, 12)  # a Wednesday
    assert ELECTRICITY.history.week(now_s) == ELECTRICITY.consumed(utc(2025, 12, 29), now_s)
    november = ELECTRICITY.consumed(utc(2025, 11, 1), utc(2025, 12, 1))
    assert ELECTRICITY.history.month(now_s, 1) == november
    year_before = ELECTRICITY.consumed(utc(2024, 12, 1), utc(2025, 1, 1))
    assert ELECTRICITY.history.month(now_s, 12) == year_before


def test_a_young_meter_has_no_history_before_it_was_installed() -> None:
    meter = electricity(start_wh=200_000)  # some three days' worth
    days = meter.history.days(ORIGIN_S, 30)
    known = [day.amount for day in days if day.amount is not None]
    assert 1 <= len(known) <= 5
    assert all(day.amount is None for day in days[:20])
    assert meter.history.between(ORIGIN_S - 30 * DAY_S, ORIGIN_S) == 200_000


def test_gas_logs_reach_to_the_last_wake_up_and_energy_follows_volume() -> None:
    proxy = gas(offset_s=600)
    now_s = ORIGIN_S + 10 * 3600 + 300  # the meter last woke at 9:40
    assert proxy.history.half_hours(now_s, 1)[0].end_s == ORIGIN_S + 9 * 3600 + 1800
    today = proxy.history.day(now_s)
    assert today == proxy.meter.consumed(ORIGIN_S, ORIGIN_S + 9 * 3600 + 2400)
    days = [proxy.energy_history.day(now_s, back) or 0 for back in range(1, 8)]
    assert sum(days) == proxy.energy_history.week(now_s, 1)
    assert days[2] == pytest.approx((proxy.history.day(now_s, 3) or 0) * 11.2206, abs=12)


def test_a_change_of_tenancy_hides_what_was_before_and_nothing_else() -> None:
    moved_s = ORIGIN_S + 36 * 3600 + 600  # Tuesday 12:10
    journal = Journal()
    meter = electricity(journal)
    now_s = ORIGIN_S + 60 * 3600  # Wednesday noon
    before = meter.history.half_hours(now_s, 96)
    register = meter.at(now_s * US)
    journal.append(TenancyChanged(at_us=at(40), since_s=moved_s))
    assert meter.at(now_s * US) == register, "the summation stays readable"
    for old, new in zip(before, meter.history.half_hours(now_s, 96), strict=True):
        assert new.amount == (old.amount if old.start_s >= moved_s else None)
    assert meter.history.day(now_s) == meter.consumed(ORIGIN_S + 2 * DAY_S, now_s)
    assert meter.history.day(now_s, 1) == meter.consumed(moved_s, ORIGIN_S + 2 * DAY_S)
    assert meter.history.week(now_s) == meter.consumed(moved_s, now_s)
    assert meter.history.day(now_s, 2) is None
    assert meter.history.month(now_s, 1) is None
    assert meter.cost_history.day(now_s, 3) is None
    assert all(day.amount is None for day in meter.history.days(now_s, 2, now_s=now_s))
    assert all(snapshot.taken_s >= moved_s for snapshot in meter.snapshots(0, now_s))
    earlier_s = ORIGIN_S + 39 * 3600
    assert meter.history.day(earlier_s, 3) is not None, "before the flag was set it was readable"
    journal.append(TenancyChanged(at_us=at(70), since_s=moved_s, taken_back=True))
    after_s = ORIGIN_S + 70 * 3600
    assert meter.history.day(now_s, 3) is None, "it was so until it was taken back"
    assert meter.history.day(after_s, 3) is not None
    assert meter.tenancy_since(after_s) is None
    assert list(Journal.from_json_lines(journal.to_json_lines())) == list(journal)
