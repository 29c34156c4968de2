"""What the probes of one direction of a link allow to be said of it.

*Delivery* and *margin* are one question asked at different levels. Losses below 10 % is the
delivery criterion. A 10th percentile of 10 dB above the receiver's sensitivity is that less than
10 % of packets are lost or below that level. So one plan decides both, with one certainty: a probe
is *short* of a margin when it was lost, or less than that margin above the sensitivity.

The first decision of a plan stands: probes that come later are shown, and decide nothing. A plan
that was asked again and again until it agrees would be wrong more often than it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from labctl.statistics.correlation import LagOne, design_effect
from labctl.statistics.intervals import Interval, wilson
from labctl.statistics.levels import Levels
from labctl.statistics.plans import Decision, Plan
from labctl.statistics.rules import Answer, Reach, Rules

_MANY_LOST = 0.2


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of a link at one waypoint."""

    verdict: Reach
    levels: Levels
    delivery: Decision
    """Whether losses are shown to be below the limit."""
    interval: Interval
    """Of the delivery ratio, to be shown: Wilson's, of the effective number of probes."""
    design_effect: float
    """So many probes are worth one independent one; 1 or more."""
    p10_margin_db: float | None
    """The 10th percentile above the sensitivity, lost probes counted as below it; None: lost."""
    margin_at_least_db: float | None
    """With the rules' confidence the 10th percentile is at least so far above; None: not shown."""
    passes_lower: Answer
    """Would it pass with the rules' `lower_db` less power?"""
    settled: bool
    """More probes would change nothing."""
    still_needed: int
    """The fewest probes that could settle it."""
    decided_at: int | None
    """After how many probes it was settled by the plan; None: it was not."""

    @property
    def probes(self) -> int:
        """Probes that were sent."""
        return self.levels.probes

    @property
    def delivery_ratio(self) -> float | None:
        """Delivered of sent, 0 to 1; None before the first probe."""
        return self.levels.delivered / self.probes if self.probes else None

    @property
    def effective_probes(self) -> float:
        """How many independent probes they are worth."""
        return self.probes / self.design_effect


class _Question:
    """Are less than the limit of the probes short of one margin? The first answer stays."""

    __slots__ = ("at", "clear_from", "decision", "effect", "short", "threshold")

    def __init__(self, threshold_dbm: float, clear_from_dbm: float | None = None) -> None:
        self.threshold = threshold_dbm
        # What was lost to the level alone was below the sensitivity.
        self.clear_from = threshold_dbm if clear_from_dbm is None else clear_from_dbm
        self.short = 0
        self.decision = Decision.OPEN
        self.effect = 1.0
        self.at: int | None = None

    def add(self, level: int | None) -> None:
        if level is None or level < self.threshold:
            self.short += 1

    def ask(self, plan: Plan, probes: int, effect: float) -> None:
        if self.decision is not Decision.OPEN:
            return
        self.effect = effect
        self.decision = plan.decide(probes, self.short, self.effect)
        if self.decision is not Decision.OPEN:
            self.at = probes


class DirectionProbes:
    """The probes of one direction as they come in.

    `sensitivity_dbm` is that of the radio that receives them. Undoing a probe is making this anew
    of the remaining ones.
    """

    def __init__(self, sensitivity_dbm: float, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.sensitivity_dbm = sensitivity_dbm
        self._plan = self.rules.probe_plan()
        self._counts: dict[int, int] = {}
        self._lost = 0
        self._probes = 0
        self._lowest = math.inf
        self._lag = LagOne()
        at, lower = sensitivity_dbm, self.rules.lower_db
        self._delivered = _Question(-math.inf, at)
        self._some = _Question(at + self.rules.fail_margin_db)
        self._full = _Question(at + self.rules.pass_margin_db)
        self._lower = _Question(at + self.rules.pass_margin_db + lower)

    def add(self, level: int | None) -> None:
        """The next probe: its level in dBm, or None for one that was lost."""
        self._probes += 1
        if level is None:
            self._lost += 1
            self._lowest = -math.inf
        else:
            self._counts[level] = self._counts.get(level, 0) + 1
            self._lowest = min(self._lowest, level)
        # A lost probe goes into the correlation as the level at which half of them are lost.
        self._lag.add(self.sensitivity_dbm - 3 if level is None else level)
        effect, clearance = self._effect(), self._clearance()
        for question in (self._delivered, self._some, self._full, self._lower):
            question.add(level)
            clear = self._lowest >= question.clear_from + clearance
            question.ask(self._plan, self._probes, 1.0 if clear else effect)

    @property
    def settled(self) -> bool:
        """More probes would change nothing."""
        return self._probes >= self.rules.most_probes or self._verdict()[1] is not None

    @property
    def failed(self) -> bool:
        """It failed: the other direction need not be measured to the end."""
        return self._verdict()[0] is Reach.FAIL

    def result(self) -> Direction:
        """What can be said now."""
        rules = self.rules
        levels = Levels(dict(self._counts), self._lost)
        lost = self._lost / self._probes if self._probes else 0.0
        effect = self._effect_on_ratio(lost)
        verdict, at = self._verdict()
        settled = self.settled
        return Direction(
            verdict=verdict,
            levels=levels,
            delivery=self._delivered.decision,
            interval=wilson(levels.delivered / effect, self._probes / effect, rules.confidence),
            design_effect=effect,
            p10_margin_db=self._margin(),
            margin_at_least_db=self._shown(levels),
            passes_lower=self._passes_lower(),
            settled=settled,
            still_needed=0 if settled else self._needed(),
            decided_at=at,
        )

    def _effect_on_ratio(self, lost: float) -> float:
        """By how much correlation widens the interval of the delivery ratio."""
        if not self.rules.correlation_counts or not self._probes:
            return 1.0
        correlation = self._lag.value()
        if self._lowest >= self.sensitivity_dbm + self._clearance():
            return 1.0
        if lost > _MANY_LOST:
            # The series is mostly "lost or not" by now: its correlation is that of the losses
            # themselves, and of those the design effect of a mean holds.
            return (1 + correlation) / (1 - correlation)
        return design_effect(correlation, lost)

    def _verdict(self) -> tuple[Reach, int | None]:
        """The verdict, and after how many probes it was certain."""
        rules, delivered, some, full = self.rules, self._delivered, self._some, self._full
        if delivered.decision is Decision.MISSED:
            return Reach.FAIL, delivered.at
        if not rules.margin_shown:
            if delivered.decision is Decision.OPEN:
                return Reach.INCOMPLETE, None
            return self._by_estimate(), delivered.at
        if some.decision is Decision.MISSED:
            return Reach.FAIL, some.at
        if full.decision is Decision.MET:
            return Reach.PASS, full.at
        if some.decision is Decision.MET:
            if full.decision is Decision.MISSED:
                return Reach.MARGINAL, max(some.at or 0, full.at or 0)
            if self._probes >= rules.most_probes:
                return Reach.MARGINAL, None
        return Reach.INCOMPLETE, None

    def _by_estimate(self, less: float = 0.0) -> Reach:
        margin = self._margin()
        if margin is None or margin - less < self.rules.fail_margin_db:
            return Reach.FAIL
        return Reach.PASS if margin - less >= self.rules.pass_margin_db else Reach.MARGINAL

    def _margin(self) -> float | None:
        p10 = Levels(self._counts, self._lost).percentile(10)
        return None if p10 is None else p10 - self.sensitivity_dbm

    def _passes_lower(self) -> Answer:
        verdict, _ = self._verdict()
        if verdict is Reach.INCOMPLETE:
            return Answer.OPEN
        if verdict is not Reach.PASS:
            return Answer.NO
        if not self.rules.margin_shown:
            passes = self._by_estimate(self.rules.lower_db) is Reach.PASS
            return Answer.YES if passes else Answer.NO
        return {
            Decision.MET: Answer.YES,
            Decision.MISSED: Answer.NO,
            Decision.OPEN: Answer.OPEN,
        }[self._lower.decision]

    def _effect(self) -> float:
        """By how much correlation lengthens the plan."""
        if not self.rules.correlation_counts:
            return 1.0
        return design_effect(self._lag.value(), self.rules.loss_limit)

    def _clearance(self) -> float:
        """With as few independent fades as these probes may well have met."""
        effect = design_effect(self._lag.upper(), self.rules.loss_limit)
        return self.rules.clearance_db(self._probes / effect)

    def _shown(self, levels: Levels) -> float | None:
        effect = self._effect()
        best: float | None = None
        allowed = self._plan.allowed(self._probes, effect)
        if allowed is not None:
            best = levels.ranked(allowed + 1)
        if self._plan.allowed(self._probes) is not None and math.isfinite(self._lowest):
            clear = math.floor(self._lowest - self._clearance())
            best = clear if best is None else max(best, clear)
        return None if best is None else best - self.sensitivity_dbm

    def _needed(self) -> int:
        """The nearest end: passing without further loss, or missing with nothing but losses."""
        open_ = (self._full, self._some) if self.rules.margin_shown else (self._delivered,)
        to_pass = min(
            self._plan.still_needed(self._probes, q.short, q.effect)
            for q in open_
            if q.decision is Decision.OPEN
        )
        left = self.rules.most_probes - self._probes
        return max(1, min(to_pass, left))


def assess(
    probes: Iterable[int | None], sensitivity_dbm: float, rules: Rules | None = None
) -> Direction:
    """One direction of a link, from its probes in the order in which they were sent.

    Each is the level in dBm at which it was received, or None when it was lost.
    """
    taken = DirectionProbes(sensitivity_dbm, rules)
    for level in probes:
        taken.add(level)
    return taken.result()
