"""K13: a confirmation that is wrong shows that both sides do not have the same key.

The hub turns over one bit of its confirmation: of MACU in an exchange that it begins, of MACV in
one that the device begins. The device has to say BAD_KEY_CONFIRM (02) and to store no key: the hub
has the new key ready meanwhile, so it hears when the device uses it. The key that the device had
before has to hold, and a device that joins has to get in at a later attempt.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.cases.keys.reaction import both_ways, reactions
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.hub.provocation import Provocation
from labctl.smart_energy.cbke import TerminateStatus


@case(
    "K13",
    "corrupt confirmation: BAD_KEY_CONFIRM, no key stored",
    measures=reactions(TerminateStatus.BAD_KEY_CONFIRM),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_corrupt_confirmation(device: Subject, measure: Measurements) -> None:
    await both_ways(device, measure, Provocation.CORRUPT_CONFIRMATION)
