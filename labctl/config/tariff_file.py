"""Tariffs: prices, tiers, blocks, and what switches them; in a rig file, or in one of their own."""

from __future__ import annotations

import datetime
import enum
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from labctl.config.fields import Octets, Real, Strict, Whole, as_written, choice, wrong
from labctl.config.problems import quote
from labctl.config.times import Instant, TimeOfDay

_LEAP_YEAR = 2000


class SwitchingTime(enum.StrEnum):
    """The clock that a switching table goes by."""

    UTC = "utc"
    STANDARD = "standard"
    LOCAL = "local"


class BlockPeriod(enum.StrEnum):
    """How long consumption is counted for blocks."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def _day_of_year(value: Any) -> tuple[int | None, int, int]:
    """MM-DD, or YYYY-MM-DD."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.year, value.month, value.day
    text = as_written(value)
    if isinstance(value, tuple) and len(value) == 3:
        return value
    if isinstance(text, str) and re.fullmatch(r"(\d{4}-)?\d{2}-\d{2}", text):
        *year, month, day = (int(part) for part in text.split("-"))
        try:
            datetime.date(year[0] if year else _LEAP_YEAR, month, day)
        except ValueError:
            raise wrong(f"{quote(text)}: there is no such day") from None
        return year[0] if year else None, month, day
    raise wrong(f"{quote(value)} is not a day", 'write "12-25" or "2026-12-25"')


def _day_text(value: tuple[int | None, int, int]) -> str:
    year = f"{value[0]:04}-" if value[0] else ""
    return f"{year}{value[1]:02}-{value[2]:02}"


Day = Annotated[
    tuple[int | None, int, int],
    BeforeValidator(_day_of_year),
    PlainSerializer(_day_text, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([0-9]{4}-)?[0-9]{2}-[0-9]{2}$",
            "x-kind": "day, MM-DD or YYYY-MM-DD",
        }
    ),
]
"""A day of every year, or of one: (year or None, month, day)."""


class Switch(Strict):
    """From a time of day on, a value holds."""

    at: TimeOfDay
    """Time of day, by the table's clock."""
    value: Annotated[int, Whole(0, 255)]
    """The tier (1 is the tariff's own unit price, 2 the first of `tiers`); in a non-disablement
    calendar 1 or 0."""


class Season(Strict):
    """A part of the year with a week of its own."""

    start: Day
    """First day, every year: MM-DD."""
    week: Annotated[int, Whole(1, 200)]
    """Which of `weeks` holds, counted from 1."""


class SpecialDay(Strict):
    """A day that is not as its week has it."""

    date: Day
    """MM-DD for every year, or YYYY-MM-DD."""
    day: Annotated[int, Whole(1, 200)]
    """Which of `days` holds, counted from 1."""


_SwitchingDay = Annotated[tuple[Switch, ...], Field(strict=False, min_length=1, max_length=200)]
_SwitchingWeek = Annotated[
    tuple[Annotated[int, Whole(1, 200)], ...], Field(strict=False, min_length=1)
]


class Switching(Strict):
    """A switching table: values by season, week, day and special day."""

    time: Annotated[SwitchingTime, choice(SwitchingTime)] = SwitchingTime.UTC
    """The clock it goes by: `utc`, `standard` (GMT all the year) or `local`."""
    days: Annotated[tuple[_SwitchingDay, ...], Field(strict=False, min_length=1, max_length=200)]
    """Kinds of day, each a list of switches that starts at 00:00."""
    weeks: Annotated[tuple[_SwitchingWeek, ...], Field(strict=False, max_length=200)] = ()
    """Kinds of week: for Monday to Sunday which of `days` holds, counted from 1. Default: the
    first of `days` every day."""
    seasons: Annotated[tuple[Season, ...], Field(strict=False, max_length=200)] = ()
    """Parts of the year, in order. Default: the first of `weeks` always."""
    special_days: Annotated[tuple[SpecialDay, ...], Field(strict=False, max_length=200)] = ()
    """Days with a kind of their own."""

    @property
    def values(self) -> set[int]:
        """All values that the table can give."""
        return {switch.value for day in self.days for switch in day}

    @model_validator(mode="after")
    def _is_complete(self) -> Switching:
        for number, day in enumerate(self.days, 1):
            times = [switch.at for switch in day]
            if times[0] != datetime.time(0) or times != sorted(set(times)):
                raise wrong(f"the times of day {number} do not rise from 00:00")
        if any(len(week) != 7 for week in self.weeks):
            raise wrong("a week has seven days, Monday first")
        used = {day for week in self.weeks for day in week}
        used |= {special.day for special in self.special_days}
        if used and max(used) > len(self.days):
            raise wrong(f"there is no day {max(used)}: the table has {len(self.days)}")
        weeks = max(len(self.weeks), 1)
        for season in self.seasons:
            if season.week > weeks:
                raise wrong(f"there is no week {season.week}: the table has {weeks}")
            if season.start[0] is not None:
                raise wrong("seasons come every year: write MM-DD")
        starts = [season.start[1:] for season in self.seasons]
        if starts != sorted(set(starts)):
            raise wrong("the seasons are not in order")
        return self


class Tier(Strict):
    """A time of day with a price of its own. Times are UTC, as GB meters switch."""

    label: Annotated[str, Octets(12)]
    """Label of the tier, up to 12 octets."""
    start: TimeOfDay | None = None
    """When the tier starts, UTC. Not with a switching table."""
    end: TimeOfDay | None = None
    """When it ends, UTC; at or before `start` means on the next day."""
    unit_p_per_kwh: Annotated[float, Real(0, 1000)]
    """Unit price in the tier, pence a kWh."""


_Price = Annotated[float, Real(0, 1000)]


class Blocks(Strict):
    """Prices by how much was used."""

    thresholds: Annotated[
        tuple[Annotated[float, Real(0.001, 1_000_000)], ...],
        Field(strict=False, min_length=1, max_length=15),
    ]
    """Where blocks end, rising: kWh for electricity, m³ for gas."""
    unit_p_per_kwh: Annotated[
        tuple[Annotated[tuple[_Price, ...], Field(strict=False, min_length=1)], ...],
        Field(strict=False, min_length=1, max_length=48),
    ]
    """Unit prices, pence a kWh: one list for all tiers, or one for each, with a price more than
    there are thresholds."""
    period: Annotated[BlockPeriod, choice(BlockPeriod)] = BlockPeriod.MONTH
    """How long is counted before it starts over: `day`, `week` or `month` (UTC)."""
    individual: bool = False
    """Whether each tier counts for itself."""


class Tariff(Strict):
    """What a meter charges."""

    name: Annotated[str, Octets(24)] = "Standard"
    """Label that displays show, up to 24 octets; with prices only the first 12 are sent."""
    standing_charge_p_per_day: Annotated[float, Real(0, 1000)] = 0.0
    """Standing charge, pence a day."""
    unit_p_per_kwh: Annotated[float, Real(0, 1000)]
    """Unit price, pence a kWh."""
    tiers: Annotated[tuple[Tier, ...], Field(strict=False, max_length=47)] = ()
    """Times of day with another unit price. Where two overlap, the first holds."""
    switching: Switching | None = None
    """A switching table, instead of times at the tiers."""
    blocks: Blocks | None = None
    """Prices by how much was used, instead of those above."""
    co2_g_per_kwh: Annotated[int, Whole(0, 100_000)] | None = None
    """CO2 of a kWh, g. Default: nothing is published."""
    start: Instant | None = None
    """When it comes into force. Default: at once."""
    provider_id: Annotated[int, Whole(0, 0xFFFFFFFE)] = 1
    """Number of the supplier."""
    tariff_id: Annotated[int, Whole(1, 0xFFFFFFFE)] = 1
    """Number of the tariff."""

    @model_validator(mode="after")
    def _switches_once(self) -> Tariff:
        for tier in self.tiers:
            timed = tier.start is not None, tier.end is not None
            if self.switching is None and timed != (True, True):
                raise wrong(
                    f"tier {quote(tier.label)} needs 'start' and 'end'",
                    "add them, or a switching table",
                )
            if self.switching is not None and timed != (False, False):
                raise wrong(
                    f"tier {quote(tier.label)} has times, and there is a switching table",
                    "leave one of them out",
                )
        tiers = set(range(1, len(self.tiers) + 2))
        if self.switching is not None and not self.switching.values <= tiers:
            raise wrong(f"the switching table names a tier that is not there: 1 to {max(tiers)}")
        if self.blocks is not None:
            thresholds, rows = self.blocks.thresholds, self.blocks.unit_p_per_kwh
            if list(thresholds) != sorted(set(thresholds)):
                raise wrong("the thresholds of the blocks do not rise")
            if any(len(row) != len(thresholds) + 1 for row in rows):
                raise wrong(f"{len(thresholds)} thresholds need {len(thresholds) + 1} prices")
            if len(rows) not in (1, len(tiers)):
                raise wrong(f"block prices are needed for one tier, or for all {len(tiers)}")
        return self
