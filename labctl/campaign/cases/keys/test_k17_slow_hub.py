"""K17: whoever declares a time may take it.

The hub declares 20 s for its Ephemeral Data and 20 s for its Confirm Key, and takes 1 s more for
each: a partner has to wait as long as was declared, and 2 s on top for the transmission (SE 1.4a
C.3.1.1). Key establishment has to succeed at that attempt, whether the hub or the device began.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.cases.keys.reaction import CANNOT, device_begins, hub_begins, left_paired
from labctl.campaign.findings import NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.hub.provocation import Provocation

_WHY = "SE 1.4a C.3.1.1"


@case(
    "K17",
    "hub as slow as it declared, and 1 s: succeeds",
    measures=(
        Measure("succeeds_from_hub", least=1, most=1, optional=True, why=_WHY),
        Measure("succeeds_joining", least=1, most=1, optional=True, why=_WHY),
    ),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_slow_hub(device: Subject, measure: Measurements) -> None:
    async with left_paired(device):
        served = await hub_begins(device, Provocation.SLOW)
        if served is not None:
            measure.take("succeeds_from_hub", served.key_taken, served.text)
        joining = await device_begins(device, Provocation.SLOW)
        if joining is not None:
            measure.take("succeeds_joining", joining.key_taken, joining.text)
        if served is None and joining is None:
            raise NotApplicable(CANNOT)
