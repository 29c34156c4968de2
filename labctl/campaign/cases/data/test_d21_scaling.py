"""D21: what is shown is the register times its multiplier, by its divisor.

Meters differ in scale: one counts Wh and gives 1/1000, another tens of Wh. The hub tells this
device, and no other, three scalings of the electricity meter one after the other. Devices read them
when they start, so its power is taken away in between. Once it has read the scaling and the
register, what it shows is held against what it was told. It is polled for a minute beyond its
period, since displays take a while. In the end it starts once more and hears what is so.

It takes a display that can be read (`display` in the inventory; a virtual device has a screen), and
a hand or a switch for the power. A device that does not ask for the scaling when it starts has kept
it: nothing can be said of it.
"""

from __future__ import annotations

import asyncio
from functools import partial

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import metering_endpoint, metering_schedule
from labctl.campaign.scale import DIVISOR, REGISTER, Scaling, number_told
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import undisturbed
from labctl.campaign.watch import Watch
from labctl.config.resolved import ReadSchedule
from labctl.events import DeviceKind, ReadServed
from labctl.hub.hub import Hub
from labctl.rig.display import Shown

_SCALINGS = (Scaling(1, 1000), Scaling(1, 10_000), Scaling(3, 10_000))
_STARTS_WITHIN_S = 15 * 60.0
_POLL_S = 5.0
_DISPLAYS_TAKE_S = 60.0
_PERCENT = 0.5


@case(
    "D21",
    "displayed value = raw x multiplier / divisor, for three scalings",
    measures=tuple(
        Measure(f"deviation_{number}", "%", most=_PERCENT, why="SE 1.4 D.3.2.2.4")
        for number, _ in enumerate(_SCALINGS, 1)
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
)
async def test_scaling(device: Subject, hub: Hub, measure: Measurements, watch: Watch) -> None:
    if not device.hands.shows:
        raise NotApplicable(f"nothing reads the display of {device.name}")
    schedule = metering_schedule(device, "electricity")
    endpoint = metering_endpoint(device, schedule, "electricity")
    try:
        for number, scaling in enumerate(_SCALINGS, 1):
            with hub.pretences.telling(device.eui64, scaling.told_at(endpoint)):
                off, text = await undisturbed(
                    device, partial(_tried, device, watch, schedule, endpoint, scaling)
                )
            measure.take(f"deviation_{number}", off, text)
    finally:
        await undisturbed(device, partial(_restarted, device, watch, endpoint))


async def _tried(
    device: Subject, watch: Watch, schedule: ReadSchedule, endpoint: int, scaling: Scaling
) -> tuple[float, str]:
    await _restarted(device, watch, endpoint)
    return await _deviation(device, schedule, endpoint, scaling)


async def _restarted(device: Subject, watch: Watch, endpoint: int) -> None:
    """Off and on again, until it has read the scaling and then the register."""
    await device.hands.cycle()
    try:
        for attribute, what in ((DIVISOR, "the divisor"), (REGISTER, "the register")):
            await watch.wait(
                ReadServed,
                device.eui64,
                within_s=_STARTS_WITHIN_S,
                what=f"a read of {what} after the start",
                which=lambda read, attribute=attribute: (  # type: ignore[misc]
                    read.initiator == "device"
                    and read.endpoint == endpoint
                    and attribute in read.attributes
                ),
            )
    except NotSeen as unseen:
        raise Incomplete(unseen.cause) from None


async def _deviation(
    device: Subject, schedule: ReadSchedule, endpoint: int, scaling: Scaling
) -> tuple[float, str]:
    """How far what is shown is from what was told, in percent, at its best."""
    best, text = 100.0, "nothing is shown"
    polls = round((schedule.period_ms / 1000 + _DISPLAYS_TAKE_S) / _POLL_S)
    for _ in range(polls):
        await asyncio.sleep(_POLL_S)
        shown = await device.hands.shown(Shown.ELECTRICITY)
        raw = number_told(device, endpoint, REGISTER)
        told = raw * scaling.multiplier / scaling.divisor
        if not told:
            raise Incomplete("the register stands at 0: every scaling shows the same")
        if shown is None:
            continue
        off = 100 * abs(shown - told) / told
        if off <= best or text == "nothing is shown":
            best, text = off, f"{shown:g} shown for {raw} {scaling}"
        if best <= _PERCENT:
            break
    return best, text
