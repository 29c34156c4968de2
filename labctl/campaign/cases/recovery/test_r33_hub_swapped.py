"""R33: another hub takes over, and the device goes on with it after a new key establishment.

Another stick is put in the place of the hub's, with the hub's log as an export has it: the extended
PAN id, and of each link key its AES-MMO hash (SE 1.4a 5.4.2.2.3.5). The device has to find the
network again, take the hash of its own key for the new trust centre's, and establish a key anew
under it, all without being paired. When all devices of the rig have followed, the first stick takes
over in the same way.

With real sticks it is done between two runs (`labctl hub export`, `labctl hub import`): a campaign
does it where the bench has a second stick, which is on a virtual rig.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import others_at_work, served_read, steady
from labctl.campaign.findings import NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import JoinKind, JoinStarted, JoinStepTaken, Step
from labctl.rig.hub_swap import swap_stick, why_not
from labctl.smart_energy.eui64 import Eui64

_FOUND_AND_KEYED_S = 15 * 60.0 + 20 * 60.0
"""It tries to come back each quarter of an hour, and has 20 min for its key (SE 1.4a 5.4.1-2)."""
_ALL_FOLLOW_S = 2 * 3600.0
"""A gas meter that sleeps notices at its next wake-up, half an hour later."""
_LOOK_EVERY_S = 10.0
_OTHER = 0x80


@case(
    "R33",
    "hub swapped out: the hashed key is accepted, and a key established anew",
    measures=(
        Measure("authorised_s", "s", most=_FOUND_AND_KEYED_S, good_to=900, why="SE 1.4a 5.4.2"),
        Measure.yes("key_established", why="SE 1.4a 5.4.2.2.3.5"),
        Measure.exactly("second_pairings", 0, why="S3 paragraph 25"),
    ),
    kinds=READERS,
    virtual=True,
    why="it takes a second stick in the place of the first",
    within_s=12 * 3600.0,
)
async def test_hub_swapped(
    rig: Stage, device: Subject, watch: Watch, measure: Measurements
) -> None:
    session = rig.session
    reason = why_not(session)
    if reason is not None:
        raise NotApplicable(reason)
    await steady(device)
    own = session.hub.radio.eui64
    octets = own.big_endian
    other = Eui64.from_big_endian(octets[:-1] + bytes((octets[-1] ^ _OTHER,)))
    followers = [each for each in _subjects(rig, watch) if each.authorised]
    try:
        await swap_stick(session, other)
        began_us = session.clock.now_us()
        end = await device.authorisation(_FOUND_AND_KEYED_S)
        measure.take("authorised_s", (end.at_us - began_us) / MICROSECONDS)
        steps = device.watch.of(device.eui64, JoinStepTaken, since_us=began_us)
        measure.take("key_established", any(s.step is Step.LINK_KEY_INSTALLED for s in steps))
        joins = device.watch.of(device.eui64, JoinStarted, since_us=began_us)
        measure.take("second_pairings", sum(join.kind is JoinKind.JOIN for join in joins))
        await served_read(device, within_s=_FOUND_AND_KEYED_S)
    finally:
        # Who is left behind at either change has a key that no hub knows any more.
        coming = [each for each in followers if each.eui64 != device.eui64 or device.authorised]
        await _all_authorised(coming)
        await swap_stick(session, own)
        await _all_authorised(coming)
        for each in followers:
            if not each.authorised:
                await each.forget("left behind by the swap-out")
                with contextlib.suppress(NotSeen):  # the next case on it says so
                    await each.pair()
        await others_at_work(rig, device, watch)


def _subjects(rig: Stage, watch: Watch) -> list[Subject]:
    return [rig.subject(declared, watch) for declared in rig.loaded.devices]


async def _all_authorised(followers: Sequence[Subject]) -> None:
    """Wait until all of them are, or have had the time for it."""
    waited_s = 0.0
    while waited_s < _ALL_FOLLOW_S and not all(each.authorised for each in followers):
        await asyncio.sleep(_LOOK_EVERY_S)
        waited_s += _LOOK_EVERY_S
