"""The hub's sub-GHz bearer at work: its airtime, who is silenced for it, and its capacity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl.errors import RigError
from labctl.events import AirtimeSample, AirtimeSource, CapacityExceeded, Severity
from labctl.hub.airtime import AirtimeBook, shown
from labctl.hub.alerts import Alerts
from labctl.hub.bearer_settings import SubGhzSettings
from labctl.hub.capacity import HighBandwidthLinks
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.post import Post
from labctl.hub.reporter import Reporter
from labctl.hub.suspension import Suspensions
from labctl.hub.zdo_answers import answer_octets
from labctl.radio.coordinator import (
    Coordinator,
    DutyCycle,
    EndpointDescriptor,
    Incoming,
    Outgoing,
    RadioState,
)
from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.smart_energy.alerts import SubGhzAlert
from labctl.smart_energy.eui64 import Eui64

_SAMPLE_S: Final = 60.0
_DATA_CLUSTERS: Final = range(0x0700, 0x0710)


class SubGhz:
    """One of the hub's bearers, `bearer` as the coordinator counts.

    The state is the firmware's where it counts airtime, else what follows from the frames that
    the host saw.
    """

    def __init__(
        self,
        bearer: int,
        radio: RadioState,
        settings: SubGhzSettings,
        *,
        log: DeviceLog,
        coordinator: Coordinator,
        post: Post,
        chores: Chores,
        reporter: Reporter,
        alerts: Alerts,
        descriptors: Sequence[EndpointDescriptor] = (),
    ) -> None:
        self.bearer = bearer
        self._radio = radio.name
        self._settings = settings
        self._log = log
        self._coordinator = coordinator
        self._chores = chores
        self._reporter = reporter
        self._alerts = alerts
        self._descriptors = descriptors
        self._firmware = False
        self._polls_told = False
        self._pretended: DutyCycleState | None = None
        limits = settings.limits or Limits.of_page(radio.page)
        self.book = AirtimeBook(radio.page, limits)
        self.links = HighBandwidthLinks()
        self.links_limit = settings.high_bandwidth_links
        """How many high-bandwidth links there are to be had."""
        self.suspensions = Suspensions(
            minutes=settings.suspend_min,
            radio=radio.name,
            book=self.book,
            talkers=self.talkers,
            post=post,
            chores=chores,
            reporter=reporter,
            alerts=alerts,
        )

    def start(self) -> None:
        """Look at the firmware's counting, and every minute at everybody's airtime."""
        self._chores.run(self._set_up())
        self._chores.later(_SAMPLE_S, self._minute)

    def radio_back(self) -> None:
        """The firmware was reset: it has its own limits, and counted nothing."""
        self._chores.run(self._set_up())

    async def _set_up(self) -> None:
        """Give the firmware the limits, if it counts at all."""
        try:
            counted = await self._coordinator.duty_cycle(self.bearer)
            if counted is not None:
                await self._coordinator.set_duty_cycle_limits(self.bearer, self.book.limits)
                counted = await self._coordinator.duty_cycle(self.bearer)
        except RigError as error:
            self._reporter.note("airtime-not-counted", Severity.WARNING, cause=error.what)
            counted = None
        if counted is not None and counted.state is not DutyCycleState.OFF:
            self._firmware = True
            self.suspensions.changed(counted.state, counted.hub_airtime_us)
        self._reporter.note("airtime-counted", by="firmware" if self._firmware else "labctl")

    def talkers(self) -> list[Device]:
        """The devices on this bearer that hold a link key and were heard in the last hour."""
        return [
            device
            for device in self._log
            if device.bearer == self.bearer
            and device.authorised
            and device.eui64 in self.book.devices
        ]

    # -- airtime ----------------------------------------------------------------------------------

    def duty_cycle_changed(self, state: DutyCycleState) -> None:
        """The firmware's word."""
        self._firmware = state is not DutyCycleState.OFF
        if self._firmware and self._pretended is None:
            self.suspensions.changed(state, None)  # how much it was, it tells when asked

    def pretend(self, state: DutyCycleState | None) -> None:
        """Behave as if so much airtime were used, whatever is counted; None: as counted.

        It shows what devices do then, without an hour of traffic. The record has a note of it.
        """
        if state is self._pretended:
            return
        self._pretended = state
        self._reporter.note(
            "airtime-pretended", Severity.WARNING, state="" if state is None else state.name.lower()
        )
        if state is not None:
            self.suspensions.changed(state, None)
        elif self._firmware:
            self.suspensions.changed(DutyCycleState.NORMAL, None)
            self._chores.run(self._ask_firmware())
        else:
            self._look(self._reporter.now_us())

    def _look(self, now_us: int) -> None:
        """Whether what was counted here crossed a limit, where the firmware counts nothing."""
        if not self._firmware and self._pretended is None:
            state = self.book.state(now_us)
            if state is not self.suspensions.state:
                self.suspensions.changed(state, self.book.used_us(now_us))

    def _minute(self) -> None:
        self._chores.later(_SAMPLE_S, self._minute)
        now_us = self._reporter.now_us()
        if self._settings.poll_s is not None and not self._polls_told:
            for device in self.talkers():
                if not device.sleepy:
                    self.book.polled(device.eui64, _SAMPLE_S / self._settings.poll_s, now_us)
        self._look(now_us)
        self.links.look(now_us)
        self.book.report(self._reporter, self._radio)
        if self._firmware:
            self._chores.run(self._ask_firmware())

    async def _ask_firmware(self) -> None:
        try:
            counted = await self._coordinator.duty_cycle(self.bearer)
        except RigError as error:
            self._reporter.note("radio-error", Severity.ERROR, cause=error.what)
            return
        if counted is None:
            return
        self._firmware_sample(None, counted.hub_airtime_us, counted.state)
        for nwk, airtime_us in counted.device_airtime_us.items():
            device = self._log.at(nwk)
            if device is not None:
                state = self.book.limits.state(airtime_us)
                self._firmware_sample(device.eui64, airtime_us, state)
        self._lost_a_change(counted)

    def _lost_a_change(self, counted: DutyCycle) -> None:
        """Firmware is known to say nothing of a change that falls together with another."""
        if self._pretended is not None:
            return
        if counted.state not in (DutyCycleState.OFF, self.suspensions.state):
            self.suspensions.changed(counted.state, counted.hub_airtime_us)

    def _firmware_sample(self, eui64: Eui64 | None, used_us: int, state: DutyCycleState) -> None:
        limits = self.book.limits
        self._reporter.emit(
            AirtimeSample(
                at_us=self._reporter.now_us(),
                radio=self._radio,
                eui64=eui64,
                airtime_us=used_us,
                limited_us=limits.limited_us,
                critical_us=limits.critical_us,
                regulated_us=limits.regulated_us,
                state=shown(state),
                source=AirtimeSource.FIRMWARE,
            )
        )

    # -- frames -----------------------------------------------------------------------------------

    def admits(self, device: Device, packet: Incoming, now_us: int) -> bool:
        """Count a device's frame; whether it is to be looked at. If not, it is dealt with."""
        self.book.received(device.eui64, packet, now_us)
        self._look(now_us)
        if not packet.profile_id or packet.broadcast or not device.authorised:
            return True  # not ZCL, or of a device that is still on its way in
        if (
            packet.cluster_id in _DATA_CLUSTERS
            and _asks(packet.data)
            and not self._has_room(device, packet, now_us)
        ):
            return False
        return self.suspensions.admits(device, packet)

    def overheard(self, device: Device, packet: Incoming, now_us: int) -> None:
        """Count a frame that the radio answers by itself, and its answer."""
        self.book.received(device.eui64, packet, now_us)
        octets = answer_octets(packet, self._descriptors)
        if octets is not None:
            self.book.answered(device.eui64, octets, now_us)
        self._look(now_us)

    def polled(self, device: Device, now_us: int) -> None:
        """Count a poll. A radio that tells of polls tells of all: none is reckoned with then."""
        self._polls_told = True
        self.book.polled(device.eui64, 1, now_us)

    def _has_room(self, device: Device, packet: Incoming, now_us: int) -> bool:
        limit = self.links_limit
        if self.links.read(device.eui64, now_us):
            place = self.links.place(device.eui64)
            if place > limit:
                self._exceeded(device, place)
            else:
                self._reporter.note("high-bandwidth-link", eui64=device.eui64, links=place)
        if not self._settings.refuse_over_capacity or self.links.place(device.eui64) <= limit:
            return True
        self._reporter.refused(
            device.eui64,
            "application",
            f"more than {limit} devices read every 10 s or more often on 868 MHz",
            packet=packet,
        )
        return False

    def _exceeded(self, device: Device, links: int) -> None:
        limit = self.links_limit
        self._alerts.raise_(SubGhzAlert.NO_MORE_CAPACITY, eui64=device.eui64, links=links)
        self._reporter.emit(
            CapacityExceeded(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                radio=self._radio,
                links=links,
                limit=limit,
            )
        )

    def demand(self, packet: Outgoing) -> None:
        """Raise `DeliveryError` for a frame that may not go out now."""
        device = self._log.at(packet.nwk)
        if device is not None and device.bearer == self.bearer:
            self.suspensions.demand(device, packet)

    def sent(self, packet: Outgoing, *, delivered: bool) -> None:
        """Count a frame of the hub's."""
        device = self._log.at(packet.nwk)
        if device is not None and device.bearer == self.bearer:
            now_us = self._reporter.now_us()
            self.book.sent(device.eui64, packet, now_us, delivered=delivered)
            self._look(now_us)

    # -- devices ----------------------------------------------------------------------------------

    def moved_away(self, eui64: Eui64) -> None:
        """A device is on another bearer now: nothing of this band holds for it."""
        self.suspensions.forget(eui64)
        self.links.forget(eui64)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired."""
        self.moved_away(eui64)
        self.book.forget(eui64)

    def count_links_anew(self, limit: int | None = None) -> None:
        """Forget which devices read often, as if none had yet; they show it in two minutes.

        With `limit` there are so many links to be had from then on; None: as the settings say. So
        a lab that has fewer devices than links still sees what comes of one too many.
        """
        self.links = HighBandwidthLinks()
        self.links_limit = self._settings.high_bandwidth_links if limit is None else limit

    def suspend(self, eui64: Eui64, minutes: int, cause: str) -> None:
        """Silence a device by hand. Raises `RigError` for one that is not on this bearer."""
        self.suspensions.suspend(self._find(eui64), minutes, cause)

    def resume(self, eui64: Eui64, cause: str) -> None:
        """Let a device talk again. Raises `RigError` for one that is not on this bearer."""
        self.suspensions.resume(self._find(eui64), cause)

    def resume_all(self, cause: str) -> None:
        """Let every device talk again that is not suspended for the hub's airtime."""
        if self.suspensions.state < DutyCycleState.CRITICAL:
            for device in self.talkers():
                self.suspensions.resume(device, cause)

    def _find(self, eui64: Eui64) -> Device:
        device = self._log.get(eui64)
        if device is None or device.bearer != self.bearer:
            raise RigError(f"{eui64} is not on the hub's 868 MHz radio")
        return device


def _asks(data: bytes) -> bool:
    """Whether a ZCL frame is a Read Attributes or a command from client to server."""
    if len(data) < 3:
        return False
    kind = data[0] & 0x0F  # frame type, manufacturer, direction
    return kind == 0x01 or (kind == 0x00 and data[2] == 0x00)
