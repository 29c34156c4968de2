"""The channel of a Z-Stack network: what is heard on others, and moving it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import zigpy_znp.commands as c
import zigpy_znp.types as t

from labctl.errors import RigError
from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection
from labctl.radio.znp.receiving import OWN_NWK, Inbox
from labctl.radio.znp.sending import Sender
from labctl.smart_energy.channels import Channel

_MGMT_NWK_UPDATE, _MGMT_NWK_UPDATE_NOTIFY = 0x0038, 0x8038
_CHANGE_CHANNEL = 0xFE
"""A scan duration that stands for a change of the channel (R22 2.4.3.3.9)."""

_ALL_DEVICES = 0xFFFF
_FLOOR_DBM, _CEILING_DBM, _MOST = -87, -10, 255
_SLOT_S = 0.01536
"""aBaseSuperframeDuration at 2.4 GHz."""

_SCAN_SPARE_S = 10.0
_CHANGE_TIMEOUT_S = 15.0
_LOOK_AGAIN_S = 0.5


def energy_dbm(level: int) -> int:
    """A level as Z-Stack tells it, 0 to 255, in dBm.

    The octet is spread evenly between two levels of the receiver. What is beyond either end is told
    as that end.
    """
    return round(_FLOOR_DBM + level * (_CEILING_DBM - _FLOOR_DBM) / _MOST)


class Channels:
    """`now` is where the network is, as far as is known; `moved` is called when that changes."""

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        sender: Sender,
        *,
        radio: str,
        now: Channel,
        moved: Callable[[Channel], None],
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._sender = sender
        self._radio = radio
        self._moved = moved
        self.now = now

    async def energy_scan(self, channels: Sequence[Channel], exponent: int) -> dict[Channel, int]:
        """A Mgmt_NWK_Update_req to the NCP itself."""
        wanted = sorted({channel.number for channel in channels if channel.page == 0})
        if len(wanted) < len(set(channels)):
            raise RigError("a ZNP stick listens at 2.4 GHz alone", where=self._radio)
        if not wanted:
            return {}
        patience_s = len(wanted) * _SLOT_S * (2**exponent + 1) + _SCAN_SPARE_S
        mask = sum(1 << number for number in wanted)
        heard = await self._inbox.ask_ourselves(
            _MGMT_NWK_UPDATE_NOTIFY, patience_s, _update(mask, exponent, count=1)
        )
        # Status, scanned channels, transmissions, failures, and a list of levels.
        if len(heard) < 10 or heard[0] != mt.SUCCESS or heard[9] > len(heard) - 10:
            raise RigError("the NCP's energy scan failed", where=self._radio)
        scanned = int.from_bytes(heard[1:5], "little")
        numbers = [number for number in range(32) if scanned >> number & 1]
        return {
            Channel(0, number): energy_dbm(level)
            for number, level in zip(numbers, heard[10 : 10 + heard[9]], strict=False)
            if number in wanted
        }

    async def change(self, channel: Channel) -> None:
        """A Mgmt_NWK_Update_req to the NCP itself, which goes there some seconds later."""
        if channel.page:
            raise RigError("a ZNP stick is at 2.4 GHz alone", where=self._radio)
        if await self.look() == channel:
            return
        await self._connection.do(
            "changing the channel", _update(1 << channel.number, _CHANGE_CHANNEL, count=0)
        )
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _CHANGE_TIMEOUT_S
        while await self.look() != channel:
            if loop.time() >= end_s:
                raise RigError(f"the NCP is at {self.now} and not at {channel}", where=self._radio)
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def look(self) -> Channel:
        """Ask the NCP where it is."""
        answer = await self._connection.ask(mt.ZDO_EXT_NWK_INFO)
        try:
            now = Channel(0, mt.unpack_network_info(answer).channel)
        except ValueError as error:
            raise RigError(
                f"the NCP does not say where it is: {error}", where=self._radio
            ) from error
        if now != self.now:
            self.now = now
            self._moved(now)
        return now

    async def announce(self, channel: Channel) -> None:
        """Broadcast that everybody is to follow.

        As a frame of our own: by its request for that the NCP would obey too, and sooner than the
        devices that sleep.
        """
        request = channel.mask.to_bytes(4, "little") + bytes((_CHANGE_CHANNEL, 0))
        await self._sender.broadcast(_ALL_DEVICES, _MGMT_NWK_UPDATE, self._inbox.numbered(request))


def _update(mask: int, duration: int, *, count: int) -> Any:
    return c.ZDO.MgmtNWKUpdateReq.Req(
        Dst=t.NWK(OWN_NWK),
        DstAddrMode=t.AddrMode.NWK,
        Channels=t.Channels(mask),
        ScanDuration=t.uint8_t(duration),
        ScanCount=t.uint8_t(count),
        NwkManagerAddr=t.NWK(OWN_NWK),
    )
