"""Days, weeks and months as meters keep them: by UTC, or by British local time.

All instants are Unix seconds. A day of local time has 23, 24 or 25 hours; weeks start on Monday.
"""

from __future__ import annotations

import datetime
import enum
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_S = 86_400
HALF_HOUR_S = 1800
_LONDON = ZoneInfo("Europe/London")
_EPOCH = datetime.date(1970, 1, 1)
_HOUR_S = 3600


class TimeBase(enum.IntEnum):
    """Which clock days and switching times go by, numbered as Calendar does (SE 1.4 D.9.2.3.1)."""

    UTC = 0
    STANDARD = 1
    """GMT all the year, which is UTC."""
    LOCAL = 2
    """GMT in winter, BST in summer."""


def utc_of(day: datetime.date, minute: int, base: TimeBase) -> int:
    """The instant of a wall-clock time, `minute` minutes (0 to 1440) from midnight.

    A time that comes twice (October) is the first of the two; one that does not come (March) is
    the moment of the change.
    """
    naive_s = (day - _EPOCH).days * DAY_S + minute * 60
    if base is not TimeBase.LOCAL:
        return naive_s
    return naive_s - _offset_of_wall(naive_s)


@lru_cache(maxsize=4096)
def _offset_of_wall(naive_s: int) -> int:
    wall = datetime.datetime.fromtimestamp(naive_s, datetime.UTC).replace(tzinfo=None)
    first = wall.replace(tzinfo=_LONDON, fold=0).utcoffset()
    second = wall.replace(tzinfo=_LONDON, fold=1).utcoffset()
    assert first is not None
    assert second is not None
    if second > first:  # does not come: clocks change on a full hour of UTC
        early = naive_s - int(second.total_seconds())
        return naive_s - (early // _HOUR_S + 1) * _HOUR_S
    return int(first.total_seconds())


@lru_cache(maxsize=1024)
def _offset_in_hour(hour: int) -> int:
    """How far local time is ahead of UTC in an hour of UTC, in seconds."""
    moment = datetime.datetime.fromtimestamp(hour * _HOUR_S, _LONDON)
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def date_at(utc_s: int, base: TimeBase = TimeBase.UTC) -> datetime.date:
    """The date at an instant."""
    if base is TimeBase.LOCAL:
        utc_s += _offset_in_hour(utc_s // _HOUR_S)
    return _EPOCH + datetime.timedelta(days=utc_s // DAY_S)


def local_offset_s(utc_s: int) -> int:
    """How far British local time is ahead of UTC at an instant: 0 or 3600."""
    return _offset_in_hour(utc_s // _HOUR_S)


def midnight(day: datetime.date, base: TimeBase = TimeBase.UTC) -> int:
    """The instant at which a day starts."""
    return utc_of(day, 0, base)


def day_span(utc_s: int, back: int = 0, base: TimeBase = TimeBase.UTC) -> tuple[int, int]:
    """Start and end of the day `back` days before the one that `utc_s` is in."""
    if base is not TimeBase.LOCAL:
        start = utc_s - utc_s % DAY_S - back * DAY_S
        return start, start + DAY_S
    day = date_at(utc_s, base) - datetime.timedelta(days=back)
    return midnight(day, base), midnight(day + datetime.timedelta(days=1), base)


def week_span(utc_s: int, back: int = 0, base: TimeBase = TimeBase.UTC) -> tuple[int, int]:
    """Start (Monday) and end of the week `back` weeks before the one that `utc_s` is in."""
    today = date_at(utc_s, base)
    monday = today - datetime.timedelta(days=today.weekday() + 7 * back)
    return midnight(monday, base), midnight(monday + datetime.timedelta(days=7), base)


def month_span(utc_s: int, back: int = 0, base: TimeBase = TimeBase.UTC) -> tuple[int, int]:
    """Start and end of the calendar month `back` months before the one that `utc_s` is in."""
    today = date_at(utc_s, base)
    number = today.year * 12 + today.month - 1 - back
    return midnight(month_start(number), base), midnight(month_start(number + 1), base)


def month_start(number: int) -> datetime.date:
    """The first day of month `number`, which counts years x 12 + month - 1."""
    return datetime.date(number // 12, number % 12 + 1, 1)
