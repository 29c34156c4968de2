"""A measurement against its limits, drawn on a line: where it fails, is marginal, is good."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.rows import Measurement
from labctl.report.cases import plain

_FAR = 4.0
"""How many times the width of what is allowed is drawn beyond it, at most."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A stretch of the line, in percent; `kind` is fail, marginal or pass."""

    left: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """The line from `low` to `high`. `at` is the value's place in percent.

    `beyond` is -1 or 1 when the value lies further out than the line reaches.
    """

    zones: tuple[Zone, ...]
    at: float
    beyond: int
    low: str
    high: str
    summary: str


def gauge(measured: Measurement) -> Gauge | None:
    """The drawing of a measurement; None where there is nothing to draw: no value, no limit, or
    just one right value."""
    value = measured.value
    edges = [
        edge
        for edge in (measured.least, measured.good_from, measured.good_to, measured.most)
        if edge is not None
    ]
    if (
        value is None
        or value != value
        or not edges
        or (measured.least is not None and measured.least == measured.most)
    ):
        return None
    low, high = _reach(measured, value, edges)
    if not low < high:
        return None

    def percent(at: float) -> float:
        return round(100 * min(1.0, max(0.0, (at - low) / (high - low))), 2)

    marks = [
        (low if measured.least is None else measured.least, "marginal"),
        (_first(measured.good_from, measured.least, low), "pass"),
        (_first(measured.good_to, measured.most, high), "marginal"),
        (high if measured.most is None else measured.most, "fail"),
    ]
    zones = []
    left, kind = 0.0, "fail"
    for at, following in marks:
        right = percent(at)
        if right > left:
            zones.append(Zone(left, round(right - left, 2), kind))
        left, kind = max(left, right), following
    if left < 100:
        zones.append(Zone(left, round(100 - left, 2), kind))
    unit = f" {measured.unit}" if measured.unit else ""
    return Gauge(
        zones=tuple(zones),
        at=percent(value),
        beyond=-1 if value < low else 1 if value > high else 0,
        low=f"{plain(low)}{unit}",
        high=f"{plain(high)}{unit}",
        summary=f"{measured.name}: {plain(value)}{unit} on a line from {plain(low)} to"
        f" {plain(high)}{unit}",
    )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _reach(measured: Measurement, value: float, edges: list[float]) -> tuple[float, float]:
    """From where to where the line goes: all limits, and the value unless it is far off."""
    low, high = min(edges), max(edges)
    # Most of what is measured cannot be below nought: then the line begins there.
    floor = 0.0 if low >= 0 <= value else low
    width = (high - low) or abs(high) or 1.0
    if measured.least is None and measured.good_from is None:
        low = min(floor, value) if floor == 0.0 else min(low - width, value)
        width = (high - low) or 1.0
    else:
        low = max(min(low, value), low - _FAR * width)
        low = max(floor, low - 0.15 * width) if floor == 0.0 else low - 0.15 * width
    if measured.most is None and measured.good_to is None:
        top = max(high + 0.5 * width, value + 0.05 * width)
        return low, min(top, high + _FAR * width)
    return low, min(max(high + 0.2 * width, value + 0.05 * width), high + _FAR * width)
