"""Axes: where the ticks are, and how values become percent of the plot's width or height."""

from __future__ import annotations

import math
from dataclasses import dataclass

from labctl.report.formats import instant

_TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10800, 21600, 43200),
    *(86400, 172800, 345600, 604800, 1209600, 2419200, 7257600, 14515200, 31536000),
)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis at `at` percent of its length. `minor` ones go when space is short."""

    at: float
    label: str
    minor: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear axis from `low` to `high` (`low` < `high`)."""

    low: float
    high: float
    ticks: tuple[Tick, ...]

    def percent(self, value: float) -> float:
        """Where a value lies, in percent of the axis, kept inside it."""
        at = 100 * (value - self.low) / (self.high - self.low)
        return round(min(100.0, max(0.0, at)), 3)


def _nice_step(span: float, most: int) -> float:
    """The least of 1, 2, 5 times a power of ten that needs at most `most` steps."""
    raw = span / most
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in (1, 2, 5, 10):
        if factor * power >= raw * (1 - 1e-9):
            return factor * power
    raise AssertionError("ten times the power below is above")


def linear(low: float, high: float, *, most: int = 5, least_span: float = 1.0) -> Scale:
    """An axis around `low` to `high`, widened to whole steps, with round ticks."""
    if high - low < least_span:
        middle = (low + high) / 2
        low, high = middle - least_span / 2, middle + least_span / 2
    step = _nice_step(high - low, most)
    low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    count = round((high - low) / step)
    ticks = []
    for i in range(count + 1):
        value = low + i * step
        label = f"{value:,.0f}" if step >= 1 else f"{value:,.2f}".rstrip("0").rstrip(".")
        ticks.append(Tick(round(100 * i / count, 3), label.replace("-", "−"), bool(i % 2)))
    return Scale(low, high, tuple(ticks))


def time_axis(start_us: int, end_us: int, *, most: int = 8) -> Scale:
    """An axis of UTC time with ticks at round times of day, or at days when it is long."""
    end_us = max(end_us, start_us + 1_000_000)
    span_s = (end_us - start_us) / 1e6
    step_s = next((s for s in _TIME_STEPS_S if span_s / s <= most), _TIME_STEPS_S[-1])
    step_us = step_s * 1_000_000
    ticks = []
    first = -(-start_us // step_us) * step_us
    for i, at_us in enumerate(range(first, end_us + 1, step_us)):
        at = instant(at_us)
        if step_s >= 86400:
            label = f"{at.day} {at:%b}"
        elif step_s >= 60:
            label = f"{at.day} {at:%b}" if (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"
        else:
            label = f"{at:%H:%M:%S}"
        ticks.append(
            Tick(round(100 * (at_us - start_us) / (end_us - start_us), 3), label, bool(i % 2))
        )
    return Scale(start_us, end_us, tuple(ticks))


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis for counts from 1 to `high`; nought lies at the foot."""

    high: float
    ticks: tuple[Tick, ...]

    def percent(self, count: float) -> float:
        """Where a count lies; a single one already stands out from the foot."""
        if count <= 0:
            return 0.0
        return round(100 * (math.log10(count) + 0.3) / (math.log10(self.high) + 0.3), 3)


def log_counts(most: int) -> LogScale:
    """An axis of counts with ticks at the powers of ten."""
    decades = max(1, math.ceil(math.log10(max(2, most)) - 1e-9))
    high = 10.0**decades
    scale = LogScale(high, ())
    ticks = tuple(
        Tick(scale.percent(10**i), f"{10**i:,}", minor=decades > 3 and bool((decades - i) % 2))
        for i in range(decades + 1)
    )
    return LogScale(high, ticks)
