"""The capture: what is on a rig's air, written to files until it is enough.

Of a real rig a second stick hears it, whoever has the rig. The air of a virtual rig is in the
process that runs it, so the rig is run here, devices and all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from labctl.bench.interrupts import interrupts
from labctl.bench.run import must_be_writable
from labctl.capture import Rotation, open_capture, write_wireshark_keys
from labctl.capture.rotation import CaptureFiles
from labctl.clock import Clock
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, ConfigurationError, ExitCode, LabctlError, RigError
from labctl.leases import Lease
from labctl.rig.air_keys import link_keys
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.loop import run
from labctl.rig.session import key_store_of, open_rig
from labctl.rig.sniffing import Listening, hold_sniffer, listening, plan_listening

__all__ = [
    "CaptureOptions",
    "CaptureResult",
    "CaptureView",
    "Listening",
    "plan_listening",
    "run_capture",
]

VIRTUAL_DURATION = timedelta(minutes=10)
"""How long a virtual rig runs for a capture, in its own time, when nobody says."""

_TICK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureOptions:
    """How a capture is to go. `duration` None: until somebody interrupts it.

    `plan` is which stick listens where, on a real rig. `real_time` is for virtual ones.
    """

    path: Path
    database: Path
    plan: Listening | None = None
    rotation: Rotation | None = None
    keys: Path | None = None
    duration: timedelta | None = None
    real_time: bool = False
    wait_s: float = 0.0
    waiting: Callable[[BusyError], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureResult:
    """What was captured. `frames` and `octets` count what was written, and `by_channel` the frames
    that were heard, by page and channel. `broken` is why it ended before its time, if it did."""

    files: Sequence[Path]
    frames: int
    octets: int
    by_channel: Mapping[tuple[int, int], int]
    began_us: int
    ended_us: int
    radio: str | None
    keys: int | None
    """How many keys were written, where they were asked for."""
    interrupted: bool
    broken: LabctlError | None

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code."""
        if self.broken is not None:
            return self.broken.exit_code
        return ExitCode.INTERRUPTED if self.interrupted else ExitCode.PASS


class CaptureView(Protocol):
    """Follows a capture."""

    def begin(self, files: CaptureFiles, where: str) -> None:
        """It goes on from here, into `files`; `where` says what listens to what."""

    def say(self, text: str) -> None:
        """Something that the person should know."""

    def tick(self) -> None:
        """Time passed, or something happened."""


def run_capture(loaded: LoadedRig, options: CaptureOptions, view: CaptureView) -> CaptureResult:
    """Capture until the time is up or somebody interrupts, and say what came of it.

    Raises `ConfigurationError`, `RigError` or `DatabaseError` when it cannot begin. An interrupt
    (SIGINT, SIGTERM) ends it in good order; without a `duration` that is how it ends.
    """
    must_be_writable(options.path, options.keys)
    if not loaded.is_virtual:
        assert options.plan is not None, "a real rig is captured by a stick"
        for remark in options.plan.remarks:
            view.say(remark)
        with hold_sniffer(
            loaded,
            options.plan,
            "labctl capture",
            lasts=options.duration,
            wait_s=options.wait_s,
            waiting=options.waiting,
        ) as lease:
            return asyncio.run(_of_real(loaded, options, options.plan, lease, view))
    with hold_rig(loaded, "labctl capture", wait_s=options.wait_s, waiting=options.waiting) as hold:
        work = _of_virtual(loaded, options, hold, view)
        return run(loaded, work, real_time=options.real_time)


# -- with a stick ---------------------------------------------------------------------------------


async def _of_real(
    loaded: LoadedRig,
    options: CaptureOptions,
    plan: Listening,
    lease: Lease,
    view: CaptureView,
) -> CaptureResult:
    loop = asyncio.get_running_loop()
    clock = Clock.of_the_wall(loop)
    enough = asyncio.Event()
    broken: asyncio.Future[LabctlError] = loop.create_future()
    files = _opened(options, clock.now_us)
    keys = 0
    began_us = clock.now_us()
    ended_early = False
    with interrupts(enough):
        try:
            if options.keys is not None:
                keys = _write_keys(options.keys, link_keys(loaded, key_store_of(loaded)))
            async with listening(
                loaded,
                plan,
                lease,
                files,
                broken,
                database=options.database,
                moved=lambda channel: view.say(f"the hub moved: listening on {channel} from now"),
            ) as state:
                began_us = clock.now_us()
                view.begin(files, f"{state.name} ({state.path}, {state.eui64}) on {plan.channel}")
                ended_early = await _until(enough, broken, options.duration, files, view)
        finally:
            files.close()
        if options.keys is not None:
            # Once more: a device may have got another key meanwhile.
            try:
                keys = _write_keys(options.keys, link_keys(loaded, key_store_of(loaded)))
            except ConfigurationError as error:  # what was captured is told all the same
                if not broken.done():
                    broken.set_result(error)
    return _result(
        options,
        files,
        began_us=began_us,
        ended_us=clock.now_us(),
        radio=plan.name,
        keys=keys,
        interrupted=ended_early and enough.is_set() and options.duration is not None,
        broken=broken.result() if broken.done() else None,
    )


async def _until(
    enough: asyncio.Event,
    broken: asyncio.Future[LabctlError],
    duration: timedelta | None,
    files: CaptureFiles,
    view: CaptureView,
) -> bool:
    """Until the time is up, somebody interrupts, or something breaks. True: before its time."""
    ticking = asyncio.create_task(_tick(files, view, broken))
    interrupted = asyncio.ensure_future(enough.wait())
    ends: set[asyncio.Future[Any]] = {interrupted, broken}
    try:
        done, _ = await asyncio.wait(
            ends,
            timeout=None if duration is None else duration.total_seconds(),
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        interrupted.cancel()
        ticking.cancel()
    return bool(done)


async def _tick(
    files: CaptureFiles, view: CaptureView, broken: asyncio.Future[LabctlError]
) -> None:
    """Show how far it is, hand over what is buffered, and see a full disk."""
    while True:
        await asyncio.sleep(_TICK_S)
        files.flush()
        if files.failure is not None and not broken.done():
            broken.set_result(_cut_short(files.failure, files.files[-1]))
        view.tick()


# -- of a virtual rig -----------------------------------------------------------------------------


async def _of_virtual(
    loaded: LoadedRig, options: CaptureOptions, hold: RigHold, view: CaptureView
) -> CaptureResult:
    enough = asyncio.Event()
    keys = 0
    duration = options.duration or VIRTUAL_DURATION
    with interrupts(enough):
        async with open_rig(
            loaded,
            kind="bench",
            database=options.database,
            capture=options.path,
            rotation=options.rotation,
            note="labctl capture",
            hold=hold,
        ) as session:
            assert session.bench is not None
            files = session.bench.capture
            assert files is not None
            began_us = session.clock.now_us()
            view.begin(files, "the whole virtual air, as the hub hears it")
            if not enough.is_set():
                await session.pair_all(enough)
                session.power_on()
            ended_early = await _until(enough, session.broken, duration, files, view)
            ended_us = session.clock.now_us()
            if options.keys is not None:
                keys = _write_keys(options.keys, session.bench.wireshark_keys())
    return _result(
        options,
        files,
        began_us=began_us,
        ended_us=ended_us,
        radio=None,
        keys=keys,
        interrupted=ended_early and enough.is_set() and options.duration is not None,
        broken=session.broken.result() if session.broken.done() else None,
    )


# -- both -----------------------------------------------------------------------------------------


def _opened(options: CaptureOptions, now_us: Callable[[], int]) -> CaptureFiles:
    try:
        return open_capture(options.path, now_us, options.rotation)
    except OSError as error:
        raise ConfigurationError(
            f"the capture cannot be written: {error.strerror}", where=str(options.path)
        ) from error


def _write_keys(path: Path, keys: list[tuple[bytes, str]]) -> int:
    try:
        write_wireshark_keys(path, keys)
    except OSError as error:
        raise ConfigurationError(
            f"the keys cannot be written: {error.strerror}", where=str(path)
        ) from error
    return len({key for key, _ in keys})


def _cut_short(failure: OSError, path: Path) -> RigError:
    return RigError(
        f"the capture is cut short: {failure.strerror or failure}",
        where=str(path),
        mend="free some space, or let --rotate and --keep give up what is old",
    )


def _result(
    options: CaptureOptions,
    files: CaptureFiles,
    *,
    began_us: int,
    ended_us: int,
    radio: str | None,
    keys: int,
    interrupted: bool,
    broken: LabctlError | None,
) -> CaptureResult:
    if broken is None and files.failure is not None:
        broken = _cut_short(files.failure, files.files[-1])
    return CaptureResult(
        files=files.files,
        frames=files.records,
        octets=files.octets,
        by_channel=dict(sorted(files.by_channel.items())),
        began_us=began_us,
        ended_us=ended_us,
        radio=radio,
        keys=None if options.keys is None else keys,
        interrupted=interrupted,
        broken=broken,
    )
