"""J04: a device that is not in the device log is refused, though joining is open for another.

The device is unpaired, and the window of a device that does not exist is opened: so the beacons say
that the network may be joined, and the device tries. The hub holds no key for it. It must not come
to be authorised and must be served nothing, and each attempt has to be on record as one of a device
that is not in the log (but on a radio that does not tell of those it refused). How often it tries
is measured too: whoever is refused has to wait (SE 1.4a 5.4.1: a minute), else it takes the channel
from others.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.cases.join.door import first_try, placeholder, radio_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.campaign.watch import Watch
from labctl.events import JoinEnded, JoinOutcome
from labctl.hub import causes
from labctl.hub.settings import PairingRequest

WATCHED_S = 240.0
_WINDOW_S = 3600
"""Longer than what is watched: nobody is said to have missed it."""


@case(
    "J04",
    "not in the log: refused, and recorded as that",
    measures=(
        Measure("attempts", least=1, optional=True, why="it was seen to try"),
        Measure(
            "attempts_a_minute",
            most=6,
            good_to=4.5,
            optional=True,
            why="proposal; SE 1.4a 5.4.1: a scan a minute",
        ),
        Measure.exactly("authorised", 0),
        Measure.exactly("served", 0),
        Measure.exactly("other_causes", 0),
        Measure.exactly("keys", 0),
    ),
    start=Start.UNPAIRED,
    rests_on=("J01",),
)
async def test_not_in_the_log(device: Subject, watch: Watch, measure: Measurements) -> None:
    hub, pairing = device.session.hub, device.declared.pairing
    other, began_us = placeholder(4), device.session.clock.now_us()
    told = radio_of(device.session).tells_refusals
    await hub.pair(
        PairingRequest(
            eui64=other.eui64,
            window_s=_WINDOW_S,
            requested_by=pairing.requested_by,
            consent_reference=pairing.consent_reference,
            device=other,
        )
    )
    try:
        await device.hands.look_for_network()
        if told:
            await first_try(watch, device, began_us, AUTHORISED_WITHIN_S)
        await asyncio.sleep(WATCHED_S)
        keys = await radio_of(device.session).link_keys()
    finally:
        await hub.unpair(other.eui64, "campaign: it was there to open joining")
    ends = watch.of(device.eui64, JoinEnded, since_us=began_us)
    if told:
        measure(attempts=len(ends), attempts_a_minute=len(ends) * 60 / WATCHED_S)
    measure(
        authorised=sum(end.outcome is JoinOutcome.AUTHORISED for end in ends) + device.authorised,
        served=sum(read.status == 0 for read in device.reads if read.at_us >= began_us),
        other_causes=sum(end.cause != causes.NOT_IN_THE_LOG for end in ends),
        keys=int(device.eui64 in keys),
    )
