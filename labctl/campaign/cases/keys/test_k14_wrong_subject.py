"""K14: a certificate speaks for the device whose EUI-64 it names, and for nobody else.

The subject of the hub's certificate is not the hub's EUI-64. The device has to say
INVALID_CERTIFICATE (06), whether the hub or the device began, and must not take a key: otherwise
whoever holds any certificate of the authority could pass for the hub. The key that the device had
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
    "K14",
    "certificate of another: INVALID_CERTIFICATE, no key",
    measures=reactions(TerminateStatus.INVALID_CERTIFICATE),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_wrong_subject(device: Subject, measure: Measurements) -> None:
    await both_ways(device, measure, Provocation.WRONG_SUBJECT)
