"""D22: the summation that a device shows never falls, and is never zero after a reboot.

A register only counts upwards. What falls on a display is a bill that nobody believes, and a zero
after a power cut is a device that forgot and did not ask. The display is read every 10 s: for a
while as it is, then through a power cut of 5 s, until it shows something again, and for a while
after that. It may show nothing while it starts. What the hub tells it is looked at as well, so that
the meter's own fall would not be the device's.

It takes a display that can be read (`display` in the inventory; a virtual device has a screen), and
a hand or a switch for the power.
"""

from __future__ import annotations

import asyncio
import itertools

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import metering_endpoint, metering_schedule
from labctl.campaign.scale import REGISTER, number_told
from labctl.campaign.subject import Subject
from labctl.campaign.undisturbed import undisturbed
from labctl.events import DeviceKind
from labctl.rig.display import Shown

_POLL_S = 10.0
_BEFORE_S = 120.0
_STARTS_WITHIN_S = 15 * 60.0
_AFTER_S = 180.0


@case(
    "D22",
    "the summation shown never falls, and is never zero after a reboot",
    measures=(
        Measure.exactly("falls", 0, why="SE 1.4 D.3.2.2.1.1"),
        Measure.exactly("zeros", 0, why="SE 1.4 D.3.2.2.1.1"),
        Measure("shown_again_s", "s", most=_STARTS_WITHIN_S, good_to=600, why="SE 1.4a 5.4.1"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
)
async def test_summation(device: Subject, measure: Measurements) -> None:
    if not device.hands.shows:
        raise NotApplicable(f"nothing reads the display of {device.name}")
    schedule = metering_schedule(device, "electricity")
    endpoint = metering_endpoint(device, schedule, "electricity")
    await undisturbed(device, lambda: _through_a_reboot(device, endpoint, measure))


async def _through_a_reboot(device: Subject, endpoint: int, measure: Measurements) -> None:
    await _until_shown(device)
    told = [number_told(device, endpoint, REGISTER)]
    if not told[0]:
        raise Incomplete("the register stands at 0, and so may the display")
    values = await _values(device, _BEFORE_S)
    await device.hands.cycle()
    back_s, first = await _until_shown(device)
    measure.take("shown_again_s", back_s)
    values += [first, *await _values(device, _AFTER_S)]
    told.append(number_told(device, endpoint, REGISTER))
    if told[1] < told[0]:
        raise Incomplete("the meter's own register fell meanwhile")
    falls = [(a, b) for a, b in itertools.pairwise(values) if b < a]
    measure.take("falls", len(falls), f"from {falls[0][0]:g} to {falls[0][1]:g}" if falls else "")
    measure.take("zeros", sum(value == 0 for value in values))


async def _until_shown(device: Subject) -> tuple[float, float]:
    """How long it took until something was shown, and what. Raises `Incomplete`."""
    waited_s = 0.0
    while (value := await device.hands.shown(Shown.ELECTRICITY)) is None:
        if waited_s >= _STARTS_WITHIN_S:
            raise Incomplete(f"it showed no reading of electricity within {waited_s:g} s")
        await asyncio.sleep(_POLL_S)
        waited_s += _POLL_S
    return waited_s, value


async def _values(device: Subject, seconds: float) -> list[float]:
    """What it shows in that time, as far as it shows anything."""
    found = []
    for _ in range(round(seconds / _POLL_S)):
        await asyncio.sleep(_POLL_S)
        value = await device.hands.shown(Shown.ELECTRICITY)
        if value is not None:
            found.append(value)
    return found
