"""The words of a survey's verdicts, and the settings that decide between them.

The rules are a proposal, since no figure is published for a GB home area network, and all of them
are settings.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from labctl.statistics.plans import Plan, fixed_plan, sequential_plan


class Reach(enum.StrEnum):
    """The verdict on a direction, a link, a room. The words are those of a run's verdict."""

    PASS = "pass"
    """Delivered, with the full margin."""
    MARGINAL = "marginal"
    """Delivered, with less than the full margin."""
    FAIL = "fail"
    """Too much is lost, or nearly no margin is left."""
    INCOMPLETE = "incomplete"
    """Too few probes, or too much alike, to say."""


class Answer(enum.StrEnum):
    """To a question that the probes may leave open."""

    YES = "yes"
    NO = "no"
    OPEN = "open"


class PlanKind(enum.StrEnum):
    """How many probes are sent."""

    SEQUENTIAL = "sequential"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Where one verdict ends and the next begins. Written into each report."""

    plan: PlanKind = PlanKind.SEQUENTIAL
    loss_limit: float = 0.10
    """The delivery criterion: losses below this share (0 to 1)."""
    confidence: float = 0.95
    """One-sided for what is decided, two-sided for what is shown."""
    good_loss: float = 0.01
    """A share of losses that ought to pass: the other end of the sequential plan."""
    wrong_fail: float = 0.02
    """How often a link that loses `good_loss` may miss, by the sequential plan."""
    allowed_lost: int = 4
    """The sequential plan ends where so many losses would pass; the fixed plan allows two."""
    fixed_allowed_lost: int = 2
    least_probes: int = 10
    """Nothing is decided before."""
    most_probes: int = 180
    """Nothing is sent after: what is open then stays so."""
    pass_margin_db: float = 10.0
    fail_margin_db: float = 3.0
    margin_shown: bool = True
    """A margin counts when the plan shows it; without, when the probes' 10th percentile has it,
    which at the limit itself is wrong every other time."""
    lower_db: float = 6.0
    """Commercial devices transmit less: would it pass with so much less power?"""
    correlation_counts: bool = True
    """Probes that are alike count for fewer. Without, each is taken for independent."""
    frozen_fade_db: float = 14.5
    """From the 95th to the 10th percentile of Rayleigh fading. Even if all probes met one single
    fade, levels so far above a threshold show that 90 % of packets are above it; n independent
    fades need 10·log10(n) dB less. So probes that are alike are enough where they are clear of
    the threshold by so much."""
    asymmetry_db: float = 6.0
    """A larger difference between the two directions' medians is a finding."""

    def __post_init__(self) -> None:
        if not self.fail_margin_db <= self.pass_margin_db:
            raise ValueError("the margin that fails is not above the one that passes")
        if self.least_probes < 1 or self.most_probes < self.least_probes:
            raise ValueError("the most probes are not fewer than the least, and these at least one")
        self.probe_plan()

    def clearance_db(self, effective_probes: float) -> float:
        """How far above a threshold all levels must be, for correlation not to matter."""
        return max(0.0, self.frozen_fade_db - 10 * math.log10(effective_probes))

    def probe_plan(self) -> Plan:
        """The plan that decides, for independent probes."""
        if self.plan is PlanKind.FIXED:
            return fixed_plan(self.loss_limit, self.fixed_allowed_lost, self.confidence)
        return sequential_plan(
            self.loss_limit,
            self.good_loss,
            1 - self.confidence,
            self.wrong_fail,
            self.allowed_lost,
            self.least_probes,
        )
