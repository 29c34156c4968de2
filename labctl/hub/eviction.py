"""Devices that may not stay: unkeyed ones, after a while or at the end of their window."""

from __future__ import annotations

from collections.abc import Callable

from labctl.errors import RigError
from labctl.events import Severity
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, KeyState
from labctl.hub.keys import Keys
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator


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
        if device.key is not KeyState.INSTALL_CODE:
            return
        if device.eui64 in self._unkeyed:
            await self.remove(device)
        try:
            await self._keys.erase(device)
        except RigError as error:
            self._reporter.note("key-not-erased", Severity.ERROR, device.eui64, cause=error.what)
