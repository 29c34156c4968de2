"""J07: a device that is added again, with another code, keeps the key that it has.

A device that is paired is put into the log a second time, with an install code that is not its own
(GBCS CCS01: the new key is ignored). The key in the radio, the one in the log and the device's
authorisation have to be what they were; the device reads on under its key, and neither leaves nor
joins although joining is open. A device that takes the open network for an invitation is found by
that.
"""

from __future__ import annotations

import asyncio

from labctl.campaign.case import Measure, case
from labctl.campaign.cases.join.door import another_code, radio_of
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import JoinStarted, PairingWindowClosed
from labctl.hub.settings import LoggedDevice, PairingRequest

WINDOW_S = 120


@case(
    "J07",
    "added again: the existing key stands",
    measures=(
        Measure.yes("same_key_in_radio", why="GBCS CCS01"),
        Measure.yes("same_code_in_log", why="GBCS CCS01"),
        Measure.yes("authorised"),
        Measure("joins", most=1, good_to=0, why="proposal"),
        Measure("reads", least=1, optional=True, why="its shortest schedule, twice"),
    ),
    rests_on=("J01",),
)
async def test_added_again(device: Subject, watch: Watch, measure: Measurements) -> None:
    session, pairing = device.session, device.declared.pairing
    entry = session.hub.device_log().get(device.eui64)
    assert entry is not None  # it is paired
    code, key = entry.link_key, (await radio_of(session).link_keys()).get(device.eui64)
    began_us = session.clock.now_us()
    await session.hub.pair(
        PairingRequest(
            eui64=device.eui64,
            window_s=WINDOW_S,
            requested_by=pairing.requested_by,
            consent_reference=pairing.consent_reference,
            device=LoggedDevice(
                eui64=device.eui64,
                name=device.name,
                kind=device.kind,
                link_key=another_code(device.declared.install_code).link_key(),
            ),
        )
    )
    await watch.wait(
        PairingWindowClosed,
        device.eui64,
        within_s=WINDOW_S + 10,
        what=f"the end of the window of {device.name}",
    )
    periods_s = [schedule.period_ms / 1000 for schedule in device.declared.schedules]
    if periods_s:
        left_s = 2 * min(periods_s) - (session.clock.now_us() - began_us) / MICROSECONDS
        await asyncio.sleep(max(0.0, left_s))
        since = [read for read in device.reads if read.at_us >= began_us]
        measure.take("reads", sum(read.status == 0 for read in since))
    entry = session.hub.device_log().get(device.eui64)
    measure(
        same_key_in_radio=(await radio_of(session).link_keys()).get(device.eui64) == key,
        same_code_in_log=entry is not None and entry.link_key == code,
        authorised=device.authorised,
        joins=len(watch.of(device.eui64, JoinStarted, since_us=began_us)),
    )
