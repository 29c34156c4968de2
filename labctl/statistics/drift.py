"""Has a stream moved? A two-sided CUSUM on the stream's own spread, with a least effect.

How a stream is walked through, night by night:

1. The first 30 nights are a baseline: level and spread, robustly (`baseline`). Until then it is too
   early to say anything, and that is what is said.
2. Each later night is so many spreads z away from the level. Two sums are kept,
   `up = max(0, up + z - k)` and `down = max(0, down - z - k)`. The allowance k is half a spread, or
   half the least effect where that is more: what is not worth a word does not add up. A night adds
   2.5 at most (`cap` less half a spread), so that one or two nights, however bad, are no drift.
3. A sum above h = 6 whose nights, since the sum left zero, differ from the baseline by the least
   effect is an alarm. The change began with the first of those nights.
4. Nights that neither sum suspects join the baseline, which is made of the latest 90 of them. It
   follows the seasons and cannot be eaten by a drift, since a drift's nights are suspected.
5. An alarm stands until the stream has gone back (a sum in the other direction, from the changed
   level, says so: then the old baseline goes on) or until 30 nights have passed since it began and
   it is certain, 60 at most: then the new level is what the stream is like, and those nights are
   its new baseline.
6. A new version of anything (`Night.version`), or a gap of 45 days, starts a new baseline. The
   first nights of a new version are compared with the old baseline meanwhile.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from labctl.statistics.changes import Change
from labctl.statistics.streams import Measure, StreamKey


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stream is judged. Spreads are those of the stream between its own nights."""

    allowance: float = 0.5
    """k: what a night may be off, in spreads, without adding up."""
    threshold: float = 6.0
    """h: the sum, in spreads, that is an alarm."""
    cap: float = 3.0
    """What one night counts for at most, in spreads (where the allowance is `allowance`)."""
    baseline_nights: int = 30
    """Nights until there is a baseline."""
    window_nights: int = 90
    """The latest nights that a baseline is made of."""
    step_nights: int = 5
    """Nights of a new version after which it is compared with the one before."""
    back: float = 4.0
    """The sum, in spreads, at which a stream has gone back to where it was."""
    longest_gap_days: int = 45
    """Days without a night after which an old baseline says nothing any more."""
    false_discoveries: float = 0.05
    """The share of false ones among the findings of a morning (`across.correct`)."""

    def __post_init__(self) -> None:
        if not self.allowance > 0 or not self.threshold > 0:
            raise ValueError("allowance and threshold are above zero")
        if not self.allowance < self.cap:
            raise ValueError("a night has to count for more than the allowance")
        if not 5 <= self.baseline_nights <= self.window_nights:
            raise ValueError("a baseline is of at least 5 nights, and its window no shorter")
        if not self.step_nights >= 2:
            raise ValueError("a new version is compared after 2 nights at the earliest")
        if not 0 < self.false_discoveries < 1:
            raise ValueError("the share of false discoveries is between 0 and 1")


DEFAULT = Settings()


class Restart(enum.Enum):
    """Why a baseline begins where it does."""

    FIRST_NIGHT = "first night"
    VERSION = "new version"
    LEVEL = "level has changed"
    GAP = "long gap"


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stream with one baseline. `level` is in the measure's unit, None if too early."""

    began_us: int
    reason: Restart
    detail: str
    nights: int
    level: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """One night as it was judged, for a chart: z, and the sums after it, in spreads.

    `z` is None where there was no baseline yet. `value` is in the measure's unit; `expected` is the
    level at that time, and `spread` how much a night like this one scatters (about, for shares).
    """

    at_us: int
    value: float
    expected: float | None = None
    spread: float | None = None
    z: float | None = None
    up: float = 0.0
    down: float = 0.0


class State(enum.Enum):
    """What can be said about a stream tonight."""

    TOO_EARLY = "too early to say"
    STEADY = "steady"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Drift:
    """What a stream's nights say as of its last one.

    `q` and `confirmed` are None until the streams have been corrected together
    (`across.correct`).
    """

    key: StreamKey
    measure: Measure
    state: State
    nights: int
    """Nights of the present baseline's segment that had something to say."""
    needed: int
    """Nights that a baseline needs: too early to say means `nights` of `needed`."""
    level: float | None
    """The present baseline's level, in the measure's unit."""
    change: Change | None
    """The change that stands: found, or a new version's while it is too early to say more."""
    p: float | None
    """The chance of a difference like that of tonight's suspected nights, if nothing changed
    (`changes`); 1 when no night is suspected, None when there is nothing to compare yet."""
    past: tuple[Change, ...]
    """Changes that are over or have become the stream's level, oldest first."""
    segments: tuple[Segment, ...]
    history: tuple[Judged, ...] = field(repr=False)
    q: float | None = None
    confirmed: bool | None = None

    @property
    def sentence(self) -> str:
        """The state in words, without what is known of other streams."""
        if self.state is State.TOO_EARLY:
            return f"too early to say ({self.nights} of {self.needed} nights)"
        return str(self.state.value)
