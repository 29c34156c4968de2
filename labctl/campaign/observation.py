"""A time in which all devices are left alone, and what they did in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labctl.campaign.findings import NotApplicable, NotSeen
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.record.compliance import Interval
from labctl.record.queries import load_run
from labctl.record.rows import RunData, Schedule

if TYPE_CHECKING:
    from labctl.campaign.stage import Stage
    from labctl.campaign.subject import Subject


@dataclass(frozen=True, slots=True)
class Observation:
    """From `started_us` to `ended_us` nobody did anything to the devices."""

    stage: Stage
    started_us: int
    ended_us: int

    @property
    def seconds(self) -> float:
        """How long it lasted, in rig time."""
        return (self.ended_us - self.started_us) / MICROSECONDS

    def read_times_us(self, device: Subject, schedule: str) -> list[int]:
        """When a device kept a read schedule, by the schedule's name, in order."""
        session = self.stage.session
        session.recorder.flush()
        return [
            at_us
            for (at_us,) in session.recorder.connection.execute(
                "SELECT reads.at_us FROM reads JOIN read_schedules ON read_schedules.id ="
                " schedule_id JOIN devices ON devices.id = reads.device_id WHERE reads.run_id = ?"
                " AND eui64 = ? AND read_schedules.name = ? AND initiator = 'device'"
                " AND reads.at_us BETWEEN ? AND ? ORDER BY reads.at_us",
                (session.run_id, device.eui64, schedule, self.started_us, self.ended_us),
            )
        ]

    @property
    def outages(self) -> tuple[Interval, ...]:
        """When the rig was out meanwhile: what was not read then is not the device's doing."""
        return tuple(
            outage
            for outage in self._run().infrastructure
            if outage.end_us > self.started_us and outage.start_us < self.ended_us
        )

    def schedules(self, device: Subject) -> tuple[Schedule, ...]:
        """What the device was to read in this run, with what came of it over the whole run."""
        data = self._run()
        own = {each.id for each in data.devices if each.eui64 == device.eui64}
        return tuple(schedule for schedule in data.schedules if schedule.device_id in own)

    def _run(self) -> RunData:
        session = self.stage.session
        session.recorder.flush()
        return load_run(session.recorder.connection, session.run_id, until_us=self.ended_us)


async def observe(stage: Stage, seconds: float) -> Observation:
    """Have every device that can be paired on the network, and leave all alone for so long.

    Devices that do not get in are watched as they are: whoever judges them will see it.
    """
    session = stage.session
    with Watch(session.bus, session.clock) as watch:
        for declared in stage.loaded.devices:
            subject = stage.subject(declared, watch)
            if session.bench is not None:
                await subject.hands.power(on=True)
            if not subject.authorised:
                try:
                    await subject.pair()
                except (NotSeen, NotApplicable):
                    continue
    started_us = session.clock.now_us()
    await asyncio.sleep(seconds)
    return Observation(stage, started_us, session.clock.now_us())
