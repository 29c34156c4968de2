"""J08: a device that was removed not long ago comes back with its old key; with its code, later.

A device is removed from the log while it is switched off, so that it knows nothing of it, and is
added again. In the first half of the window the hub takes the key that the device had (GBCS CCS01),
so it has to be back by then, with that very key and without another key establishment: a device
that lost its key with its power cannot. Then, where the device can be reset, it is removed and
reset and added once more: now it has its install code only, which is to be taken in the second half
of the window and not before.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.cases.join.door import radio_of
from labctl.campaign.findings import NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import Event, JoinOutcome, JoinStepTaken, Step

WINDOW_S = 1800
CODE_WINDOW_S = 480


@case(
    "J08",
    "historic device: its old key works in the first half of the window, its code in the second",
    measures=(
        Measure.yes("archived", why="GBCS CCS02"),
        Measure("back_s", "s", most=WINDOW_S / 2, good_to=600, why="GBCS CCS01"),
        Measure.yes("old_key", why="GBCS CCS01"),
        Measure.exactly("key_establishments", 0, why="the old key needs none"),
        Measure(
            "code_s",
            "s",
            least=CODE_WINDOW_S / 2,
            most=CODE_WINDOW_S,
            optional=True,
            why="GBCS CCS01",
        ),
    ),
    rests_on=("J01",),
)
async def test_historic_device(device: Subject, watch: Watch, measure: Measurements) -> None:
    session = device.session
    old_key = (await radio_of(session).link_keys()).get(device.eui64)
    await device.hands.power(on=False)
    try:
        await session.hub.unpair(device.eui64, "campaign: to be added again")
        measure.take("archived", session.hub.device_log().historic(device.eui64) is not None)
        await device.arm(WINDOW_S)
    finally:
        await device.hands.power(on=True)
    began_us = session.clock.now_us()
    await _authorised(device, watch, WINDOW_S / 2)
    measure(
        back_s=(session.clock.now_us() - began_us) / MICROSECONDS,
        old_key=(await radio_of(session).link_keys()).get(device.eui64) == old_key,
        key_establishments=sum(
            step.step is Step.KEY_INITIATE
            for step in watch.of(device.eui64, JoinStepTaken, since_us=began_us)
        ),
    )
    if not device.hands.can_reset:
        return
    await session.hub.unpair(device.eui64, "campaign: to be added with its code")
    await device.hands.reset()
    await device.arm(CODE_WINDOW_S)
    began_us = session.clock.now_us()
    await device.hands.look_for_network()
    end = await device.authorisation(CODE_WINDOW_S)
    measure.take("code_s", (end.at_us - began_us) / MICROSECONDS)


async def _authorised(device: Subject, watch: Watch, within_s: float) -> None:
    """Until the device has proven its old key, by a join or by a word under it."""
    if device.authorised:
        return
    try:
        await watch.wait(
            Event,
            device.eui64,
            within_s=within_s,
            what=f"{device.name} back with the key that it had",
            which=lambda event: device.authorised,
        )
    except NotSeen as unseen:
        failed = [end for end in device.join_ends if end.outcome is JoinOutcome.FAILED]
        last = f"; its last join: {failed[-1].cause}" if failed else ""
        raise NotSeen(unseen.cause + last) from None
