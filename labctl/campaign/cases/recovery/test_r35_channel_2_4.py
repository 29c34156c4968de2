"""R35: a device follows the hub to another channel at 2.4 GHz.

The hub broadcasts where it goes (Mgmt_NWK_Update_req, R22 2.4.3.3.9), moves, and some minutes later
moves back in the same way. A device that went along reads within a minute of a move; one that did
not has to miss the hub first and then to search for it, which is counted as not followed, and has
to be over within 15 min.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.measurements import Measurements
from labctl.campaign.moves import FOLLOWED, there_and_back
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.events import Band
from labctl.smart_energy.channels import Channel

_CHANNELS = tuple(Channel(0, number) for number in (15, 20, 24, 25, 11, 14, 19))
"""Those that Smart Energy prefers (SE 1.4a 5.4.1): every device looks at them."""


@case(
    "R35",
    "2.4 GHz channel change: the device follows",
    measures=FOLLOWED,
    kinds=READERS,
    band=Band.GHZ_2_4,
    within_s=12 * 3600.0,
)
async def test_channel_2_4(rig: Stage, device: Subject, measure: Measurements) -> None:
    await there_and_back(rig, device, measure, Band.GHZ_2_4, _CHANNELS)
