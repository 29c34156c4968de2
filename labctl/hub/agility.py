"""Frequency agility: from a bad channel to a better one, with everybody following (GBCS 10.6.3).

    the gas meter reads EnergyScanPending, or one wake-up of it passes
      → energy scan → the quietest channel, if it is worth the move
      → ChannelChange says which; the gas meter reads that, or two wake-ups pass
      → everybody who listens is told → the move → who was heard there, and when

Started by a person, by a device that loses frames (Mgmt_NWK_Unsolicited_Enhanced_Update_notify), or
by noise. Without a gas meter on the bearer nobody is waited for.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from labctl.errors import RigError
from labctl.events import (
    Band,
    ChannelMoved,
    Direction,
    Event,
    EventBus,
    LinkSample,
    NoiseSample,
    ReadServed,
    Severity,
)
from labctl.hub.alerts import Alerts
from labctl.hub.bearer_settings import AgilitySettings
from labctl.hub.bearers import Bearers
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.reporter import Reporter
from labctl.hub.services.mirror import CHANNEL_CHANGE_PENDING, ENERGY_SCAN_PENDING, GasMirror
from labctl.hub.services.sub_ghz import SubGhzService
from labctl.radio.coordinator import BROADCAST_DELIVERY_S, Coordinator, RadioState
from labctl.smart_energy.alerts import SubGhzAlert
from labctl.smart_energy.channels import Channel, channels_of_mask, channels_of_page
from labctl.smart_energy.eui64 import Eui64

UPDATE_NOTIFY: Final = 0x803B
"""Mgmt_NWK_Unsolicited_Enhanced_Update_notify (R22 2.4.4.4.11)."""
_NOTIFY: Final = struct.Struct("<BBIHHHB")
_SUB_GHZ, _CHANNEL_CHANGE = 0x070B, 0x0000
_NOISY_IN_A_ROW = 3
_TOLD_AFTER_S: Final = (0.0, 1.3, 1.9)
"""The pauses before each time that a move is told: not in step with reads every second or ten."""


class Agility:
    """One move at a time. `service` and `mirror` are there on a hub with a sub-GHz radio."""

    def __init__(
        self,
        settings: AgilitySettings,
        *,
        bearers: Bearers,
        log: DeviceLog,
        coordinator: Coordinator,
        bus: EventBus,
        chores: Chores,
        reporter: Reporter,
        alerts: Alerts,
        service: SubGhzService | None,
        mirror: GasMirror | None,
    ) -> None:
        self._settings = settings
        self._bearers = bearers
        self._log = log
        self._coordinator = coordinator
        self._bus = bus
        self._chores = chores
        self._reporter = reporter
        self._alerts = alerts
        self._service = service
        self._mirror = mirror
        self._busy = False
        self._cause = ""
        self._last_us: dict[int, int] = {}
        self._noisy: dict[int, int] = {}

    # -- reasons ----------------------------------------------------------------------------------

    def begin(self, bearer: int, cause: str) -> None:
        """Look for a better channel, beside everything else. A move under way goes on."""
        if not self._busy:
            self._chores.run(self._by_itself(bearer, cause))

    async def _by_itself(self, bearer: int, cause: str) -> None:
        try:
            await self.change(bearer, cause)
        except RigError as error:
            self._reporter.note("channel-not-changed", Severity.WARNING, cause=error.what)

    def notified(self, device: Device, data: bytes) -> None:
        """A device tells how many of its frames got lost. Never raises."""
        if len(data) < _NOTIFY.size:
            self._reporter.refused(device.eui64, "zdo", "malformed enhanced update notify")
            return
        _, _, mask, total, failed, retried, period = _NOTIFY.unpack_from(data)
        self._reporter.note(
            "frames-lost",
            Severity.WARNING,
            device.eui64,
            total=total,
            failed=failed,
            retried=retried,
            period_min=period,
        )
        settings = self._settings
        bearer = device.bearer or 0
        if total < settings.least_frames or failed < settings.failed_share * total:
            return
        if mask != self._bearers[bearer].at.mask:
            return  # it speaks of a channel that the hub has left
        self._wanted(bearer, f"{device.name} lost {failed} of {total} frames")

    def noise(self, bearer: int, level_dbm: int) -> None:
        """The level on a bearer's own channel was measured."""
        limit = self._settings.noisy_dbm
        radio = self._bearers[bearer]
        if limit is None or radio.band is Band.GHZ_2_4:
            return
        self._noisy[bearer] = self._noisy.get(bearer, 0) + 1 if level_dbm >= limit else 0
        if self._noisy[bearer] >= _NOISY_IN_A_ROW:
            self._noisy[bearer] = 0
            self._wanted(bearer, f"noise of {level_dbm} dBm on {radio.at}")

    def _wanted(self, bearer: int, cause: str) -> None:
        now_us = self._reporter.now_us()
        last_us = self._last_us.get(bearer)
        early = last_us is not None and now_us - last_us < self._settings.not_again_s * 1e6
        if not self._settings.by_itself or early or self._busy:
            why = "it was changed not long ago" if early else "it is not to be changed by itself"
            self._stays(cause, "a change is under way" if self._busy else why)
            return
        self._last_us[bearer] = now_us
        self.begin(bearer, cause)

    def _stays(self, cause: str, why: str) -> None:
        self._alerts.raise_(SubGhzAlert.CHANNEL_NOT_CHANGED, wanted=cause, why=why)

    # -- the sequence -----------------------------------------------------------------------------

    async def change(
        self, bearer: int, cause: str, channel: Channel | None = None
    ) -> RadioState | None:
        """Move a bearer to `channel`, or to the quietest one of its page; returns when it moved.

        None: it stays, no channel is better. Raises `RigError`, `ValueError` for another band's.
        """
        if not 0 <= bearer < len(self._bearers):
            raise ValueError(f"the hub has no bearer {bearer}")
        if channel is not None and channel.band is not self._bearers[bearer].band:
            raise ValueError(f"{channel} is not in the band of {self._bearers[bearer].name}")
        if self._busy:
            raise RigError("a change of the channel is under way")
        self._busy = True
        try:
            return await self._sequence(bearer, cause, channel)
        finally:
            self._busy = False

    async def _sequence(
        self, bearer: int, cause: str, channel: Channel | None
    ) -> RadioState | None:
        present = self._bearers[bearer].at
        meter = self._gas_meter(bearer)
        if channel is None:
            if meter is not None:
                read = await self._flag_read(ENERGY_SCAN_PENDING, self._settings.wake_up_s)
                self._note("scan-announced", meter, read=read)
            channel = await self._better(bearer, present)
            if channel is None:
                self._stays(cause, f"no channel is quieter by {self._settings.gain_db} dB")
                return None
        if channel == present:
            return self._bearers[bearer]
        with self._announced(channel):
            if meter is not None:
                await self._wait_for(meter)
            await self._tell_everybody(bearer, channel)
            return await self._move(bearer, channel, cause)

    def _gas_meter(self, bearer: int) -> Device | None:
        """The gas meter that has the mirror, if it is on this bearer."""
        holder = None if self._mirror is None else self._mirror.holder
        device = None if holder is None else self._log.get(holder)
        return device if device is not None and device.bearer == bearer else None

    async def _flag_read(self, bit: int, seconds: float) -> bool:
        """Set a notification flag for the gas meter; whether it read it within `seconds`."""
        mirror = self._mirror
        assert mirror is not None  # its holder is who is waited for
        read = asyncio.get_running_loop().create_future()

        def told(flags: int) -> None:
            if flags >> bit & 1 and not read.done():
                read.set_result(None)

        before, mirror.told = mirror.told, told
        mirror.notify(bit)
        try:
            async with asyncio.timeout(seconds):
                await read
        except TimeoutError:
            return False
        finally:
            mirror.told = before
            mirror.withdraw(bit)
        return True

    async def _better(self, bearer: int, present: Channel) -> Channel | None:
        channels = self._candidates(present)
        self._alerts.raise_(SubGhzAlert.CHANNEL_SCAN_INITIATED, channels=len(channels))
        levels = await self._coordinator.energy_scan(
            channels, exponent=self._settings.scan_exponent
        )
        now_us = self._reporter.now_us()
        for channel, level in levels.items():
            self._reporter.emit(
                NoiseSample(
                    at_us=now_us,
                    radio=self._bearers[bearer].name,
                    page=channel.page,
                    channel=channel.number,
                    level_dbm=level,
                )
            )
        return quietest(levels, present, self._settings.gain_db)

    def _candidates(self, present: Channel) -> Sequence[Channel]:
        """The channels of the present page that may be used."""
        if present.page == 0 or self._service is None:
            return channels_of_page(present.page)
        masks = [mask for mask in self._service.masks if mask >> 27 == present.page]
        return channels_of_mask(masks[0]) if masks else (present,)

    @contextmanager
    def _announced(self, channel: Channel) -> Iterator[None]:
        """ChannelChange says where the hub goes, for as long as it is about to go."""
        service = self._service
        if service is None or channel.page == 0:
            yield
            return
        service.announced = channel
        try:
            yield
        finally:
            service.announced = None

    async def _wait_for(self, meter: Device) -> None:
        """Until the gas meter read ChannelChange and sleeps again, or two wake-ups have passed."""
        read = asyncio.get_running_loop().create_future()

        def seen(event: Event) -> None:
            if (
                isinstance(event, ReadServed)
                and event.cluster_id == _SUB_GHZ
                and event.eui64 == meter.eui64
                and _CHANNEL_CHANGE in event.attributes
                and event.initiator == "device"
                and not read.done()
            ):
                read.set_result(None)

        mirror = self._mirror
        assert mirror is not None  # its holder is who is waited for
        mirror.notify(CHANNEL_CHANGE_PENDING)
        end = self._bus.subscribe(seen)
        try:
            async with asyncio.timeout(2 * self._settings.wake_up_s):
                await read
        except TimeoutError:
            self._note("channel-change-announced", meter, read=False)
            return
        finally:
            end()
            mirror.withdraw(CHANNEL_CHANGE_PENDING)
        self._note("channel-change-announced", meter, read=True)
        await asyncio.sleep(self._settings.settle_s)  # it goes back to sleep, as GBCS has it

    async def _tell_everybody(self, bearer: int, channel: Channel) -> None:
        """A radio that cannot say it leaves it to the devices to search for the hub.

        It is said more than once: nobody acknowledges a broadcast, and where all devices read at
        the same instant one of two is lost.
        """
        try:
            for pause_s in _TOLD_AFTER_S:
                await asyncio.sleep(pause_s)
                await self._coordinator.announce_channel(bearer, channel)
        except RigError as error:
            self._reporter.note("channel-not-broadcast", Severity.WARNING, cause=error.what)
            return
        await asyncio.sleep(BROADCAST_DELIVERY_S)  # it is told here, on the present channel

    async def _move(self, bearer: int, channel: Channel, cause: str) -> RadioState:
        expected = [d for d in self._log if d.bearer == bearer and d.authorised]
        self._cause = cause
        try:
            await self._coordinator.change_channel(bearer, channel)
        finally:
            self._cause = ""
        self._changed(bearer, channel, cause)
        _Followers(self._settings.follow_s, self._bearers[bearer], expected).watch(
            self._bus, self._chores, self._reporter
        )
        return self._bearers[bearer]

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        """The radio tells where it is now, asked for or not."""
        self._changed(bearer, channel, self._cause or "the radio moved by itself")

    def _changed(self, bearer: int, channel: Channel, cause: str) -> None:
        before = self._bearers[bearer].at
        if before == channel:
            return
        radio = self._bearers.moved(bearer, channel)
        self._last_us[bearer] = self._reporter.now_us()
        self._reporter.emit(
            ChannelMoved(
                at_us=self._reporter.now_us(),
                radio=radio.name,
                from_page=before.page,
                from_channel=before.number,
                to_page=channel.page,
                to_channel=channel.number,
                cause=cause,
            )
        )
        if radio.band is Band.MHZ_868:
            self._alerts.raise_(SubGhzAlert.CHANNEL_CHANGED, to=str(channel), cause=cause)

    def _note(self, kind: str, device: Device, *, read: bool) -> None:
        self._reporter.note(kind, eui64=device.eui64, read=read)


class _Followers:
    """Who was heard on the new channel, and how long after the move."""

    def __init__(self, seconds: float, radio: RadioState, expected: Sequence[Device]) -> None:
        self._seconds = seconds
        self._radio = radio
        self._missing: dict[str, Eui64] = {str(d.eui64): d.eui64 for d in expected}
        self._end: Callable[[], None] | None = None
        self._longest = 0.0

    def watch(self, bus: EventBus, chores: Chores, reporter: Reporter) -> None:
        """Note each of them once, and at the end those who are missing."""
        moved_us = reporter.now_us()

        def heard(event: Event) -> None:
            if (
                not isinstance(event, LinkSample)
                or event.direction is not Direction.TO_HUB
                or event.radio != self._radio.name
                or event.channel != self._radio.channel
            ):
                return
            eui64 = self._missing.pop(event.eui64, None)
            if eui64 is not None:
                self._longest = round((event.at_us - moved_us) / 1e6, 3)
                chores.later(0, lambda: followed(eui64, self._longest))

        def followed(eui64: Eui64, seconds: float) -> None:
            reporter.note("followed-channel", eui64=eui64, s=seconds)
            if not self._missing:
                over()

        def over() -> None:
            if self._end is None:
                return
            self._end()
            self._end = None
            prevent()
            for eui64 in self._missing.values():
                reporter.note(
                    "channel-not-followed", Severity.WARNING, eui64, within_s=self._seconds
                )
            reporter.note(
                "channel-change-over", missing=len(self._missing), longest_s=self._longest
            )

        prevent = chores.later(self._seconds, over)
        self._end = bus.subscribe(heard)
        if not self._missing:
            over()


def quietest(levels: Mapping[Channel, int], present: Channel, gain_db: int) -> Channel | None:
    """The channel with the lowest level; None unless it is quieter than the present by `gain_db`.

    Of several that are as quiet the one nearest to the present: antennas are tuned to one place.
    """
    others = [channel for channel in levels if channel != present]
    if not others:
        return None
    best = min(others, key=lambda c: (levels[c], abs(c.frequency_khz - present.frequency_khz), c))
    if present in levels and levels[present] - levels[best] < gain_db:
        return None
    return best
