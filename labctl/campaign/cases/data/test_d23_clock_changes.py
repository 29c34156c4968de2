"""D23: the half-hours that a device keeps agree with the meter's over both clock changes.

Meters log by UTC; displays show local time. In the night to summer time an hour is missing on the
clock, in the night to winter time one comes twice, and a device that mixes the two up files energy
under the wrong half-hour. The hub tells this device, and no other, that it is the evening after the
last change of each kind. When it starts it reads the log of the day before, from the emulated
meter's real past, and what it has kept is held against what the meter counted: eight half-hours
around the change, and all others that it asked for.
"""

from __future__ import annotations

import asyncio
from functools import partial

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.meters import clock_changes_before, meter_at, now_s
from labctl.campaign.observation import metering_endpoint, metering_schedule
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import may_talk, undisturbed
from labctl.campaign.watch import Watch
from labctl.events import DeviceKind, ReadServed
from labctl.hub.hub import Hub
from labctl.meters import Meter

_METERING, _GET_SAMPLED_DATA = 0x0702, 0x08
_EPOCH_2000 = 946_684_800
_HALF_HOUR_S = 1800
_AROUND_S = 2 * 3600
_EVENING_S = 18 * 3600
_HISTORY_WITHIN_S = 20 * 60.0
_ARRIVES_S = 5.0


@case(
    "D23",
    "half-hour history agrees over both clock changes",
    measures=tuple(
        Measure.exactly(f"{change}_{what}", 0, why="UTC throughout, S1 p. 3")
        for change in ("spring", "autumn")
        for what in ("wrong", "missing")
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
    virtual=True,
    why="under which half-hour a device files what it read cannot be seen from outside",
)
async def test_clock_changes(
    device: Subject, hub: Hub, measure: Measurements, watch: Watch
) -> None:
    schedule = metering_schedule(device, "electricity")
    endpoint = metering_endpoint(device, schedule, "electricity")
    meter = meter_at(device, endpoint)
    changes = clock_changes_before(now_s(device))
    if meter.works.earliest_s() > min(changes) - _EVENING_S:
        raise NotApplicable(f"the past of the meter {meter.name} does not reach to both changes")
    try:
        for name, change_s in zip(("spring", "autumn"), changes, strict=True):
            ahead_s = change_s + _EVENING_S - now_s(device)
            with hub.pretences.telling(device.eui64, clock_offset_s=ahead_s):
                await undisturbed(device, partial(_history_read, device, watch, endpoint))
            kept = _kept(device, endpoint)
            wrong, missing = _held_against(kept, meter, change_s, now_s(device))
            measure.take(f"{name}_wrong", len(wrong), _first(wrong))
            measure.take(f"{name}_missing", len(missing), _first(missing))
    finally:
        await device.hands.cycle()
        await may_talk(device)
        await device.next_read(within_s=_HISTORY_WITHIN_S, cluster_id=_METERING)


async def _history_read(device: Subject, watch: Watch, endpoint: int) -> None:
    """Off and on again, until it has read the log of half-hours."""
    await device.hands.cycle()
    try:
        await watch.wait(
            ReadServed,
            device.eui64,
            within_s=_HISTORY_WITHIN_S,
            what="a read of the log of half-hours after the start",
            which=lambda read: (
                read.initiator == "device"
                and (read.endpoint, read.cluster_id) == (endpoint, _METERING)
                and read.command_id == _GET_SAMPLED_DATA
                and read.status == 0
            ),
        )
    except NotSeen as unseen:
        raise Incomplete(unseen.cause) from None
    await asyncio.sleep(_ARRIVES_S)


def _kept(device: Subject, endpoint: int) -> dict[int, int]:
    """The half-hours that it keeps of that meter, by their beginning (UTC seconds)."""
    bench = device.session.bench
    assert bench is not None  # the case needs a virtual rig
    screen = bench.devices[device.name].screen
    return {
        start + _EPOCH_2000: raw
        for peer in screen.meters
        if peer.endpoint == endpoint
        for start, raw in screen.half_hours(peer).items()
    }


def _held_against(
    kept: dict[int, int], meter: Meter, change_s: int, at_s: int
) -> tuple[list[int], list[int]]:
    """Beginnings of half-hours with another amount than the meter's, and of those that lack."""
    around = range(change_s - _AROUND_S, change_s + _AROUND_S, _HALF_HOUR_S)
    starts = sorted({*kept, *around})
    right = {
        start: meter.history.half_hours(start + _HALF_HOUR_S, 1, now_s=at_s)[0].amount
        for start in starts
    }
    wrong = [start for start in starts if start in kept and kept[start] != right[start]]
    return wrong, [start for start in around if start not in kept]


def _first(starts: list[int]) -> str:
    return f"{len(starts)}, the first at {starts[0]} s (Unix time)" if starts else ""
