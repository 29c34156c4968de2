"""K12: a hub of another authority is none to establish a key with.

The hub's certificate names another issuer. The device has to say UNKNOWN_ISSUER (01) and must not
take a key. One that joins should leave the network, and look for another one (SE 1.4a 5.4.7); the
hub has to name the outcome, since this is what a commercial device says to a hub with laboratory
certificates.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.cases.keys.reaction import (
    CANNOT,
    device_begins,
    hub_begins,
    left_paired,
    reactions,
    take_joining,
    take_served,
)
from labctl.campaign.findings import NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.events import Note
from labctl.hub.provocation import Provocation
from labctl.smart_energy.cbke import TerminateStatus

_LEAVES_WITHIN_S = 60.0


@case(
    "K12",
    "unknown issuer: UNKNOWN_ISSUER, no key, the outcome named so",
    measures=(
        *reactions(TerminateStatus.UNKNOWN_ISSUER, comes_back=False),
        Measure("leaves", least=0, good_from=1, optional=True, why="SE 1.4a 5.4.7"),
        Measure("outcome_named", least=1, most=1, why="proposal"),
    ),
    kinds=READERS,
    rests_on=("J01",),
)
async def test_unknown_issuer(device: Subject, measure: Measurements) -> None:
    async with left_paired(device):
        served = await hub_begins(device, Provocation.UNKNOWN_ISSUER)
        if served is not None:
            await take_served(device, measure, served)
        joining = await device_begins(device, Provocation.UNKNOWN_ISSUER)
        if joining is not None:
            take_joining(measure, joining)
            measure.take("leaves", await _leaves(device))
        if served is None and joining is None:
            raise NotApplicable(CANNOT)
        measure.take(
            "outcome_named", any("UNKNOWN_ISSUER" in end.cause for end in device.join_ends)
        )


async def _leaves(device: Subject) -> bool:
    try:
        await device.watch.wait(
            Note,
            device.eui64,
            within_s=_LEAVES_WITHIN_S,
            what="its leave",
            which=lambda note: note.kind == "device-left",
        )
    except NotSeen:
        return False
    return True
