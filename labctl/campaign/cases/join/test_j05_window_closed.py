"""J05: a device comes when its window is closed, and gets in when it is opened again.

The device is put into the log, and its window is closed before it can look for a network. While the
beacons say that joining is closed, it may not join, and a sound device does not even try: its
association requests are counted where all that is on the air can be heard, which is on a virtual
rig. Then the window is opened again and nobody touches the device: it has to be in by its next look
or the one after that (SE 1.4a 5.4.1: each minute, in the first quarter of an hour).
"""

from __future__ import annotations

import asyncio
import contextlib

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.cases.join.door import radio_of, tries
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS

CLOSED_S = 150.0


@case(
    "J05",
    "window closed: refused; open again: in without being touched",
    measures=(
        Measure.exactly("joins_while_closed", 0),
        Measure.exactly("authorised_while_closed", 0),
        Measure.exactly("keys_while_closed", 0),
        Measure("associations", most=0, optional=True, why="R22 3.6.1.4.1: the permit bit is off"),
        Measure(
            "found_s", "s", most=420, good_to=240, why="SE 1.4a 5.4.1: two looks, and the join"
        ),
    ),
    start=Start.UNPAIRED,
    rests_on=("J01",),
)
async def test_window_closed(device: Subject, watch: Watch, measure: Measurements) -> None:
    session = device.session
    await device.arm(round(AUTHORISED_WITHIN_S))
    await session.hub.close_joining()  # at once, for it may be looking already
    closed_us = session.clock.now_us()
    with contextlib.ExitStack() as stack:
        onlooker = None
        if session.bench is not None:
            onlooker = stack.enter_context(session.bench.onlooker())
        await device.hands.look_for_network()
        await asyncio.sleep(CLOSED_S)
    joins = tries(watch, device.eui64, closed_us)
    measure(
        joins_while_closed=len(joins),
        authorised_while_closed=device.authorised,
        keys_while_closed=int(device.eui64 in await radio_of(session).link_keys()),
    )
    if onlooker is not None:
        own = [each for each in onlooker.associations if each.eui64 == device.eui64]
        measure.take("associations", len(own))
    armed_us = session.clock.now_us()
    await device.arm(round(AUTHORISED_WITHIN_S))
    end = await device.authorisation(AUTHORISED_WITHIN_S)
    measure.take("found_s", (end.at_us - armed_us) / MICROSECONDS)
