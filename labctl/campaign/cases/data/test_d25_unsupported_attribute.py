"""D25: an attribute that the meter does not have does not stop the device.

Meters differ in what they have. A device that meets UNSUPPORTED_ATTRIBUTE (0x86) has to do without
that one value and go on with the others. The hub tells this device, and no other, that an attribute
of its steady read of electricity is not there: the last that the rig file names for it, which is
not the register where it names several. Once the device has heard so it is watched for a dozen of
its periods. Then it is told what is so again, and has to read the register as before.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import metering_endpoint, metering_schedule
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import undisturbed
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.config.resolved import ReadSchedule
from labctl.events import DeviceKind, ReadServed
from labctl.hub.hub import Hub
from labctl.hub.pretence import UNSUPPORTED

_METERING = 0x0702
_UNSUPPORTED_ATTRIBUTE = 0x86
_PERIODS, _LONG_PERIODS = 12, 3
"""How many are watched, and of those that are longer than a minute."""
_GRACE_S = 60.0


@case(
    "D25",
    "an unsupported attribute (0x86): the device carries on",
    measures=(
        Measure("reads_of_due", "%", least=50, good_from=90, why="proposal"),
        Measure("register_again_s", "s", most=_GRACE_S, why="proposal"),
        Measure("joins", most=0, why="proposal"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
)
async def test_unsupported_attribute(
    device: Subject, hub: Hub, measure: Measurements, watch: Watch
) -> None:
    schedule = metering_schedule(device, "electricity")
    endpoint = metering_endpoint(device, schedule, "electricity")
    period_s = schedule.period_ms / 1000
    measure.expect("register_again_s", most=3 * period_s + _GRACE_S)
    await undisturbed(device, lambda: _without_one(device, hub, measure, watch, schedule, endpoint))


async def _without_one(
    device: Subject,
    hub: Hub,
    measure: Measurements,
    watch: Watch,
    schedule: ReadSchedule,
    endpoint: int,
) -> None:
    period_s = schedule.period_ms / 1000
    within_s = 3 * period_s + _GRACE_S
    withheld = schedule.attributes[-1]
    clock = device.session.clock

    def of_the_meter(read: ReadServed) -> bool:
        return (
            read.initiator == "device"
            and (read.endpoint, read.cluster_id) == (endpoint, _METERING)
            and read.command_id is None
        )

    with hub.pretences.telling(device.eui64, {(endpoint, _METERING, withheld): UNSUPPORTED}):
        try:
            await watch.wait(
                ReadServed,
                device.eui64,
                within_s=within_s,
                what=f"a read of attribute 0x{withheld:04X}",
                which=lambda read: of_the_meter(read) and read.status == _UNSUPPORTED_ATTRIBUTE,
            )
        except NotSeen as unseen:
            raise Incomplete(f"it did not meet with it: {unseen.cause}") from None
        told_us = clock.now_us()
        periods = _PERIODS if period_s <= 60 else _LONG_PERIODS
        await asyncio.sleep(periods * period_s)
        reads = [r for r in watch.of(device.eui64, ReadServed, since_us=told_us) if of_the_meter(r)]
    measure.take("reads_of_due", 100 * len(reads) / periods, f"{len(reads)} of {periods} reads")
    over_us = clock.now_us()
    try:
        again = await watch.wait(
            ReadServed,
            device.eui64,
            within_s=within_s,
            what="a read of the register",
            which=lambda read: of_the_meter(read) and read.status == 0,
        )
    except NotSeen as unseen:
        raise NotSeen(
            f"{unseen.cause}, after attribute 0x{withheld:04X} was unsupported for a while"
        ) from None
    finally:
        measure.take("joins", len([j for j in device.joins if j.at_us >= told_us]))
    measure.take("register_again_s", (again.at_us - over_us) / MICROSECONDS)
