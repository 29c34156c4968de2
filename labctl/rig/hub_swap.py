"""Another stick in the place of the hub's while the rig is open, as when a hub is swapped out.

Virtual rigs alone: their bench has as many sticks as one wants. With real ones it is done between
two runs, by `labctl hub export` and `labctl hub import`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from labctl.config.resolved import LoadedRig
from labctl.errors import LabctlError, UsageError
from labctl.hub.hub import Hub
from labctl.radio.coordinator import Coordinator
from labctl.rig.key_store import KeyStore, for_another_stick
from labctl.smart_energy.eui64 import Eui64

if TYPE_CHECKING:
    from labctl.rig.session import RigSession

Make = Callable[[LoadedRig, tuple[str, ...] | None], tuple[Coordinator, Hub]]
"""Makes a hub and its coordinator, not started, for radios at these virtual paths."""


@dataclass(slots=True)
class RunningHub:
    """The hub of an open rig, whichever stick it is on at the moment."""

    hub: Hub
    radio: Coordinator
    make: Make
    vault: KeyStore


def why_not(session: RigSession) -> str | None:
    """Why the hub's stick cannot be swapped while this rig is open; None when it can."""
    if session.bench is None:
        return "it takes a second stick in the place of the first"
    if session.loaded.second is not None:
        return "two radios side by side cannot be taken over at once"
    if session.loaded.certificate is not None:
        return "the hub's certificate is of one stick, and of no other"
    return None


async def swap_stick(session: RigSession, eui64: Eui64) -> None:
    """Put another stick in, with this address, and have it take the hub's devices over.

    It gets the hub's log as `labctl hub export` writes it: the network's extended PAN id, and the
    hashed keys of devices that hold an established one. Raises `UsageError`, and
    `LabctlError` when it did not work: then the run is broken.
    """
    running, bench, reason = session.running, session.bench, why_not(session)
    if running is None or bench is None or reason is not None:
        raise UsageError(f"the stick cannot be swapped: {reason or 'the rig is not open'}")
    try:
        await running.hub.stop()
        path = await bench.exchange(0, eui64)
        running.vault.save(for_another_stick(running.vault.load()))
        loaded = session.loaded
        other = replace(loaded, radio=loaded.radio.model_copy(update={"eui64": eui64}))
        running.radio, running.hub = running.make(other, (path,))
        await running.hub.start()
    except LabctlError as error:
        if not session.broken.done():
            session.broken.set_result(error)  # without a hub there is no rig
        raise
    session.radio, session.hub = running.radio, running.hub
    if session.desk is not None:
        session.desk.serves(running.hub)
