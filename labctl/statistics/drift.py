"""Has a stream moved? A two-sided CUSUM on the stream's own spread, with a least effect.

How a stream is walked through, night by night:

1. The first 30 nights are a baseline: level and spread, robustly (`baseline`). Until then it is too
   early to say anything, and that is what is said.
2. Each later night is so many spreads z away from the level. A night counts for at most `cap`
   spreads, so that one night alone, however bad, is never a drift. Two sums are kept,
   `up = max(0, up + z - k)` and `down = max(0, down - z - k)`. The allowance k is half a spread, or
   half the least effect where that is more: what is not worth a word does not add up.
3. A sum above h = 6 whose nights, since the sum left zero, differ from the baseline by the least
   effect is an alarm. The change began with the first of those nights.
4. Nights that neither sum suspects join the baseline, which is made of the latest 90 of them. It
   follows the seasons and cannot be eaten by a drift, since a drift's nights are suspected.
5. An alarm stands until the stream has gone back (a sum in the other direction, from the changed
   level, says so: then the old baseline goes on) or until 30 nights have passed since it began:
   then the new level is what the stream is like, and those nights are its new baseline.
6. A new version of anything (`Night.version`), or a gap of 45 days, starts a new baseline. The
   first nights of a new version are compared with the old baseline meanwhile.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from labctl.statistics.baseline import Baseline, baseline
from labctl.statistics.changes import Cause, Change, measure_change
from labctl.statistics.streams import (
    DAY_US,
    Measure,
    Night,
    Point,
    Stream,
    StreamKey,
    in_unit,
    on_scale,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a stream is judged. Spreads are those of the stream between its own nights."""

    allowance: float = 0.5
    """k: what a night may be off, in spreads, without adding up."""
    threshold: float = 6.0
    """h: the sum, in spreads, that is an alarm."""
    cap: float = 3.0
    """What one night counts for at most, in spreads."""
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


def judge(stream: Stream, settings: Settings = DEFAULT) -> Drift:
    """Walk through a stream and say where it stands after its last night."""
    walk = Walk(stream, settings)
    for point in stream.points:
        walk.take(point)
    return walk.result()


class Walk:
    """A stream's judgement between two nights: `take` the next one, `result` whenever wanted.

    Only key and measure are taken from `stream`, and whether its nights are shares.
    """

    def __init__(self, stream: Stream, settings: Settings) -> None:
        self.stream = stream
        self.measure = stream.measure
        self.settings = settings
        self.past: list[Change] = []
        self.segments: list[Segment] = []
        self.history: list[Judged] = []
        self.share = bool(stream.nights and isinstance(stream.nights[0], Night))
        self.previous: Point | None = None
        self.before: Baseline | None = None
        self.begin(None, Restart.FIRST_NIGHT, "")

    def begin(self, at: Point | None, reason: Restart, detail: str) -> None:
        """A new segment, of no nights yet."""
        self.reason, self.detail, self.at = reason, detail, at
        self.count = 0
        self.calm: list[Point] = []
        self.suspects: list[Point] = []
        self.base: Baseline | None = None
        self.fresh = 0
        self.up = self.down = 0.0
        self.up_nights = self.down_nights = 0
        self.alarm = 0
        self.found_us = 0
        self.back, self.back_nights, self.half_step = 0.0, 0, 0.0

    # -- one night --------------------------------------------------------------------------------

    def take(self, point: Point) -> None:
        """The next night."""
        self.restart_if_due(point)
        self.previous = point
        self.count += 1
        if self.base is None:
            self.history.append(Judged(point.at_us, self.unit(point.y)))
            self.join([point])
            return
        z = self.base.deviation(point)
        cut = min(max(z, -self.settings.cap), self.settings.cap)
        self.add(cut, point)
        self.history.append(self.judged(point, z))
        self.suspects.append(point)
        if self.alarm:
            self.follow(cut, point)
        else:
            self.look(point)

    def restart_if_due(self, point: Point) -> None:
        earlier = self.previous
        if earlier is None:
            self.at = point
            return
        days = (point.at_us - earlier.at_us) / DAY_US
        if point.version != earlier.version:
            # A version that comes before there was a baseline leaves the one before it to compare.
            old = self.base or self.before
            self.close(earlier)
            self.begin(point, Restart.VERSION, point.version)
            self.before = old
        elif days > self.settings.longest_gap_days:
            self.close(earlier)
            self.begin(point, Restart.GAP, f"{days:.0f} days without a night")
            self.before = None

    def add(self, z: float, point: Point) -> None:
        """Both sums, and how many nights they have been above zero."""
        assert self.base
        spread = self.base.spread(point)
        self.up = max(0.0, self.up + z - self.allowance(1, spread))
        self.up_nights = self.up_nights + 1 if self.up else 0
        self.down = max(0.0, self.down - z - self.allowance(-1, spread))
        self.down_nights = self.down_nights + 1 if self.down else 0

    def allowance(self, direction: int, spread: float) -> float:
        """Half a spread, or half the least effect where that is more."""
        assert self.base
        share, level = self.share, self.base.level
        least = on_scale(
            in_unit(level, share=share) + direction * self.measure.least_effect, share=share
        )
        return max(self.settings.allowance, abs(least - level) / spread / 2)

    # -- alarms -----------------------------------------------------------------------------------

    def look(self, point: Point) -> None:
        """Is there an alarm? If not, what is no longer suspected joins the baseline."""
        for direction, total, nights in (
            (1, self.up, self.up_nights),
            (-1, self.down, self.down_nights),
        ):
            if total > self.settings.threshold:
                change = self.changed(self.suspects[-nights:], found_us=point.at_us)
                if abs(change.effect) >= self.measure.least_effect:
                    self.raise_alarm(direction, nights, point)
                    return
        longest = max(self.up_nights, self.down_nights)
        if longest > 2 * self.settings.baseline_nights:
            # Two months of something too small to matter: this is what the stream is like.
            self.up = self.down = 0.0
            self.up_nights = self.down_nights = longest = 0
        free = len(self.suspects) - longest
        if free:
            self.join(self.suspects[:free])
            del self.suspects[:free]

    def raise_alarm(self, direction: int, nights: int, point: Point) -> None:
        assert self.base
        self.alarm = direction
        self.found_us = point.at_us
        earlier = len(self.suspects) - nights
        self.join(self.suspects[:earlier])
        del self.suspects[:earlier]
        mean = sum(self.base.deviation(p) for p in self.suspects) / nights
        self.half_step = min(abs(mean), self.settings.cap) / 2
        self.back, self.back_nights = 0.0, 0

    def follow(self, z: float, point: Point) -> None:
        """An alarm stands. Has the stream gone back, or is this what it is like now?"""
        self.back = max(0.0, self.back + self.half_step - self.alarm * z)
        self.back_nights = self.back_nights + 1 if self.back else 0
        if self.back > self.settings.back:
            changed = self.suspects[: -self.back_nights]
            calm = self.suspects[-self.back_nights :]
            if changed:
                self.past.append(self.changed(changed, found_us=self.found_us, over=True))
            self.alarm, self.suspects = 0, []
            self.up = self.down = 0.0
            self.up_nights = self.down_nights = 0
            self.join(calm)
        elif len(self.suspects) >= self.settings.baseline_nights:
            change = self.changed(self.suspects, found_us=self.found_us)
            self.past.append(change)
            settled, first = self.suspects, self.suspects[0]
            self.count -= len(settled)
            self.close(point)
            self.begin(first, Restart.LEVEL, "")
            self.count = len(settled)
            self.before = None
            self.join(settled)

    # -- the baseline -----------------------------------------------------------------------------

    def join(self, points: list[Point]) -> None:
        """Nights that are what the stream is like."""
        self.calm += points
        del self.calm[: -self.settings.window_nights]
        self.fresh += len(points)
        enough = len(self.calm) >= self.settings.baseline_nights
        # Five nights more do not move a baseline of thirty by much.
        if enough and (self.base is None or self.fresh >= 5):
            self.base = baseline(self.calm, self.measure)
            self.fresh = 0

    def changed(self, points: list[Point], *, found_us: int, over: bool = False) -> Change:
        assert self.base
        return measure_change(
            self.measure,
            self.base,
            points,
            cause=Cause.FOUND,
            found_us=found_us,
            over=over,
            looks=self.count,
            cap=self.settings.cap,
        )

    # -- what comes of it -------------------------------------------------------------------------

    def unit(self, y: float) -> float:
        return in_unit(y, share=self.share)

    def judged(self, point: Point, z: float) -> Judged:
        assert self.base
        spread, level = self.base.spread(point), self.base.level
        around = (self.unit(level + spread) - self.unit(level - spread)) / 2
        return Judged(
            point.at_us, self.unit(point.y), self.unit(level), around, z, self.up, self.down
        )

    def close(self, last: Point) -> None:
        """The segment is at its end; a change that still stands in it is a past one."""
        if self.alarm:
            self.past.append(self.changed(self.suspects, found_us=self.found_us))
        self.segments.append(self.segment())

    def segment(self) -> Segment:
        level = self.unit(self.base.level) if self.base else None
        began_us = self.at.at_us if self.at else 0
        return Segment(began_us, self.reason, self.detail, self.count, level)

    def standing(self) -> Change | None:
        """The change that stands after the last night."""
        if self.alarm:
            return self.changed(self.suspects, found_us=self.found_us)
        new = self.base is None and self.before and self.reason is Restart.VERSION
        if not new or len(self.calm) < self.settings.step_nights:
            return None
        assert self.before
        return measure_change(
            self.measure,
            self.before,
            self.calm,
            cause=Cause.VERSION,
            found_us=self.calm[self.settings.step_nights - 1].at_us,
            over=False,
            looks=1,
            cap=self.settings.cap,
        )

    def chance(self, change: Change | None) -> float | None:
        """The p-value of tonight, of the change that stands or of the nights under suspicion."""
        if change:
            return change.p
        if not self.base:
            return None
        nights = self.up_nights if self.up >= self.down else self.down_nights
        return self.changed(self.suspects[-nights:], found_us=0).p if nights else 1.0

    def result(self) -> Drift:
        change = self.standing()
        state = State.ALARM if self.alarm else State.STEADY if self.base else State.TOO_EARLY
        segments = (*self.segments, self.segment()) if self.previous else ()
        return Drift(
            key=self.stream.key,
            measure=self.measure,
            state=state,
            nights=self.count,
            needed=self.settings.baseline_nights,
            level=self.unit(self.base.level) if self.base else None,
            change=change,
            p=self.chance(change),
            past=tuple(self.past),
            segments=segments,
            history=tuple(self.history),
        )
