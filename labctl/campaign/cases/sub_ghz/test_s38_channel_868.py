"""S38: a device follows the hub to a channel at 868 MHz that was announced.

ChannelChange of the Sub-GHz cluster says where the hub goes, then a broadcast tells those who
listen (GBCS 10.6.3); the hub moves, and afterwards back in the same way. A gas meter on the band is
waited for, by two of its wake-ups at most. A device that went along reads within a minute of a
move; one that did not has to search for the hub, which has to be over within 15 min.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, case
from labctl.campaign.findings import NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.moves import FOLLOWED, there_and_back
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.events import Band
from labctl.hub.hub import Hub
from labctl.smart_energy.channels import Channel

_NUMBERS = {28: (12, 15), 29: (29, 31), 30: (40, 43), 31: (4, 7)}
"""Of each page, two that GB hubs use."""


@case(
    "S38",
    "868 MHz: the device follows a channel change that was announced",
    measures=FOLLOWED,
    kinds=READERS,
    band=Band.MHZ_868,
    within_s=12 * 3600.0,
)
async def test_channel_868(rig: Stage, device: Subject, hub: Hub, measure: Measurements) -> None:
    if device.band is not Band.MHZ_868:
        raise NotApplicable(f"{device.name} is on {device.band}")
    page = hub.bearers[device.bearer].page
    channels = tuple(Channel(page, number) for number in _NUMBERS[page])
    await there_and_back(rig, device, measure, Band.MHZ_868, channels)
