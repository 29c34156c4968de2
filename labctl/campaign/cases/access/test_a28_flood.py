"""A28: a flood of requests costs the other devices nothing, and the device makes none.

A device that asks without end must not take the hub from the others. Two things are measured. What
the device itself asks for in five minutes, served or refused: a device that floods is found on any
rig. On a virtual rig, where a device can be made to, it is then told to send ten reads a second for
five minutes, and the share of the other devices' own reads that succeed is held against that of
the five minutes before. A single read more or less is not told from chance. It is not done on
868 MHz: there the airtime is shared by law, and a device that takes too much is suspended (S36).
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import Measure, case
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import everybody_present
from labctl.campaign.so_far import first_contact_over
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import silent_ones
from labctl.campaign.watch import Watch
from labctl.events import Band, DeviceKind, Note, ReadServed, Refused
from labctl.rig.session import RigSession

_MINUTES = 5
_PER_SECOND = 10.0


@case(
    "A28",
    "a flood of requests: the success of the other devices falls by less than 1 %",
    measures=(
        Measure("requests_per_min", most=60, good_to=40, why="proposal"),
        Measure("others_fall", "%", most=1, optional=True, why="proposal"),
        Measure("hub_errors", most=0, why="the hub stays up"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
)
async def test_flood(device: Subject, rig: Stage, measure: Measurements, watch: Watch) -> None:
    session = device.session
    if session.bench is not None:
        await everybody_present(rig, watch)
    await first_contact_over(device)
    began_us = session.clock.now_us()
    silent = silent_ones(device, began_us)
    counts = [_others(session, device)]
    await asyncio.sleep(60.0 * _MINUTES)
    counts.append(_others(session, device))
    per_minute = _requests(watch, device, began_us) / _MINUTES
    measure.take("requests_per_min", per_minute)
    floods = per_minute > (measure["requests_per_min"].most or per_minute)
    may_flood = session.bench is not None and device.band is Band.GHZ_2_4 and not floods
    if session.bench is not None and may_flood and counts[0]:
        await session.bench.devices[device.name].flood(_PER_SECOND, 60.0 * _MINUTES)
        counts.append(_others(session, device))
        fall, text = _fall(counts, leave_out=silent | silent_ones(device, began_us))
        measure.take("others_fall", fall, text)
    errors = [e for e in watch if isinstance(e, Note) and e.kind == "internal-error"]
    measure.take("hub_errors", len(errors))


def _requests(watch: Watch, device: Subject, since_us: int) -> int:
    """What it asked the hub for: served, refused, and dropped since there was too much of it."""
    served = watch.of(device.eui64, ReadServed, since_us=since_us)
    refused = watch.of(device.eui64, Refused, since_us=since_us)
    dropped = [
        int(str(note.detail["count"]))
        for note in watch.of(device.eui64, Note, since_us=since_us)
        if note.kind == "requests-dropped"
    ]
    return sum(read.initiator == "device" for read in served) + len(refused) + sum(dropped)


_Counts = dict[str, tuple[int, int]]
"""Reads that succeeded and reads that were due, of each device so far."""


def _others(session: RigSession, device: Subject) -> _Counts:
    """What the other devices of a virtual rig count of themselves; nothing on a real one."""
    if session.bench is None:
        return {}
    found: _Counts = {}
    for declared in session.loaded.devices:
        other = session.bench.devices[declared.name]
        if declared.name == device.name or not other.is_on or not declared.schedules:
            continue
        reads = other.observations.reads.values()
        ok = sum(count.ok for count in reads)
        found[declared.name] = ok, ok + sum(count.failed + count.lost for count in reads)
    return found


def _fall(counts: list[_Counts], leave_out: set[str]) -> tuple[float, str]:
    """By how much the worst-off device's success fell, in percent, less what one read makes.

    `leave_out` was told to be silent meanwhile.
    """
    worst, text = 0.0, "no other device fell"
    start, middle, end = counts
    for name in start.keys() - leave_out:
        before = _share(start[name], middle[name])
        during = _share(middle[name], end[name])
        due = end[name][1] - middle[name][1]
        if before is None or during is None:
            continue
        fall = before - during - 100 / due
        if fall > worst:
            worst, text = fall, f"{name}: from {before:.1f} % to {during:.1f} %"
    return worst, text


def _share(earlier: tuple[int, int], later: tuple[int, int]) -> float | None:
    due = later[1] - earlier[1]
    return 100 * (later[0] - earlier[0]) / due if due > 0 else None
