"""Flakes: cases that pass and fail on the same night, with nothing changed in between.

A case that failed and passed when it was tried again tells nothing good about itself: either the
product does what it should now and then, or the case does not test what it says. Both are known
from attempts, which is why every attempt is stored.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from labctl.statistics.intervals import Interval, wilson


class Outcome(enum.Enum):
    """What an attempt says about the product, whatever its verdict is called."""

    PASSED = "passed"
    """Pass, or marginal: the criterion was met."""
    FAILED = "failed"
    NOTHING = "nothing"
    """Incomplete, infrastructure error, not applicable."""


@dataclass(frozen=True, slots=True, order=True)
class CaseKey:
    """What stays the same between attempts that can be compared."""

    rig: str
    device: str
    firmware: str
    case: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a case. `night` names the night, by the rig's own idea of it (a date)."""

    key: CaseKey
    night: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Flakiness:
    """How often a case is a flake.

    `nights` are those with an attempt that said anything; `flaky` of them have a pass and a fail.
    A night with a single attempt cannot show a flake and counts as none, so that the rate is of
    the nights as they were run: more attempts would find more.
    """

    key: CaseKey
    nights: int
    repeated: int
    """Nights with more than one attempt that said anything."""
    flaky: int
    flaky_nights: tuple[str, ...]
    failed: int
    """Nights of which every attempt that said anything failed."""
    interval: Interval
    """Wilson's, of the rate of flaky nights."""

    @property
    def rate(self) -> float:
        """Flaky nights of all nights."""
        return self.flaky / self.nights


def flakiness(attempts: Iterable[Attempt], confidence: float = 0.95) -> list[Flakiness]:
    """Each case of which any attempt said anything, the most flaky ones first."""
    nights: dict[CaseKey, dict[str, list[Outcome]]] = {}
    for attempt in attempts:
        if attempt.outcome is not Outcome.NOTHING:
            of_key = nights.setdefault(attempt.key, {})
            of_key.setdefault(attempt.night, []).append(attempt.outcome)
    found = [_of(key, of_key, confidence) for key, of_key in nights.items()]
    return sorted(found, key=lambda flake: (-flake.rate, -flake.flaky, flake.key))


def _of(key: CaseKey, nights: dict[str, list[Outcome]], confidence: float) -> Flakiness:
    flaky = tuple(sorted(night for night, outcomes in nights.items() if len(set(outcomes)) > 1))
    return Flakiness(
        key=key,
        nights=len(nights),
        repeated=sum(len(outcomes) > 1 for outcomes in nights.values()),
        flaky=len(flaky),
        flaky_nights=flaky,
        failed=sum(set(outcomes) == {Outcome.FAILED} for outcomes in nights.values()),
        interval=wilson(len(flaky), len(nights), confidence),
    )
