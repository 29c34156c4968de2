"""The network that a free stick holds, and making it forget one.

To learn of it the stick's network is started for a moment: only then the firmware tells.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.config.inventory import Driver
from labctl.radio.sticks import Line
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A network in a stick's memory. `ours`: it is a Smart Energy one that labctl can resume."""

    channel: Channel
    pan_id: int
    extended_pan_id: Eui64
    ours: bool


async def held_network(path: str, driver: Driver, line: Line) -> Held | None:
    """What the stick holds; None when nothing. Raises `RigError`."""
    if driver is Driver.EZSP:
        from labctl.radio.ezsp.held import held

        return await held(path, line)
    from labctl.radio.znp.held import held as held_by_znp

    return await held_by_znp(path, line)


async def forget_network(path: str, driver: Driver, line: Line) -> None:
    """Make the stick forget its network and all keys. Raises `RigError`."""
    if driver is Driver.EZSP:
        from labctl.radio.ezsp.held import forget

        await forget(path, line)
    else:
        from labctl.radio.znp.held import forget as forget_znp

        await forget_znp(path, line)
