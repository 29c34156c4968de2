"""J10: one device more than there are high-rate links on 868 MHz makes a capacity event.

A hub has four links on 868 MHz for devices that read each 10 s (S3). All devices that the rig has
there and that are to read so often are put on the network, and the hub counts anew who does. The
device that makes one link too many has to be told of, with its place and the limit, and so does
each after it; the links within the limit must go without. Where the rig has no more devices than
links, the hub is told for a while that it has so few links that the last device is one too many.
"""

from __future__ import annotations

import contextlib

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.config.resolved import DeviceUnderTest
from labctl.events import Band, CapacityExceeded, Event, Note

_OFTEN_MS = 10_000
_COUNTED_WITHIN_S = 600.0
"""A link is judged by its last two minutes; a lost read makes that longer."""


@case(
    "J10",
    "a fifth high-rate 868 MHz link: a capacity event",
    measures=(
        Measure("links", least=1, why="devices that read each 10 s on 868 MHz"),
        Measure.exactly("missed", 0, why="S3: each link beyond the limit is told of"),
        Measure.exactly("told_wrongly", 0, why="the place is beyond the limit, each place once"),
        Measure.exactly("alerts_missed", 0, why="each comes with an alert"),
    ),
    band=Band.MHZ_868,
)
async def test_fifth_link(rig: Stage, watch: Watch, measure: Measurements) -> None:
    chosen = [device for device in rig.loaded.devices if reads_often_on_868(device)]
    if not chosen:
        raise NotApplicable("no device of the rig is to read each 10 s or more often on 868 MHz")
    there = await _on_868(rig, chosen, watch)
    if not there:
        raise Incomplete("none of the devices that are to read each 10 s is on 868 MHz")
    sub_ghz = rig.session.hub.care.of_sub_ghz
    limit = min(rig.loaded.rig.hub.sub_ghz_links, len(there) - 1)
    began_us = rig.session.clock.now_us()
    sub_ghz.count_links_anew(limit)
    try:
        links = max(await _links_made(watch, len(there), began_us), len(sub_ghz.links))
    finally:
        sub_ghz.count_links_anew()
    if links <= limit:
        raise Incomplete(f"{links} of {len(there)} devices read each 10 s, room is for {limit}")
    events = [e for e in _since(watch, began_us) if isinstance(e, CapacityExceeded)]
    right = {(place, limit) for place in range(limit + 1, links + 1)}
    alerts = [
        note
        for note in _since(watch, began_us)
        if isinstance(note, Note) and note.detail.get("name") == "no-more-capacity"
    ]
    measure.take("links", links, f"{links}, of {len(there)} devices; there is room for {limit}")
    measure(
        missed=len(right - {(event.links, event.limit) for event in events}),
        told_wrongly=len(events) - len(right & {(e.links, e.limit) for e in events}),
        alerts_missed=len(events) - len(alerts),
    )


def reads_often_on_868(device: DeviceUnderTest) -> bool:
    """Whether a device is to read each 10 s or more often, and can be on 868 MHz."""
    return Band.MHZ_868 in device.bands and any(
        schedule.period_ms <= _OFTEN_MS for schedule in device.schedules
    )


async def _on_868(rig: Stage, devices: list[DeviceUnderTest], watch: Watch) -> list[Subject]:
    """Those of them that are on 868 MHz, once all were paired that could be."""
    subjects = [rig.subject(device, watch) for device in devices]
    for subject in subjects:
        if rig.session.bench is not None:
            await subject.hands.power(on=True)
    for subject in subjects:
        if not subject.authorised:
            with contextlib.suppress(NotSeen, NotApplicable):
                await subject.pair()
    return [each for each in subjects if each.authorised and each.band is Band.MHZ_868]


async def _links_made(watch: Watch, wanted: int, since_us: int) -> int:
    """How many high-rate links there are, until there are so many or no other one is made."""
    while (made := sum(map(_makes_a_link, _since(watch, since_us)))) < wanted:
        try:
            await watch.wait(
                Event,
                None,
                within_s=_COUNTED_WITHIN_S,
                what="another high-rate link",
                which=_makes_a_link,
            )
        except NotSeen:
            break
    return made


def _makes_a_link(event: Event) -> bool:
    return isinstance(event, CapacityExceeded) or (
        isinstance(event, Note) and event.kind == "high-bandwidth-link"
    )


def _since(watch: Watch, at_us: int) -> list[Event]:
    return [event for event in watch if event.at_us >= at_us]
