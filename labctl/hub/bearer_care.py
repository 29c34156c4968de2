"""What the hub does for its bearers beside serving: airtime, channels, links, bands.

The hub makes one of these when its radio runs, and tells it what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labctl.errors import RigError
from labctl.events import Band, EventBus
from labctl.hub import frames as zcl
from labctl.hub.agility import UPDATE_NOTIFY, Agility
from labctl.hub.alerts import Alerts
from labctl.hub.band_use import BandUses
from labctl.hub.bearer_settings import BearerSettings
from labctl.hub.bearers import Bearers
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.endpoints import Endpoint
from labctl.hub.frames import Frame
from labctl.hub.gate import Gate
from labctl.hub.link_reports import LinkReports
from labctl.hub.post import Post
from labctl.hub.reporter import Reporter
from labctl.hub.services.base import Service
from labctl.hub.services.mirror import GasMirror, MirrorService
from labctl.hub.services.ota import OtaService
from labctl.hub.services.sub_ghz import SubGhzService
from labctl.hub.settings import LoggedDevice
from labctl.hub.sub_ghz import SubGhz
from labctl.hub.suspension import SUB_GHZ, SUSPEND_ANSWERED
from labctl.radio.coordinator import Coordinator, Incoming
from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


class BearerCare:
    """`sub_ghz` is None on a hub whose radios are all on 2.4 GHz.

    `log_alert` writes an event id into the hub's network event log; `described` gives what the
    rig file says of a device.
    """

    def __init__(
        self,
        settings: BearerSettings,
        *,
        bearers: Bearers,
        log: DeviceLog,
        endpoints: Mapping[int, Endpoint],
        coordinator: Coordinator,
        gate: Gate | None,
        bus: EventBus,
        post: Post,
        chores: Chores,
        reporter: Reporter,
        log_alert: Callable[[int], None],
        described: Callable[[Device], LoggedDevice | None],
    ) -> None:
        self._bearers = bearers
        services = [s for endpoint in endpoints.values() for s in endpoint.services.values()]
        service, mirror = _sub_ghz_service(services), _mirror(services)
        alerts = Alerts(reporter, log_alert)
        self.sub_ghz: SubGhz | None = None
        for bearer, radio in enumerate(bearers):
            if radio.band is Band.MHZ_868:
                self.sub_ghz = SubGhz(
                    bearer,
                    radio,
                    settings.sub_ghz,
                    log=log,
                    coordinator=coordinator,
                    post=post,
                    chores=chores,
                    reporter=reporter,
                    alerts=alerts,
                    descriptors=[endpoint.descriptor for endpoint in endpoints.values()],
                )
        self.agility = Agility(
            settings.agility,
            bearers=bearers,
            log=log,
            coordinator=coordinator,
            bus=bus,
            chores=chores,
            reporter=reporter,
            alerts=alerts,
            service=service,
            mirror=mirror,
        )
        self.links = LinkReports(
            settings.links,
            bearers=bearers,
            log=log,
            coordinator=coordinator,
            post=post,
            chores=chores,
            reporter=reporter,
            quiet=self._quiet,
            noise=self.agility.noise,
        )
        post.outcome = self.links.delivered
        self._log = log
        self._reporter = reporter
        self._bands = BandUses(bearers, reporter, described)
        if self.sub_ghz is not None:
            if gate is not None:
                gate.keeper = self.sub_ghz
            if service is not None:
                service.minutes_left = self.sub_ghz.suspensions.minutes_left
            for each in services:
                if isinstance(each, OtaService):
                    each.held_s = self.sub_ghz.suspensions.wait_s

    def start(self) -> None:
        """Everything else runs: begin to look after things."""
        if self.sub_ghz is not None:
            self.sub_ghz.start()
        self.links.start()
        for device in self._log:
            if device.authorised and device.bearer is not None:
                self._bands.authorised(device)  # it is where the radio says it is

    def close(self) -> None:
        """The last words, while events are still taken."""
        self.links.tell_deliveries()

    def _quiet(self, bearer: int) -> bool:
        sub_ghz = self.sub_ghz
        if sub_ghz is None or bearer != sub_ghz.bearer:
            return False
        return sub_ghz.suspensions.state >= DutyCycleState.LIMITED

    # -- devices ----------------------------------------------------------------------------------

    def admits(self, device: Device, packet: Incoming, now_us: int) -> bool:
        """Whether a frame is to be looked at; if not, it is dealt with."""
        sub_ghz = self.sub_ghz
        if sub_ghz is None or packet.bearer != sub_ghz.bearer:
            return True
        return sub_ghz.admits(device, packet, now_us)

    def overheard(self, device: Device, packet: Incoming, now_us: int) -> None:
        """The radio answers a frame by itself, which costs airtime all the same."""
        sub_ghz = self.sub_ghz
        if sub_ghz is not None and packet.bearer == sub_ghz.bearer:
            sub_ghz.overheard(device, packet, now_us)

    def polled(self, device: Device, now_us: int) -> None:
        """A device asked its parent for frames."""
        sub_ghz = self.sub_ghz
        if sub_ghz is not None and device.bearer == sub_ghz.bearer:
            sub_ghz.polled(device, now_us)

    def changed_bearer(self, device: Device, packet: Incoming) -> None:
        """A device is heard on another bearer than before, or for the first time."""
        if self.sub_ghz is not None and device.bearer != self.sub_ghz.bearer:
            self.sub_ghz.moved_away(device.eui64)
        self._bands.heard(device, packet.rssi_dbm)

    def authorised(self, device: Device) -> None:
        """A device got in."""
        self._bands.authorised(device)

    def forgotten(self, eui64: Eui64) -> None:
        """A device is out."""
        if self.sub_ghz is not None:
            self.sub_ghz.forget(eui64)
        self.links.forget(eui64)
        self._bands.forget(eui64)

    def zdo_answer(self, device: Device, packet: Incoming) -> None:
        """A device answers a ZDO request, or tells something unasked."""
        if packet.cluster_id == UPDATE_NOTIFY:
            self.agility.notified(device, packet.data)
        else:
            self.links.zdo_answer(device, packet)

    def answered(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A device answers a ZCL request of the hub's."""
        if packet.cluster_id == SUB_GHZ and frame.command_id == zcl.DEFAULT_RESPONSE:
            self._reporter.refused(device.eui64, "zcl", SUSPEND_ANSWERED, packet=packet)
        self.links.answered(device, packet, frame)

    # -- radio ------------------------------------------------------------------------------------

    def duty_cycle_changed(self, bearer: int, state: DutyCycleState) -> None:
        """The firmware's counting crossed a limit."""
        if self.sub_ghz is not None and bearer == self.sub_ghz.bearer:
            self.sub_ghz.duty_cycle_changed(state)

    def channel_changed(self, bearer: int, channel: Channel) -> None:
        """A bearer is on another channel."""
        self.agility.channel_changed(bearer, channel)

    def radio_back(self, bearers: Sequence[int]) -> None:
        """A lost radio is back, and its firmware forgot what it was told of these bearers."""
        if self.sub_ghz is not None and self.sub_ghz.bearer in bearers:
            self.sub_ghz.radio_back()

    @property
    def of_sub_ghz(self) -> SubGhz:
        """The sub-GHz bearer at work. Raises `RigError` where there is none."""
        if self.sub_ghz is None:
            raise RigError("the hub has no 868 MHz radio")
        return self.sub_ghz


def _sub_ghz_service(services: list[Service[Any]]) -> SubGhzService | None:
    return next((each for each in services if isinstance(each, SubGhzService)), None)


def _mirror(services: list[Service[Any]]) -> GasMirror | None:
    return next((each.mirror for each in services if isinstance(each, MirrorService)), None)
