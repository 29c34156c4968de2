"""What a walk tells whoever shows it. All of it may be ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.events import Band, LinkJudged
from labctl.survey.commands import Place
from labctl.survey.links import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a waypoint is. `remaining_s` is the least that is left of it, if nothing is lost."""

    waypoint: int
    device: str
    band: Band
    down: Counts
    up: Counts
    elapsed_s: float
    remaining_s: float


class View:
    """Shows nothing."""

    def opened(self, survey: int, *, resumed: bool) -> None:
        """The rig is open, and the devices are on its network."""

    def began(self, waypoint: int, place: Place, *, resumed: bool) -> None:
        """The devices are probed here; they should be turned slowly, by a hand's breadth."""

    def progress(self, progress: Progress) -> None:
        """One more probe was taken."""

    def waiting(self, seconds: float, why: str) -> None:
        """Nothing is probed for so long."""

    def done(self, waypoint: int, place: Place, links: Sequence[LinkJudged]) -> None:
        """The waypoint is done: move on."""

    def said(self, text: str) -> None:
        """A remark of the walk's own."""
