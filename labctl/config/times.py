"""The kinds of values that have to do with time."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from labctl.config.durations import duration_text, parse_duration
from labctl.config.fields import Checked, as_written, wrong
from labctl.config.problems import quote


@dataclass(frozen=True)
class Within(Checked):
    """A duration between two limits, both included."""

    low: str
    high: str

    def parse(self, value: Any) -> datetime.timedelta:
        """The value, or `wrong`."""
        if isinstance(value, datetime.timedelta):
            found = value
        elif isinstance(value, bool) or not isinstance(value, int | float | str):
            raise wrong("a duration is needed here", "write 10s, 500ms, 30min, 24h or 1d")
        else:
            try:
                found = parse_duration(str(as_written(value)))
            except ValueError as error:
                what, _, mend = str(error).partition(": ")
                raise wrong(what, mend) from None
        if not parse_duration(self.low) <= found <= parse_duration(self.high):
            raise wrong(
                f"{duration_text(found)} is out of range: {self.low} to {self.high} is possible"
            )
        return found

    def json_schema(self) -> dict[str, Any]:
        """What editors are told."""
        return {
            "anyOf": [
                {"type": "string", "pattern": r"^(\s*\d+(\.\d+)?\s*(ms|s|min|h|d))+\s*$"},
                {"type": "number", "minimum": 0},
            ],
            "x-kind": f"duration, {self.low} to {self.high}",
        }


Duration = Annotated[datetime.timedelta, PlainSerializer(duration_text, return_type=str)]
"""To be annotated further with `Within`."""


def _instant(value: Any) -> datetime.datetime:
    mend = "write date, time and zone: 2026-01-05T00:00:00Z"
    if isinstance(value, datetime.datetime):
        found = value
    else:
        try:
            found = datetime.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise wrong(f"{quote(value)} is not a date with a time", mend) from None
    if found.tzinfo is None:
        raise wrong(f"{quote(value)} does not say in which time zone", mend)
    found = found.astimezone(datetime.UTC)
    if not 2000 <= found.year < 2100:
        raise wrong(f"the year {found.year} is out of range: 2000 to 2099 is possible")
    return found


def _instant_text(value: datetime.datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


Instant = Annotated[
    datetime.datetime,
    BeforeValidator(_instant),
    PlainSerializer(_instant_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "x-kind": "date, time and zone"}),
]
"""A point in time, with its zone; kept in UTC. Smart Energy counts from the year 2000."""


def _time_of_day(value: Any) -> datetime.time:
    text = as_written(value)
    if isinstance(text, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        return datetime.time.fromisoformat(text)
    raise wrong(f"{quote(value)} is not a time of day", "write 00:30 (UTC)")


TimeOfDay = Annotated[
    datetime.time,
    BeforeValidator(_time_of_day),
    PlainSerializer(lambda value: value.strftime("%H:%M"), return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
            "x-kind": "time of day, UTC",
        }
    ),
]
"""Hours and minutes, UTC."""
