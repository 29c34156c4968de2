"""Pairing windows: how long joining is open, and for whom.

Anybody may associate while joining is open; only a device whose install-code key the NCP holds can
read the network key. So a window is two things: a key in the NCP's table, and permit-join.
Permit-join is broadcast for at most 254 s at a time and repeated every 240 s for longer windows,
never 255, which would be for good (SE 1.4a 5.4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from labctl.clock import MICROSECONDS
from labctl.hub.chores import Chores, nothing
from labctl.hub.device_log import Device
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator

PERMIT_LIMIT_S = 254
PERMIT_AGAIN_S = 240.0


@dataclass(slots=True)
class Window:
    """A device's window. Times are UTC microseconds."""

    device: Device
    opened_us: int
    closes_us: int
    prevent_close: Callable[[], None]


class Windows:
    """The windows that are open. `closed` is called when one has run its time."""

    def __init__(
        self,
        coordinator: Coordinator,
        reporter: Reporter,
        chores: Chores,
        closed: Callable[[Window], None],
    ) -> None:
        self._coordinator = coordinator
        self._note = reporter.note
        self._now_us = reporter.now_us
        self._chores = chores
        self._closed = closed
        self._open: dict[str, Window] = {}
        self._last: dict[str, Window] = {}
        self._prevent_again: Callable[[], None] | None = None
        self._all_until_us = 0
        self._prevent_all: Callable[[], None] = nothing

    def __len__(self) -> int:
        return len(self._open)

    def of(self, device: Device) -> Window | None:
        """The open window of a device."""
        return self._open.get(device.eui64)

    def last(self, device: Device) -> Window | None:
        """A device's window that closed last, in this run."""
        return self._last.get(device.eui64)

    async def open(self, device: Device, seconds: int) -> None:
        """Open a window, in place of one that is open for that device. Raises `RigError`."""
        earlier = self._open.pop(device.eui64, None)
        if earlier is not None:
            earlier.prevent_close()
        now_us = self._now_us()
        window = Window(
            device,
            now_us,
            now_us + seconds * MICROSECONDS,
            self._chores.later(seconds, lambda: self._time_is_up(device)),
        )
        self._open[device.eui64] = window
        await self.permit()

    @property
    def open_for_all(self) -> bool:
        """Whether joining is open to see who comes."""
        return self._now_us() < self._all_until_us

    async def open_to_all(self, seconds: int) -> None:
        """Let anybody associate, without a key for anybody. 0 ends it. Raises `RigError`."""
        self._prevent_all()
        self._all_until_us = self._now_us() + seconds * MICROSECONDS
        self._prevent_all = self._chores.later(seconds, lambda: self._chores.run(self.permit()))
        await self.permit()

    async def close(self, device: Device) -> None:
        """Close a window before its time, without calling `closed`. Raises `RigError`."""
        if self.drop(device):
            await self.permit()

    def drop(self, device: Device) -> bool:
        """Forget an open window without a word to the radio. Whether there was one."""
        window = self._open.pop(device.eui64, None)
        if window is None:
            return False
        window.prevent_close()
        self._last[device.eui64] = window
        return True

    async def permit(self) -> None:
        """Let the radio's permit-join follow the windows. Raises `RigError`."""
        if self._prevent_again is not None:
            self._prevent_again()
            self._prevent_again = None
        until_us = max((window.closes_us for window in self._open.values()), default=0)
        until_us = max(until_us, self._all_until_us)
        if until_us <= self._now_us():
            await self._tell_radio(0)
            return
        left_s = (until_us - self._now_us()) / MICROSECONDS
        if left_s > PERMIT_LIMIT_S:
            self._prevent_again = self._chores.later(
                PERMIT_AGAIN_S, lambda: self._chores.run(self.permit())
            )
        await self._tell_radio(max(1, min(PERMIT_LIMIT_S, math.ceil(left_s))))

    async def _tell_radio(self, seconds: int) -> None:
        await self._coordinator.permit_joining(seconds)
        self._note("joining-permitted", seconds=seconds)

    def _time_is_up(self, device: Device) -> None:
        window = self._open.pop(device.eui64)
        self._last[device.eui64] = window
        self._chores.run(self.permit())
        self._closed(window)
