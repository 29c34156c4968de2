"""How a rig plays the acceptance campaign."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from labctl.config.fields import Name, Real, Strict, Text, Whole, section, wrong
from labctl.config.problems import quote
from labctl.config.times import Duration, Within

_Number = Annotated[float, Real(-1e12, 1e12)]


class Limit(Strict):
    """Other limits for a measurement of a case, in its own unit. What is left out stays."""

    least: _Number | None = None
    """Below this it is a fail."""
    most: _Number | None = None
    """Above this it is a fail."""
    good_from: _Number | None = None
    """From `least` to below this it is marginal."""
    good_to: _Number | None = None
    """Above this, up to `most`, it is marginal."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Limit:
        edges = [self.least, self.good_from, self.good_to, self.most]
        known = [edge for edge in edges if edge is not None]
        if known != sorted(known):
            raise wrong(
                "the limits are out of order", "least <= good_from <= good_to <= most must hold"
            )
        return self


def _day(value: Any) -> date:
    if type(value) is date:
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise wrong(f"{quote(value)} is no date", "write it as 2026-12-31") from None


Day = Annotated[
    date,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "x-kind": "date, `2026-12-31`"}),
]


class Quarantine(Strict):
    """A case that is known to fail, and does not count until somebody has mended it."""

    case: Name
    """Which case: `J01`."""
    device: Name | None = None
    """Of which device. Default: all."""
    owner: Text
    """Who sees to it."""
    until: Day
    """The last day on which it does not count."""
    reason: Text = ""
    """Why."""


class Campaign(Strict):
    """Settings for `labctl campaign`."""

    observe: Annotated[Duration, Within("10min", "7d")] = timedelta(hours=24)
    """How long devices are watched by the cases on what they read."""
    attempts: Annotated[int, Whole(1, 5)] = 2
    """How often a case is tried at most that does not pass. Each attempt is recorded."""
    reference: Name | None = None
    """A device that stays the same: what moves it too is the environment's doing."""
    limits: Annotated[
        dict[Name, Annotated[dict[Name, Limit], BeforeValidator(section)]],
        BeforeValidator(section),
    ] = Field(default_factory=dict)
    """Other limits, by case and measurement."""
    leave_out: Annotated[dict[Name, Text], BeforeValidator(section)] = Field(default_factory=dict)
    """Cases that are not for this rig, each with the reason."""
    quarantine: Annotated[tuple[Quarantine, ...], Field(strict=False, max_length=200)] = ()
    """Cases that are known to fail."""
