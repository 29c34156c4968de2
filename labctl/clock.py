"""The one clock: UTC microseconds that follow the event loop.

The loop's `time()` is the only source of time in labctl, so that the virtual bench can run on a
loop that jumps from timer to timer. `Clock` adds the origin that turns it into UTC.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

MICROSECONDS = 1_000_000


class Clock:
    """UTC time on top of one event loop.

    `origin_us` is the UTC time, in microseconds since the epoch, at the moment of construction.
    `elapsed_s` counts from then on in place of the loop's clock.
    """

    __slots__ = ("_elapsed_origin_s", "_elapsed_s", "_loop", "_origin_us")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin_us: int,
        *,
        elapsed_s: Callable[[], float] | None = None,
    ) -> None:
        self._loop = loop
        self._elapsed_s = elapsed_s or loop.time
        self._elapsed_origin_s = self._elapsed_s()
        self._origin_us = origin_us

    @classmethod
    def of_the_wall(cls, loop: asyncio.AbstractEventLoop) -> Clock:
        """A clock that starts from the computer's own: for rigs with real radios.

        It goes on while the computer sleeps, which the loop's clock does not.
        """
        return cls(loop, time.time_ns() // 1000, elapsed_s=host_since_boot_s)

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z."""
        return self._origin_us + round((self._elapsed_s() - self._elapsed_origin_s) * MICROSECONDS)

    def advance(self, by_us: int) -> None:
        """Skip `by_us` microseconds, 0 or more: a record never goes back."""
        if by_us < 0:
            raise ValueError(f"a clock goes ahead, not {by_us} us")
        self._origin_us += by_us

    def monotonic_s(self) -> float:
        """Seconds on the loop's own clock: for durations only."""
        return self._loop.time()


def host_monotonic_s() -> float:
    """Seconds on a clock that all processes of this computer share and nobody can set.

    It stands still while the computer sleeps. For what processes agree on among themselves
    (leases): never for rig time, which is the loop's.
    """
    return time.monotonic()


def host_since_boot_s() -> float:
    """Seconds since the computer was started, sleep included, on a clock that nobody can set.

    Where there is none (macOS, Windows) it is `host_monotonic_s`.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return host_monotonic_s() if boottime is None else time.clock_gettime(boottime)


def wall_us() -> int:
    """The computer's own UTC, microseconds, to tell people when something outside of a rig was."""
    return time.time_ns() // 1000
