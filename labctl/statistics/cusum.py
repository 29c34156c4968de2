"""The walk through a stream, night by night (`labctl.statistics.drift` says how it goes)."""

from __future__ import annotations

from labctl.statistics.baseline import Baseline, baseline
from labctl.statistics.changes import Cause, Change, measure_change
from labctl.statistics.drift import DEFAULT, Drift, Judged, Restart, Segment, Settings, State
from labctl.statistics.streams import DAY_US, Night, Point, Stream, in_unit, on_scale

CERTAIN = 1e-4
"""The p-value at which a change stands out of some hundred streams."""


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
        self._begin(None, Restart.FIRST_NIGHT, "")

    def _begin(self, at: Point | None, reason: Restart, detail: str) -> None:
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
        self._restart_if_due(point)
        self.previous = point
        self.count += 1
        if self.base is None:
            self.history.append(Judged(point.at_us, point.value))
            self._join([point])
            return
        z = self.base.deviation(point)
        self._add(z, point)
        self.history.append(self._judged(point, z))
        self.suspects.append(point)
        if self.alarm:
            self._follow(z, point)
        else:
            self._look(point)

    def _restart_if_due(self, point: Point) -> None:
        earlier = self.previous
        if earlier is None:
            self.at = point
            return
        days = (point.at_us - earlier.at_us) / DAY_US
        if point.version != earlier.version:
            # A version that comes before there was a baseline leaves the one before it to compare.
            old = self.base or self.before
            self._close()
            self._begin(point, Restart.VERSION, point.version)
            self.before = old
        elif days > self.settings.longest_gap_days:
            self._close()
            self._begin(point, Restart.GAP, f"{days:.0f} days without a night")
            self.before = None

    def _add(self, z: float, point: Point) -> None:
        """Both sums, and how many nights they have been above zero."""
        assert self.base
        spread = self.base.spread(point)
        self.up = max(0.0, self.up + self._cut(z - self._allowance(1, spread)))
        self.up_nights = self.up_nights + 1 if self.up else 0
        self.down = max(0.0, self.down + self._cut(-z - self._allowance(-1, spread)))
        self.down_nights = self.down_nights + 1 if self.down else 0

    def _cut(self, added: float) -> float:
        """What a night adds to a sum: no more than one that is `cap` spreads off."""
        most = self.settings.cap - self.settings.allowance
        return min(max(added, -most), most)

    def _allowance(self, direction: int, spread: float) -> float:
        """Half a spread, or half the least effect where that is more."""
        assert self.base
        share, level = self.share, self.base.level
        least = on_scale(
            in_unit(level, share=share) + direction * self.measure.least_effect, share=share
        )
        return max(self.settings.allowance, abs(least - level) / spread / 2)

    # -- alarms -----------------------------------------------------------------------------------

    def _look(self, point: Point) -> None:
        """Is there an alarm? If not, what is no longer suspected joins the baseline."""
        for direction, total, nights in (
            (1, self.up, self.up_nights),
            (-1, self.down, self.down_nights),
        ):
            if total > self.settings.threshold:
                change = self._changed(self.suspects[-nights:], found_us=point.at_us)
                if abs(change.effect) >= self.measure.least_effect:
                    self._raise_alarm(direction, nights, point)
                    return
        longest = max(self.up_nights, self.down_nights)
        if longest > 2 * self.settings.baseline_nights:
            # Two months of something too small to matter: this is what the stream is like.
            self.up = self.down = 0.0
            self.up_nights = self.down_nights = longest = 0
        free = len(self.suspects) - longest
        if free:
            self._join(self.suspects[:free])
            del self.suspects[:free]

    def _raise_alarm(self, direction: int, nights: int, point: Point) -> None:
        assert self.base
        self.alarm = direction
        self.found_us = point.at_us
        earlier = len(self.suspects) - nights
        self._join(self.suspects[:earlier])
        del self.suspects[:earlier]
        self.half_step = abs(sum(self.base.deviation(p) for p in self.suspects)) / nights / 2
        self.back, self.back_nights = 0.0, 0

    def _follow(self, z: float, point: Point) -> None:
        """An alarm stands. Has the stream gone back, or is this what it is like now?"""
        self.back = max(0.0, self.back + self._cut(self.half_step - self.alarm * z))
        self.back_nights = self.back_nights + 1 if self.back else 0
        if self.back > self.settings.back:
            changed = self.suspects[: -self.back_nights]
            calm = self.suspects[-self.back_nights :]
            if changed:
                self.past.append(self._changed(changed, found_us=self.found_us, over=True))
            self.alarm, self.suspects = 0, []
            self.up = self.down = 0.0
            self.up_nights = self.down_nights = 0
            self._join(calm)
        elif self._settled():
            settled, first = self.suspects, self.suspects[0]
            self.count -= len(settled)
            self._close()
            self._begin(first, Restart.LEVEL, "")
            self.count = len(settled)
            self.before = None
            self._join(settled)

    def _settled(self) -> bool:
        """Is the changed level one that the stream keeps, and is that known well enough?"""
        nights = len(self.suspects)
        if not self.settings.baseline_nights <= nights < 2 * self.settings.baseline_nights:
            return nights >= self.settings.baseline_nights
        # A change that is still doubtful among hundreds of streams is given time to become certain.
        return self._changed(self.suspects, found_us=self.found_us).p <= CERTAIN

    # -- the baseline -----------------------------------------------------------------------------

    def _join(self, points: list[Point]) -> None:
        """Nights that are what the stream is like."""
        self.calm += points
        del self.calm[: -self.settings.window_nights]
        self.fresh += len(points)
        enough = len(self.calm) >= self.settings.baseline_nights
        # Five nights more do not move a baseline of thirty by much.
        if enough and (self.base is None or self.fresh >= 5):
            self._remember_step()
            self.base = baseline(self.calm, self.measure)
            self.fresh = 0

    def _remember_step(self) -> None:
        """A new version has a baseline of its own now; what it changed is not forgotten with it."""
        step = self._standing() if self.base is None else None
        if step and abs(step.effect) >= self.measure.least_effect:
            if step.p <= self.settings.false_discoveries:
                self.past.append(step)
            self.before = None

    def _changed(self, points: list[Point], *, found_us: int, over: bool = False) -> Change:
        assert self.base
        return measure_change(
            self.measure,
            self.base,
            points,
            cause=Cause.FOUND,
            found_us=found_us,
            over=over,
            looks=self.count,
        )

    # -- what comes of it -------------------------------------------------------------------------

    def _unit(self, y: float) -> float:
        return in_unit(y, share=self.share)

    def _judged(self, point: Point, z: float) -> Judged:
        assert self.base
        spread, level = self.base.spread(point), self.base.level
        around = (self._unit(level + spread) - self._unit(level - spread)) / 2
        return Judged(point.at_us, point.value, self._unit(level), around, z, self.up, self.down)

    def _close(self) -> None:
        """The segment is at its end; a change that still stands in it is a past one."""
        if self.alarm:
            self.past.append(self._changed(self.suspects, found_us=self.found_us))
        self.segments.append(self._segment())

    def _segment(self) -> Segment:
        level = self._unit(self.base.level) if self.base else None
        began_us = self.at.at_us if self.at else 0
        return Segment(began_us, self.reason, self.detail, self.count, level)

    def _standing(self) -> Change | None:
        """The change that stands after the last night."""
        if self.alarm:
            return self._changed(self.suspects, found_us=self.found_us)
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
        )

    def _chance(self, change: Change | None) -> float | None:
        """The p-value of tonight, of the change that stands or of the nights under suspicion."""
        if change:
            return change.p
        if not self.base:
            return None
        nights = self.up_nights if self.up >= self.down else self.down_nights
        return self._changed(self.suspects[-nights:], found_us=0).p if nights else 1.0

    def result(self) -> Drift:
        """Where the stream stands after the nights so far."""
        change = self._standing()
        state = State.ALARM if self.alarm else State.STEADY if self.base else State.TOO_EARLY
        segments = (*self.segments, self._segment()) if self.previous else ()
        return Drift(
            key=self.stream.key,
            measure=self.measure,
            state=state,
            nights=self.count,
            needed=self.settings.baseline_nights,
            level=self._unit(self.base.level) if self.base else None,
            change=change,
            p=self._chance(change),
            past=tuple(self.past),
            segments=segments,
            history=tuple(self.history),
        )
