"""When a device may send no ZCL frame: the time that the hub told it to be silent for (0x070B).

What the stack does by itself goes on: polls, acknowledgements, answers to ZDO requests. So does a
download of firmware that is under way, since the hub serves it or says when to come again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.settings import OTA, SUB_GHZ, Timings

_BLOCK, _UPGRADE_END = 0x03, 0x06
_GET_SUSPEND_STATUS = 0x00


def passes(cluster_id: int, command: int, *, cluster_specific: bool) -> bool:
    """Whether a device that is to be silent may send this all the same."""
    if not cluster_specific:
        return False
    if cluster_id == OTA:
        return command in (_BLOCK, _UPGRADE_END)
    return cluster_id == SUB_GHZ and command == _GET_SUSPEND_STATUS


class Silence:
    """One device's. `on_begin` is called when it begins, before any other thing can happen."""

    def __init__(self, timings: Timings, rng: random.Random, saw: Observations) -> None:
        self._timings = timings
        self._rng = rng
        self._saw = saw
        self._over = asyncio.Event()
        self._over.set()
        self._timer: asyncio.TimerHandle | None = None
        self.on_begin: Callable[[], None] = lambda: None

    @property
    def is_on(self) -> bool:
        """Whether it lasts."""
        return not self._over.is_set()

    async def over(self) -> None:
        """Wait until it is over; at once when there is none."""
        await self._over.wait()

    def told(self, minutes: int) -> None:
        """Be silent for so long from now on, whatever was said before; 0: no longer.

        All who were silenced at once would begin at once, and some clocks run fast: a device waits
        a little longer than it was told.
        """
        self._cancel()
        if not minutes:
            self._end("the hub says so")
            return
        self._saw.note(What.SUSPENDED, f"{minutes} min")
        t = self._timings
        longer_s = t.silence_longer_s + self._rng.uniform(0, t.silence_jitter_s)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(minutes * 60.0 + longer_s, self._end, "its time is over")
        self._over.clear()
        self.on_begin()

    def end(self, why: str) -> None:
        """It does not hold any more, for instance since the device is on another band now."""
        self._cancel()
        self._end(why)

    def close(self) -> None:
        """The power is gone."""
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self, why: str) -> None:
        self._timer = None
        if self.is_on:
            self._over.set()
            self._saw.note(What.RESUMED, why)
