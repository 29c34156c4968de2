"""What the trust centre is to do: in RAM, so set again after each start.

Two of Z-Stack's defaults would open the network. A joiner without a key of its own gets the network
key under the default key; an install code is made a must here. And a device that comes back without
the network key (unsecured rejoin) is given it under the default key, window or not, whoever it is:
that is off. But a Smart Energy device, whose key Z-Stack never sees verified, then cannot come back
that way either. The one time it has to is after the network key changed: so rejoins are let in from
then on until everybody with a key was heard again, and for a day at most.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import zigpy_znp.commands as c

from labctl.radio.znp.connection import Connection
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

LET_BACK_S = 24 * 3600.0


class Policies:
    """The trust centre's policies, through one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._missing: set[Eui64] = set()

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
        await self._allow_rejoins(bool(self._missing))

    async def _allow_rejoins(self, allowed: bool) -> None:
        await self._connection.do(
            "rejoins", c.AppConfig.SetAllowRejoinTCPolicy.Req(AllowRejoin=allowed)
        )

    async def let_back(self, devices: Iterable[Eui64]) -> None:
        """The network key changed, and these may have missed it. To be ended after `LET_BACK_S`."""
        self._missing = set(devices)
        await self._allow_rejoins(bool(self._missing))

    def lets_back(self, eui64: Eui64) -> bool:
        """Whether a device that comes now may have come without the network key."""
        return eui64 in self._missing

    def heard(self, eui64: Eui64) -> bool:
        """A device has the network key. True when nobody is waited for any more: then `close`."""
        if not self._missing:
            return False
        self._missing.discard(eui64)
        return not self._missing

    async def close(self) -> None:
        """No more rejoins without the network key."""
        if self._missing:
            _LOGGER.info("%d devices did not come back after the new key", len(self._missing))
            self._missing.clear()
        await self._allow_rejoins(False)
