"""R31: a device that lost its power comes back by itself, and needs no second pairing.

The device reads; its power is taken away for a minute; after that it has to be served a read within
15 min. It may rejoin or go on as if nothing had been: what it must not do is to join as a new
device, or to ask for another link key, since nobody opens a window for it (S3 paragraph 25).
A bench switches virtual devices, a switch in the inventory real ones; without either a person does.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import READERS, case
from labctl.campaign.coming_back import BACK, ComingBack, steady
from labctl.campaign.hands import Hands
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject

_OFF_S = 60.0


@case(
    "R31",
    "device power cycle: comes back within 15 min, without a second pairing",
    measures=BACK,
    kinds=READERS,
)
async def test_device_power_cycle(device: Subject, power: Hands, measure: Measurements) -> None:
    await steady(device)
    await power.power(on=False)
    await asyncio.sleep(_OFF_S)
    await power.power(on=True)
    await ComingBack.from_now(device).measure(measure)
