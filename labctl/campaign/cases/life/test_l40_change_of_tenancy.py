"""L40: when other people move in, what was before is gone from the hub and from the device.

The emulated meters get a change of tenancy at this instant (S1 note 35, S2 paragraph 372). From
then on the hub must answer this device with nothing of before: the logs of half-hours and of days
are asked for as the device could ask for them. The hub publishes the change with the bit that says
"clear what you know of the consumer"; a virtual device is looked into for half-hours of before,
which have to be gone within ten minutes. What a real device keeps cannot be seen: it is not
measured. In the end the change is taken back, and the past of the meters can be read again.
"""

from __future__ import annotations

import asyncio
import struct

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import steady
from labctl.campaign.findings import NotApplicable
from labctl.campaign.hub_state import entry_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.meters import now_s
from labctl.campaign.subject import Subject
from labctl.hub.hub import Hub
from labctl.hub.services.metering_logs import DAILY_LOG, HALF_HOUR_LOG
from labctl.hub.services.time import ZIGBEE_EPOCH_S, zigbee_time
from labctl.meters.entries import TenancyChanged

_METERING, _GET_SAMPLED_DATA, _SAMPLED_DATA = 0x0702, 0x08, 0x07
_ASK = struct.Struct("<HIBH")
_HEAD = struct.Struct("<HI")
_DELIVERED = 0
_MOST = 48
_BACK_S = 40 * 24 * 3600
_IN_FORCE_S = 2.0
_LEARNS_WITHIN_S = 20 * 60.0
_FORGETS_WITHIN_S = 10 * 60.0
_LOOK_EVERY_S = 10.0


@case(
    "L40",
    "change of tenancy: data from before is gone from hub and device",
    measures=(
        Measure("logs_before", least=1),
        Measure.exactly("logs_from_before", 0, why="S1 note 35"),
        Measure("half_hours_known", least=1, optional=True),
        Measure("half_hours_kept", least=0, most=0, optional=True, why="S1 note 35"),
    ),
    kinds=READERS,
    meters=("electricity",),
)
async def test_change_of_tenancy(device: Subject, hub: Hub, measure: Measurements) -> None:
    await steady(device)
    served = _served(device, hub, now_s(device))
    if not served:
        raise NotApplicable("the rig's meters have no past: nothing could be gone")
    measure.take("logs_before", served)
    knew = await _until(device, now_s(device), knows=True, within_s=_LEARNS_WITHIN_S)
    if knew:
        measure.take("half_hours_known", knew)
    since_s = now_s(device)
    await _enter(device, hub, since_s, taken_back=False)
    try:
        measure.take("logs_from_before", _served(device, hub, since_s))
        if knew:
            keeps = await _until(device, since_s, knows=False, within_s=_FORGETS_WITHIN_S)
            measure.take("half_hours_kept", keeps)
    finally:
        await _enter(device, hub, since_s, taken_back=True)


async def _enter(device: Subject, hub: Hub, since_s: int, *, taken_back: bool) -> None:
    """Have the change come, or taken back, and said to whoever wants to know."""
    device.session.enter(
        TenancyChanged(at_us=device.session.clock.now_us(), since_s=since_s, taken_back=taken_back)
    )
    await asyncio.sleep(_IN_FORCE_S)  # it is in force from the next full second on
    hub.publisher.meters_changed()


def _served(device: Subject, hub: Hub, since_s: int) -> int:
    """How many logs of its meters the hub would answer the device with samples of before from."""
    entry = entry_of(hub, device.eui64)
    logs = 0
    for endpoint in hub.rehearsals.serving(_METERING):
        for log in (HALF_HOUR_LOG, DAILY_LOG):
            ask = _ASK.pack(log, zigbee_time(since_s - _BACK_S), _DELIVERED, _MOST)
            answers = hub.rehearsals.command(
                entry, endpoint, _METERING, _GET_SAMPLED_DATA, ask
            ).answers
            for answer in answers:
                if answer.cluster_specific and answer.command_id == _SAMPLED_DATA:
                    _, start = _HEAD.unpack_from(answer.payload)
                    logs += start + ZIGBEE_EPOCH_S < since_s
    return logs


async def _until(device: Subject, since_s: int, *, knows: bool, within_s: float) -> int:
    """Wait until the device keeps half-hours of before an instant, or none; how many they are."""
    waited_s = 0.0
    while bool(kept := _kept(device, since_s)) is not knows and waited_s < within_s:
        await asyncio.sleep(_LOOK_EVERY_S)
        waited_s += _LOOK_EVERY_S
        if device.session.bench is None:
            break  # nobody can look into it
    return kept


def _kept(device: Subject, since_s: int) -> int:
    """How many half-hours of before an instant are in a virtual device; 0 for a real one."""
    bench = device.session.bench
    if bench is None:
        return 0
    screen = bench.devices[device.name].screen
    return sum(
        start + ZIGBEE_EPOCH_S < since_s
        for peer in screen.meters
        for start in screen.half_hours(peer)
    )
