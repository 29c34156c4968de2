"""Leases by hand: keep a rig or a thing for oneself, look who has what, give back, break."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from labctl.clock import host_monotonic_s, wall_us
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, LabctlError, RigError, UsageError
from labctl.leases import Entry, Lease, Leases, LeaseState, LockFolder, Thing
from labctl.leases.leases import LEASE_VARIABLE
from labctl.rig.hold import BEAT_EVERY_S, hold_rig, rig_leases, rigs_leased, things_of

__all__ = [
    "Holding",
    "Target",
    "break_leases",
    "listed",
    "release",
    "run_under",
    "target_of_rig",
    "target_of_thing",
]

_GONE_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05
_BUSY_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Target:
    """What somebody named: a rig with all that is in it, or one thing."""

    name: str
    loaded: LoadedRig | None
    parts: tuple[tuple[Leases, tuple[Thing, ...]], ...]
    """Things, by the lock folder that they are leased in."""


def target_of_rig(loaded: LoadedRig) -> Target:
    """A rig. Raises `ConfigurationError`, `RigError`."""
    rig, *others = things_of(loaded)
    parts: list[tuple[Leases, tuple[Thing, ...]]] = [(rig_leases(loaded), (rig,))]
    if others:
        parts.append((Leases(LockFolder.shared()), tuple(others)))
    return Target(loaded.name, loaded, tuple(parts))


def target_of_thing(text: str) -> Target:
    """A thing of the shared lock folder, as `labctl lease list` writes it.

    Raises `UsageError` when it is none, `RigError`.
    """
    try:
        thing = Thing.parse(text)
    except ValueError:
        raise UsageError(
            f"{text} is neither a rig nor a thing", mend="`labctl lease list` shows things"
        ) from None
    return Target(text, None, ((Leases(LockFolder.shared()), (thing,)),))


def listed(inventory: Path) -> list[LeaseState]:
    """All that is leased: in the shared folder, and the rigs beside this inventory.

    Raises `BusyError`, `ConfigurationError`, `RigError`.
    """
    return [*rigs_leased(inventory), *Leases(LockFolder.shared()).states()]


class Holding(Protocol):
    """A lease, or a rig's several ones."""

    lease_id: str

    def beat(self, *, patience_s: float = 1.0) -> None:
        """Say that the owner lives."""


def run_under(
    target: Target,
    command: Sequence[str],
    *,
    purpose: str,
    lasts: timedelta | None,
    wait_s: float,
    waiting: Callable[[LabctlError], None],
    taken: Callable[[Holding], None],
) -> int:
    """Have `target` while `command` runs; without a command, for `lasts`, or until interrupted.

    `taken` is called when it is leased. The command, and what it starts, may use the things: it
    finds the lease in its environment. A signal is passed on to it. When the time is up, or the
    lease lost, it is told to end (SIGTERM).

    Returns the command's exit code (128 + n for signal n), 0 without a command. Raises `BusyError`,
    `LeaseLostError`, `RigError`, and `UsageError` for a command that cannot be run.
    """
    with _taken(target, purpose, lasts, wait_s, waiting, reserve=True) as holding:
        taken(holding)
        return asyncio.run(_under(holding, command, lasts))


@contextmanager
def _taken(
    target: Target,
    purpose: str,
    lasts: timedelta | None,
    wait_s: float,
    waiting: Callable[[LabctlError], None],
    *,
    reserve: bool,
) -> Iterator[Holding]:
    if target.loaded is not None:
        with hold_rig(
            target.loaded, purpose, wait_s=wait_s, lasts=lasts, reserve=reserve, waiting=waiting
        ) as hold:
            yield hold
        return
    with ExitStack() as stack:
        ((leases, things),) = target.parts
        lease: Lease = leases.take(
            things,
            purpose=purpose,
            until_us=None if lasts is None else wall_us() + lasts // timedelta(microseconds=1),
            idle=reserve,
            wait_s=wait_s,
            waiting=waiting,
        )
        stack.callback(lease.release)
        yield lease


async def _under(holding: Holding, command: Sequence[str], lasts: timedelta | None) -> int:
    loop = asyncio.get_running_loop()
    process: asyncio.subprocess.Process | None = None
    over = asyncio.Event()
    stopped_by: list[int] = []

    def stop(number: signal.Signals) -> None:
        stopped_by.append(number)
        if process is None or process.returncode is not None:
            over.set()
        else:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    if command:
        try:
            process = await asyncio.create_subprocess_exec(
                *command, env={**os.environ, LEASE_VARIABLE: holding.lease_id}
            )
        except OSError as error:
            raise UsageError(
                f"the command cannot be run: {error.strerror}", where=command[0]
            ) from error
    work = asyncio.ensure_future(process.wait() if process else over.wait())
    beating = asyncio.ensure_future(_beat(holding))
    done, _ = await asyncio.wait(
        {work, beating},
        timeout=None if lasts is None else lasts.total_seconds(),
        return_when=asyncio.FIRST_COMPLETED,
    )
    if process is not None and work not in done:
        stop(signal.SIGTERM)
        await work
    if beating in done:
        beating.result()  # the lease was lost
    beating.cancel()
    work.cancel()
    if process is None or process.returncode is None:
        return 0
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


async def _beat(holding: Holding) -> None:
    while True:
        pause_s = BEAT_EVERY_S
        try:
            holding.beat(patience_s=0.0)
        except BusyError:
            pause_s = _BUSY_AGAIN_S
        await asyncio.sleep(pause_s)


def release(target: Target) -> list[Entry]:
    """Give back what `lease take` keeps: its process is told to end, and waited for.

    Returns who it was. Raises `UsageError` when somebody works with it or nobody has it, `RigError`
    when the process may not be told or does not end.
    """
    owners = {
        entry.pid: entry
        for leases, things in target.parts
        for state in leases.states(things)
        for entry in state.entries
    }
    if not owners:
        raise UsageError(f"{target.name} is not leased")
    for entry in owners.values():
        if not entry.idle:
            raise UsageError(
                f"{target.name} is in use by {entry.told()}",
                mend="end that process; `labctl lease break` takes the lease from under it",
            )
    for pid, entry in owners.items():
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue  # it has ended since
        except PermissionError:
            raise RigError(
                f"{target.name} is kept by {entry.told()}, whom only {entry.owner} may end",
                mend=f"ask {entry.owner}, or `labctl lease break {target.name}`",
            ) from None
    _wait_until_free(target)
    return list(owners.values())


def _wait_until_free(target: Target) -> None:
    deadline_s = host_monotonic_s() + _GONE_WITHIN_S
    while any(state.entries for leases, things in target.parts for state in leases.states(things)):
        if host_monotonic_s() > deadline_s:
            raise RigError(
                f"the process that keeps {target.name} was told to end, and does not",
                mend="end it, or `labctl lease break`",
            )
        time.sleep(_LOOK_EVERY_S)


def break_leases(target: Target) -> list[LeaseState]:
    """End the leases, whoever has them. Who works with a thing is stopped before its next write.

    Returns whose they were. Raises `BusyError`, `RigError`.
    """
    return [state for leases, things in target.parts for state in leases.break_(things)]
