"""The page of a rig's nights (`labctl trend --html`): each stream's course, what moved, what is
flaky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.record.trend import Trend
from labctl.report import drawing, formats
from labctl.report.pages import rendered
from labctl.report.scale import Scale, linear, time_axis
from labctl.statistics.across import Attributed, Finding
from labctl.statistics.changes import Change
from labctl.statistics.drift import Judged
from labctl.statistics.streams import DAY_US

#: Streams that are drawn; of the others there is a line in the table.
MOST_DRAWN = 60

_ORDER = (
    Finding.REGRESSION,
    Finding.ENVIRONMENT,
    Finding.SUSPECTED,
    Finding.IMPROVEMENT,
    Finding.STEADY,
    Finding.TOO_EARLY,
)
_KINDS = {
    Finding.REGRESSION: "fail",
    Finding.ENVIRONMENT: "infrastructure-error",
    Finding.SUSPECTED: "marginal",
    Finding.IMPROVEMENT: "pass",
    Finding.STEADY: "pass",
    Finding.TOO_EARLY: "incomplete",
}
"""The verdict whose colour and mark a finding has."""


@dataclass(frozen=True, slots=True)
class Course:
    """A stream over its nights, drawn. Paths have a view box of 100 by 100."""

    x: Scale
    y: Scale
    dots: list[tuple[float, float]]
    expected: str
    spread: str
    changed: float | None
    """Where the change that stands began, in percent."""
    unit: str
    summary: str


@dataclass(frozen=True, slots=True)
class Row:
    """A stream as the page shows it."""

    anchor: str
    where: str
    what: str
    finding: str
    kind: str
    nights: int
    level: str
    moved: str
    reason: str
    course: Course | None


@dataclass(frozen=True, slots=True)
class Became:
    """A change for the worse that became a stream's level: nobody looks at it again by itself."""

    where: str
    what: str
    moved: str


@dataclass(frozen=True, slots=True)
class Flake:
    """A case that passes and fails in one night."""

    case: str
    device: str
    firmware: str
    nights: str
    rate: str
    last: str


def html(found: Trend) -> str:
    """The page: one file, without anything from elsewhere."""
    ordered = sorted(found.findings, key=lambda each: _ORDER.index(each.finding))
    rows = [
        _row(number, each, drawn=number < MOST_DRAWN and len(each.drift.history) > 1)
        for number, each in enumerate(ordered)
    ]
    counts = [
        (finding.value, _KINDS[finding], sum(each.finding is finding for each in ordered))
        for finding in _ORDER
    ]
    return rendered(
        "nights.html.j2",
        {
            "t": found,
            "rows": rows,
            "changed": [row for row in rows if row.moved],
            "counts": [each for each in counts if each[2]],
            "became": [
                Became(*_place(each), _moved(change, each.drift.measure.unit))
                for each in ordered
                for change in each.drift.past
                if change.worse and not change.over
            ],
            "flakes": [
                Flake(
                    flake.key.case,
                    flake.key.device,
                    flake.key.firmware or "not told",
                    f"{flake.flaky} of {flake.nights}",
                    f"{100 * flake.interval.low:.0f} to {100 * flake.interval.high:.0f} %",
                    flake.flaky_nights[-1],
                )
                for flake in found.flakes
            ],
            "more": max(0, len(rows) - MOST_DRAWN),
        },
        "campaign.css",
    )


def _place(each: Attributed) -> tuple[str, str]:
    key = each.drift.key
    return " ".join(filter(None, (key.device, key.band))), f"{key.case} {key.quantity}"


def _row(number: int, each: Attributed, *, drawn: bool) -> Row:
    drift = each.drift
    where, what = _place(each)
    unit = drift.measure.unit
    return Row(
        anchor=f"stream-{number}",
        where=where,
        what=what,
        finding=each.finding.value,
        kind=_KINDS[each.finding],
        nights=drift.nights,
        level="–" if drift.level is None else value_text(drift.level, unit),
        moved="" if drift.change is None else _moved(drift.change, unit),
        reason=each.reason,
        course=_course(drift.history, drift.change, unit, f"{where}, {what}") if drawn else None,
    )


def _moved(change: Change, unit: str) -> str:
    return (
        f"{value_text(change.before, unit)} to {value_text(change.after, unit)}"
        f" since {formats.instant(change.began_us).date()}"
    )


def value_text(value: float, unit: str) -> str:
    """A value with its unit; a share as per cent."""
    text = f"{100 * value:.2g} %" if unit == "share" else f"{value:.3g} {unit}".rstrip()
    return text.replace("-", "−")


def _course(history: Sequence[Judged], change: Change | None, unit: str, name: str) -> Course:
    factor = 100.0 if unit == "share" else 1.0
    values = [night.value * factor for night in history]
    known = [
        (night.expected * factor, night.spread * factor)
        for night in history
        if night.expected is not None and night.spread is not None
    ]
    edges = values + [edge for e, s in known for edge in (e - 2 * s, e + 2 * s)]
    low, high = min(edges), max(edges)
    if unit == "share":
        low = max(low, 0.0)
    y = linear(low, high, most=4, least_span=max(1e-6, (high - low) or abs(high) or 1.0))
    x = time_axis(history[0].at_us, history[-1].at_us)
    spans = _stretches(history)
    half = 0.0
    lines, bands = [], []
    for stretch in spans:
        line = []
        band = []
        for night in stretch:
            assert night.expected is not None
            at, expected = x.percent(night.at_us), night.expected * factor
            spread = 2 * (night.spread or 0.0) * factor
            line.append((at, y.percent(expected)))
            band.append((at, y.percent(expected - spread), y.percent(expected + spread)))
        lines.append(line)
        bands.append(band)
    return Course(
        x=x,
        y=y,
        dots=[
            (x.percent(night.at_us), round(100 - y.percent(value), 2))
            for night, value in zip(history, values, strict=True)
        ],
        expected=drawing.lines(lines, half),
        spread=drawing.bands(bands, half),
        changed=None if change is None else x.percent(change.began_us),
        unit="%" if unit == "share" else unit,
        summary=f"{name}: {len(history)} nights from {value_text(min(values) / factor, unit)} to"
        f" {value_text(max(values) / factor, unit)}",
    )


def _stretches(history: Sequence[Judged]) -> list[list[Judged]]:
    """Nights with a level, cut where nights are missing for a fortnight."""
    found: list[list[Judged]] = []
    last: Judged | None = None
    for night in history:
        if night.expected is not None:
            if last is None or last.expected is None or night.at_us - last.at_us > 14 * DAY_US:
                found.append([])
            found[-1].append(night)
        last = night
    return found
