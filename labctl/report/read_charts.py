"""Read schedules, drawn: what came when, where the gaps are, and how long the intervals were."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.record.compliance import Compliance, GapCause
from labctl.record.rows import RunData, Schedule
from labctl.report.formats import duration, number, period, plural
from labctl.report.marks import Span, outages
from labctl.report.scale import LogScale, Scale, Tick, log_counts, time_axis

#: Up to this many reads are drawn one by one; more of them as shares of what was due.
MOST_TICKS = 300

#: Into how many columns the run is cut for those shares.
COLUMNS = 240

#: Bins of the interval histogram, from nought to `PERIODS` periods; longer ones share the last.
BINS = 50
PERIODS = 2.5


#: Gaps at least this wide, in percent of the strip, are shaded in full; the others are ticks.
WIDE = 0.4


@dataclass(frozen=True, slots=True)
class Mark:
    """A gap on the strip, in percent of its width; a wide one is shaded over the reads too."""

    left: float
    width: float
    cause: str
    wide: bool


@dataclass(frozen=True, slots=True)
class Strip:
    """The whole run as a strip: the reads (a path, above 84 %) and the gaps (below, and over)."""

    x: Scale
    reads: str
    one_by_one: bool
    marks: tuple[Mark, ...]
    outages: tuple[Span, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the histogram, in percent; `kind` is ontime, early, late or missed."""

    left: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """The histogram of the intervals between reads; counts are on a logarithmic axis."""

    x: tuple[Tick, ...]
    y: LogScale
    bars: tuple[Bar, ...]
    tolerance: Span
    unit: str
    summary: str


@dataclass(frozen=True, slots=True)
class ScheduleChart:
    """The drawings of one schedule; no intervals when there were fewer than two reads."""

    schedule: Schedule
    strip: Strip
    intervals: Intervals | None


def schedule_chart(data: RunData, schedule: Schedule) -> ScheduleChart:
    """Draw what became of one read schedule."""
    return ScheduleChart(
        schedule=schedule,
        strip=_strip(data, schedule),
        intervals=_intervals(schedule) if schedule.result.intervals else None,
    )


def _strip(data: RunData, schedule: Schedule) -> Strip:
    result = schedule.result
    x = time_axis(data.run.started_us, data.until_us)
    few = result.observed <= MOST_TICKS
    reads = _ticks(result, x) if few else _shares(result, x, schedule.period_ms)
    marks: list[Mark] = []
    for cause in (
        GapCause.UNPAIRED,
        GapCause.SUSPENDED,
        GapCause.INFRASTRUCTURE,
        GapCause.REJOINING,
    ):
        marks += _marks(result, x, cause)
    marks += _marks(result, x, GapCause.UNEXPLAINED)
    summary = (
        f"{number(result.observed)} reads, {number(result.expected)} due,"
        f" {plural(len(result.gaps), 'gap')}, the longest interval"
        f" {duration(result.longest_gap_ms * 1000)}"
    )
    return Strip(x, reads, few, tuple(marks), outages(data, x), summary)


def _marks(result: Compliance, x: Scale, cause: GapCause) -> list[Mark]:
    """The gaps of one cause; narrow ones are merged where they would touch on the page."""
    found: list[Mark] = []
    for gap in result.gaps:
        if gap.cause is not cause:
            continue
        left = x.percent(gap.start_us)
        width = x.percent(gap.end_us) - left
        wide = width >= WIDE
        if not wide:
            left, width = min(left, 99.8), 0.15
            if found and left < found[-1].left + found[-1].width:
                continue
        found.append(Mark(left, round(width, 3), cause.value, wide))
    return found


def _ticks(result: Compliance, x: Scale) -> str:
    return "".join(f"M{x.percent(at_us):g} 0V84" for at_us in result.times_us)


def _shares(result: Compliance, x: Scale, period_ms: int) -> str:
    """Columns as high as the share of the reads that were due and came, at most all of them."""
    width_us = (x.high - x.low) / COLUMNS
    counts = [0] * COLUMNS
    for at_us in result.times_us:
        counts[min(COLUMNS - 1, int((at_us - x.low) / width_us))] += 1
    due = width_us / (period_ms * 1000)
    parts = []
    for index, count in enumerate(counts):
        start_us = x.low + index * width_us
        begin_us = max(start_us, result.begin_us or x.low)
        inside = min(start_us + width_us, result.end_us) - begin_us
        # A column holds one more or one less than its share, by where its edges fall.
        here = max(1.0, due * inside / width_us - 1)
        if count:
            height = 84 * min(1.0, count / here)
            left = 100 * index / COLUMNS
            parts.append(f"M{left:.2f} 84V{84 - height:.1f}h{100 / COLUMNS:.2f}V84z")
    return "".join(parts)


def _intervals(schedule: Schedule) -> Intervals:
    result, period_ms = schedule.result, schedule.period_ms
    bin_ms = period_ms * PERIODS / BINS
    counts = [0] * BINS
    for ms, count in result.intervals.items():
        counts[min(BINS - 1, int(ms / bin_ms))] += count
    y = log_counts(max(counts))
    low, high = period_ms - schedule.tolerance_ms, period_ms + schedule.tolerance_ms
    bars = []
    for index, count in enumerate(counts):
        if not count:
            continue
        middle = (index + 0.5) * bin_ms
        if middle < low - bin_ms / 2:
            kind = "early"
        elif middle <= high + bin_ms / 2:
            kind = "ontime"
        elif middle < 1.5 * period_ms:
            kind = "late"
        else:
            kind = "missed"
        bars.append(Bar(100 * index / BINS, 100 / BINS, y.percent(count), kind))
    full_ms = period_ms * PERIODS
    left = max(0.0, 100 * low / full_ms)
    right = min(100.0, 100 * high / full_ms)
    ticks = tuple(
        Tick(100 * share / PERIODS, period(round(period_ms * share)) if share else "0", minor)
        for share, minor in ((0, False), (0.5, True), (1, False), (1.5, True), (2, False))
    )
    total = sum(result.intervals.values())
    summary = (
        f"{number(total)} intervals between reads: median {duration((result.p50_ms or 0) * 1000)},"
        f" 95th percentile {duration((result.p95_ms or 0) * 1000)},"
        f" {number(result.early)} early, {number(result.late)} late"
    )
    return Intervals(
        x=(*ticks, Tick(100, "longer")),
        y=y,
        bars=tuple(bars),
        tolerance=Span(left, right - left, "within tolerance"),
        unit="",
        summary=summary,
    )
