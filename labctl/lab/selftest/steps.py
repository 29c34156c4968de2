"""What a trial is made of: steps with their outcomes, in words that can be sent to others."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from labctl.smart_energy.eui64 import Eui64


class Outcome(enum.StrEnum):
    """What came of a step."""

    PASS = "pass"
    DOUBTFUL = "doubtful"
    """It works, and is known to make trouble."""
    FAIL = "fail"
    SKIPPED = "skipped"
    """It was not tried: the evidence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. `evidence` holds no secrets, and of addresses the maker's part alone."""

    id: str
    title: str
    outcome: Outcome
    evidence: str
    mend: str = ""
    seconds: float = 0.0


class SkippedError(Exception):
    """A step that is not to be tried."""

    def __init__(self, why: str, mend: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.mend = mend


def maker_of(eui64: Eui64) -> str:
    """The first three octets of an address: who made the radio, and not which one it is."""
    return str(eui64)[:8] + ":…"
