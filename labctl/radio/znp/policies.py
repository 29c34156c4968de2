"""What the trust centre is to do: in RAM, so set again after each start.

Two of Z-Stack's defaults open the network. A joiner without a key of its own is given the network
key under the default key: an install code is made a must here. And a device that comes back without
the network key (unsecured rejoin) is given it under the default key, window or not, whoever it is.

That second one cannot be off for good. Z-Stack never sees a Smart Energy device's key verified, and
only such devices may come back while it is off: not after a change of the network key, not to a
stick that took another's place. So it is on for as long as somebody is expected: a device that the
stick has a key of, and that has not shown yet that it can read what is sent to it. That is shown by
an acknowledgement, or an announcement after it was given the key; other frames from it may still be
under the network key before. It is off a day after the last reason to expect somebody, whoever is
missing then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import zigpy_znp.commands as c

from labctl.radio.znp.connection import Connection
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

EXPECTED_FOR_S = 24 * 3600.0


class Policies:
    """The trust centre's policies, through one connection.

    `changed` is called when `follow` has something to do that nobody waits for.
    """

    def __init__(self, connection: Connection, changed: Callable[[], None]) -> None:
        self._connection = connection
        self._changed = changed
        self._expected: set[Eui64] = set()
        self._keyless: set[Eui64] = set()
        self._here: set[Eui64] = set()
        self._open: bool | None = None
        self._turn = asyncio.Lock()
        self._end: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """After each start of the network."""
        do = self._connection.do
        await do(
            "must use install codes",
            c.AppConfig.BDBSetJoinUsesInstallCodeKey.Req(BdbJoinUsesInstallCodeKey=True),
        )
        # Smart Energy has key establishment in place of Zigbee 3.0's exchange, and a device that
        # does not do that one would be told to leave after 15 s.
        await do(
            "no exchange of keys",
            c.AppConfig.BDBSetTcRequireKeyExchange.Req(BdbTrustCenterRequireKeyExchange=False),
        )
        self._open = None
        await self.follow()

    def end(self) -> None:
        """Nothing more is to be done."""
        if self._end is not None:
            self._end.cancel()
            self._end = None

    async def follow(self) -> None:
        """Have the stick let rejoiners in, or not, as it is due now."""
        async with self._turn:
            wanted = bool(self._expected)
            if self._open is not wanted:
                await self._connection.do(
                    "rejoins", c.AppConfig.SetAllowRejoinTCPolicy.Req(AllowRejoin=wanted)
                )
                self._open = wanted

    # -- who is expected --------------------------------------------------------------------------

    def expect(self, devices: Iterable[Eui64], *, keyless: bool) -> None:
        """They may come, unless they are here. `keyless`: without the network key."""
        absent = set(devices) - self._here
        self._expected |= absent
        if keyless:
            self._keyless |= absent
        if not absent:
            return
        self.end()
        loop = asyncio.get_running_loop()
        self._end = loop.call_later(EXPECTED_FOR_S, self._nobody_more)

    def key_changed(self, devices: Iterable[Eui64]) -> None:
        """The network has another key: nobody is known to have it."""
        self._here.clear()
        self.expect(devices, keyless=True)

    def reached(self, eui64: Eui64) -> None:
        """A device acknowledged what was sent to it: it has the network key."""
        self._here.add(eui64)
        self._no_longer(eui64)

    def forget(self, eui64: Eui64) -> None:
        """The stick has no key of this device any more."""
        self._here.discard(eui64)
        self._no_longer(eui64)

    def may_be_keyless(self, eui64: Eui64) -> bool:
        """Whether a device that comes now probably came without the network key."""
        return eui64 in self._keyless

    def _no_longer(self, eui64: Eui64) -> None:
        self._keyless.discard(eui64)
        if eui64 in self._expected:
            self._expected.discard(eui64)
            if not self._expected:
                self.end()
                self._changed()

    def _nobody_more(self) -> None:
        _LOGGER.info("%d devices did not come back in a day", len(self._expected))
        self._end = None
        self._expected.clear()
        self._keyless.clear()
        self._changed()
