"""Switching tables: seasons, weeks, days, special days, and both changes of the clock."""

from __future__ import annotations

import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.meters import Season, SpecialDay, Switch, SwitchingTable, Tariff, Tier, TimeBase

DAY_S = 86_400
CHEAP = (Switch(0, 2), Switch(7 * 60, 1))
FLAT = (Switch(0, 1),)
WORKING = (1, 1, 1, 1, 1, 2, 2)


def utc(*parts: int) -> int:
    return int(datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp())  # type: ignore[misc,arg-type]


def test_weekends_seasons_and_special_days() -> None:
    table = SwitchingTable(
        days=(CHEAP, FLAT, (Switch(0, 3),)),
        weeks=((1,) * 7, WORKING),
        seasons=(Season(4, 1, 2), Season(10, 1, 1)),
        special_days=(SpecialDay(12, 25, 3), SpecialDay(5, 8, 3, year=2025)),
    )
    assert table.value_at(utc(2025, 1, 4, 3)) == 2, "before the first season the last holds"
    assert table.value_at(utc(2025, 6, 6, 3)) == 2  # a Friday in summer
    assert table.value_at(utc(2025, 6, 7, 3)) == 1  # a Saturday
    assert table.value_at(utc(2025, 11, 8, 3)) == 2  # a Saturday in winter
    assert table.value_at(utc(2025, 12, 25, 12)) == table.value_at(utc(2031, 12, 25)) == 3
    assert table.value_at(utc(2025, 5, 8)) == 3
    assert table.value_at(utc(2026, 5, 8)) != 3
    friday = table.span_at(utc(2025, 6, 6, 12))
    assert (friday.start_s, friday.end_s) == (utc(2025, 6, 6, 7), utc(2025, 6, 9))


@pytest.mark.parametrize(
    ("base", "winter", "summer"),
    [(TimeBase.UTC, 7, 7), (TimeBase.STANDARD, 7, 7), (TimeBase.LOCAL, 7, 6)],
)
def test_only_local_time_moves_in_summer(base: TimeBase, winter: int, summer: int) -> None:
    table = SwitchingTable((CHEAP,), time_base=base)
    assert table.span_at(utc(2025, 1, 15, 3)).end_s == utc(2025, 1, 15, winter)
    assert table.span_at(utc(2025, 7, 15, 3)).end_s == utc(2025, 7, 15, summer)


@pytest.mark.parametrize(("day", "hours"), [((2025, 3, 30), 23), ((2025, 10, 26), 25)])
def test_a_day_on_which_the_clock_changes_has_all_its_switches(
    day: tuple[int, int, int], hours: int
) -> None:
    hourly = tuple(Switch(60 * number, number) for number in range(24))
    table = SwitchingTable((hourly,), time_base=TimeBase.LOCAL)
    start = utc(*day) if hours == 23 else utc(*day) - 3600
    spans = table.spans(start, start + hours * 3600)
    values = [value for _, _, value in spans]
    assert spans[0][0] == start
    assert spans[-1][1] == start + hours * 3600
    if hours == 23:  # 01:00 does not come: at that instant it is 02:00
        assert values == [0, *range(2, 24)]
        assert {end - begin for begin, end, _ in spans} == {3600}
    else:  # 01:00 comes twice: the first time counts
        assert values == list(range(24))
        assert [end - begin for begin, end, _ in spans] == [3600, 7200] + [3600] * 22


def test_a_time_that_does_not_come_is_the_moment_of_the_change() -> None:
    half_past = SwitchingTable((((Switch(0, 1), Switch(90, 2))),), time_base=TimeBase.LOCAL)
    assert half_past.value_at(utc(2025, 3, 30, 0, 59)) == 1
    assert half_past.value_at(utc(2025, 3, 30, 1)) == 2


tables = st.builds(
    SwitchingTable,
    days=st.lists(
        st.lists(st.integers(1, 1439), max_size=4, unique=True).map(
            lambda minutes: tuple(Switch(minute, minute % 3) for minute in [0, *sorted(minutes)])
        ),
        min_size=2,
        max_size=2,
    ).map(tuple),
    weeks=st.just((WORKING,)),
    time_base=st.sampled_from(TimeBase),
)


@given(tables, st.integers(utc(2025, 1, 1), utc(2026, 12, 31)), st.integers(1, 5 * DAY_S))
def test_spans_are_without_gaps_and_agree_with_single_values(
    table: SwitchingTable, start_s: int, length: int
) -> None:
    spans = table.spans(start_s, start_s + length)
    assert spans[0][0] == start_s
    assert spans[-1][1] == start_s + length
    for (_, end, value), (begin, _, other) in pairwise(spans):
        assert end == begin
        assert value != other
    for begin, end, value in spans:
        assert table.value_at(begin) == table.value_at(end - 1) == value
        span = table.span_at(begin)
        assert span.value == value
        assert span.start_s is None or span.start_s <= begin
        assert span.end_s is None or span.end_s >= min(end, start_s + length)


def test_a_tariff_takes_its_tiers_from_its_table() -> None:
    table = SwitchingTable((CHEAP, FLAT), weeks=(WORKING,))
    tariff = Tariff("W", 20_000, 0, 0, (Tier("Night", 9_000),), switching=table)
    assert tariff.price_at(utc(2025, 6, 6, 3)).label == "Night"
    assert tariff.price_at(utc(2025, 6, 7, 3)).unit_price == 20_000


@pytest.mark.parametrize(
    "bad",
    [
        {"days": ()},
        {"days": ((Switch(1, 1),),)},
        {"days": ((Switch(0, 1), Switch(0, 2)),)},
        {"days": ((Switch(0, 1), Switch(1440, 2)),)},
        {"days": ((Switch(0, 256),),)},
        {"days": (FLAT,), "weeks": ((1, 1, 1, 1, 1, 1, 2),)},
        {"days": (FLAT,), "special_days": (SpecialDay(1, 1, 2),)},
        {"days": (FLAT,), "special_days": (SpecialDay(2, 29, 1, year=2025),)},
        {"days": (FLAT,), "seasons": (Season(1, 1, 2),)},
        {"days": (FLAT,), "seasons": (Season(3, 1, 1), Season(2, 1, 1))},
        {"days": (FLAT,), "seasons": (Season(2, 30, 1),)},
    ],
)
def test_a_table_with_gaps_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"day|week|season|octet"):
        SwitchingTable(**bad)


def test_a_table_may_only_name_tiers_that_are_there() -> None:
    with pytest.raises(ValueError, match="tier that is not there"):
        Tariff("W", 1, 0, 0, switching=SwitchingTable((CHEAP,)))


def test_a_table_that_is_asked_for_years_remembers_some_of_them() -> None:
    def table() -> SwitchingTable:
        return SwitchingTable(
            days=((Switch(0, 1), Switch(420, 2)), (Switch(0, 1),)), weeks=((1, 1, 1, 1, 1, 2, 2),)
        )

    old, start_s = table(), utc(2026, 1, 5)
    for day in range(20 * 365):
        old.value_at(start_s + day * 86_400)
    assert len(old._cache) <= 2000
    for instant in (start_s, start_s + 12 * 3600, start_s + 5 * 86_400 + 12 * 3600):
        assert old.span_at(instant) == table().span_at(instant)
    assert len(old._cache) <= 2000
