"""Both directions of one device's link on one band at one waypoint, as probes come in."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.events import (
    Band,
    Direction,
    DirectionJudged,
    LevelSource,
    LinkJudged,
    ProbeTaken,
    Verdict,
)
from labctl.statistics.plans import Decision
from labctl.statistics.reach import Answer, DirectionProbes, Link, Reach, Rules, link, worst
from labctl.statistics.reach import Direction as Result

_FAR_ABOVE_DB = 100
"""Stands for the level while no level at all is known: only the delivery can decide then."""

LEVELS_UNKNOWN = "the levels are not known, so neither is the margin"
NOTHING_OWED = "nothing could be heard: the device was not reached"
NOT_BACK = "not heard here, after it had lost the hub at another place"


class Side:
    """One direction. `sensitivity_dbm` is the receiver's."""

    def __init__(self, sensitivity_dbm: int, rules: Rules) -> None:
        self._rules = rules
        self.sensitivity_dbm = sensitivity_dbm
        self._taken: list[ProbeTaken] = []
        self._levels_known = False
        self.not_back = False
        """It had lost the hub before it came here, and was not heard since."""
        self._probes = DirectionProbes(sensitivity_dbm, rules)

    def add(self, probe: ProbeTaken) -> None:
        """The next probe."""
        self._taken.append(probe)
        if probe.rssi_dbm is not None and not self._levels_known:
            self._levels_known = True
            self._probes = DirectionProbes(self.sensitivity_dbm, self._rules)
            for each in self._taken:
                self._probes.add(self._level(each))
        else:
            self._probes.add(self._level(probe))

    def _level(self, probe: ProbeTaken) -> int | None:
        if not probe.delivered:
            return None
        if probe.rssi_dbm is not None:
            return probe.rssi_dbm
        # What arrived was at least as strong as that; more is not claimed for it.
        return self.sensitivity_dbm + (0 if self._levels_known else _FAR_ABOVE_DB)

    @property
    def settled(self) -> bool:
        """More probes would change nothing."""
        return self._probes.settled

    @property
    def failed(self) -> bool:
        """It failed: the other direction need not be measured to the end."""
        return self._probes.failed

    @property
    def levels_known(self) -> bool:
        """Whether anybody told a level."""
        return self._levels_known or not any(each.delivered for each in self._taken)

    def result(self) -> Result:
        """What can be said now, of the delivery at least."""
        return self._probes.result()

    def verdict(self, result: Result) -> Reach:
        """A link whose levels nobody tells never passes: its margin is not known."""
        if not self.levels_known and result.verdict in (Reach.PASS, Reach.MARGINAL):
            return Reach.INCOMPLETE
        return result.verdict

    def judged(
        self, at_us: int, survey: int, waypoint: int, eui64: str, band: Band, direction: Direction
    ) -> DirectionJudged:
        """It as an event."""
        result = self.result()
        verdict, known = self.verdict(result), self.levels_known
        levels = result.levels
        retries = [each.retries for each in self._taken if each.retries is not None]
        sources = [each.level_source for each in self._taken if each.level_source is not None]
        return DirectionJudged(
            at_us=at_us,
            survey=survey,
            waypoint=waypoint,
            eui64=eui64,
            band=band,
            direction=direction,
            verdict=Verdict(verdict),
            reason=self._reason(result),
            probes=result.probes,
            delivered=levels.delivered,
            ratio_low=result.interval.low,
            ratio_high=result.interval.high,
            rssi_median_dbm=levels.percentile(50) if known else None,
            rssi_p10_dbm=levels.percentile(10) if known else None,
            sensitivity_dbm=self.sensitivity_dbm,
            p10_margin_db=result.p10_margin_db if known else None,
            margin_at_least_db=result.margin_at_least_db if known else None,
            passes_lower=(result.passes_lower if known else Answer.OPEN).value,
            design_effect=result.design_effect,
            decided_at=result.decided_at,
            retries=sum(retries) if retries else None,
            level_source=_weakest(sources),
        )

    def _reason(self, result: Result) -> str:
        if self.not_back and not result.levels.delivered:
            return NOT_BACK
        if not result.probes:
            return NOTHING_OWED
        if not self.levels_known:
            return LEVELS_UNKNOWN
        if result.delivery is Decision.MISSED:
            return "too much is lost"
        if result.verdict is Reach.FAIL:
            return f"less than {self._rules.fail_margin_db:g} dB of margin"
        if result.verdict is Reach.MARGINAL:
            return f"less than {self._rules.pass_margin_db:g} dB of margin"
        if result.verdict is Reach.INCOMPLETE:
            return "too few probes, or too much alike"
        return ""


def _weakest(sources: list[LevelSource]) -> LevelSource | None:
    """What at most can be said of all levels together."""
    for source in (LevelSource.RECIPROCAL, LevelSource.REPORTED, LevelSource.MEASURED):
        if source in sources:
            return source
    return None


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a direction is."""

    probes: int
    delivered: int
    settled: bool
    still_needed: int
    verdict: Reach


class LinkProbes:
    """Both sides. `hub_dbm` and `device_dbm` are the two receivers' sensitivities."""

    def __init__(
        self, eui64: str, band: Band, *, hub_dbm: int, device_dbm: int, rules: Rules
    ) -> None:
        self.eui64 = eui64
        self.band = band
        self._rules = rules
        self.down = Side(device_dbm, rules)
        self.up = Side(hub_dbm, rules)

    def add(self, probe: ProbeTaken) -> None:
        """The next probe, in either direction."""
        side = self.down if probe.direction is Direction.FROM_HUB else self.up
        side.add(probe)

    @property
    def settled(self) -> bool:
        """More probes would change nothing: one direction failed, or both are settled."""
        if self.down.failed or self.up.failed:
            return True
        return self.down.settled and self.up.settled

    def counts(self) -> tuple[Counts, Counts]:
        """From the hub, and to it."""
        return _counts(self.down), _counts(self.up)

    def still_needed(self) -> int:
        """The fewest exchanges that could settle it."""
        if self.settled:
            return 0
        return max(side.result().still_needed for side in (self.down, self.up))

    def judged(
        self, at_us: int, survey: int, waypoint: int
    ) -> tuple[DirectionJudged, DirectionJudged, LinkJudged]:
        """What it comes to, as events."""
        both: Link = link(self.down.result(), self.up.result(), self._rules)
        known = self.down.levels_known and self.up.levels_known
        verdict = worst((self.down.verdict(both.down), self.up.verdict(both.up)))
        return (
            self.down.judged(at_us, survey, waypoint, self.eui64, self.band, Direction.FROM_HUB),
            self.up.judged(at_us, survey, waypoint, self.eui64, self.band, Direction.TO_HUB),
            LinkJudged(
                at_us=at_us,
                survey=survey,
                waypoint=waypoint,
                eui64=self.eui64,
                band=self.band,
                verdict=Verdict(verdict),
                p10_margin_db=both.p10_margin_db if known else None,
                passes_lower=(both.passes_lower if known else Answer.OPEN).value,
                asymmetry_db=both.asymmetry.difference_db if known else None,
                asymmetry_found=known and both.asymmetry.found,
            ),
        )


def _counts(side: Side) -> Counts:
    result = side.result()
    return Counts(
        result.probes,
        result.levels.delivered,
        result.settled,
        result.still_needed,
        side.verdict(result),
    )
