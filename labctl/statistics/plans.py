"""How many probes are needed, and when fewer are enough.

A plan says after each probe whether the share of losses is *shown* to be below a limit, whether
that can no longer be shown economically, or whether to go on. Two kinds:

* a fixed plan: so many probes, at most so many lost (61 and two for 10 % at 95 %);
* a sequential plan: Wald's probability ratio test between a good and a bad share, cut off at a
  last probe. It passes a link without losses after 32 probes and fails a dead one after 10.

What a plan does at a given share is computed exactly (`operating_characteristic`), not estimated;
it holds for independent probes. Correlated ones are handed over as effective numbers.
"""

from __future__ import annotations

import enum
import functools
import math
from dataclasses import dataclass

from labctl.statistics.intervals import at_most

_ROUNDING = 1e-9


class Decision(enum.StrEnum):
    """What a plan says after a probe."""

    MET = "met"
    """The share is shown to be below the limit."""
    MISSED = "missed"
    """It is not, and more probes would not be worth their time."""
    OPEN = "open"
    """More probes are needed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Where probing ends.

    `pass_at[c]` is the number of probes at which up to `c` losses meet the limit; it rises with
    `c`, and its last entry is the last probe. More losses than it has entries always miss. With
    `fail_until[c]` or fewer probes, `c` losses miss as well. Nothing is decided before `least`
    probes; `limit` is the share of losses that must be shown not to be reached.
    """

    limit: float
    pass_at: tuple[int, ...]
    fail_until: tuple[int, ...]
    least: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.limit < 1:
            raise ValueError(f"a limit of losses is between 0 and 1, not {self.limit}")
        if not self.pass_at or len(self.fail_until) != len(self.pass_at):
            raise ValueError("a plan says for each number of losses where it passes and fails")
        if list(self.pass_at) != sorted(self.pass_at) or self.pass_at[0] < max(1, self.least):
            raise ValueError("pass_at does not fall, and does not begin before the least probes")
        if any(fail >= at for fail, at in zip(self.fail_until, self.pass_at, strict=True)):
            raise ValueError("the same probes would both pass and fail")

    @property
    def most(self) -> int:
        """The last probe of a plan that was not decided earlier, if probes are independent."""
        return self.pass_at[-1]

    def decide(self, probes: int, lost: int, design_effect: float = 1.0) -> Decision:
        """What `lost` of `probes` say, when each is worth 1/`design_effect` of one.

        Fractions of a loss count as a whole one towards passing and as none towards failing, so
        that correlation makes neither verdict easier to reach.
        """
        if not 0 <= lost <= probes:
            raise ValueError(f"{lost} of {probes} is not a share")
        if design_effect < 1:
            raise ValueError(f"a design effect is 1 or more, not {design_effect}")
        if probes < self.least:
            return Decision.OPEN
        worth = probes / design_effect
        lost_at_most = math.ceil(lost / design_effect - _ROUNDING)
        lost_at_least = math.floor(lost / design_effect + _ROUNDING)
        if lost_at_most < len(self.pass_at) and worth >= self.pass_at[lost_at_most] - _ROUNDING:
            return Decision.MET
        if lost_at_least >= len(self.pass_at) or worth <= self.fail_until[lost_at_least]:
            return Decision.MISSED
        return Decision.OPEN

    def still_needed(self, probes: int, lost: int, design_effect: float = 1.0) -> int:
        """Probes until this could be met if no more are lost; 0 if that is decided or past."""
        counted = math.ceil(lost / design_effect - _ROUNDING)
        if counted >= len(self.pass_at):
            return 0
        return max(0, math.ceil(self.pass_at[counted] * design_effect - _ROUNDING) - probes)

    def allowed(self, probes: int, design_effect: float = 1.0) -> int | None:
        """The most losses among so many probes that would meet the limit; None: not even none."""
        worth = probes / design_effect + _ROUNDING
        passing = sum(at <= worth for at in self.pass_at)
        return math.floor((passing - 1) * design_effect + _ROUNDING) if passing else None


@dataclass(frozen=True, slots=True)
class Characteristic:
    """What a plan does when a given share of probes is lost, each independently."""

    share: float
    met: float
    """How likely it ends with `met`, 0 to 1."""
    mean_probes: float


def operating_characteristic(plan: Plan, share: float) -> Characteristic:
    """Exact, by following the likelihood of every number of losses from probe to probe."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share of losses is from 0 to 1, not {share}")
    going_on = {0: 1.0}
    met = mean = 0.0
    for probes in range(1, plan.most + 1):
        after: dict[int, float] = {}
        for lost, likely in going_on.items():
            after[lost] = after.get(lost, 0.0) + likely * (1 - share)
            after[lost + 1] = after.get(lost + 1, 0.0) + likely * share
        going_on = {}
        for lost, likely in after.items():
            decision = plan.decide(probes, lost)
            if decision is Decision.OPEN:
                going_on[lost] = likely
                continue
            mean += probes * likely
            met += likely if decision is Decision.MET else 0.0
    return Characteristic(share, met, mean)


@functools.cache
def smallest_plan(limit: float, allowed_lost: int, confidence: float = 0.95) -> int:
    """The fewest probes of which `allowed_lost` may be lost and losses below `limit` are shown.

    One-sided: were the limit reached, so few losses would be less likely than 1 - confidence.
    """
    if not 0 < limit < 1 or not 0 < confidence < 1 or allowed_lost < 0:
        raise ValueError("limit and confidence are between 0 and 1, losses not negative")
    probes = allowed_lost + 1
    while at_most(allowed_lost, probes, limit) > 1 - confidence:
        probes += 1
    return probes


def fixed_plan(limit: float = 0.10, allowed_lost: int = 2, confidence: float = 0.95) -> Plan:
    """All probes are sent, unless too many were lost already: 61, failing at the third loss."""
    probes = smallest_plan(limit, allowed_lost, confidence)
    losses = allowed_lost + 1
    return Plan(limit, (probes,) * losses, (0,) * losses)


@functools.cache
def sequential_plan(
    limit: float = 0.10,
    good: float = 0.01,
    wrong_pass: float = 0.05,
    wrong_fail: float = 0.02,
    losses: int = 4,
    least: int = 10,
) -> Plan:
    """Wald's sequential probability ratio test between `good` and `limit`, cut off.

    A share of losses of `limit` passes at most with probability `wrong_pass`; one of `good` fails
    with about `wrong_fail` or less. The last probe is where `losses` losses would pass. Nothing
    is decided before `least` probes, so that one burst of interference decides nothing. The
    plan is made with Wald's approximation and then held against its exact characteristic: where
    that exceeds `wrong_pass`, it is made stricter until it does not.
    """
    if not 0 < good < limit < 1 or not 0 < wrong_pass < 0.5 or not 0 < wrong_fail < 0.5:
        raise ValueError("0 < good < limit < 1, and errors between 0 and 0.5")
    asked = wrong_pass
    while True:
        plan = _wald(limit, good, asked, wrong_fail, losses, least)
        if operating_characteristic(plan, limit).met <= wrong_pass:
            return plan
        asked *= 0.98


def _wald(
    limit: float, good: float, wrong_pass: float, wrong_fail: float, losses: int, least: int
) -> Plan:
    per_loss = math.log(limit * (1 - good) / (good * (1 - limit)))
    slope = math.log((1 - good) / (1 - limit)) / per_loss
    to_pass = math.log((1 - wrong_fail) / wrong_pass) / per_loss
    to_fail = math.log((1 - wrong_pass) / wrong_fail) / per_loss
    counts = range(losses + 1)
    return Plan(
        limit,
        tuple(max(least, math.ceil((lost + to_pass) / slope)) for lost in counts),
        tuple(max(0, math.floor((lost - to_fail) / slope)) for lost in counts),
        least,
    )
