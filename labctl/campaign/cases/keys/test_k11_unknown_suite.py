"""K11: a device that is asked for a suite that it does not have says so.

The hub begins key establishment with a suite that does not exist. The device has to say
UNSUPPORTED_SUITE (05), with the suites that it has, so that the hub can ask for one of them. The
key that it had before has to hold. It is the hub that asks: what a device does with an answer of
another suite than it asked for is not laid down.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.cases.keys.reaction import (
    asked_by_the_hub,
    hub_begins,
    left_paired,
    take_served,
)
from labctl.campaign.findings import NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.hub.provocation import Provocation
from labctl.smart_energy.cbke import TerminateStatus


@case(
    "K11",
    "suite not supported: UNSUPPORTED_SUITE, the old key holds",
    measures=asked_by_the_hub(TerminateStatus.UNSUPPORTED_SUITE),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_unknown_suite(device: Subject, measure: Measurements) -> None:
    async with left_paired(device):
        served = await hub_begins(device, Provocation.UNKNOWN_SUITE)
        if served is None:
            raise NotApplicable("it does not take part in key establishment that the hub begins")
        await take_served(device, measure, served)
