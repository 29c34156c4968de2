"""The one clock: UTC microseconds that follow the event loop.

The loop's `time()` is the only source of time in labctl, so that the virtual bench can run on a
loop that jumps from timer to timer. `Clock` adds the origin that turns it into UTC.
"""

from __future__ import annotations

import asyncio
import time

MICROSECONDS = 1_000_000


class Clock:
    """UTC time on top of one event loop.

    `origin_us` is the UTC time, in microseconds since the epoch, at the moment of construction.
    """

    __slots__ = ("_loop", "_loop_origin_s", "_origin_us")

    def __init__(self, loop: asyncio.AbstractEventLoop, origin_us: int) -> None:
        self._loop = loop
        self._loop_origin_s = loop.time()
        self._origin_us = origin_us

    @classmethod
    def of_the_wall(cls, loop: asyncio.AbstractEventLoop) -> Clock:
        """A clock that starts from the computer's own: for rigs with real radios."""
        return cls(loop, time.time_ns() // 1000)

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        return self._origin_us + round((self._loop.time() - self._loop_origin_s) * MICROSECONDS)

    def monotonic_s(self) -> float:
        """Seconds on the loop's own clock: for durations only."""
        return self._loop.time()


def host_monotonic_s() -> float:
    """Seconds on a clock that all processes of this computer share and nobody can set.

    It stands still while the computer sleeps. For what processes agree on among themselves
    (leases): never for rig time, which is the loop's.
    """
    return time.monotonic()


def wall_us() -> int:
    """The computer's own UTC, microseconds, to tell people when something outside of a rig was."""
    return time.time_ns() // 1000
