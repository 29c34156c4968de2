"""Moving the hub's network to another channel and back, with a device that is to follow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from labctl.campaign.case import Measure
from labctl.campaign.coming_back import BACK_WITHIN_S, others_at_work, served_read, steady
from labctl.campaign.findings import NotApplicable
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.events import Band, Note
from labctl.smart_energy.channels import Channel

FOLLOWS_WITHIN_S: Final = 60.0
"""One that reads every 10 s and went along reads on the new channel by then; a search takes
longer, since it has to be missed first."""

FOLLOWED: tuple[Measure, ...] = (
    Measure("moves_followed", least=1, good_from=2, most=2, why="proposal"),
    Measure("back_s", "s", most=BACK_WITHIN_S, why="SE 1.4a 5.4.1"),
)
"""A move there, and one back. The word of a move is a broadcast, which the air may lose: to follow
one of the two is enough to pass, if only just."""


async def there_and_back(
    rig: Stage, device: Subject, measure: Measurements, band: Band, others: Sequence[Channel]
) -> None:
    """Move the device's bearer to the first of `others` that it is not on, and back again.

    Raises `NotSeen` when the device is not heard again, `NotApplicable`, `RigError`.
    """
    if device.band is not band:
        raise NotApplicable(f"{device.name} is on {device.band}")
    await steady(device)
    hub, bearer = device.session.hub, device.bearer
    home = hub.bearers[bearer].at
    away = next(channel for channel in others if channel != home)
    followed, longest_s = 0, 0.0
    try:
        for channel in (away, home):
            seconds = await _move(rig, device, bearer, channel)
            followed += seconds <= FOLLOWS_WITHIN_S
            longest_s = max(longest_s, seconds)
            await others_at_work(rig, device, device.watch)
    finally:
        if hub.bearers[bearer].at != home:
            await hub.change_channel(home, bearer=bearer, cause="back after an acceptance case")
    measure.take("moves_followed", followed)
    measure.take("back_s", longest_s)


async def _move(rig: Stage, device: Subject, bearer: int, channel: Channel) -> float:
    """How long after the move the device is served a read, s. Raises `NotSeen`."""
    hub, clock = device.session.hub, device.session.clock
    began_us = clock.now_us()
    await hub.change_channel(channel, bearer=bearer, cause="acceptance case")
    moved_us = clock.now_us()
    silent = [
        note
        for note in device.watch
        if isinstance(note, Note)
        and note.kind == "channel-not-broadcast"
        and note.at_us >= began_us
    ]
    try:
        read = await served_read(device, within_s=BACK_WITHIN_S)
    finally:
        if silent:
            raise NotApplicable(
                f"the radio cannot tell its devices where it goes: {silent[0].detail['cause']}"
            )
    return (read.at_us - moved_us) / MICROSECONDS
