"""Probing at one waypoint until every link's verdict is certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from labctl.config.resolved import DeviceUnderTest
from labctl.errors import RigError
from labctl.events import (
    Band,
    Direction,
    Event,
    LevelSource,
    LinkJudged,
    NoiseSample,
    ProbeKind,
    ProbeTaken,
    SurveyRemark,
    WaypointNoise,
)
from labctl.hub.device_log import Device
from labctl.hub.probing import Probed
from labctl.record.sensitivity import sensitivity
from labctl.rig.patience import despite_losses
from labctl.rig.session import RigSession
from labctl.survey.airtime import MOST_WAIT_S, Airtime
from labctl.survey.links import LinkProbes
from labctl.survey.own_reads import OwnReads
from labctl.survey.settings import SurveySettings
from labctl.survey.view import Progress, View


class Measuring:
    """One waypoint. `earlier` are the probes that were taken before it was broken off; `not_back`
    the devices that had lost the hub, and were not heard at this place.
    """

    def __init__(
        self,
        session: RigSession,
        settings: SurveySettings,
        devices: Iterable[DeviceUnderTest],
        view: View,
        *,
        survey: int,
        waypoint: int,
        airtime: Airtime,
        earlier: Iterable[ProbeTaken] = (),
        not_back: Iterable[str] = (),
    ) -> None:
        self._session = session
        self._settings = settings
        self._devices = tuple(devices)
        self._view = view
        self._survey = survey
        self._waypoint = waypoint
        self._airtime = airtime
        self._own = {device.eui64: OwnReads(device) for device in self._devices}
        self._links: dict[tuple[str, Band], LinkProbes] = {}
        self._not_back = frozenset(not_back)
        self._reached: dict[str, bool] = {}
        self._earlier = tuple(earlier)
        for probe in self._earlier:
            self._link(probe.eui64, probe.band).add(probe)

    async def run(self, stop: asyncio.Event) -> bool:
        """Probe until all is certain; False when `stop` was set before. Raises `RigError`."""
        session = self._session
        unsubscribe = session.bus.subscribe(self._saw)
        try:
            if not self._earlier:
                await self._measure_noise()
            return await self._probe_all(stop)
        finally:
            unsubscribe()

    def judged(self) -> list[LinkJudged]:
        """Say what was found, as events; returns the links'."""
        now_us = self._session.clock.now_us()
        found = []
        for link in self._links.values():
            *sides, both = link.judged(now_us, self._survey, self._waypoint)
            for side in sides:
                self._session.bus.emit(side)
            self._session.bus.emit(both)
            found.append(both)
        return found

    def unreached(self) -> set[str]:
        """The devices that the last probe did not reach: they may have lost their network."""
        return {eui64 for eui64, reached in self._reached.items() if not reached}

    # -- noise ------------------------------------------------------------------------------------

    async def _measure_noise(self) -> None:
        """Before the probes, since the radio is deaf meanwhile."""
        heard: list[NoiseSample] = []

        def saw(event: Event) -> None:
            if isinstance(event, NoiseSample):
                heard.append(event)

        unsubscribe = self._session.bus.subscribe(saw)
        try:
            await self._session.hub.care.links.measure_noise()
        finally:
            unsubscribe()
        for sample in heard:
            self._session.bus.emit(
                WaypointNoise(
                    at_us=sample.at_us,
                    survey=self._survey,
                    waypoint=self._waypoint,
                    radio=sample.radio,
                    page=sample.page,
                    channel=sample.channel,
                    level_dbm=sample.level_dbm,
                )
            )

    # -- probes -----------------------------------------------------------------------------------

    async def _probe_all(self, stop: asyncio.Event) -> bool:
        loop = asyncio.get_running_loop()
        begun_s = next_s = loop.time()
        for device in self._devices:
            self._own[device.eui64].begin(self._session.clock.now_us())
        while active := [each for each in self._devices if not self._settled(each)]:
            for device in active:
                if await _set_within(stop, next_s - loop.time()):
                    return False
                if await self._wait_for_airtime(device, stop):
                    return False
                next_s = loop.time() + self._settings.every_s / len(active)
                await self._probe(device)
                self._take_own_reads(device)
                self._show(device, loop.time() - begun_s)
        return True

    def _settled(self, device: DeviceUnderTest) -> bool:
        """On the band that it is on; one that changed its band meanwhile begins anew there."""
        return self._link(device.eui64, self._band_of(self._logged(device))).settled

    async def _probe(self, device: DeviceUnderTest) -> None:
        session = self._session
        found: list[Probed] = []
        tries = 0

        async def once() -> None:
            nonlocal tries
            tries += 1
            lost_before = dict(session.hub.lost)
            probed = await session.hub.probe(device.eui64, answer_s=self._settings.answer_s)
            lost = session.hub.lost
            if not probed.answered and (probed.bearer in lost or lost != lost_before):
                raise RigError("the radio was away while it probed")
            found.append(probed)

        at_us = session.clock.now_us()
        spent_before = self._airtime.used_us(self._logged(device))
        assert session.radio is not None
        await despite_losses(once, session.radio, session.broken)
        if tries > 1:  # the radio was away: what devices sent meanwhile was not lost on the way
            for own in self._own.values():
                own.begin(session.clock.now_us())
        self._airtime.spent(self._logged(device), spent_before)
        probed = found[-1]
        if probed.sent:
            self._record(device, probed, at_us)

    def _record(self, device: DeviceUnderTest, probed: Probed, at_us: int) -> None:
        self._reached[device.eui64] = probed.reached
        bearer = self._session.hub.bearers[probed.bearer]
        level, source = probed.heard_dbm, LevelSource.REPORTED
        if level is None:
            level, source = probed.rssi_dbm, LevelSource.RECIPROCAL
        self._take(
            ProbeTaken(
                at_us=at_us,
                survey=self._survey,
                waypoint=self._waypoint,
                eui64=device.eui64,
                radio=bearer.name,
                band=bearer.band,
                direction=Direction.FROM_HUB,
                kind=ProbeKind.READ,
                delivered=probed.reached,
                rssi_dbm=level,
                lqi=probed.heard_lqi,
                level_source=None if level is None else source,
                retries=probed.retries,
            )
        )
        if not probed.reached:
            return  # it owes nothing
        self._take(
            ProbeTaken(
                at_us=at_us,
                survey=self._survey,
                waypoint=self._waypoint,
                eui64=device.eui64,
                radio=bearer.name,
                band=bearer.band,
                direction=Direction.TO_HUB,
                kind=ProbeKind.ANSWER,
                delivered=probed.answered,
                rssi_dbm=probed.rssi_dbm,
                lqi=probed.lqi,
                level_source=None if probed.rssi_dbm is None else LevelSource.MEASURED,
                latency_us=probed.latency_us,
            )
        )

    def _take_own_reads(self, device: DeviceUnderTest) -> None:
        bearer = self._session.hub.bearers.of(self._logged(device))
        for read in self._own[device.eui64].since(self._session.clock.now_us()):
            sample = read.sample
            level = None if sample is None else sample.rssi_dbm
            self._take(
                ProbeTaken(
                    at_us=read.at_us,
                    survey=self._survey,
                    waypoint=self._waypoint,
                    eui64=device.eui64,
                    radio=bearer.name,
                    band=bearer.band,
                    direction=Direction.TO_HUB,
                    kind=ProbeKind.OWN_READ,
                    delivered=read.arrived,
                    rssi_dbm=level,
                    lqi=None if sample is None else sample.lqi,
                    level_source=None if level is None else LevelSource.MEASURED,
                )
            )

    def _take(self, probe: ProbeTaken) -> None:
        self._link(probe.eui64, probe.band).add(probe)
        self._session.bus.emit(probe)

    # -- what is about it -------------------------------------------------------------------------

    async def _wait_for_airtime(self, device: DeviceUnderTest, stop: asyncio.Event) -> bool:
        """Wait until a probe may go out; whether `stop` was set meanwhile."""
        told, waited_s = False, 0.0
        while wait_s := self._airtime.wait_s(self._logged(device)):
            why = "868 MHz is at its limit of airtime"
            self._view.waiting(wait_s, why)
            if not told:
                told = True
                self._remark(f"{why}: waited, {wait_s:.0f} s at least")
            waited_s += wait_s
            if waited_s > MOST_WAIT_S:
                raise RigError(
                    "868 MHz has no airtime left for a survey: other traffic needs it all",
                    where=device.name,
                    mend="switch other devices off, or let them read less often",
                )
            if await _set_within(stop, wait_s):
                return True
        return False

    def _remark(self, text: str) -> None:
        self._session.bus.emit(
            SurveyRemark(
                at_us=self._session.clock.now_us(),
                survey=self._survey,
                waypoint=self._waypoint,
                kind="limit",
                text=text,
            )
        )

    def _show(self, device: DeviceUnderTest, elapsed_s: float) -> None:
        band = self._band_of(self._logged(device))
        link = self._link(device.eui64, band)
        down, up = link.counts()
        left = [self._link(d.eui64, self._band_of(self._logged(d))) for d in self._devices]
        self._view.progress(
            Progress(
                waypoint=self._waypoint,
                device=device.name,
                band=band,
                down=down,
                up=up,
                elapsed_s=elapsed_s,
                remaining_s=max(each.still_needed() for each in left) * self._settings.every_s,
            )
        )

    def _saw(self, event: Event) -> None:
        for own in self._own.values():
            own.saw(event)

    def _logged(self, device: DeviceUnderTest) -> Device:
        logged = self._session.hub.device_log().get(device.eui64)
        if logged is None:
            raise RigError(f"{device.name} is not in the device log any more", mend="pair it again")
        return logged

    def _band_of(self, device: Device) -> Band:
        return self._session.hub.bearers.of(device).band

    def _link(self, eui64: str, band: Band) -> LinkProbes:
        found = self._links.get((eui64, band))
        if found is None:
            model = next(d.device.model for d in self._devices if d.eui64 == eui64)
            radio = next((r for r in self._session.hub.bearers if r.band is band), None)
            found = self._links[eui64, band] = LinkProbes(
                eui64,
                band,
                hub_dbm=sensitivity(band.value, radio.model if radio else None).dbm,
                device_dbm=sensitivity(band.value, model).dbm,
                rules=self._settings.rules,
            )
            found.down.not_back = found.up.not_back = eui64 in self._not_back
        return found


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait so long, or until it is set; whether it is."""
    if seconds > 0 and not stop.is_set():
        try:
            async with asyncio.timeout(seconds):
                await stop.wait()
        except TimeoutError:
            return False
    return stop.is_set()
