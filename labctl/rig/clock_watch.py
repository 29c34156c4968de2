"""Whether the computer slept, and whether somebody set its clock, while a rig runs.

A rig's record has a time of its own: the wall's at the start, and from then on what passed since,
sleep included. Sleep is a gap. A clock that was set ahead is followed, and what is skipped is a gap
as well; one that was set back is not, since rows that came later would then come before.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from labctl.clock import MICROSECONDS, Clock, host_monotonic_s, host_since_boot_s, wall_us
from labctl.events import EventBus, Note, Severity

LOOK_EVERY_S: Final = 10.0
_SLEPT_S: Final = 1.0
_STEPPED_US: Final = 2 * MICROSECONDS


class Host(Protocol):
    """The clocks of a computer."""

    def awake_s(self) -> float:
        """Seconds that it was awake."""

    def since_boot_s(self) -> float:
        """Seconds that passed, sleep included."""

    def wall_us(self) -> int:
        """What it takes for UTC, microseconds."""


class ThisHost:
    """The computer that this runs on."""

    def awake_s(self) -> float:
        """CLOCK_MONOTONIC."""
        return host_monotonic_s()

    def since_boot_s(self) -> float:
        """CLOCK_BOOTTIME, where there is one."""
        return host_since_boot_s()

    def wall_us(self) -> int:
        """CLOCK_REALTIME."""
        return wall_us()


class ClockWatch:
    """Looks every ten seconds and notes `host-slept` and `clock-stepped`."""

    def __init__(self, clock: Clock, bus: EventBus, host: Host) -> None:
        self._clock = clock
        self._bus = bus
        self._host = host
        self._asleep_s = self._asleep()
        self._looked_us = clock.now_us()
        self._ahead_us = 0
        """How far the record is ahead of a wall that was set back."""

    def _asleep(self) -> float:
        return self._host.since_boot_s() - self._host.awake_s()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """See what happened since the last look."""
        slept_s = self._asleep() - self._asleep_s
        if slept_s >= _SLEPT_S:
            self._asleep_s += slept_s
            self._gap("host-slept", f"the computer slept for {slept_s:.0f} s", seconds=slept_s)
        step_us = self._host.wall_us() - self._clock.now_us() + self._ahead_us
        if abs(step_us) >= _STEPPED_US:
            self._stepped(step_us)
        self._looked_us = self._clock.now_us()

    def _stepped(self, step_us: int) -> None:
        by_s = round(step_us / MICROSECONDS, 3)
        follow_us = max(0, step_us - self._ahead_us)
        self._ahead_us = max(0, self._ahead_us - step_us)
        if follow_us:
            self._clock.advance(follow_us)
            self._gap("clock-stepped", f"the computer's clock was set {by_s} s ahead", by_s=by_s)
            return
        behind = f"the record keeps its own time, {self._ahead_us / MICROSECONDS:.0f} s ahead"
        self._note("clock-stepped", by_s=by_s, cause=behind)

    def _gap(self, kind: str, cause: str, **detail: object) -> None:
        # Nobody knows where between the last look and this one it was.
        duration_us = self._clock.now_us() - self._looked_us
        self._note(kind, cause=cause, infrastructure=True, duration_us=duration_us, **detail)

    def _note(self, kind: str, **detail: object) -> None:
        self._bus.emit(
            Note(
                at_us=self._clock.now_us(),
                kind=kind,
                severity=Severity.WARNING,
                detail=detail,
            )
        )
