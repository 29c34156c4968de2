"""The verdict on a link: both of its directions together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.statistics.direction import Direction, DirectionProbes, assess
from labctl.statistics.levels import Asymmetry, asymmetry
from labctl.statistics.rules import Answer, PlanKind, Reach, Rules

__all__ = [
    "Answer",
    "Direction",
    "DirectionProbes",
    "Link",
    "PlanKind",
    "Reach",
    "Rules",
    "assess",
    "link",
    "worst",
]

_WORST_FIRST = (Reach.FAIL, Reach.INCOMPLETE, Reach.MARGINAL, Reach.PASS)


def worst(verdicts: Iterable[Reach]) -> Reach:
    """The worst of several; none at all is incomplete. A failure outweighs what is not known."""
    return min(verdicts, key=_WORST_FIRST.index, default=Reach.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class Link:
    """Both directions of a link on one band at one waypoint. `down` is from the hub."""

    down: Direction
    up: Direction
    asymmetry: Asymmetry

    @property
    def verdict(self) -> Reach:
        """That of the worse direction: pass needs both."""
        return worst((self.down.verdict, self.up.verdict))

    @property
    def passes_lower(self) -> Answer:
        """Would both directions pass with so much less power?"""
        answers = {self.down.passes_lower, self.up.passes_lower}
        for answer in (Answer.NO, Answer.OPEN):
            if answer in answers:
                return answer
        return Answer.YES

    @property
    def p10_margin_db(self) -> float | None:
        """Of the worse direction; None where that is a lost probe."""
        margins = self.down.p10_margin_db, self.up.p10_margin_db
        return None if margins[0] is None or margins[1] is None else min(margins[0], margins[1])

    @property
    def settled(self) -> bool:
        """More probes would change nothing: one direction failed, or both are settled."""
        return self.verdict is Reach.FAIL or (self.down.settled and self.up.settled)


def link(
    down: Direction, up: Direction, rules: Rules | None = None, expected_db: float = 0.0
) -> Link:
    """Both directions together; `expected_db` is by how much `down` should be the stronger.

    That is the hub's transmit power less the device's, where both are known.
    """
    rules = rules or Rules()
    found = asymmetry(
        down.levels,
        up.levels,
        limit_db=rules.asymmetry_db,
        expected_db=expected_db,
        confidence=rules.confidence,
        design_effects=(down.design_effect, up.design_effect),
    )
    return Link(down, up, found)
