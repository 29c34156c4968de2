"""K15: a certificate that is not for key agreement establishes no key.

The key usage of the hub's suite 2 certificate lacks key agreement (0x08). The device has to say
INVALID_CERTIFICATE (06), whether the hub or the device began, and must not take a key. Certificates
of suite 1 have no such field. The key that the device had before has to hold, and a device that
joins has to get in at a later attempt.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.cases.keys.reaction import both_ways, reactions
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.hub.provocation import Provocation
from labctl.smart_energy.cbke import TerminateStatus


@case(
    "K15",
    "certificate without key agreement: INVALID_CERTIFICATE, no key",
    measures=reactions(TerminateStatus.INVALID_CERTIFICATE),
    kinds=READERS,
    suites=(2,),
    rests_on=("J01",),
)
async def test_key_usage(device: Subject, measure: Measurements) -> None:
    await both_ways(device, measure, Provocation.NO_KEY_AGREEMENT)
