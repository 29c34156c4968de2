"""Switching power by hand: which switches there are, what they were seen to do, trying one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from labctl.config.inventory import Device, Inventory, Radio
from labctl.config.power import Power
from labctl.errors import UsageError
from labctl.leases import Kind, Lease, Leases, LockFolder, Thing
from labctl.rig.hold import power_thing, radio_thing
from labctl.rig.power import PowerBook, PowerSwitch, Seen, radio_switch
from labctl.rig.state_folder import state_root

__all__ = ["Switch", "cycle", "switch_named", "switches"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The switch of a radio or a device; `seen` is what it was last seen to do."""

    name: str
    what: Radio | Device
    power: Power
    seen: Seen | None


def switches(inventory: Inventory, path: Path) -> list[Switch]:
    """All that the inventory at `path` has."""
    book = PowerBook(state_root(path))
    things: list[tuple[str, Radio | Device]] = [
        *inventory.radios.items(),
        *inventory.devices.items(),
    ]
    return [
        Switch(name=name, what=what, power=what.power, seen=book.known(what.power.identity))
        for name, what in things
        if what.power is not None
    ]


def switch_named(inventory: Inventory, path: Path, name: str) -> Switch:
    """The switch of that radio or device. Raises `UsageError`."""
    found = [one for one in switches(inventory, path) if one.name == name]
    if len(found) != 1:
        what = f"{len(found)} things of the inventory with a switch are called {name}"
        if not found:
            what = f"the inventory has no switch for {name}"
        raise UsageError(what, where=str(path), mend="`labctl power list` shows what there is")
    return found[0]


def cycle(switch: Switch, path: Path) -> Seen:
    """Switch the thing off and on, see what comes of it and keep that. Nobody may be using it.

    Raises `BusyError`, `RigError`.
    """
    power, what = switch.power, switch.what
    if isinstance(what, Radio):
        thing = radio_thing(switch.name, what)
    else:
        thing = Thing(Kind.DEVICE, str(what.eui64))
    leases = Leases(LockFolder.shared())
    # No heartbeat: it takes minutes at most, and the process lives.
    with leases.take([thing, power_thing(power)], purpose="labctl power", ttl_s=None) as lease:
        return asyncio.run(_switch(switch, path, lease).cycle())


def _switch(switch: Switch, path: Path, lease: Lease) -> PowerSwitch:
    book = PowerBook(state_root(path))
    if isinstance(switch.what, Radio):
        found = radio_switch(switch.name, switch.what, book, lease.check)
        assert found is not None  # it has a power
        return found
    return PowerSwitch(f"the device {switch.name!r}", switch.power, book, None, lease.check)
