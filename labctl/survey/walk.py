"""The walk itself: places are probed, undone, remarked on. It knows no terminal and no file.

Everything that happened is in the record, and nothing is kept besides: a walk that was broken off
goes on from what `labctl.record.survey` says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from labctl.config.resolved import DeviceUnderTest
from labctl.errors import UsageError
from labctl.events import (
    Band,
    Direction,
    Event,
    LevelSource,
    LinkJudged,
    LinkSample,
    ProbeKind,
    ProbeTaken,
    SurveyEnded,
    SurveyRemark,
    SurveyStarted,
    Verdict,
    WaypointCounts,
    WaypointEnded,
    WaypointStarted,
)
from labctl.record.survey import load_survey, probes, survey_begun_in
from labctl.record.survey_rows import ProbeRow, SurveyData, WaypointRow
from labctl.rig.session import RigSession
from labctl.smart_energy.eui64 import Eui64
from labctl.survey.airtime import Airtime
from labctl.survey.commands import Place
from labctl.survey.measuring import Measuring
from labctl.survey.places import Positions
from labctl.survey.settings import SurveySettings
from labctl.survey.view import View


class Walk:
    """A survey on an open rig. `number` is its row in the record."""

    def __init__(
        self,
        session: RigSession,
        settings: SurveySettings,
        devices: Iterable[DeviceUnderTest],
        view: View,
        number: int,
    ) -> None:
        self.session = session
        self.settings = settings
        self.devices = tuple(devices)
        self.number = number
        self._view = view
        self._positions = Positions(session.loaded)
        self._airtime = Airtime(
            session.hub, session.clock, settings.airtime_share, self._sent_before()
        )
        self._unreached: set[str] = set()
        for waypoint in self.data().waypoints:
            self._positions.stood(_place(waypoint))

    @classmethod
    def begin(
        cls,
        session: RigSession,
        settings: SurveySettings,
        devices: Iterable[DeviceUnderTest],
        view: View,
        *,
        site: str,
        hub_place: str = "",
        plan: str | None = None,
        plan_mm_per_pixel: float | None = None,
    ) -> Walk:
        """A new survey. Raises `DatabaseError`."""
        devices = tuple(devices)
        session.bus.emit(
            SurveyStarted(
                at_us=session.clock.now_us(),
                site=site,
                devices=tuple(str(device.eui64) for device in devices),
                rules=settings.as_json(),
                hub_place=hub_place,
                plan=plan,
                plan_mm_per_pixel=plan_mm_per_pixel,
                seed=session.seed,
            )
        )
        session.recorder.flush()
        number = survey_begun_in(session.recorder.connection, session.run_id)
        return cls(session, settings, devices, view, number)

    def _sent_before(self) -> list[tuple[Eui64, int]]:
        """When which device was probed on 868 MHz until now."""
        return [
            (Eui64(each.eui64), each.at_us)
            for each in probes(self.session.recorder.connection, self.number)
            if each.kind == ProbeKind.READ.value and each.band == Band.MHZ_868.value
        ]

    # -- what is known ----------------------------------------------------------------------------

    def data(self) -> SurveyData:
        """All that was recorded until now. Raises `DatabaseError`."""
        self.session.recorder.flush()
        return load_survey(self.session.recorder.connection, self.number)

    def open_waypoint(self) -> WaypointRow | None:
        """The one that was begun and not probed to its end."""
        last = self.data().waypoints[-1:]
        return last[0] if last and last[0].ended_us is None and last[0].undone_us is None else None

    def last_place(self) -> Place | None:
        """Where the last waypoint was."""
        waypoints = self.data().waypoints
        return _place(waypoints[-1]) if waypoints else None

    # -- probing ----------------------------------------------------------------------------------

    async def measure(self, place: Place, stop: asyncio.Event) -> list[LinkJudged] | None:
        """Probe at a place; what came of it. None when `stop` was set: then it is left open.

        A waypoint that is open already does not count, since somebody went elsewhere. Raises
        `UsageError` for a place that the devices cannot be carried to, `RigError`.
        """
        place = self._positions.completed(place)
        left = self.open_waypoint()
        if left is not None:
            self._count(left.number, counts=False)
        number = len(self.data().waypoints) + 1
        self._carry(place)
        not_back = await self._bring_back(stop)
        if stop.is_set():
            return None
        self.session.bus.emit(
            WaypointStarted(
                at_us=self.session.clock.now_us(),
                survey=self.number,
                waypoint=number,
                room=place.room,
                floor=place.floor,
                spot=place.spot,
                position=place.position,
                latitude=place.latitude,
                longitude=place.longitude,
            )
        )
        self.session.recorder.flush()
        return await self._measure(number, place, (), stop, not_back)

    async def go_on(self, stop: asyncio.Event) -> list[LinkJudged] | None:
        """Go on with the waypoint that was broken off. Raises `UsageError` when there is none."""
        left = self.open_waypoint()
        if left is None:
            raise UsageError("no waypoint was broken off")
        place = _place(left)
        self._carry(place)
        earlier = [
            _taken(row, self.number)
            for row in probes(self.session.recorder.connection, self.number, left.number)
        ]
        return await self._measure(left.number, place, earlier, stop)

    async def _measure(
        self,
        number: int,
        place: Place,
        earlier: Iterable[ProbeTaken],
        stop: asyncio.Event,
        not_back: Iterable[str] = (),
    ) -> list[LinkJudged] | None:
        earlier = tuple(earlier)
        measuring = Measuring(
            self.session,
            self.settings,
            self.devices,
            self._view,
            survey=self.number,
            waypoint=number,
            airtime=self._airtime,
            earlier=earlier,
            not_back=not_back,
        )
        self._view.began(number, place, resumed=bool(earlier))
        try:
            done = await measuring.run(stop)
        finally:
            self._unreached = measuring.unreached()
        if not done:
            self.session.recorder.flush()
            return None
        found = measuring.judged()
        self.session.bus.emit(
            WaypointEnded(at_us=self.session.clock.now_us(), survey=self.number, waypoint=number)
        )
        self.session.recorder.flush()
        self._view.done(number, place, found)
        return found

    def _carry(self, place: Place) -> None:
        bench = self.session.bench
        if bench is not None and place.position is not None:
            for device in self.devices:
                bench.devices[device.name].carry(place.position)

    async def _bring_back(self, stop: asyncio.Event) -> set[str]:
        """Have devices that the last place cut off look for the hub here; those that do not come.

        A virtual one is switched off and on, as a person would do it.
        """
        missing = {d.eui64: d for d in self.devices if d.eui64 in self._unreached}
        if not missing:
            return set()
        heard = asyncio.Event()

        def saw(event: Event) -> None:
            if isinstance(event, LinkSample) and event.eui64 in missing:
                del missing[Eui64(event.eui64)]
                heard.set()

        unsubscribe = self.session.bus.subscribe(saw)
        try:
            for device in tuple(missing.values()):
                self._view.said(
                    f"{device.name} was not reached at the last place: switch it off and on here"
                )
                if self.session.bench is not None:
                    await self.session.bench.devices[device.name].power_off()
                    self.session.bench.devices[device.name].power_on()
            within_s = self.settings.back_within_s
            self._view.waiting(within_s, "until it is heard, or that long")
            async with asyncio.timeout(within_s):
                while missing and not stop.is_set():
                    heard.clear()
                    await _either(heard, stop)
        except TimeoutError:
            for device in missing.values():
                self._view.said(f"{device.name} was not heard within {within_s:.0f} s")
        finally:
            unsubscribe()
        return set(missing)

    # -- what is said of it -----------------------------------------------------------------------

    def undo(self) -> WaypointRow:
        """The last waypoint that counts, or that is open, does not count. Raises `UsageError`."""
        counting = [each for each in self.data().waypoints if each.undone_us is None]
        if not counting:
            raise UsageError("there is nothing to undo")
        self._count(counting[-1].number, counts=False)
        self._view.said(f"waypoint {counting[-1].number}, {counting[-1].room}: does not count")
        return counting[-1]

    def redo(self) -> WaypointRow:
        """The waypoint that was undone last counts again. Raises `UsageError`."""
        undone = [each for each in self.data().waypoints if each.undone_us is not None]
        if not undone:
            raise UsageError("nothing was undone")
        # Of several that were undone one after another, the last one stands first in the walk.
        again = max(undone, key=lambda each: (each.undone_us or 0, -each.number))
        self._count(again.number, counts=True)
        self._view.said(f"waypoint {again.number}, {again.room}: counts again")
        return again

    def _count(self, waypoint: int, *, counts: bool) -> None:
        self.session.bus.emit(
            WaypointCounts(
                at_us=self.session.clock.now_us(),
                survey=self.number,
                waypoint=waypoint,
                counts=counts,
            )
        )
        self.session.recorder.flush()

    def remark(self, kind: str, text: str) -> None:
        """A note, or the path of a photo, to the last waypoint, or to the survey before any."""
        waypoints = self.data().waypoints
        self._say(kind, text, waypoints[-1].number if waypoints else None)

    def limit(self, text: str) -> None:
        """Something that the survey could not do."""
        self._view.said(text)
        self._say("limit", text, None)

    def _say(self, kind: str, text: str, waypoint: int | None) -> None:
        self.session.bus.emit(
            SurveyRemark(
                at_us=self.session.clock.now_us(),
                survey=self.number,
                waypoint=waypoint,
                kind=kind,
                text=text,
            )
        )
        self.session.recorder.flush()

    def finish(self) -> SurveyData:
        """End the survey with what it comes to."""
        site = self.data().together.site
        self.session.bus.emit(
            SurveyEnded(
                at_us=self.session.clock.now_us(),
                survey=self.number,
                verdict=Verdict(site.verdict),
                text=site.text,
            )
        )
        return self.data()


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(each.wait()) for each in (one, other)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _place(row: WaypointRow) -> Place:
    return Place(
        room=row.room,
        floor=row.floor,
        spot=row.spot,
        position=row.position,
        latitude=row.latitude,
        longitude=row.longitude,
    )


def _taken(row: ProbeRow, survey: int) -> ProbeTaken:
    return ProbeTaken(
        at_us=row.at_us,
        survey=survey,
        waypoint=row.waypoint,
        eui64=row.eui64,
        radio=row.radio or "",
        band=Band(row.band),
        direction=Direction(row.direction),
        kind=ProbeKind(row.kind),
        delivered=row.delivered,
        rssi_dbm=row.rssi_dbm,
        lqi=row.lqi,
        level_source=None if row.level_source is None else LevelSource(row.level_source),
        retries=row.retries,
        latency_us=row.latency_us,
    )
