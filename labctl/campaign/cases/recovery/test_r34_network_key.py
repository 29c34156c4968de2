"""R34: after an update of the network key the device's next read is served.

The hub gives every device that listens the next network key, each under its own link key, and
switches to it by a broadcast (R22 4.6.3.4). The device reads on as before: one that missed the key
may come back by an unsecured rejoin, for which its link key is good, but needs no second pairing.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import (
    BACK_WITHIN_S,
    ComingBack,
    others_at_work,
    steady,
)
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.hub.hub import Hub


@case(
    "R34",
    "network key update: the next read is served",
    measures=(
        Measure("back_s", "s", most=BACK_WITHIN_S, good_to=60, why="proposal"),
        Measure.exactly("second_pairings", 0, why="S3 paragraph 25"),
    ),
    kinds=READERS,
)
async def test_network_key(
    rig: Stage, device: Subject, hub: Hub, watch: Watch, measure: Measurements
) -> None:
    await steady(device)
    await hub.update_network_key()
    back = ComingBack.from_now(device)
    try:
        await back.measure(measure)
    finally:
        await others_at_work(rig, device, watch)
