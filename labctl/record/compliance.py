"""Was a read schedule kept? Expected against observed, as a pure function of the times.

The span runs from the device's first read to the end of the run. When the first read came later
than discovery explains (`SETTLING_US` and one period after the device was authorised), or never,
the span begins when it was authorised. `v_schedule_compliance` says the same in SQL.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.record.stats import histogram, percentile

#: How long after it was authorised a device may take over discovery before silence counts.
SETTLING_US = 20 * 60 * 1_000_000

#: How long after the rig came back a device may take to return: a rejoin is tried within 60 s and
#: then at most every 15 minutes (SE 1.4a 5.4).
RECOVERY_US = 16 * 60 * 1_000_000


class GapCause(enum.StrEnum):
    """What else happened while no read came. Absence of any of it is all that is shown."""

    UNEXPLAINED = "unexplained"
    REJOINING = "rejoining"
    INFRASTRUCTURE = "infrastructure"
    UNPAIRED = "unpaired"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Interval:
    """A span of time in which something held. Half-open, UTC microseconds."""

    start_us: int
    end_us: int
    what: str = ""

    def overlaps(self, start_us: int, end_us: int) -> bool:
        """True when the two have any time in common."""
        return self.start_us < end_us and start_us < self.end_us


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch in which at least one read was due and none came.

    `excused` of the `missed` reads were due while the rig was out, or the device not paired or told
    to send nothing.
    """

    start_us: int
    end_us: int
    missed: int
    excused: int
    cause: GapCause
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Compliance:
    """What became of one read schedule. Intervals are whole milliseconds.

    `early` and `late` count intervals outside the tolerance; `missed` counts the reads that were
    due inside the gaps, `missed_counting` those of them that are held against the device.
    """

    begin_us: int | None
    end_us: int
    expected: int
    observed: int
    p50_ms: int | None
    p95_ms: int | None
    longest_gap_ms: int
    early: int
    late: int
    missed: int
    missed_counting: int
    gaps: tuple[Gap, ...]
    intervals: dict[int, int]
    times_us: tuple[int, ...] = ()


#: The result of a schedule that nobody has held against its reads.
NOT_LOOKED_AT = Compliance(None, 0, 0, 0, None, None, 0, 0, 0, 0, 0, (), {})


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What else happened, to say why a gap may have come about."""

    infrastructure: Sequence[Interval] = ()
    unpaired: Sequence[Interval] = ()
    rejoins: Sequence[Interval] = ()
    suspended: Sequence[Interval] = ()

    def gap(self, start_us: int, end_us: int, missed: int, period_us: int) -> Gap:
        """Say of each missed read whether it is excused, and of the gap what it is put down to.

        A read is excused when it was due during an outage, or so soon after it that the device may
        still have been on its way back. A gap is put down to an outage when all its reads are.
        """
        excused = 0
        reasons: dict[GapCause, str] = {}
        for due_us in range(start_us + period_us, start_us + missed * period_us + 1, period_us):
            found = self._excuse(due_us)
            if found is not None:
                excused += 1
                reasons.setdefault(*found)
        if excused == missed:
            cause = next(iter(reasons))
            return Gap(start_us, end_us, missed, excused, cause, reasons[cause])
        for rejoin in self.rejoins:
            if rejoin.overlaps(start_us, end_us):
                return Gap(start_us, end_us, missed, excused, GapCause.REJOINING, rejoin.what)
        detail = "; ".join(reasons.values())
        if detail:
            detail = f"{excused} of them excused ({detail})"
        return Gap(start_us, end_us, missed, excused, GapCause.UNEXPLAINED, detail)

    def _excuse(self, due_us: int) -> tuple[GapCause, str] | None:
        for away in self.unpaired:
            if away.start_us <= due_us < away.end_us + SETTLING_US:
                return GapCause.UNPAIRED, away.what
        for outage in self.infrastructure:
            if outage.start_us <= due_us < outage.end_us + RECOVERY_US:
                return GapCause.INFRASTRUCTURE, outage.what
        for silence in self.suspended:
            if silence.start_us <= due_us < silence.end_us:
                return GapCause.SUSPENDED, silence.what
        return None


def begin_of(
    first_us: int | None, reference_us: int | None, period_ms: int, tolerance_ms: int
) -> int | None:
    """Where the span of a schedule begins, None when the device never could have read.

    `reference_us` is when the device was authorised, or first heard in a run that it was already
    paired in.
    """
    if first_us is None:
        return reference_us
    latest = (period_ms + tolerance_ms) * 1000 + SETTLING_US
    if reference_us is not None and first_us - reference_us > latest:
        return reference_us
    return first_us


def compliance(
    times_us: Sequence[int],
    *,
    period_ms: int,
    tolerance_ms: int,
    reference_us: int | None,
    end_us: int,
    circumstances: Circumstances | None = None,
) -> Compliance:
    """Hold the times of the reads (ascending) against the schedule, up to `end_us`."""
    around = circumstances or Circumstances()
    first_us = times_us[0] if times_us else None
    begin_us = begin_of(first_us, reference_us, period_ms, tolerance_ms)
    period_us = period_ms * 1000
    gaps: list[Gap] = []
    longest_ms = 0

    def gap(start_us: int, stop_us: int, missed: int) -> None:
        if missed > 0:
            gaps.append(around.gap(start_us, stop_us, missed, period_us))

    if begin_us is not None and first_us is not None and begin_us < first_us:
        longest_ms = (first_us - begin_us) // 1000
        gap(begin_us, first_us, (first_us - begin_us) // period_us)
    intervals: list[int] = []
    for start_us, stop_us in itertools.pairwise(times_us):
        interval_ms = (stop_us - start_us) // 1000
        intervals.append(interval_ms)
        gap(start_us, stop_us, (interval_ms + period_ms // 2) // period_ms - 1)
    last_us = times_us[-1] if times_us else begin_us
    if last_us is not None:
        silent_us = end_us - last_us
        longest_ms = max(longest_ms, silent_us // 1000)
        gap(last_us, end_us, (silent_us - tolerance_ms * 1000) // period_us)
    counts = histogram(intervals)
    expected = 0
    if begin_us is not None:
        expected = max(0, end_us - begin_us) // period_us + (begin_us == first_us)
    return Compliance(
        begin_us=begin_us,
        end_us=end_us,
        expected=expected,
        observed=len(times_us),
        p50_ms=percentile(counts, 50),
        p95_ms=percentile(counts, 95),
        longest_gap_ms=max(longest_ms, max(counts, default=0)),
        early=sum(n for ms, n in counts.items() if ms < period_ms - tolerance_ms),
        late=sum(n for ms, n in counts.items() if ms > period_ms + tolerance_ms),
        missed=sum(g.missed for g in gaps),
        missed_counting=sum(g.missed - g.excused for g in gaps),
        gaps=tuple(gaps),
        intervals=counts,
        times_us=tuple(times_us),
    )
