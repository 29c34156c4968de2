"""Airtime of the hub and of devices over the run, against the limits of the band."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from labctl.record.bearer_rows import Airtime, Bearers, DutyChange, Forecast
from labctl.record.rows import RunData
from labctl.report import drawing
from labctl.report.formats import clock_time, number
from labctl.report.link_table import forecast_text
from labctl.report.marks import Level, Move, Span, moves, silences
from labctl.report.method import bucket_text
from labctl.report.scale import Scale, linear, time_axis

#: So many devices are drawn, the busiest first; all of them are in the table.
MOST_DEVICES = 4


@dataclass(frozen=True, slots=True)
class Curve:
    """The airtime of one party. `kind` is hub, firmware or device; devices share one label."""

    label: str
    kind: str
    line: str


@dataclass(frozen=True, slots=True)
class AirtimeChart:
    """One bearer of the hub. `forecasts` are sentences."""

    radio: str
    band: str
    x: Scale
    y: Scale
    curves: tuple[Curve, ...]
    levels: tuple[Level, ...]
    silences: tuple[Span, ...]
    moves: tuple[Move, ...]
    forecasts: tuple[str, ...]
    summary: str


def airtime_charts(data: RunData) -> list[AirtimeChart]:
    """One chart for each bearer whose airtime was counted."""
    found = data.bearers
    return [_chart(data, radio) for radio in dict.fromkeys(a.radio for a in found.airtime)]


def _chart(data: RunData, radio: str) -> AirtimeChart:
    every = [airtime for airtime in data.bearers.airtime if airtime.radio == radio]
    hub = [airtime for airtime in every if airtime.device_id is None]
    # Each device once, however often it was counted.
    counted = {a.device_id: a for a in every if a.device_id is not None}
    devices = sorted(counted.values(), key=lambda a: -a.peak_us)
    limits = (hub or devices)[0]
    x = time_axis(data.run.started_us, data.until_us)
    tallest = max(max(a.peak_us for a in every), limits.regulated_us) / 1e6
    y = _seconds(1.08 * tallest)
    names = {device.id: device.label for device in data.devices}
    busiest = ", ".join(names.get(a.device_id or 0, "a device") for a in devices[:MOST_DEVICES])
    curves = [
        _curve(airtime, x, y, busiest) for airtime in (*devices[:MOST_DEVICES], *reversed(hub))
    ]
    return AirtimeChart(
        radio=radio,
        band=limits.band,
        x=x,
        y=y,
        curves=tuple(curves),
        levels=_levels(limits, y),
        silences=silences(data, x, radio=radio),
        moves=moves(data, x, radio),
        forecasts=tuple(_forecasts(hub, data.bearers)),
        summary="; ".join(_summary(airtime, names) for airtime in every),
    )


def _seconds(high: float) -> Scale:
    """An axis that ends a little above the highest limit, not at the next round number."""
    ticks = linear(0, high, most=5)
    return Scale(
        0,
        high,
        tuple(
            replace(tick, at=round(tick.at * ticks.high / high, 3))
            for tick in ticks.ticks
            if tick.at * ticks.high / 100 <= high
        ),
    )


def _curve(airtime: Airtime, x: Scale, y: Scale, busiest: str) -> Curve:
    kind = "device"
    label = f"devices, the busiest: {busiest}"
    if airtime.device_id is None:
        kind = "firmware" if airtime.source == "firmware" else "hub"
        label = "hub, as its firmware counts" if kind == "firmware" else "hub"
    points = [
        (p.at_us, (x.percent(p.at_us), y.percent(p.airtime_us / 1e6))) for p in airtime.points
    ]
    gaps = sorted(b[0] - a[0] for a, b in itertools.pairwise(points))
    usual = gaps[len(gaps) // 2] if gaps else 1
    return Curve(label, kind, drawing.lines(drawing.segments(points, 4 * usual), 0.2))


def _levels(limits: Airtime, y: Scale) -> tuple[Level, ...]:
    return tuple(
        Level(y.percent(us / 1e6), f"{name} {us / 1e6:g} s", kind)
        for name, us, kind in (
            ("Limited", limits.limited_us, "good"),
            ("Critical", limits.critical_us, "marginal"),
            ("regulated limit", limits.regulated_us, "least"),
        )
    )


def _summary(airtime: Airtime, names: dict[int, str]) -> str:
    who = "the hub" if airtime.device_id is None else names.get(airtime.device_id, "a device")
    return (
        f"{who} ({airtime.source}): at most {number(airtime.peak_us / 1e6)} s in an hour,"
        f" {number(airtime.last_us / 1e6)} s at the end"
    )


def _forecasts(hub: list[Airtime], found: Bearers) -> list[str]:
    """What was forecast of the hub, and what came of it; then what the newest sample says."""
    told = []
    for airtime in hub:
        changes = [change for change in found.duty_changes if change.radio == airtime.radio]
        told += [
            f"At {clock_time(each.at_us)} UTC: at the read schedule of then the hub"
            f" {forecast_text(each)}{_came_true(each, changes)}."
            for each in airtime.first_forecasts
        ]
        newest = airtime.forecast
        if newest is not None and newest not in airtime.first_forecasts:
            told.append(
                f"At the end ({clock_time(newest.at_us)} UTC): at this read schedule the hub"
                f" {forecast_text(newest)}."
            )
    return told


def _came_true(forecast: Forecast, changes: list[DutyChange]) -> str:
    for change in changes:
        if change.at_us >= forecast.at_us and change.state == forecast.state:
            return f"; it did after {bucket_text(change.at_us - forecast.at_us)}"
    return "; it did not in this run"
