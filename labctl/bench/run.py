"""The bench run: open the rig, pair the devices, serve them until it is enough."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from labctl.bench.interrupts import interrupts
from labctl.capture import Rotation
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, ConfigurationError, ExitCode, LabctlError
from labctl.events import Event
from labctl.record.verdict import Assessment, exit_code_of
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.loop import on_fast_clock, run
from labctl.rig.session import RigSession, key_store_of, open_rig
from labctl.rig.state_folder import forget_virtual_rig

_TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """How a bench run is to go. `duration` None runs until somebody interrupts it.

    `form_anew` gives up the network that the stick holds. `keys` is for Wireshark's key table
    (mode 0600). The others are for virtual rigs: `fresh` forgets the stick's and the devices'
    memories first; `seed`; `capture` (a pcap file, with `rotation` several); `real_time` lets it
    run at the wall's pace.
    """

    database: Path
    duration: timedelta | None
    fresh: bool = False
    form_anew: bool = False
    seed: int | None = None
    capture: Path | None = None
    keys: Path | None = None
    rotation: Rotation | None = None
    real_time: bool = False
    note: str = ""
    wait_s: float = 0.0
    """How long to wait for a rig, or a thing in it, that somebody else has."""
    waiting: Callable[[BusyError], None] | None = None
    """Told who that is, once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What came of it. `broken` is why the rig gave out, if it did."""

    run_id: int
    seed: int | None
    assessment: Assessment
    interrupted: bool
    broken: LabctlError | None
    capture_failure: str | None = None
    """Why the capture is cut short, if it is."""

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code."""
        if self.broken is not None:
            return self.broken.exit_code
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return exit_code_of(self.assessment.verdict)


class View(Protocol):
    """Follows a run: called with each event, and every second on a real clock."""

    def __call__(self, event: Event) -> None:
        """Something happened."""

    def tick(self, now_us: int) -> None:
        """Time passed."""


def run_bench(loaded: LoadedRig, options: BenchOptions, views: Sequence[View]) -> BenchResult:
    """Run the rig on its clock and say what came of it.

    Raises `ConfigurationError`, `RigError` or `DatabaseError` when it cannot be opened. An
    interrupt (SIGINT, SIGTERM) ends the run in good order; where no `duration` was asked for, that
    is how a run ends, and the verdict counts.
    """
    must_be_writable(options.capture, options.keys)
    real_time = options.real_time or not on_fast_clock(loaded)
    with hold_rig(
        loaded,
        "labctl bench",
        wait_s=options.wait_s,
        lasts=options.duration if real_time else None,
        waiting=options.waiting,
    ) as hold:
        if options.fresh and loaded.is_virtual:
            forget_virtual_rig(loaded.inventory_path, loaded.name, key_store_of(loaded))
        return run(loaded, _bench(loaded, options, views, hold), real_time=options.real_time)


def must_be_writable(*files: Path | None) -> None:
    """Better before a long run than after it. Raises `ConfigurationError`."""
    for path in files:
        if path is not None and not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ConfigurationError(
                "this file cannot be written", where=str(path), mend="name another place"
            )


async def _bench(
    loaded: LoadedRig, options: BenchOptions, views: Sequence[View], hold: RigHold
) -> BenchResult:
    enough = asyncio.Event()
    with interrupts(enough):
        session, ended_early = await _served(loaded, options, views, enough, hold)
    assert session.assessment is not None  # open_rig leaves it behind
    if options.keys is not None and session.bench is not None:
        session.write_keys(options.keys)
    return BenchResult(
        run_id=session.run_id,
        seed=session.seed,
        assessment=session.assessment,
        interrupted=ended_early and enough.is_set() and options.duration is not None,
        broken=session.broken.result() if session.broken.done() else None,
        capture_failure=session.bench.capture_failure if session.bench else None,
    )


async def _served(
    loaded: LoadedRig,
    options: BenchOptions,
    views: Sequence[View],
    enough: asyncio.Event,
    hold: RigHold,
) -> tuple[RigSession, bool]:
    """The session, when it is over, and whether it ended before its time."""
    async with open_rig(
        loaded,
        kind="bench",
        database=options.database,
        subscribers=views,
        seed=options.seed,
        capture=options.capture,
        rotation=options.rotation,
        form_anew=options.form_anew,
        note=options.note,
        hold=hold,
    ) as session:
        ticking = asyncio.create_task(_tick(session, options, views))
        try:
            if not enough.is_set():
                await session.pair_all(enough)
                session.power_on()
            ended_early = await _wait(session, enough, options.duration)
            if options.keys is not None and session.bench is None:
                await session.write_real_keys(options.keys)
        finally:
            ticking.cancel()
    return session, ended_early


async def _tick(session: RigSession, options: BenchOptions, views: Sequence[View]) -> None:
    """On a real clock nothing may happen for a long time, and a view must not look dead."""
    while options.real_time or not on_fast_clock(session.loaded):
        for view in views:
            view.tick(session.clock.now_us())
        await asyncio.sleep(_TICK_S)


async def _wait(session: RigSession, enough: asyncio.Event, duration: timedelta | None) -> bool:
    """Serve until the time is up, somebody interrupts, or the rig breaks. True: before its time."""
    interrupted = asyncio.ensure_future(enough.wait())
    ends: set[asyncio.Future[Any]] = {interrupted, session.broken}
    try:
        done, _ = await asyncio.wait(
            ends,
            timeout=None if duration is None else duration.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        interrupted.cancel()
    return bool(done)
