"""How a device kept a read schedule while it was watched, with the rig's own trouble left out."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.clock import MICROSECONDS
from labctl.record.compliance import Interval, begin_of
from labctl.record.stats import percentile


@dataclass(frozen=True, slots=True)
class Kept:
    """Times of reads between two instants. Intervals in which the device was excused are left out.

    `intervals_us` are those between two reads with no excuse in between; `longest_us` is the
    longest stretch without a read, of which excused time is taken off; `owed_us` is the time in
    which it had to read.
    """

    observed: int
    intervals_us: tuple[int, ...]
    longest_us: int
    owed_us: int
    excused_us: int

    def interval_s(self, share: int) -> float:
        """The interval that `share` percent of all do not exceed, s. NaN without any."""
        counts: dict[int, int] = {}
        for interval_us in self.intervals_us:
            counts[interval_us] = counts.get(interval_us, 0) + 1
        found = percentile(counts, share)
        return float("nan") if found is None else found / MICROSECONDS

    @property
    def longest_s(self) -> float:
        """The longest stretch without a read, s."""
        return self.longest_us / MICROSECONDS

    def share_of(self, period_us: int) -> float:
        """How many of the reads that were due came, in percent. NaN when none was due."""
        due = self.owed_us / period_us
        return 100 * self.observed / due if due >= 1 else float("nan")


def kept(
    times_us: Sequence[int],
    start_us: int,
    end_us: int,
    excused: Iterable[Interval] = (),
    *,
    period_us: int,
    tolerance_us: int,
) -> Kept:
    """Look at the times of reads, ascending, from `start_us` to `end_us`.

    A device that has come to the network only just now is given the time that discovery takes: what
    it owes begins with its first read, if that comes in time (`record.compliance.begin_of`).
    """
    first_us = times_us[0] if times_us else None
    begin_us = begin_of(first_us, start_us, period_us // 1000, tolerance_us // 1000)
    assert begin_us is not None  # there is a start
    away = _joined(excused, begin_us, end_us)
    marks = sorted({begin_us, *times_us, end_us})
    longest_us = 0
    for left_us, right_us in itertools.pairwise(marks):
        longest_us = max([longest_us, *_owed(left_us, right_us, away)])
    excused_us = sum(each.end_us - each.start_us for each in away)
    return Kept(
        observed=sum(not any(e.start_us <= at_us < e.end_us for e in away) for at_us in times_us),
        intervals_us=tuple(
            right_us - left_us
            for left_us, right_us in itertools.pairwise(times_us)
            if not any(each.overlaps(left_us, right_us) for each in away)
        ),
        longest_us=longest_us,
        owed_us=end_us - begin_us - excused_us,
        excused_us=excused_us,
    )


def _joined(excused: Iterable[Interval], start_us: int, end_us: int) -> tuple[Interval, ...]:
    """The excuses within a span, those that touch made one."""
    found: list[Interval] = []
    for each in sorted(excused, key=lambda interval: interval.start_us):
        left_us, right_us = max(each.start_us, start_us), min(each.end_us, end_us)
        if left_us >= right_us:
            continue
        if found and left_us <= found[-1].end_us:
            left_us, right_us = found[-1].start_us, max(found[-1].end_us, right_us)
            found.pop()
        found.append(Interval(left_us, right_us, each.what))
    return tuple(found)


def _owed(start_us: int, end_us: int, away: Sequence[Interval]) -> list[int]:
    """The lengths of what is left of a stretch without its excused parts."""
    parts, at_us = [], start_us
    for each in away:
        if each.end_us <= start_us or each.start_us >= end_us:
            continue
        parts.append(max(0, each.start_us - at_us))
        at_us = max(at_us, each.end_us)
    parts.append(max(0, end_us - at_us))
    return parts
