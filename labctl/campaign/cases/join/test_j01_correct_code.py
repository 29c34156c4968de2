"""J01: a device whose install code is the hub's gets in, stays, and begins to talk.

Its window is opened and it is made to look for a network. Measured are the time until it is
authorised (SE 1.4a 5.4.2: 20 min), the joins that failed before, whether it announced itself, how
soon it began discovery, and that it did not leave again. A device with both bands has to come on
2.4 GHz where that reaches: that it does is taken for granted when a device that came on 868 MHz is
heard there at -60 dBm or more, for the other band costs some 15 dB (S3: 868 MHz is for where
2.4 GHz is not practicable).
"""

from __future__ import annotations

import asyncio
import statistics

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.findings import NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import (
    Band,
    DeviceKind,
    Direction,
    JoinEnded,
    JoinOutcome,
    JoinStepTaken,
    LinkSample,
    Note,
    Step,
)

_STAYS_S = 60.0
_TALKS_WITHIN_S = 300.0
_2_4_GHZ_REACHES_DBM = -60.0
_PREFER_2_4_GHZ = frozenset({DeviceKind.IHD, DeviceKind.PPMID, DeviceKind.CAD})


@case(
    "J01",
    "correct code: joined, key established, authorised",
    measures=(
        Measure("authorised_s", "s", most=AUTHORISED_WITHIN_S, good_to=600, why="SE 1.4a 5.4.2"),
        Measure("failed_joins", most=2, good_to=0, why="proposal"),
        Measure.yes("announced", why="R22 2.4.3.1.11: Device_annce once it is on the network"),
        Measure("discovery_s", "s", most=_TALKS_WITHIN_S, good_to=60, why="proposal"),
        Measure.exactly("left", 0, why="it has no reason to"),
        Measure("on_2_4_ghz", least=1, optional=True, why="S3: 2.4 GHz where practicable"),
    ),
    start=Start.UNPAIRED,
)
async def test_correct_code(device: Subject, watch: Watch, measure: Measurements) -> None:
    began_us = device.session.clock.now_us()
    end = await device.pair()
    measure.take("authorised_s", (end.at_us - began_us) / MICROSECONDS)
    ends = watch.of(device.eui64, JoinEnded, since_us=began_us)
    measure.take("failed_joins", sum(_failed(each) for each in ends))
    steps = [step for step in watch.of(device.eui64, JoinStepTaken) if step.join == end.join]
    measure.take("announced", any(step.step is Step.DEVICE_ANNOUNCE for step in steps))
    measure.take("discovery_s", await _discovery_s(device, watch, end))
    left_s = _STAYS_S - (device.session.clock.now_us() - end.at_us) / MICROSECONDS
    await asyncio.sleep(max(0.0, left_s))
    measure.take("left", len(_leaves(device, watch)))
    takes_2_4_ghz = _takes_2_4_ghz(device, watch)
    if takes_2_4_ghz is not None:
        measure.take("on_2_4_ghz", takes_2_4_ghz)


def _failed(end: JoinEnded) -> bool:
    return end.outcome not in (JoinOutcome.AUTHORISED, JoinOutcome.NOT_HEARD)


async def _discovery_s(device: Subject, watch: Watch, end: JoinEnded) -> float:
    """From its authorisation to its first authorised word."""
    seen = [
        step
        for step in watch.of(device.eui64, JoinStepTaken, since_us=end.at_us)
        if step.step is Step.DISCOVERY
    ]
    if not seen:
        try:
            seen = [
                await watch.wait(
                    JoinStepTaken,
                    device.eui64,
                    within_s=_TALKS_WITHIN_S,
                    what=f"a word of {device.name}",
                    which=lambda step: step.step is Step.DISCOVERY,
                )
            ]
        except NotSeen as unseen:
            raise NotSeen(f"authorised, and then nothing: {unseen.cause}") from None
    return (seen[0].at_us - end.at_us) / MICROSECONDS


def _leaves(device: Subject, watch: Watch) -> list[Note]:
    """When it left though it had been on the network, and nobody told it to go."""
    on_us = [
        step.at_us
        for step in watch.of(device.eui64, JoinStepTaken)
        if step.step is Step.DEVICE_ANNOUNCE
    ]
    notes = watch.of(device.eui64, Note, since_us=min(on_us, default=watch.began_us))
    return [note for note in notes if note.kind == "device-left"]


def _takes_2_4_ghz(device: Subject, watch: Watch) -> bool | None:
    """Whether it came on 2.4 GHz; None when it has no choice, or nobody knows that it had."""
    hub = {bearer.band for bearer in device.session.hub.bearers}
    if device.kind not in _PREFER_2_4_GHZ or not hub & set(device.declared.bands) >= set(Band):
        return None
    if device.band is Band.GHZ_2_4:
        return True
    levels_dbm = [
        sample.rssi_dbm
        for sample in watch.of(device.eui64, LinkSample)
        if sample.direction is Direction.TO_HUB and sample.rssi_dbm is not None
    ]
    if not levels_dbm or statistics.median(levels_dbm) < _2_4_GHZ_REACHES_DBM:
        return None
    return False
