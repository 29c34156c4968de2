"""Holding a hub for days: open the rig once, serve, let other commands in, until told to end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from labctl.bench.hub_acts import HubActs
from labctl.bench.interrupts import interrupts
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, ExitCode, LabctlError
from labctl.events import Event, RadioLost, RadioUp
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.hub_client import socket_path
from labctl.rig.hub_socket import HubSocket
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

_TICK_S = 1.0


class View:
    """Follows a hub: called with each event, and now and then with how it stands."""

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def tick(self, now_us: int) -> None:
        """Time passed."""

    def stands(self, what: str, status: dict[str, Any]) -> None:
        """The hub is `up`, lost its radio or has it back, began a new run (`run`), or is alive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOptions:
    """How a hub is held. `new_run_every` None: it is all one run. `fast` is for virtual rigs.

    `pair` opens the windows of the rig file's devices at the start. `alive_every` is how often the
    view is told how it stands when nothing happened.
    """

    database: Path
    new_run_every: timedelta | None = timedelta(days=1)
    alive_every: timedelta = timedelta(minutes=1)
    pair: bool = False
    fast: bool = False
    wait_s: float = 0.0
    waiting: Callable[[BusyError], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HubResult:
    """What came of it. `broken` is why the rig gave out, if it did."""

    runs: tuple[int, ...]
    broken: LabctlError | None

    @property
    def exit_code(self) -> ExitCode:
        """0 when it was told to end."""
        return ExitCode.PASS if self.broken is None else self.broken.exit_code


def hold_hub(loaded: LoadedRig, options: HubOptions, view: View) -> HubResult:
    """Hold the hub of a rig until SIGINT or SIGTERM, or until the rig gives out.

    Raises `ConfigurationError`, `RigError` or `DatabaseError` when it cannot be opened.
    """
    with hold_rig(loaded, "labctl hub up", wait_s=options.wait_s, waiting=options.waiting) as hold:
        return run(loaded, _hold(loaded, options, view, hold), real_time=not options.fast)


async def _hold(loaded: LoadedRig, options: HubOptions, view: View, hold: RigHold) -> HubResult:
    enough = asyncio.Event()
    runs: list[int] = []
    with interrupts(enough):
        async with open_rig(
            loaded,
            kind="hub",
            database=options.database,
            subscribers=[view],
            note="labctl hub up",
            hold=hold,
        ) as session:
            runs.append(session.run_id)
            if not enough.is_set():
                await _serve(session, options, view, enough, runs)
            _notify("STOPPING=1")
    return HubResult(
        runs=tuple(runs), broken=session.broken.result() if session.broken.done() else None
    )


async def _serve(
    session: RigSession, options: HubOptions, view: View, enough: asyncio.Event, runs: list[int]
) -> None:
    acts = HubActs(session, session.clock.now_us())
    door = HubSocket(socket_path(session.loaded), acts)
    await door.open()
    work: list[asyncio.Task[None]] = []
    try:
        session.power_on()
        if options.pair:
            await session.pair_all(enough)

        def radio(event: Event) -> None:
            if isinstance(event, RadioLost | RadioUp):
                what = "radio-lost" if isinstance(event, RadioLost) else "radio-up"
                view.stands(what, acts.status())

        session.bus.subscribe(radio)
        view.stands("up", acts.status())
        _notify("READY=1")
        work.append(asyncio.create_task(_alive(acts, options, view)))
        if options.new_run_every is not None:
            work.append(
                asyncio.create_task(_new_runs(session, options.new_run_every, acts, view, runs))
            )
        if not options.fast:
            work.append(asyncio.create_task(_tick(session, view)))
        await _until(enough, session, work)
    finally:
        for task in work:
            task.cancel()
        await door.close()


async def _until(
    enough: asyncio.Event, session: RigSession, work: Sequence[asyncio.Task[None]]
) -> None:
    """Until somebody interrupts or the rig breaks. What fails of the work is raised."""
    interrupted = asyncio.ensure_future(enough.wait())
    ends: set[asyncio.Future[Any]] = {interrupted, session.broken, *work}
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        interrupted.cancel()
    for task in work:
        if task in done:
            task.result()


async def _alive(acts: HubActs, options: HubOptions, view: View) -> None:
    while True:
        await asyncio.sleep(options.alive_every.total_seconds())
        view.stands("alive", acts.status())


async def _new_runs(
    session: RigSession, every: timedelta, acts: HubActs, view: View, runs: list[int]
) -> None:
    """So that reports stay readable, and a run that is cut off is a day's at most."""
    while True:
        await asyncio.sleep(every.total_seconds())
        session.begin_next_run("labctl hub up")
        runs.append(session.run_id)
        view.stands("run", acts.status())


async def _tick(session: RigSession, view: View) -> None:
    while True:
        view.tick(session.clock.now_us())
        await asyncio.sleep(_TICK_S)


def _notify(state: str) -> None:
    """Tell systemd, if it started us (sd_notify, Type=notify)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.connect("\0" + address[1:] if address.startswith("@") else address)
        line.sendall(state.encode())
