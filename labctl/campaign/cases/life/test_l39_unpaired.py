"""L39: a device that is unpaired is gone from the log, and is served nothing any more.

The device reads; then it is told to leave (APS Remove Device, R22 4.4.5), up to three times, since
a command may be lost on the air. One that goes on talking after that has failed. It is unpaired as
a person would do it (S1 p. 12): the hub forgets its key and takes it out of the log. For five
minutes nothing of it may be served, and it may not get in again. In the end it is paired anew,
where that takes no person.
"""

from __future__ import annotations

import asyncio
import contextlib

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import steady
from labctl.campaign.findings import NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.errors import RigError
from labctl.events import Direction, LinkSample, ReadServed, Refused
from labctl.hub.hub import Hub

_WATCHED_S = 300.0
_TOLD = 3
_LEAVES_WITHIN_S = 45.0
"""Longer than the pause between two reads of any reader."""
_GRACE_S = 2.0
"""What was on its way."""


@case(
    "L39",
    "unpaired: gone from the log, and its reads are refused",
    measures=(
        Measure("told_to_leave", most=_TOLD, good_to=_TOLD - 1, why="R22 4.4.5"),
        Measure.exactly("frames_after", 0, why="R22 4.4.5"),
        Measure.exactly("in_the_log", 0, why="S1 p. 12"),
        Measure.exactly("reads_served", 0, why="S1 p. 12"),
        Measure.exactly("let_in_again", 0, why="S1 p. 12"),
    ),
    kinds=READERS,
)
async def test_unpaired(device: Subject, hub: Hub, measure: Measurements) -> None:
    await steady(device)
    try:
        told, talked = await _told_to_leave(device)
        measure.take("told_to_leave", told)
        await hub.unpair(device.eui64, "acceptance case L39")
        removed_us = device.session.clock.now_us()
        await asyncio.sleep(_WATCHED_S)
        refused = _frames(device.watch.of(device.eui64, Refused, since_us=removed_us + 1))
        said = f"{talked} before its key was gone, {len(refused)} after"
        measure.take("frames_after", talked + len(refused), said if talked or refused else "")
        measure.take("in_the_log", hub.device_log().get(device.eui64) is not None)
        reads = device.watch.of(device.eui64, ReadServed, since_us=removed_us + 1)
        measure.take("reads_served", len(reads))
        ends = [end for end in device.join_ends if end.at_us > removed_us]
        measure.take("let_in_again", sum(end.outcome.value == "authorised" for end in ends))
    finally:
        await _paired_again(device)


async def _told_to_leave(device: Subject) -> tuple[int, int]:
    """How often it had to be told, and how many frames of it came after the last time.

    Its entry and its key stay meanwhile: what it sends in spite of it can be seen by that alone.
    """
    radio, clock = device.session.radio, device.session.clock
    assert radio is not None  # an open rig has one
    talked = 0
    for told in range(1, _TOLD + 1):
        entry = device.session.hub.device_log().get(device.eui64)
        if entry is None or entry.nwk is None:
            return told - 1, 0
        try:
            await radio.remove_device(device.eui64, entry.nwk)
        except RigError:
            if told == 1:
                raise
            return told - 1, talked  # the NCP took it for gone; it talks all the same
        late_us = clock.now_us() + round(_GRACE_S * MICROSECONDS)
        await asyncio.sleep(_LEAVES_WITHIN_S)
        samples = device.watch.of(device.eui64, LinkSample, since_us=late_us)
        talked = sum(sample.direction is Direction.TO_HUB for sample in samples)
        if not talked:
            break
    return told, talked


def _frames(refused: list[Refused]) -> list[Refused]:
    """Those that were frames on the network; a look for another network is none."""
    return [each for each in refused if each.layer != "join"]


async def _paired_again(device: Subject) -> None:
    """As it was before. Where it takes a person the device stays out, for whoever comes next."""
    if not device.hands.can_reset and not device.hands.switches_power:
        return
    try:
        await device.forget()
    except NotApplicable:
        await device.hands.cycle()  # it has left the network, and looks for one when it starts
    with contextlib.suppress(NotSeen):  # the next case says so: it begins with a paired device
        await device.pair()
