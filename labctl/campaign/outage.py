"""Taking the power of the hub's radio away on purpose, and giving it back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labctl.campaign.findings import NotApplicable
from labctl.campaign.stage import Stage
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.errors import RigError
from labctl.events import RadioLost, RadioUp
from labctl.rig.power import PowerBook, radio_switch
from labctl.rig.session import RigSession
from labctl.rig.state_folder import state_root

_LOST_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Outage:
    """The hub's radio was out, from one time of the rig to the other, microseconds."""

    lost_us: int
    back_us: int
    by: str
    """What was done: "unplugged", "switched off", "reset"."""

    @property
    def seconds(self) -> float:
        """How long it was out."""
        return (self.back_us - self.lost_us) / MICROSECONDS


async def cycle_hub(rig: Stage, watch: Watch, bearer: int, off_s: float) -> Outage:
    """Take the power of a bearer's radio away for `off_s`, and wait until it runs again.

    A virtual stick is unplugged, a real one switched off where the inventory says how; else its NCP
    is reset, which takes some seconds only. Raises `RigError`, `NotApplicable`.
    """
    session = rig.session
    patience_s = rig.loaded.rig.hub.reconnect.total_seconds()
    if patience_s <= 0:
        raise NotApplicable("a radio that is lost ends the run on this rig: hub.reconnect is 0 s")
    off_s = min(off_s, patience_s / 2)
    name = session.hub.bearers[bearer].name
    with rig.outage_on_purpose():
        lost = asyncio.ensure_future(
            watch.wait(
                RadioLost, None, within_s=off_s + _LOST_WITHIN_S, what=f"the radio {name} lost"
            )
        )
        up = asyncio.ensure_future(
            watch.wait(RadioUp, None, within_s=patience_s + off_s, what=f"the radio {name} back")
        )
        try:
            by = await _without_power(rig, session, bearer, off_s)
            lost_us = (await lost).at_us
            back_us = (await up).at_us
        except Exception as error:
            if isinstance(error, RigError | NotApplicable):
                raise
            raise RigError(f"the radio {name} did not come back as it was to") from error
        finally:
            lost.cancel()
            up.cancel()
    return Outage(lost_us, back_us, by)


async def _without_power(rig: Stage, session: RigSession, bearer: int, off_s: float) -> str:
    second = bearer > 0 and rig.loaded.second is not None
    if session.bench is not None:
        stick = int(second)
        await session.bench.unplug(stick)
        try:
            await asyncio.sleep(off_s)
        finally:
            await session.bench.plug(stick)
        return "unplugged"
    beside = rig.loaded.second
    name, radio = (
        (beside.radio_name, beside.radio)
        if second and beside is not None
        else (rig.loaded.radio_name, rig.loaded.radio)
    )
    book = PowerBook(state_root(session.loaded.inventory_path))
    switch = radio_switch(name, radio, book, lambda: None)
    if switch is not None and switch.worth_trying:
        await switch.switch(on=False)
        try:
            await asyncio.sleep(off_s)
        finally:
            await switch.switch(on=True)
        return "switched off"
    assert session.radio is not None  # an open rig has one
    await session.radio.restart(bearer)
    return "reset"
