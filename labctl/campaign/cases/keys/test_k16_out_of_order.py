"""K16: messages come in their order, or it is over.

The hub sends Confirm Key where its Ephemeral Data is due. The device has to say BAD_MESSAGE (03),
whether the hub or the device began, and must not take a key. The key that the device had before has
to hold, and a device that joins has to get in at a later attempt.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.cases.keys.reaction import both_ways, reactions
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.hub.provocation import Provocation
from labctl.smart_energy.cbke import TerminateStatus


@case(
    "K16",
    "message out of order: BAD_MESSAGE, no key",
    measures=reactions(TerminateStatus.BAD_MESSAGE),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_out_of_order(device: Subject, measure: Measurements) -> None:
    await both_ways(device, measure, Provocation.OUT_OF_ORDER)
