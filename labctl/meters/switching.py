"""Switching tables: which value holds when, by season, week, day and special day.

The same table switches tariff tiers and the non-disablement ("friendly credit") periods, and
Calendar publishes it as it is (SE 1.4 D.9): days, weeks and seasons are numbered from 1 on the air,
in the order of the tuples here.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from labctl.meters.civil import TimeBase, date_at, utc_of
from labctl.meters.recent import keep

_DAY_MINUTES = 1440
_FURTHEST_DAYS = 800
_MOST_DAYS = 2 * _FURTHEST_DAYS  # that are kept as worked out: as far as `span_at` looks
_MOST = 200  # entries of one kind; Calendar counts them in one octet


@dataclass(frozen=True, slots=True)
class Switch:
    """From `minute` (0 to 1439, from midnight) on, `value` holds: a tier, or 0 and 1."""

    minute: int
    value: int


@dataclass(frozen=True, slots=True)
class Season:
    """From a day of the year on, a week profile (1, 2, ...) holds."""

    month: int
    day: int
    week: int


@dataclass(frozen=True, slots=True)
class SpecialDay:
    """A day with a day profile (1, 2, ...) of its own. `year` None is every year."""

    month: int
    day: int
    profile: int
    year: int | None = None

    def is_on(self, date: datetime.date) -> bool:
        """Whether it is this date."""
        return (date.month, date.day) == (self.month, self.day) and self.year in (None, date.year)


@dataclass(frozen=True, slots=True)
class Span:
    """A value and how long it holds: from `start_s` to `end_s` (UTC), None when without limit."""

    value: int
    start_s: int | None
    end_s: int | None


@dataclass(frozen=True, slots=True)
class SwitchingTable:
    """Values by season, week, day and special day.

    `days`: for each day profile its switches, rising, the first at minute 0. `weeks`: for each
    week profile seven day profiles, Monday first. `seasons`: rising through the year; before the
    first the last holds. Without seasons week 1 holds always.
    """

    days: tuple[tuple[Switch, ...], ...]
    weeks: tuple[tuple[int, int, int, int, int, int, int], ...] = ((1,) * 7,)
    seasons: tuple[Season, ...] = ()
    special_days: tuple[SpecialDay, ...] = ()
    time_base: TimeBase = TimeBase.UTC
    _cache: dict[int, tuple[tuple[int, int], ...]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        """Raise `ValueError` for a table that leaves gaps or points at what is not there."""
        if not self.days or not self.weeks:
            raise ValueError("a switching table has at least one day profile and one week profile")
        if max(map(len, (self.days, self.weeks, self.seasons, self.special_days))) > _MOST:
            raise ValueError(f"a switching table has at most {_MOST} entries of a kind")
        for number, day in enumerate(self.days, 1):
            minutes = [switch.minute for switch in day]
            if not minutes or minutes[0] != 0 or len(minutes) > _MOST:
                raise ValueError(f"day profile {number} does not start at midnight")
            if minutes != sorted(set(minutes)) or minutes[-1] >= _DAY_MINUTES:
                raise ValueError(f"the times of day profile {number} do not rise through one day")
            if not all(0 <= switch.value <= 0xFF for switch in day):
                raise ValueError(f"a value of day profile {number} does not fit one octet")
        used = {day for week in self.weeks for day in week}
        used |= {special.profile for special in self.special_days}
        if not used <= set(range(1, len(self.days) + 1)):
            raise ValueError("a week or a special day names a day profile that is not there")
        if any(len(week) != 7 for week in self.weeks):
            raise ValueError("a week profile has seven days")
        if any(not 1 <= season.week <= len(self.weeks) for season in self.seasons):
            raise ValueError("a season names a week profile that is not there")
        starts = [(season.month, season.day) for season in self.seasons]
        if starts != sorted(set(starts)):
            raise ValueError("seasons do not rise through the year")
        dates = [(2000, season.month, season.day) for season in self.seasons]
        dates += [
            (special.year or 2000, special.month, special.day) for special in self.special_days
        ]
        for date in dates:
            try:
                datetime.date(*date)
            except ValueError:
                raise ValueError(f"there is no day {date[2]} of month {date[1]}") from None

    @property
    def values(self) -> frozenset[int]:
        """All values that the table can give."""
        return frozenset(switch.value for day in self.days for switch in day)

    def day_profile(self, date: datetime.date) -> int:
        """The day profile (1, 2, ...) of a date."""
        for special in self.special_days:
            if special.is_on(date):
                return special.profile
        week = self.seasons[-1].week if self.seasons else 1
        for season in self.seasons:
            if (season.month, season.day) <= (date.month, date.day):
                week = season.week
        return self.weeks[week - 1][date.weekday()]

    def value_at(self, utc_s: int) -> int:
        """The value in force at an instant (UTC seconds)."""
        value = 0
        for start, candidate in self._switches(date_at(utc_s, self.time_base)):
            if start > utc_s:
                break
            value = candidate
        return value

    def span_at(self, utc_s: int) -> Span:
        """The value in force, since when, and until when; looks some two years ahead and back."""
        value = self.value_at(utc_s)
        if len(self.values) == 1:
            return Span(value, None, None)
        return Span(value, self._began(utc_s, value), self._ends(utc_s, value))

    def spans(self, start_s: int, end_s: int) -> list[tuple[int, int, int]]:
        """The values between two instants: (start, end, value), without gaps."""
        found: list[tuple[int, int, int]] = []
        at_s, value = start_s, self.value_at(start_s)
        date, last = date_at(start_s, self.time_base), date_at(end_s - 1, self.time_base)
        while date <= last:
            for switch_s, other in self._switches(date):
                if at_s < switch_s < end_s and other != value:
                    found.append((at_s, switch_s, value))
                    at_s = switch_s
                if start_s <= switch_s < end_s:
                    value = other
            date += datetime.timedelta(days=1)
        if at_s < end_s:
            found.append((at_s, end_s, value))
        return found

    def _ends(self, utc_s: int, value: int) -> int | None:
        date = date_at(utc_s, self.time_base)
        for _ in range(_FURTHEST_DAYS):
            for start, other in self._switches(date):
                if start > utc_s and other != value:
                    return start
            date += datetime.timedelta(days=1)
        return None

    def _began(self, utc_s: int, value: int) -> int | None:
        date = date_at(utc_s, self.time_base)
        began: int | None = None
        for _ in range(_FURTHEST_DAYS):
            for start, other in reversed(self._switches(date)):
                if start > utc_s:
                    continue
                if other != value:
                    return began
                began = start
            date -= datetime.timedelta(days=1)
        return None

    def _switches(self, date: datetime.date) -> tuple[tuple[int, int], ...]:
        """The instants of a date's switches, rising, each with the value from then on."""
        number = date.toordinal()
        found = self._cache.get(number)
        if found is None:
            of_day = self.days[self.day_profile(date) - 1]
            last: dict[int, int] = {}  # of times that do not come in March, the last holds
            for switch in of_day:
                last[utc_of(date, switch.minute, self.time_base)] = switch.value
            found = keep(self._cache, number, tuple(last.items()), _MOST_DAYS)
        return found
