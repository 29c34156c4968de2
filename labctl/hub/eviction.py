"""Devices that may not stay: unkeyed ones, after a while or at the end of their window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from labctl.clock import MICROSECONDS
from labctl.errors import RigError
from labctl.events import Severity
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, KeyState
from labctl.hub.keys import Keys
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator
from labctl.smart_energy.eui64 import Eui64

_EXPEL_AGAIN_US = 60 * MICROSECONDS
_EXPELLED_LIMIT = 256
"""Addresses remembered: whoever makes them up must not fill our memory."""


class Eviction:
    """Knows who is on the network without an established key, and removes them.

    A trust centre may remove a node 60 min after it joined without key establishment (SE 1.4a
    5.4). Remove Device is secured with the device's link key, so the key is erased after it.
    """

    def __init__(
        self, coordinator: Coordinator, keys: Keys, reporter: Reporter, chores: Chores
    ) -> None:
        self._coordinator = coordinator
        self._keys = keys
        self._reporter = reporter
        self._chores = chores
        self._unkeyed: dict[str, Callable[[], None]] = {}
        self._expelled_us: dict[str, int] = {}
        self._gone: dict[str, asyncio.Event] = {}

    def watch(self, device: Device, seconds: float, due: Callable[[], None]) -> None:
        """The device is on the network and unkeyed. Call `due` unless `spare` comes first."""
        self.spare(device)
        self._unkeyed[device.eui64] = self._chores.later(seconds, due)

    def spare(self, device: Device) -> None:
        """The device got its key, or is gone."""
        prevent = self._unkeyed.pop(device.eui64, None)
        if prevent is not None:
            prevent()

    async def remove(self, device: Device) -> None:
        """Remove the device from the network. That it could not be is worth a note, no more."""
        self.spare(device)
        if device.nwk is None:
            return
        try:
            await self._coordinator.remove_device(device.eui64, device.nwk)
        except RigError as error:
            self._reporter.note("not-removed", Severity.WARNING, device.eui64, cause=error.what)
            return
        self._reporter.note("removed", Severity.INFO, device.eui64)

    async def window_over(self, device: Device) -> None:
        """A device that did not get in keeps neither its place nor its key."""
        if device.key is KeyState.UNPROVEN:
            await self.disproven(device)
        elif device.key is KeyState.INSTALL_CODE:
            if device.eui64 in self._unkeyed:
                await self.remove(device)
            await self._take_away(device)

    async def disproven(self, device: Device) -> None:
        """A device had its time and never used the key: what was in force before holds again."""
        if device.key is KeyState.UNPROVEN:
            self.spare(device)
            await self._take_away(device)

    async def _take_away(self, device: Device) -> None:
        try:
            if device.before_state is KeyState.ESTABLISHED:
                await self._keys.roll_back(device)
            else:
                await self._keys.erase(device)
        except RigError as error:
            self._reporter.note("key-not-erased", Severity.ERROR, device.eui64, cause=error.what)

    async def expel(self, eui64: Eui64, nwk: int) -> None:
        """Somebody without a key is on the network: tell it to go, now and then and not oftener."""
        now_us = self._reporter.now_us()
        if now_us < self._expelled_us.get(eui64, 0) + _EXPEL_AGAIN_US:
            return
        if len(self._expelled_us) >= _EXPELLED_LIMIT:
            self._expelled_us.clear()
        self._expelled_us[eui64] = now_us
        try:
            await self._coordinator.remove_device(eui64, nwk)
        except RigError as error:
            self._reporter.note("not-expelled", Severity.WARNING, eui64, cause=error.what)
            return
        self._reporter.note("expelled", Severity.INFO, eui64)

    def left(self, eui64: str) -> None:
        """The device is gone from the network."""
        self._gone.get(eui64, asyncio.Event()).set()

    async def dismiss(self, device: Device, seconds: float) -> bool:
        """Remove the device and wait for its leave. False: it did not answer."""
        if device.nwk is None:
            return False
        gone = self._gone[device.eui64] = asyncio.Event()
        try:
            await self.remove(device)
            async with asyncio.timeout(seconds):
                await gone.wait()
        except TimeoutError:
            return False
        finally:
            del self._gone[device.eui64]
        return True
