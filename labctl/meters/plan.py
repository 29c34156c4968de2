"""Which tariff is in force when, by whose clock, and since when people live here.

All of it follows from the start values and the journal. The first tariff also prices what was used
before it came into force: a meter's history has a cost from its first day.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from labctl.meters.entries import ClockSet, TariffSet, TenancyChanged
from labctl.meters.journal import Journal
from labctl.meters.tariff import Tariff

_US = 1_000_000


class Plan:
    """The tariffs, the clock and the tenancies of one meter."""

    def __init__(self, name: str, tariff: Tariff | None, journal: Journal) -> None:
        self._name = name
        self._first = tariff
        self._journal = journal
        self._known = -1
        self._tariffs: list[tuple[int, int, Tariff | None]] = []  # start, announced at, tariff
        self._clock: list[tuple[int, int]] = []
        self._tenancies: list[tuple[int, int, bool]] = []

    def entries(self) -> int:
        """How many entries the journal has."""
        return len(self._journal)

    def entered_s(self, number: int) -> int:
        """From when on the entry of that number, counted from 0, changes things."""
        return self._journal.since(number)[0].at_us // _US

    def tariff_at(self, utc_s: int) -> Tariff | None:
        """The tariff in force at an instant."""
        self._read()
        return self._tariffs[self._index(utc_s)][2]

    def standing_charge(self, midnight_s: int) -> int:
        """What is due at a UTC midnight, 10^-5 pounds; 0 without a tariff."""
        tariff = self.tariff_at(midnight_s)
        return tariff.standing_charge if tariff else 0

    def announced(self, utc_s: int) -> tuple[Tariff, ...]:
        """The tariffs announced by an instant that start after it, the next first."""
        self._read()
        return tuple(
            tariff
            for start, announced, tariff in self._tariffs
            if start > utc_s and announced <= utc_s and tariff is not None
        )

    def changes(self, start_s: int, end_s: int) -> tuple[int, ...]:
        """The instants in [start, end) at which a tariff replaced another."""
        self._read()
        return tuple(start for start, _, _ in self._tariffs[1:] if start_s <= start < end_s)

    def clock_offset_s(self, utc_s: int) -> int:
        """How far the meter's clock is ahead of UTC."""
        self._read()
        found = 0
        for since, offset in self._clock:
            if since <= utc_s:
                found = offset
        return found

    def tenancy_since(self, utc_s: int) -> int | None:
        """When the tenancy began that an instant is in; None when it was never changed."""
        self._read()
        begun = {since: stands for at, since, stands in self._tenancies if at <= utc_s}
        return max((s for s, stands in begun.items() if stands and s <= utc_s), default=None)

    def tenancies(self, start_s: int, end_s: int) -> tuple[int, ...]:
        """The instants in [start, end) at which new people moved in."""
        self._read()
        begun = {since: stands for _, since, stands in self._tenancies}
        return tuple(s for s, stands in begun.items() if stands and start_s <= s < end_s)

    def spans(self, start_s: int, end_s: int) -> list[tuple[int, int, Tariff | None, int]]:
        """(start, end, tariff, tier) between two instants, without gaps. Tier 1 without tariff."""
        self._read()
        found: list[tuple[int, int, Tariff | None, int]] = []
        edges = {start for start, _, _ in self._tariffs[1:]} | {since for since, _ in self._clock}
        cuts = [start_s, *sorted(edge for edge in edges if start_s < edge < end_s), end_s]
        for begin, end in pairwise(cuts):
            tariff = self._tariffs[self._index(begin)][2]
            if tariff is None:
                found.append((begin, end, None, 1))
                continue
            ahead = self.clock_offset_s(begin) if self._clock else 0
            found += [
                (since - ahead, until - ahead, tariff, tier)
                for since, until, tier in tariff.table.spans(begin + ahead, end + ahead)
            ]
        return found

    def next_change(self, utc_s: int) -> int | None:
        """The next instant at which another tariff comes or the clock is set."""
        self._read()
        ends = [start for start, _, _ in self._tariffs if start > utc_s]
        ends += [since for since, _ in self._clock if since > utc_s]
        return min(ends, default=None)

    def _index(self, utc_s: int) -> int:
        return max(0, bisect_right(self._tariffs, utc_s, key=lambda entry: entry[0]) - 1)

    def _read(self) -> None:
        if self._known == len(self._journal):
            return
        self._known = len(self._journal)
        self._tariffs = [(-(2**63), -(2**63), self._first)]
        self._clock, self._tenancies = [], []
        for entry in self._journal:
            at_s = -(-entry.at_us // _US)
            if entry.meter not in (None, self._name):
                continue
            if isinstance(entry, TariffSet):
                start = max(at_s, entry.tariff.start_s)
                kept = [known for known in self._tariffs if known[0] < start]
                self._tariffs = [*kept, (start, at_s, entry.tariff)]
            elif isinstance(entry, ClockSet):
                self._clock.append((at_s, entry.offset_s))
            elif isinstance(entry, TenancyChanged):
                self._tenancies.append((at_s, entry.since_s, not entry.taken_back))
