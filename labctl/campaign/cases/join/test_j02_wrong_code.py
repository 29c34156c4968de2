"""J02: a device whose install code is not the hub's does not get in, and it is said why.

The hub is given another install code for the device, on purpose, and opens the window. The device
associates and cannot read the network key. It must not come to be authorised, no key of it may stay
in the radio, and each attempt has to be on record with the install code as its cause. Then the
right code is armed, and nobody touches the device: one that searches as it should (SE 1.4a 5.4.1:
each minute for a quarter of an hour, then each hour) gets in by itself. A device that gave up, or
that tries without a pause and so takes the channel from others, is found by that.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.cases.join.door import another_code, first_try, radio_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import JoinEnded, JoinOutcome
from labctl.hub.settings import LoggedDevice, PairingRequest

WATCHED_S = 180.0
_WINDOW_S = 3600


@case(
    "J02",
    "wrong code: never authorised, no key kept, each attempt recorded with its cause",
    measures=(
        Measure("attempts", least=1, why="else nothing was tried"),
        Measure(
            "attempts_a_minute", most=6, good_to=4.5, why="proposal; SE 1.4a 5.4.1: a scan a minute"
        ),
        Measure.exactly("authorised", 0),
        Measure.exactly("other_causes", 0, why="each attempt names the install code"),
        Measure.exactly("keys_left", 0),
        Measure(
            "right_code_s", "s", most=AUTHORISED_WITHIN_S, good_to=300, why="SE 1.4a 5.4.1, 5.4.2"
        ),
    ),
    start=Start.UNPAIRED,
    rests_on=("J01",),
)
async def test_wrong_code(device: Subject, watch: Watch, measure: Measurements) -> None:
    hub, pairing = device.session.hub, device.declared.pairing
    wrong = another_code(device.declared.install_code)
    began_us = device.session.clock.now_us()
    await hub.pair(
        PairingRequest(
            eui64=device.eui64,
            window_s=_WINDOW_S,
            requested_by=pairing.requested_by,
            consent_reference=pairing.consent_reference,
            device=LoggedDevice(
                eui64=device.eui64,
                name=device.name,
                kind=device.kind,
                link_key=wrong.link_key(),
            ),
        )
    )
    try:
        await device.hands.look_for_network()
        await first_try(watch, device, began_us, AUTHORISED_WITHIN_S)
        await asyncio.sleep(WATCHED_S)
        await hub.close_joining()
        tried = watch.of(device.eui64, JoinEnded, since_us=began_us)
        measure(
            attempts=len(tried),
            attempts_a_minute=len(tried) * 60 / WATCHED_S,
            authorised=sum(end.outcome is JoinOutcome.AUTHORISED for end in tried),
            other_causes=sum("install code" not in end.cause for end in tried),
            keys_left=int(device.eui64 in await radio_of(device.session).link_keys()),
        )
    finally:
        await hub.unpair(device.eui64, "campaign: its install code was wrong on purpose")
    armed_us = device.session.clock.now_us()
    await device.arm(round(AUTHORISED_WITHIN_S))
    end = await device.authorisation(AUTHORISED_WITHIN_S)
    measure.take("right_code_s", (end.at_us - armed_us) / MICROSECONDS)
