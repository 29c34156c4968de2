"""Having a rig: what it keeps between runs, and every physical thing in it, leased together.

The rig itself is leased in `.labctl/locks`, beside the inventory that it is of. Its sticks, their
power switches and its devices under test may stand in other inventories, of other users, as well:
they are leased in the lock folder that all users of the computer share. A virtual rig has no
physical things.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from labctl.clock import host_monotonic_s, wall_us
from labctl.config.inventory import Radio
from labctl.config.power import Power
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, RigError
from labctl.leases import Kind, Lease, Leases, LeaseState, LockFolder, Thing
from labctl.leases.leases import SILENT_AFTER_S
from labctl.radio.ports import identity
from labctl.rig.state_folder import state_root

_LOGGER = logging.getLogger(__name__)

BEAT_EVERY_S = 5.0
_POLL_S = 0.1
_LOCKS = "locks"


class RigHold:
    """A rig that this process has. `lease_id` is what a process that it starts is given."""

    def __init__(self, rig: Lease, things: Lease | None, radios: dict[str, Thing]) -> None:
        self.lease_id = rig.lease_id
        self._rig = rig
        self._things = things
        self._radios = radios

    @property
    def things(self) -> tuple[Thing, ...]:
        """All that is leased, the rig first."""
        return (*self._rig.things, *(self._things.things if self._things else ()))

    @property
    def lost(self) -> RigError | None:
        """Why it is not this process's any more, as soon as that was found out."""
        return next((lease.lost for lease in self._leases() if lease.lost is not None), None)

    def when_lost(self, call: Callable[[RigError], None]) -> None:
        """Be told when it turns out that a part of it is somebody else's."""
        for lease in self._leases():
            lease.when_lost(call)

    def check_rig(self) -> None:
        """Before what the rig keeps is changed. Raises `LeaseLostError`."""
        self._rig.check()

    def fence(self, radio: str) -> Callable[[], None] | None:
        """What to ask before every write to the radio of that name; None for a virtual one."""
        thing = self._radios.get(radio)
        things = self._things
        if thing is None or things is None:
            return None
        return lambda: things.check(thing)

    def check_power(self, power: Power) -> None:
        """Before a switch of the rig is used. Raises `LeaseLostError`."""
        if self._things is not None:
            self._things.check(power_thing(power))

    def beat(self, *, patience_s: float = 1.0) -> None:
        """Say that the owner lives. Raises `LeaseLostError`, `BusyError`, `RigError`."""
        for lease in self._leases():
            if lease.ttl_s is not None:
                lease.beat(patience_s=patience_s)

    async def keep(self) -> None:
        """Say so for as long as the rig is open; ends when it is lost, which is told elsewhere."""
        while not any(lease.lost for lease in self._leases()):
            pause_s = BEAT_EVERY_S
            try:
                self.beat(patience_s=0.0)
            except BusyError:
                pause_s = _POLL_S  # somebody is changing the leases just now
            except RigError as error:
                _LOGGER.warning("the heartbeat of the rig's leases failed: %s", error.what)
            await asyncio.sleep(pause_s)

    def release(self) -> None:
        """Give everything back."""
        for lease in reversed(self._leases()):
            lease.release()

    def _leases(self) -> tuple[Lease, ...]:
        return (self._rig,) if self._things is None else (self._rig, self._things)


@contextmanager
def hold_rig(
    loaded: LoadedRig,
    purpose: str,
    *,
    wait_s: float = 0.0,
    lasts: timedelta | None = None,
    reserve: bool = False,
    waiting: Callable[[BusyError], None] | None = None,
) -> Iterator[RigHold]:
    """Have the rig and all that is in it, or nothing of it, for as long as the block lasts.

    Waits up to `wait_s` seconds, in this thread and with nothing held; `waiting` is told why, once.
    `lasts` is how long that will be, for others to know. `reserve` keeps it for later: nothing runs
    on it.

    Raises `BusyError` with who has what, `RigError` when a lock folder cannot be used,
    `ConfigurationError` when the rig's state cannot be kept.
    """
    deadline_s = host_monotonic_s() + wait_s
    while True:
        try:
            held = _try(loaded, purpose, lasts, reserve=reserve)
            break
        except BusyError as error:
            left_s = deadline_s - host_monotonic_s()
            if left_s <= 0:
                raise
            if waiting is not None:
                waiting(error)
                waiting = None
            time.sleep(min(_POLL_S, left_s))
    try:
        yield held
    finally:
        held.release()


def _try(loaded: LoadedRig, purpose: str, lasts: timedelta | None, *, reserve: bool) -> RigHold:
    until_us = None if lasts is None else wall_us() + lasts // timedelta(microseconds=1)
    lease_id = secrets.token_hex(8)
    radios = radio_things(loaded)
    wanted = {*radios.values(), *_other_things(loaded)}

    def taken(leases: Leases, things: set[Thing]) -> Lease:
        return leases.take(
            things,
            purpose=purpose,
            rig=loaded.name,
            until_us=until_us,
            # A virtual rig's clock jumps: it has no heartbeat, and nobody can take it from a
            # process that lives.
            ttl_s=None if loaded.is_virtual else SILENT_AFTER_S,
            lease_id=lease_id,
            idle=reserve,
        )

    rig = taken(rig_leases(loaded), {rig_thing(loaded)})
    try:
        things = taken(Leases(LockFolder.shared()), wanted) if wanted else None
    except BaseException:
        rig.release()
        raise
    return RigHold(rig, things, radios)


def things_of(loaded: LoadedRig) -> tuple[Thing, ...]:
    """All that is leased with the rig: the rig itself first."""
    return (rig_thing(loaded), *sorted({*radio_things(loaded).values(), *_other_things(loaded)}))


def rig_thing(loaded: LoadedRig) -> Thing:
    """The rig, as one of those beside its inventory."""
    return Thing(Kind.RIG, loaded.name)


def rig_leases(loaded: LoadedRig) -> Leases:
    """The leases of the rigs beside an inventory. Raises `ConfigurationError`, `RigError`."""
    return leases_beside(loaded.inventory_path)


def leases_beside(inventory: Path) -> Leases:
    """As `rig_leases`, of a rig that was not loaded."""
    return Leases(LockFolder(state_root(inventory) / _LOCKS))


def rigs_leased(inventory: Path) -> list[LeaseState]:
    """Who has which of the rigs beside an inventory. Raises `BusyError`, `RigError`."""
    if not (state_root(inventory) / _LOCKS).is_dir():
        return []  # no rig of it was ever open, and none is made by looking
    return leases_beside(inventory).states()


def rig_state(loaded: LoadedRig) -> LeaseState:
    """Who has the rig. Raises as `rig_leases`."""
    return rig_leases(loaded).states([rig_thing(loaded)])[0]


def radio_things(loaded: LoadedRig) -> dict[str, Thing]:
    """The rig's real radios, by their names in the inventory."""
    radios = {loaded.radio_name: loaded.radio}
    if loaded.second is not None:
        radios[loaded.second.radio_name] = loaded.second.radio
    real = {name: radio for name, radio in radios.items() if not radio.is_virtual}
    return {name: radio_thing(name, radio) for name, radio in real.items()}


def radio_thing(name: str, radio: Radio) -> Thing:
    """A stick of the inventory as it is told from others."""
    return Thing(Kind.RADIO, identity(name, radio))


def power_thing(power: Power) -> Thing:
    """A port of a switch: two things that hang on one port are switched together."""
    return Thing(Kind.POWER, power.identity)


def _other_things(loaded: LoadedRig) -> set[Thing]:
    if loaded.is_virtual:
        return set()
    devices = [device for device in loaded.devices if device.device.virtual is None]
    second = loaded.second_radio
    powers = [loaded.radio.power, second.power if second else None]
    powers += [device.device.power for device in devices]
    return {
        *(Thing(Kind.DEVICE, str(device.eui64)) for device in devices),
        *(power_thing(power) for power in powers if power is not None),
    }
