"""R30: when the hub was without power, its devices come back by themselves, with the keys they had.

The hub's radio loses its power for five minutes: a virtual stick is unplugged, a real one switched
off where the inventory says how, else its NCP is reset. Then the device has to be served a read
within 15 min, without joining as a new device and without another link key (S3 paragraph 25). The
outage is the campaign's own doing, and held against nobody.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import BACK, ComingBack, others_at_work, steady
from labctl.campaign.measurements import Measurements
from labctl.campaign.outage import cycle_hub
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch

_OFF_S = 300.0


@case(
    "R30",
    "hub power cycle: the device comes back within 15 min, without a second pairing",
    measures=(*BACK, Measure("hub_out_s", "s")),
    kinds=READERS,
)
async def test_hub_power_cycle(
    rig: Stage, device: Subject, watch: Watch, measure: Measurements
) -> None:
    await steady(device)
    outage = await cycle_hub(rig, watch, device.bearer, _OFF_S)
    measure.take("hub_out_s", outage.seconds, f"{outage.seconds:.0f} s, {outage.by}")
    back = ComingBack(device, outage.back_us)
    try:
        await back.measure(measure)
    finally:
        await others_at_work(rig, device, watch)
