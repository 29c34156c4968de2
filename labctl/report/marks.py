"""What is marked on a time line besides the values: outages, silences, moves, and limits."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.rows import RunData
from labctl.report.formats import channel_text
from labctl.report.scale import Scale

#: The least width of a span, in percent: narrower ones cannot be seen.
LEAST_WIDTH = 0.3


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the x axis, in percent."""

    left: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Level:
    """A line across a plot, at percent of its axis. `kind` is good, marginal, least or noise."""

    at: float
    label: str
    kind: str


@dataclass(frozen=True, slots=True)
class Move:
    """A bearer went to another channel, at percent of the x axis."""

    at: float
    label: str


def span(x: Scale, start_us: int, end_us: int, label: str) -> Span:
    """A stretch of time on the axis, wide enough to be seen."""
    left = min(x.percent(start_us), 100 - LEAST_WIDTH)
    return Span(left, max(LEAST_WIDTH, round(x.percent(end_us) - left, 3)), label)


def outages(data: RunData, x: Scale) -> tuple[Span, ...]:
    """When the rig itself was out."""
    return tuple(span(x, each.start_us, each.end_us, each.what) for each in data.infrastructure)


def silences(
    data: RunData, x: Scale, *, radio: str | None = None, device_id: int | None = None
) -> tuple[Span, ...]:
    """The stretches in which devices were told to be silent: on a bearer, or of one device."""
    names = {device.id: device.label for device in data.devices}
    return tuple(
        span(x, s.start_us, s.end_us, f"{names.get(s.device_id, 'a device')} suspended: {s.cause}")
        for s in data.bearers.suspensions
        if radio in (None, s.radio) and device_id in (None, s.device_id)
    )


def moves(data: RunData, x: Scale, radio: str) -> tuple[Move, ...]:
    """When a bearer changed its channel."""
    return tuple(
        Move(
            x.percent(move.at_us),
            f"{channel_text(move.from_page, move.from_channel)} to"
            f" {channel_text(move.to_page, move.to_channel)}: {move.cause}",
        )
        for move in data.bearers.moves
        if move.radio == radio
    )
