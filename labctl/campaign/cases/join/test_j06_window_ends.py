"""J06: joining is open from the pairing to join_timeout, to the second, and never for good.

Two windows are opened for a device that does not exist, one of a minute and one of ten, which takes
several broadcasts (SE 1.4a 5.4.2: at most 254 s each, and never 255). What the radio was told, as
it is on record, gives from when to when it had joining open: without a gap, and ended at the second
that the pairing said, whether by the hub's word or because the radio's own time ran out. An EZSP
radio says itself when it opens and closes, and that is measured beside it. On a virtual rig
somebody also stands in the room, asks for beacons around each end, and reads the broadcasts: what
is told to the radio is one thing, what is on the air another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labctl.campaign.case import Measure, case
from labctl.campaign.cases.join.door import placeholder
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import Note
from labctl.hub.settings import PairingRequest
from labctl.rig.session import RigSession

SHORT_S = 60
LONG_S = 600
_AROUND_S = 3.0
"""How long before and after an end the beacons are looked at."""


@case(
    "J06",
    "the window ends at join_timeout; no broadcast opens for good",
    measures=(
        Measure("short_error_s", "s", least=-1, most=1, why="proposal"),
        Measure("long_error_s", "s", least=-1, most=1, why="proposal"),
        Measure("gaps_s", "s", most=0.5, why="open from the pairing to the end"),
        Measure("longest_permit_s", "s", most=254, why="SE 1.4a 5.4.2"),
        Measure("short_error_by_radio_s", "s", least=-1, most=1, optional=True, why="proposal"),
        Measure("long_error_by_radio_s", "s", least=-1, most=1, optional=True, why="proposal"),
        Measure("short_error_on_air_s", "s", least=-1, most=1, optional=True, why="proposal"),
        Measure("long_error_on_air_s", "s", least=-1, most=1, optional=True, why="proposal"),
        Measure("longest_permit_on_air_s", "s", most=254, optional=True, why="SE 1.4a 5.4.2"),
    ),
)
async def test_window_ends(rig: Stage, watch: Watch, measure: Measurements) -> None:
    session = rig.session
    await session.hub.close_joining()
    with contextlib.ExitStack() as stack:
        onlooker = None
        if session.bench is not None:
            onlooker = stack.enter_context(session.bench.onlooker())
        gaps_s = 0.0
        for name, window_s in (("short", SHORT_S), ("long", LONG_S)):
            began_us = session.clock.now_us()
            on_air_s = await _window(session, window_s, onlooker)
            told = _told(watch, began_us)
            open_ = _open(told, began_us)
            measure.take(f"{name}_error_s", open_.seconds - window_s)
            gaps_s += open_.gaps_s
            closed_us = _closed_by_radio(watch, began_us)
            if closed_us is not None:
                seconds = (closed_us - began_us) / MICROSECONDS
                measure.take(f"{name}_error_by_radio_s", seconds - window_s)
            if on_air_s is not None:
                measure.take(f"{name}_error_on_air_s", on_air_s - window_s)
        measure.take("gaps_s", gaps_s)
        measure.take("longest_permit_s", max(seconds for _, seconds in _told(watch, 0)))
        if onlooker is not None and onlooker.permits:
            measure.take("longest_permit_on_air_s", max(p.seconds for p in onlooker.permits))


async def _window(session: RigSession, window_s: int, onlooker: Any) -> float | None:
    """Open a window and let it run out; how long the beacons said that it was open, if known."""
    other = placeholder(6)
    began_us = session.clock.now_us()
    await session.hub.pair(
        PairingRequest(
            eui64=other.eui64,
            window_s=window_s,
            requested_by="campaign",
            consent_reference="campaign: a device that does not exist",
            device=other,
        )
    )
    try:
        spent_s = (session.clock.now_us() - began_us) / MICROSECONDS
        await asyncio.sleep(window_s - _AROUND_S - spent_s)
        if onlooker is None:
            await asyncio.sleep(2 * _AROUND_S)
            return None
        return await _closed_on_air(session, began_us, onlooker)
    finally:
        await session.hub.unpair(other.eui64, "campaign: it was there to open joining")


async def _closed_on_air(session: RigSession, began_us: int, onlooker: Any) -> float | None:
    """Seconds from the beginning to half way between the last open and the first closed beacon."""
    ends: list[float] = []
    now_us = session.clock.now_us
    until_us = now_us() + round(2 * _AROUND_S * MICROSECONDS)
    seen: dict[str, int] = {}
    while now_us() < until_us:
        for state in session.hub.bearers:
            asked_us = now_us()
            for beacon in await onlooker.ask(state.page, state.channel):
                if beacon.extended_pan_id != state.extended_pan_id:
                    continue
                if beacon.permit_joining:
                    seen[state.name] = asked_us
                elif state.name in seen:
                    closed_us = (seen.pop(state.name) + asked_us) / 2
                    ends.append((closed_us - began_us) / MICROSECONDS)
    if seen:
        return (until_us - began_us) / MICROSECONDS
    return max(ends, default=None)


@dataclass(frozen=True, slots=True)
class _Open:
    seconds: float
    """From the pairing to when joining was closed."""
    gaps_s: float


def _told(watch: Watch, since_us: int) -> list[tuple[int, int]]:
    """What the radio was told: when, and for how many seconds to open."""
    return [
        (note.at_us, int(str(note.detail["seconds"])))
        for note in watch
        if isinstance(note, Note) and note.kind == "joining-permitted" and note.at_us >= since_us
    ]


def _closed_by_radio(watch: Watch, since_us: int) -> int | None:
    """When the radio said that joining is closed, the last of several; None if it says nothing."""
    said = [
        note.at_us
        for note in watch
        if isinstance(note, Note) and note.kind == "joining-closed" and note.at_us >= since_us
    ]
    return max(said, default=None)


def _open(told: Sequence[tuple[int, int]], began_us: int) -> _Open:
    """When joining was open, by what the radio was told and by its own time running out."""
    until_us, gaps_us = began_us, 0
    for at_us, seconds in told:
        if seconds:
            gaps_us += max(0, at_us - until_us)
            until_us = at_us + seconds * MICROSECONDS
        else:
            until_us = min(until_us, at_us)
    return _Open((until_us - began_us) / MICROSECONDS, gaps_us / MICROSECONDS)
