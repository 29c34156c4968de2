"""A time in which all devices are left alone, and what they did in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.kept import Kept, kept
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.config.resolved import ReadSchedule
from labctl.record.circumstances import away
from labctl.record.compliance import Interval
from labctl.record.queries import load_run
from labctl.record.rows import RunData

if TYPE_CHECKING:
    from labctl.campaign.stage import Stage
    from labctl.campaign.subject import Subject

_METERING = 0x0702


@dataclass(slots=True)
class Observation:
    """From `started_us` to `ended_us` nobody did anything to the devices.

    `present` are the EUI-64s of the devices that were authorised when it began.
    """

    stage: Stage
    started_us: int
    ended_us: int
    present: frozenset[str] = frozenset()
    _data: RunData | None = field(default=None, repr=False)

    @property
    def seconds(self) -> float:
        """How long it lasted, in rig time."""
        return (self.ended_us - self.started_us) / MICROSECONDS

    def read_times_us(self, device: Subject, schedule: str) -> list[int]:
        """When a device kept a read schedule, by the schedule's name, in order."""
        return self._times_us(
            "JOIN read_schedules ON read_schedules.id = schedule_id",
            "read_schedules.name = ?",
            device,
            schedule,
        )

    def register_times_us(self, device: Subject, endpoint: int) -> list[int]:
        """When a device read the register of the meter at an endpoint of the hub, in order.

        Any Read Attributes with CurrentSummationDelivered (0x0702/0x0000) counts, whichever
        schedule it belongs to.
        """
        return self._times_us(
            "",
            "endpoint = ? AND reads.cluster_id = 0x0702 AND command_id IS NULL"
            " AND ',' || attributes || ',' LIKE '%,0x0000,%'",
            device,
            endpoint,
        )

    def kept(self, device: Subject, schedule: ReadSchedule) -> Kept:
        """How a device kept a schedule of the rig file. Raises `Incomplete`."""
        return self._kept(device, self.read_times_us(device, schedule.name), schedule)

    def register_kept(self, device: Subject, schedule: ReadSchedule, endpoint: int) -> Kept:
        """The same of all its reads of the register of that endpoint. Raises `Incomplete`."""
        return self._kept(device, self.register_times_us(device, endpoint), schedule)

    def _kept(self, device: Subject, times_us: list[int], schedule: ReadSchedule) -> Kept:
        self.must_have_been_present(device)
        return kept(
            times_us,
            self.started_us,
            self.ended_us,
            self.excuses(device),
            period_us=schedule.period_ms * 1000,
            tolerance_us=schedule.tolerance_ms * 1000,
        )

    def must_have_been_present(self, device: Subject) -> None:
        """Raises `Incomplete` for a device that was not on the network when it began."""
        if device.eui64 not in self.present:
            raise Incomplete(f"{device.name} was not paired when the time of watching began")

    def excuses(self, device: Subject) -> tuple[Interval, ...]:
        """When the device owed nothing: the rig was out, or it was suspended, or not paired."""
        data = self._run()
        own = {each.id for each in data.devices if each.eui64 == device.eui64}
        found = away(
            own,
            data.joins,
            data.events,
            data.infrastructure,
            data.bearers.suspensions,
            self.ended_us,
        )
        return tuple(
            each
            for intervals in found.values()
            for each in intervals
            if each.overlaps(self.started_us, self.ended_us)
        )

    @property
    def outages(self) -> tuple[Interval, ...]:
        """When the rig was out meanwhile: what was not read then is not the device's doing."""
        return tuple(
            outage
            for outage in self._run().infrastructure
            if outage.overlaps(self.started_us, self.ended_us)
        )

    def _times_us(
        self, joined: str, where: str, device: Subject, value: str | int | None
    ) -> list[int]:
        session = self.stage.session
        session.recorder.flush()
        return [
            at_us
            for (at_us,) in session.recorder.connection.execute(
                "SELECT reads.at_us FROM reads JOIN devices ON devices.id = reads.device_id "  # noqa: S608 - our own words
                f"{joined} WHERE {where} AND reads.run_id = ? AND eui64 = ?"
                " AND initiator = 'device' AND reads.at_us BETWEEN ? AND ?"
                " ORDER BY reads.at_us, reads.id",
                (value, session.run_id, device.eui64, self.started_us, self.ended_us),
            )
        ]

    def _run(self) -> RunData:
        """What is recorded up to its end; that does not change any more, and is read once."""
        if self._data is None:
            session = self.stage.session
            session.recorder.flush()
            self._data = load_run(
                session.recorder.connection, session.run_id, until_us=self.ended_us
            )
        return self._data


def metering_schedule(device: Subject, fuel: str) -> ReadSchedule:
    """What the rig file expects a device to read of the meter of that kind.

    Raises `NotApplicable` where it expects nothing of the sort.
    """
    meters = device.session.loaded.rig.meters
    for schedule in device.declared.schedules:
        if schedule.cluster_id != _METERING or not schedule.attributes:
            continue
        if schedule.meter is None or meters[schedule.meter].kind == fuel:
            return schedule
    raise NotApplicable(f"the rig file has no reads of {fuel} for {device.name}")


def metering_endpoint(device: Subject, schedule: ReadSchedule, fuel: str) -> int:
    """The endpoint of the hub at which a schedule of `metering_schedule` reads that fuel."""
    if schedule.endpoint is not None:
        return schedule.endpoint
    meters = device.session.loaded.rig.meters
    name = schedule.meter or next(name for name, each in meters.items() if each.kind == fuel)
    return device.session.hub.endpoint_of(name)


async def everybody_present(stage: Stage, watch: Watch) -> frozenset[str]:
    """Have every device that can be paired on the network: the EUI-64s of those that are."""
    session = stage.session
    present = set()
    for declared in stage.loaded.devices:
        subject = stage.subject(declared, watch)
        if session.bench is not None:
            await subject.hands.power(on=True)
        if not subject.authorised:
            try:
                await subject.pair()
            except (NotSeen, NotApplicable):
                continue
        present.add(str(subject.eui64))
    return frozenset(present)


async def observe(stage: Stage, seconds: float) -> Observation:
    """Have every device that can be paired on the network, and leave all alone for so long.

    Devices that do not get in are watched as they are: whoever judges them will see it.
    """
    session = stage.session
    with Watch(session.bus, session.clock) as watch:
        present = await everybody_present(stage, watch)
    started_us = session.clock.now_us()
    await asyncio.sleep(seconds)
    return Observation(stage, started_us, session.clock.now_us(), present)
