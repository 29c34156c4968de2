"""Changing the network key: to each device under its link key, then the switch (R22 4.4.3, 4.4.6).

Devices that sleep, and those that nothing reaches, miss it. They notice when their next frame is
not understood, and come back by an unsecured rejoin, for which their link key is good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from labctl.errors import RigError
from labctl.events import Severity
from labctl.hub.device_log import DeviceLog
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import BROADCAST_DELIVERY_S, Coordinator
from labctl.secret import Secret

_AFTER_THE_LAST_S = BROADCAST_DELIVERY_S + 1.0


class NetworkKeyUpdate:
    """One update after another, never two at a time."""

    def __init__(
        self,
        log: DeviceLog,
        coordinator: Coordinator,
        reporter: Reporter,
        random_octets: Callable[[int], bytes],
    ) -> None:
        self._log = log
        self._coordinator = coordinator
        self._reporter = reporter
        self._random_octets = random_octets
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Update and switch. Raises `RigError` when the radio fails or no device took the key."""
        async with self._turn:
            key = Secret(self._random_octets(16))
            given, missed = 0, 0
            for device in self._log:
                if not device.authorised or device.nwk is None:
                    continue
                if device.sleepy:
                    missed += 1
                    self._missed(device.eui64, "it sleeps")
                    continue
                try:
                    await self._coordinator.send_network_key(device.eui64, device.nwk, key)
                    given += 1
                except RigError as error:
                    missed += 1
                    self._missed(device.eui64, error.what)
            if not given:
                raise RigError(
                    "no device took the next network key: the present one stays",
                    mend="switch a device on that is authorised and does not sleep",
                )
            await asyncio.sleep(_AFTER_THE_LAST_S)
            await self._coordinator.switch_network_key()
            self._reporter.note("network-key-switched", given=given, missed=missed)

    def _missed(self, eui64: str, why: str) -> None:
        self._reporter.note("network-key-missed", Severity.INFO, eui64, cause=why)
