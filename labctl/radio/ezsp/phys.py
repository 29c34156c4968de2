"""The PHYs of one stick: on which channels its network runs, how it moves, how it listens.

PHY 0 is the radio that the network was formed on; the NCP keeps its channel. PHY 1 is the external
sub-GHz radio of a switch coordinator: it is silent after each reset of the NCP until it is started
again, on a channel that the host has to know. A channel that the network moved to is therefore
written into one of the NCP's application tokens.

Channels have three spellings here. `formNetwork`, `setRadioChannel` and the results of scans take
page and channel condensed into an octet; a scan's mask has the page in its upper five bits; the
multi-PHY commands take page and place in the page.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence
from typing import Any

import bellows.types as t
from bellows.exception import InvalidCommandError

from labctl.errors import RigError
from labctl.events import Band
from labctl.radio.coordinator import PhySettings
from labctl.radio.ezsp.messages import status_name
from labctl.smart_energy.channels import Channel, channels_of_page, mask_of_channels

_LOGGER = logging.getLogger(__name__)

NEEDS_SUB_GHZ = (
    "868 MHz needs a sub-GHz radio and firmware for it: an EFR32 development kit with Silicon "
    "Labs' sub-GHz firmware. All retail sticks are for 2.4 GHz alone"
)
NEEDS_SECOND_PHY = (
    "two bands on one stick need the switch coordinator firmware, on an EFR32 with a second, "
    "external sub-GHz radio: the development boards BRD4155A and BRD4197A. All retail sticks are "
    "for 2.4 GHz alone; two sticks side by side do as well: name the second in hub.sub_ghz.radio"
)

NATIVE, SECOND = 0, 1
_NO_BITMASK = 0
_SCAN_SPARE_S = 10.0

_TOKEN = 7
_TOKEN_MARK = b"LB"
_NO_RECORD = bytes(8)


class Phys:
    """The bearers of one NCP, in the order of the settings."""

    def __init__(self, ezsp: Any, *, radio: str) -> None:
        self._ezsp = ezsp
        self._radio = radio
        self._scanning = asyncio.Lock()
        self.channels: list[Channel] = []

    @property
    def dual(self) -> bool:
        """Whether the network runs on two PHYs."""
        return len(self.channels) > 1

    @property
    def sub_ghz(self) -> int | None:
        """The bearer that is in the sub-GHz band."""
        for bearer, channel in enumerate(self.channels):
            if channel.band is Band.MHZ_868:
                return bearer
        return None

    # -- starting -------------------------------------------------------------------------------

    async def begin(
        self, native: Channel, settings: Sequence[PhySettings], *, pan_id: int, resumed: bool
    ) -> list[str]:
        """Note the channel that the network runs on and start the second PHY, if one is wanted.

        Returns what a person should know: where the stick is on another channel than the rig file
        says. Raises `RigError`.
        """
        remarks = []
        wanted = settings[NATIVE].channel
        if native.band is not wanted.band:
            raise RigError(
                f"the stick's network is at {native}, the rig file asks for {wanted}",
                where=self._radio,
                mend="correct the band in the rig file, or use another stick, or give that network "
                "up with `labctl bench RIG --form-anew`: all its devices must then be paired again",
            )
        if native != wanted:
            remarks.append(_elsewhere(native, wanted))
        self.channels = [native]
        if len(settings) > 1:
            channel = settings[SECOND].channel
            kept = await self._kept(pan_id) if resumed else None
            if not resumed:
                await self._forget()
            elif kept is not None and kept != channel:
                remarks.append(_elsewhere(kept, channel))
                channel = kept
            await self._start_second(channel, settings[SECOND].tx_power_dbm)
            self.channels.append(channel)
        return remarks

    async def _start_second(self, channel: Channel, tx_power_dbm: int) -> None:
        if channel.band is not Band.MHZ_868 or self.channels[NATIVE].band is not Band.GHZ_2_4:
            raise RigError(
                "the second PHY of a stick is for sub-GHz, beside a 2.4 GHz network",
                where=self._radio,
            )
        try:
            (count,) = await self._ezsp.getPhyInterfaceCount()
        except (InvalidCommandError, AttributeError):
            count = 1  # EZSP 5 and older
        if not 2 <= count < 0xFF:
            raise RigError(
                f"this stick has no second PHY for {channel}",
                where=self._radio,
                mend=NEEDS_SECOND_PHY,
            )
        (status,) = await self._ezsp.multiPhyStart(
            phyIndex=t.uint8_t(SECOND),
            page=t.uint8_t(channel.page),
            channel=t.uint8_t(channel.offset),
            power=t.int8s(tx_power_dbm),
            bitmask=t.EmberMultiPhyNwkConfig(_NO_BITMASK),
        )
        if not _ok(status):
            raise RigError(
                f"the second PHY does not start at {channel} with {tx_power_dbm} dBm: "
                f"{status_name(status)}",
                where=self._radio,
                mend="change the channel or tx_power_dbm of hub.sub_ghz in the rig file",
            )
        found = await self._channel_of(SECOND)
        if found != channel:
            raise RigError(f"the second PHY started at {found}, not {channel}", where=self._radio)

    async def _channel_of(self, phy: int) -> Channel | None:
        """Where a PHY is now, as the NCP tells."""
        if phy == NATIVE:
            status, _, parameters = await self._ezsp.getNetworkParameters()
            return Channel.from_ember_byte(int(parameters.radioChannel)) if _ok(status) else None
        status, parameters = await self._ezsp.getRadioParameters(phyIndex=t.uint8_t(phy))
        if not _ok(status):
            return None
        return channels_of_page(int(parameters.radioPage))[int(parameters.radioChannel)]

    # -- moving ---------------------------------------------------------------------------------

    async def change_channel(self, bearer: int, channel: Channel) -> None:
        """Move a PHY within its band. Raises `RigError`."""
        if not 0 <= bearer < len(self.channels):
            raise RigError(f"this radio has no bearer {bearer}", where=self._radio)
        present = self.channels[bearer]
        if channel.band is not present.band:
            raise RigError(
                f"a network moves within its band, not from {present} to {channel}",
                where=self._radio,
            )
        if bearer == NATIVE:
            (status,) = await self._ezsp.setRadioChannel(channel=t.uint8_t(channel.ember_byte))
        else:
            (status,) = await self._ezsp.multiPhySetRadioChannel(
                phyIndex=t.uint8_t(bearer),
                page=t.uint8_t(channel.page),
                channel=t.uint8_t(channel.offset),
            )
        if not _ok(status):
            raise RigError(
                f"the NCP did not move from {present} to {channel}: {status_name(status)}",
                where=self._radio,
            )

    async def moved(self) -> list[tuple[int, Channel]]:
        """Ask where the PHYs are: bearers that are elsewhere than was known, which now is known."""
        moved = []
        for bearer, known in enumerate(self.channels):
            found = await self._channel_of(bearer)
            # Asked for one after the other: what is known may have changed meanwhile.
            if found is not None and found != known and self.channels[bearer] == known:
                self.channels[bearer] = found
                moved.append((bearer, found))
                if bearer == SECOND:
                    await self._keep(found)
        return moved

    # -- the second PHY's channel, kept by the NCP ----------------------------------------------

    async def _pan_id(self) -> int:
        _, _, parameters = await self._ezsp.getNetworkParameters()
        return int(parameters.panId)

    async def _keep(self, channel: Channel) -> None:
        pan_id = (await self._pan_id()).to_bytes(2, "little")
        record = _TOKEN_MARK + bytes([channel.page, channel.offset]) + pan_id + bytes(2)
        await self._write(record)

    async def _kept(self, pan_id: int) -> Channel | None:
        """The channel that this network's second PHY moved to, if it ever did."""
        record = await self._record()
        if record is None or record[4:6] != pan_id.to_bytes(2, "little"):
            return None
        try:
            channels = channels_of_page(record[2])
        except ValueError:
            return None
        return channels[record[3]] if record[3] < len(channels) else None

    async def _forget(self) -> None:
        if await self._record() is not None:
            await self._write(_NO_RECORD)

    async def _record(self) -> bytes | None:
        status, data = await self._ezsp.getToken(tokenId=t.uint8_t(_TOKEN))
        record = bytes(data)
        return record if _ok(status) and record.startswith(_TOKEN_MARK) else None

    async def _write(self, record: bytes) -> None:
        (status,) = await self._ezsp.setToken(
            tokenId=t.uint8_t(_TOKEN), tokenData=t.FixedList[t.uint8_t, 8](record)
        )
        if not _ok(status):
            _LOGGER.warning("%s does not keep its sub-GHz channel: %r", self._radio, status)

    # -- listening ------------------------------------------------------------------------------

    async def energy_scan(self, channels: Sequence[Channel], exponent: int) -> dict[Channel, int]:
        """Peak levels, page by page. Raises `RigError` where the stick has no such radio."""
        found: dict[Channel, int] = {}
        async with self._scanning:
            by_page = sorted(set(channels))
            for _, group in itertools.groupby(by_page, key=lambda channel: channel.page):
                found.update(await self._scan(tuple(group), exponent))
        return found

    async def _scan(self, channels: tuple[Channel, ...], exponent: int) -> dict[Channel, int]:
        # A slot is 15.4 ms at 2.4 GHz, the longer of the two.
        seconds = 0.01536 * ((1 << exponent) + 1) * len(channels)
        try:
            async with asyncio.timeout(_SCAN_SPARE_S + 2 * seconds):
                results = await self._ezsp.startScan(
                    scanType=t.EzspNetworkScanType.ENERGY_SCAN,
                    # Only carried, never iterated: zigpy's type knows the channels 11 to 26 alone.
                    channelMask=t.Channels(mask_of_channels(channels)),
                    duration=t.uint8_t(exponent),
                )
        except Exception as error:
            if type(error) is not Exception:
                raise
            # bellows' own way to say that the NCP refused
            (answer,) = error.args
            raise RigError(
                f"the NCP does not scan {channels[0]} and others of its page: "
                f"{status_name(answer[-1])}",
                where=self._radio,
                mend=NEEDS_SUB_GHZ if channels[0].band is Band.MHZ_868 else "",
            ) from error
        levels: dict[Channel, int] = {}
        for octet, level in results:
            try:
                levels[Channel.from_ember_byte(int(octet))] = int(level)
            except ValueError:
                _LOGGER.warning("%s scanned a channel 0x%02x", self._radio, octet)
        return {channel: levels[channel] for channel in channels if channel in levels}


def _elsewhere(channel: Channel, wanted: Channel) -> str:
    return (
        f"the stick resumed its network at {channel}; the rig file says {wanted}, which counts "
        "only when a network is formed"
    )


def _ok(status: Any) -> bool:
    return bool(t.sl_Status.from_ember_status(status) == t.sl_Status.OK)
