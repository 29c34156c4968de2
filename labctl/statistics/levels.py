"""Signal levels of probes: percentiles that count lost packets, and how two directions compare.

Levels are whole dBm. A lost packet has no level, but it says something all the same: it was below
what the receiver hears. Left out, the worst packets would be missing from the 10th percentile just
where there are most of them; so each counts as a level below all that arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labctl.statistics.intervals import Interval, at_most


@dataclass(frozen=True, slots=True)
class Levels:
    """How often each level was received, in dBm, and how many probes were lost."""

    counts: Mapping[int, int]
    lost: int = 0

    @classmethod
    def of(cls, probes: Iterable[int | None]) -> Levels:
        """From the probes as they were sent; None is a lost one."""
        counts: dict[int, int] = {}
        lost = 0
        for level in probes:
            if level is None:
                lost += 1
            else:
                counts[level] = counts.get(level, 0) + 1
        return cls(counts, lost)

    @property
    def delivered(self) -> int:
        """Probes that arrived."""
        return sum(self.counts.values())

    @property
    def probes(self) -> int:
        """Probes that were sent."""
        return self.delivered + self.lost

    def percentile(self, percent: int) -> int | None:
        """The nearest-rank percentile (1 to 100) of all probes, dBm; None when it was a lost one.

        Half a decibel never appears where the radio only knows whole ones. None as well when there
        are no probes.
        """
        if not 1 <= percent <= 100:
            raise ValueError(f"a percentile is from 1 to 100, not {percent}")
        return self.ranked(-(-self.probes * percent // 100))

    def ranked(self, rank: int) -> int | None:
        """The `rank`th lowest level (from 1), lost ones first; None: lost, or there is none."""
        upto = self.lost
        if rank <= upto:
            return None
        for level in sorted(self.counts):
            upto += self.counts[level]
            if rank <= upto:
                return level
        return None

    def below(self, dbm: float) -> int:
        """How many probes were lost or came in below this level."""
        return self.lost + sum(count for level, count in self.counts.items() if level < dbm)

    def median_interval(
        self, confidence: float = 0.95, design_effect: float = 1.0
    ) -> tuple[int | None, int | None]:
        """Where the median of the levels is, by ranks alone; None at an end: not bounded there.

        The lower end is None where it falls among lost probes, the upper one where there are too
        few probes. `design_effect` widens it for correlated probes.
        """
        worth = int(self.probes / design_effect)
        rank = 0
        while rank < worth and at_most(rank, worth, 0.5) <= (1 - confidence) / 2:
            rank += 1
        # `rank` of `worth` probes lie outside at each end; the same share of all the probes do.
        if rank == 0:
            return None, None
        at = max(1, int(rank * self.probes / worth))
        return self.ranked(at), self.ranked(self.probes + 1 - at)


@dataclass(frozen=True, slots=True)
class Asymmetry:
    """How much stronger the first direction is than the second."""

    difference_db: int | None
    """Of the medians, less what was expected; None where one of them is not known."""
    interval: Interval | None
    """Where the true difference is, with at least the asked confidence."""
    found: bool
    """Larger than the limit, and the interval leaves zero out."""


def asymmetry(
    first: Levels,
    second: Levels,
    *,
    limit_db: float = 6.0,
    expected_db: float = 0.0,
    confidence: float = 0.95,
    design_effects: tuple[float, float] = (1.0, 1.0),
) -> Asymmetry:
    """Compare the medians of the two directions of a link.

    `expected_db` is by how much the first should be stronger: the far end transmits with more
    power. The interval is made of the two medians' own, each with half of the error, and so is
    at least as sure as asked; it assumes nothing of the levels' distribution.
    """
    medians = first.percentile(50), second.percentile(50)
    if medians[0] is None or medians[1] is None:
        return Asymmetry(None, None, False)
    difference = round(medians[0] - medians[1] - expected_db)
    each = 1 - (1 - confidence) / 2
    low_a, high_a = first.median_interval(each, design_effects[0])
    low_b, high_b = second.median_interval(each, design_effects[1])
    if low_a is None or high_a is None or low_b is None or high_b is None:
        return Asymmetry(difference, None, False)
    interval = Interval(low_a - high_b - expected_db, high_a - low_b - expected_db)
    return Asymmetry(difference, interval, abs(difference) > limit_db and 0 not in interval)
