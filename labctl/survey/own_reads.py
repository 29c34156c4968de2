"""The reads that a device sends of its own accord, as probes of the way to the hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labctl.config.resolved import DeviceUnderTest
from labctl.events import Event, LinkSample, ReadServed

_MOST_PERIOD_MS = 60_000
"""A schedule with longer periods is due too seldom to say anything of a waypoint."""


@dataclass(frozen=True, slots=True)
class OwnRead:
    """One that came, or one that should have. `sample` is how it was heard."""

    at_us: int
    arrived: bool
    sample: LinkSample | None


@dataclass(slots=True)
class _Schedule:
    period_us: int
    tolerance_us: int
    due_us: int | None = None
    """When the next one is; None: nothing of it was heard yet, so nothing is expected."""


class OwnReads:
    """Listens to one device's reads; `since` hands out what happened between two looks."""

    def __init__(self, device: DeviceUnderTest) -> None:
        self._eui64 = str(device.eui64)
        self._schedules = {
            each.name: _Schedule(each.period_ms * 1000, each.tolerance_ms * 1000)
            for each in device.schedules
            if each.period_ms <= _MOST_PERIOD_MS
        }
        self._last: LinkSample | None = None
        self._seen: list[OwnRead] = []

    def saw(self, event: Event) -> None:
        """An event of the rig's."""
        if isinstance(event, LinkSample) and event.eui64 == self._eui64:
            self._last = event
        elif isinstance(event, ReadServed) and event.eui64 == self._eui64:
            schedule = self._schedules.get(event.schedule or "")
            if schedule is None or event.initiator != "device":
                return
            schedule.due_us = event.at_us + schedule.period_us
            sample = self._last
            if sample is not None and sample.at_us != event.at_us:
                sample = None  # another frame came in between: this one's level is not known
            self._seen.append(OwnRead(event.at_us, True, sample))

    def begin(self, now_us: int) -> None:
        """A waypoint begins: what was due before says nothing of it."""
        self._seen.clear()
        for schedule in self._schedules.values():
            if schedule.due_us is not None and schedule.due_us < now_us:
                schedule.due_us = now_us + schedule.period_us  # its rhythm is not known any more

    def since(self, now_us: int) -> Iterator[OwnRead]:
        """What came since the last look, and what is overdue by more than its tolerance."""
        seen, self._seen = self._seen, []
        yield from seen
        for schedule in self._schedules.values():
            while schedule.due_us is not None and now_us > schedule.due_us + schedule.tolerance_us:
                yield OwnRead(schedule.due_us + schedule.tolerance_us, False, None)
                schedule.due_us += schedule.period_us
