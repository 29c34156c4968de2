"""History: what a meter counted in half-hours, days, weeks and months, before its start too.

One rule makes all of it agree: the amount of any interval is the difference of the running total at
its ends. Half-hours of a day sum to the day, days to weeks and months, and all of them to the
summation, to the last Wh (or litre, or 10^-5 pound).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from labctl.meters.civil import HALF_HOUR_S, TimeBase, day_span, month_span, week_span

HALF_HOURS_KEPT = 397 * 48
"""13 months."""
DAYS_KEPT = 731
"""24 months."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What was counted from `start_s` to `end_s` (UTC); None when that is not to be read.

    Not to be read is what was before the tenancy, before the meter was there, longer ago than
    meters keep, or not told yet by a meter that sleeps.
    """

    start_s: int
    end_s: int
    amount: int | None


def readable_part(start_s: int, end_s: int, tenancy_s: int | None) -> tuple[int, int] | None:
    """What of an interval may be read: the part in the tenancy, None when there is none of it.

    This is the one place that says what a change of tenancy hides. Totals over a day, week, month
    or billing period count from the day of the change on; single half-hours and days of a log are
    hidden if they *began* before it; what happened at an instant (a snapshot,
    a top-up) is hidden if that was before it. The summation itself stays readable: without it a
    meter could not be billed.
    """
    if tenancy_s is None or tenancy_s <= start_s:
        return start_s, end_s
    return (tenancy_s, end_s) if tenancy_s < end_s else None


def readable_instant(at_s: int, tenancy_s: int | None) -> bool:
    """Whether something that happened at an instant may be read."""
    return tenancy_s is None or tenancy_s <= at_s


class History:
    """Intervals of one running total.

    `total` gives the running total at a UTC second. `earliest_s` is when counting began.
    `tenancy` gives the start of the tenancy at an instant; `seen` up to when the meter's log is
    known at an instant (itself, but for a meter that sleeps). `base` is whose midnights part days.
    """

    def __init__(
        self,
        total: Callable[[int], int],
        *,
        earliest_s: Callable[[], int],
        tenancy: Callable[[int], int | None],
        seen: Callable[[int], int] = lambda utc_s: utc_s,
        base: TimeBase = TimeBase.UTC,
    ) -> None:
        self._total = total
        self._earliest_s = earliest_s
        self._tenancy = tenancy
        self._seen = seen
        self._base = base

    def half_hours(
        self, end_s: int, count: int, *, now_s: int | None = None
    ) -> tuple[Interval, ...]:
        """The last `count` half-hours of UTC that ended by `end_s`, the oldest first.

        `now_s` is when it is asked (default: `end_s`). Costs a few µs for each half-hour.
        """
        now_s = end_s if now_s is None else now_s
        last = min(end_s, self._seen(now_s)) // HALF_HOUR_S * HALF_HOUR_S
        edges = [last - back * HALF_HOUR_S for back in range(count, -1, -1)]
        return self._log(edges, now_s, HALF_HOURS_KEPT * HALF_HOUR_S)

    def days(self, end_s: int, count: int, *, now_s: int | None = None) -> tuple[Interval, ...]:
        """The last `count` whole days that ended by `end_s`, the oldest first."""
        now_s = end_s if now_s is None else now_s
        last = min(end_s, self._seen(now_s))
        edges = [day_span(last, back, self._base)[0] for back in range(count, -1, -1)]
        return self._log(edges, now_s, (DAYS_KEPT + 1) * 86_400)

    def day(self, now_s: int, back: int = 0) -> int | None:
        """The day `back` days before today; 0 is today so far."""
        return self._of(day_span(self._seen(now_s), back, self._base), now_s)

    def week(self, now_s: int, back: int = 0) -> int | None:
        """The week (Monday to Sunday) `back` weeks before this one; 0 is this week so far."""
        return self._of(week_span(self._seen(now_s), back, self._base), now_s)

    def month(self, now_s: int, back: int = 0) -> int | None:
        """The calendar month `back` months before this one; 0 is this month so far."""
        return self._of(month_span(self._seen(now_s), back, self._base), now_s)

    def between(self, start_s: int, end_s: int, *, now_s: int | None = None) -> int | None:
        """Any interval, as far as it may be read. None when nothing of it may."""
        return self._of((start_s, end_s), end_s if now_s is None else now_s)

    def _of(self, span: tuple[int, int], now_s: int) -> int | None:
        part = readable_part(*span, self._tenancy(now_s))
        if part is None:
            return None
        start_s, end_s = max(part[0], self._earliest_s()), min(part[1], self._seen(now_s))
        if end_s < start_s:
            return None
        return self._total(end_s) - self._total(start_s)

    def _log(self, edges: list[int], now_s: int, kept_s: int) -> tuple[Interval, ...]:
        tenancy = self._tenancy(now_s)
        oldest = max(self._earliest_s(), self._seen(now_s) - kept_s)
        if tenancy is not None:
            oldest = max(oldest, tenancy)
        known = [(edge, self._total(edge) if edge >= oldest else None) for edge in edges]
        return tuple(
            Interval(start, end, None if before is None or after is None else after - before)
            for (start, before), (end, after) in pairwise(known)
        )
