"""R32: a device whose hub answers three keep-alives no more looks for it.

The hub leaves this one device's reads of Keep-Alive (0x0025) unanswered, and serves everything else
of it. After the third that it lost, the device has to begin to search for the trust centre, at
latest 60 s later (SE 1.4a 5.4.2.2.3.4); the hub sees that as a rejoin, since it is there all the
time. Reads that follow each other at once are repetitions of one keep-alive.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import BACK, ComingBack, steady
from labctl.campaign.findings import Failed, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.events import JoinStarted, Note
from labctl.hub.hub import Hub
from labctl.hub.withholding import LEFT_UNANSWERED

KEEP_ALIVE = 0x0025
_LOST = 3
_SEARCH_WITHIN_S = 60.0
_REPEATED_S = 30.0
"""What follows within so long is the same keep-alive, tried again."""
_MARGIN_S = 60.0


@case(
    "R32",
    "three keep-alives lost: the search for the hub starts",
    measures=(
        Measure("keep_alives_lost", least=1, good_from=_LOST, good_to=_LOST, why="SE 1.4a 5.4.2"),
        Measure("search_s", "s", most=_SEARCH_WITHIN_S, why="SE 1.4a 5.4.2"),
        *BACK,
    ),
    kinds=READERS,
)
async def test_keep_alive_lost(
    rig: Stage, device: Subject, hub: Hub, measure: Measurements
) -> None:
    await steady(device)
    settings = rig.loaded.rig.hub.keep_alive
    period_s = settings.base_min * 60 + settings.jitter_s + _MARGIN_S
    began_us = device.session.clock.now_us()
    hub.withhold(device.eui64, KEEP_ALIVE, answers=False)
    try:
        await _first(rig, device, 2 * period_s)
        search = await device.watch.wait(
            JoinStarted,
            device.eui64,
            within_s=(_LOST + 1) * period_s + _SEARCH_WITHIN_S,
            what=f"{device.name} looks for its hub",
        )
    except NotSeen as unseen:
        lost = _lost_us(device, began_us)
        raise NotSeen(f"{unseen.cause}, though it lost {len(lost)} keep-alives") from None
    finally:
        hub.withhold(device.eui64, KEEP_ALIVE, answers=True)
    back = ComingBack(device, search.at_us)
    lost = _lost_us(device, began_us)
    measure.take("keep_alives_lost", len(lost))
    nth_us = lost[min(_LOST, len(lost)) - 1]
    measure.take("search_s", (search.at_us - nth_us) / MICROSECONDS)
    await back.measure(measure)


async def _first(rig: Stage, device: Subject, within_s: float) -> None:
    """Wait for the first keep-alive. Raises `Failed`, and `NotApplicable` on a SMETS1 hub."""
    try:
        await device.watch.wait(
            Note,
            device.eui64,
            within_s=within_s,
            what="a keep-alive",
            which=lambda note: note.kind == LEFT_UNANSWERED,
        )
    except NotSeen:
        cause = f"{device.name} reads no keep-alive within {within_s:g} s"
        if rig.loaded.rig.hub.generation.value == "smets1":
            raise NotApplicable(f"{cause}, which SE 1.0 does not know of") from None
        raise Failed(cause) from None


def _lost_us(device: Subject, since_us: int) -> list[int]:
    """When it lost keep-alives, repetitions left out: the last try of each."""
    times: list[int] = []
    for note in device.watch.of(device.eui64, Note, since_us=since_us):
        if note.kind != LEFT_UNANSWERED:
            continue
        if times and note.at_us - times[-1] < _REPEATED_S * MICROSECONDS:
            times[-1] = note.at_us
        else:
            times.append(note.at_us)
    return times
