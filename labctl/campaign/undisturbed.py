"""What a device does while it may talk: below 1 GHz the hub may tell it to be silent at any time.

Airtime there is limited by law, and a device that the hub suspends (Suspend ZCL Messages) owes
nothing meanwhile. What is looked at is then looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from labctl.campaign.findings import CaseEnd, Incomplete
from labctl.campaign.subject import Subject
from labctl.events import Suspended
from labctl.smart_energy.eui64 import Eui64

_T = TypeVar("_T")

_TRIES = 3
_LONGEST_SILENCE_MIN = 90
_NOTICE_S = 60.0
"""How long after its time was over a device may take to notice: its clock is its own."""


def is_suspended(device: Subject) -> bool:
    """Whether the hub has told it to be silent."""
    return _minutes_left(device, device.eui64) > 0


async def may_talk(device: Subject) -> None:
    """Wait until a suspended device may talk, and knows it. Raises `Incomplete`."""
    if not is_suspended(device):
        return
    for _ in range(_LONGEST_SILENCE_MIN):
        await asyncio.sleep(60.0)
        if not is_suspended(device):
            await asyncio.sleep(_NOTICE_S)
            return
    raise Incomplete(f"it was to be silent for more than {_LONGEST_SILENCE_MIN} min")


async def undisturbed(device: Subject, look: Callable[[], Awaitable[_T]]) -> _T:
    """Look while the device may talk; again when it was suspended meanwhile.

    Raises what `look` raises, and `Incomplete` when it was suspended each time.
    """
    for _ in range(_TRIES):
        await may_talk(device)
        began_us = device.session.clock.now_us()
        found: _T | None = None
        end: CaseEnd | None = None
        try:
            found = await look()
        except CaseEnd as ended:
            end = ended
        if not device.watch.of(device.eui64, Suspended, since_us=began_us):
            if end is not None:
                raise end
            return found  # type: ignore[return-value]  # it is what `look` gave
    raise Incomplete(f"it was told to be silent in each of {_TRIES} tries")


def silent_ones(device: Subject, since_us: int) -> set[str]:
    """Names of the devices of the rig that are suspended, or were since then."""
    told = {each.eui64 for each in device.watch if isinstance(each, Suspended)
            and each.at_us >= since_us}  # fmt: skip
    return {
        each.name
        for each in device.session.loaded.devices
        if each.eui64 in told or _minutes_left(device, each.eui64) > 0
    }


def _minutes_left(device: Subject, eui64: Eui64) -> int:
    sub_ghz = device.session.hub.care.sub_ghz
    return 0 if sub_ghz is None else sub_ghz.suspensions.minutes_left(eui64)
