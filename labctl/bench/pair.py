"""Pairing and unpairing from the command line: the rig is opened for as long as it takes."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from labctl.bench.interrupts import interrupts
from labctl.config.resolved import LoadedRig
from labctl.errors import BusyError, ExitCode, LabctlError
from labctl.events import (
    Event,
    JoinEnded,
    JoinOutcome,
    JoinStarted,
    Note,
    PairingMethod,
    PairingWindowClosed,
)
from labctl.rig.applicants import Applicant, by_hand, of_a_file, of_a_label, of_the_rig
from labctl.rig.applicants import window as window_of
from labctl.rig.asked import listed
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.hub_client import HubClient, reach
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.rig.wire import applicant_content

__all__ = [
    "Applicant",
    "Ending",
    "PairOptions",
    "PairResult",
    "Paired",
    "by_hand",
    "confirm",
    "of_a_file",
    "of_a_label",
    "of_the_rig",
    "pair",
    "pair_on",
    "unpair",
    "unpair_on",
    "window_of",
]

_HEARD_AGAIN_S = 30.0
"""How long a virtual device may take to be back before it is told to go."""


class Ending(enum.StrEnum):
    """How a pairing ended."""

    AUTHORISED = "authorised"
    ALREADY = "already"
    FAILED = "failed"
    REFUSED = "refused"
    NOT_HEARD = "not-heard"
    BROKEN_OFF = "broken-off"

    @property
    def good(self) -> bool:
        """Whether the device is paired now."""
        return self in (Ending.AUTHORISED, Ending.ALREADY)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairOptions:
    """How to open the rig. `seed` and `real_time` are for virtual ones."""

    database: Path
    seed: int | None = None
    real_time: bool = False
    wait_s: float = 0.0
    """How long to wait for a rig, or a thing in it, that somebody else has."""
    waiting: Callable[[BusyError], None] | None = None
    """Told who that is, once."""
    say: Callable[[str], None] = lambda _: None
    """Gets the lines of a hub that is held and does it, in place of the subscribers."""


@dataclass(slots=True)
class Paired:
    """What came of one device's pairing; `cause` is of its last attempt."""

    eui64: str
    name: str
    ending: Ending
    cause: str = ""


@dataclass(slots=True)
class PairResult:
    """What came of all of them. `broken` is why the rig gave out, if it did."""

    run_id: int
    devices: list[Paired]
    interrupted: bool = False
    broken: LabctlError | None = None

    @property
    def exit_code(self) -> ExitCode:
        """0: all are paired. 1: a device failed or was refused. 69: one was not heard at all."""
        if self.broken is not None:
            return self.broken.exit_code
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if any(each.ending in (Ending.FAILED, Ending.REFUSED) for each in self.devices):
            return ExitCode.PRODUCT_FAILED
        if any(not each.ending.good for each in self.devices):
            return ExitCode.RIG_UNAVAILABLE
        return ExitCode.PASS


@dataclass(slots=True)
class _Watch:
    """Follows the events until every window is closed or its device authorised."""

    waiting: set[str]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    outcomes: dict[str, tuple[JoinOutcome, str]] = field(default_factory=dict)
    offered: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    joins: dict[int, str] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if isinstance(event, JoinStarted):
            self.joins[event.join] = event.eui64
        elif isinstance(event, JoinEnded) and event.join in self.joins:
            eui64 = self.joins[event.join]
            self.outcomes[eui64] = event.outcome, event.cause
            if event.outcome is JoinOutcome.AUTHORISED:
                self._done(eui64)
        elif isinstance(event, PairingWindowClosed):
            self._done(event.eui64)
        elif isinstance(event, Note) and event.kind == "joiner-offered" and event.eui64:
            self.offered.put_nowait(event.eui64)

    def _done(self, eui64: str) -> None:
        if eui64 in self.waiting:
            self.waiting.remove(eui64)
            if not self.waiting:
                self.over.set()

    def ending(self, eui64: str) -> tuple[Ending, str]:
        """How it stands with a device."""
        if eui64 not in self.outcomes:
            return Ending.BROKEN_OFF, "broken off before anything was heard of it"
        outcome, cause = self.outcomes[eui64]
        return Ending(outcome.value), cause


def pair(
    loaded: LoadedRig,
    applicants: Sequence[Applicant],
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]] = (),
) -> PairResult:
    """Open the rig, pair, wait until each is authorised or its window closed.

    A hub that is held does it instead. Virtual rigs: the devices of the rig are switched on. Raises
    what opening a rig raises, and `UsageError` or `RigError` when a pairing is refused before it
    begins.
    """
    hub = reach(loaded)
    if hub is not None:
        with hub:
            return _paired_by(hub, applicants, options)
    with _held(loaded, options, "labctl pair") as hold:
        work = _pair(loaded, applicants, options, subscribers, hold)
        return run(loaded, work, real_time=options.real_time)


def _paired_by(hub: HubClient, applicants: Sequence[Applicant], options: PairOptions) -> PairResult:
    devices = [applicant_content(applicant) for applicant in applicants]
    done = hub.ask("pair", options.say, devices=devices)
    return PairResult(
        done["run"],
        [
            Paired(each["eui64"], each["name"], Ending(each["ending"]), each["cause"])
            for each in done["devices"]
        ],
    )


async def pair_on(session: RigSession, applicants: Sequence[Applicant]) -> list[Paired]:
    """Pair on a rig that is open, and wait until each is authorised or its window closed.

    Raises `UsageError` or `RigError` when a pairing is refused before it begins, and what broke the
    rig.
    """
    watch = _Watch(set())
    devices: list[Paired] = []
    unsubscribe = session.bus.subscribe(watch)
    try:
        await _begin(session, applicants, watch, devices)
        if watch.waiting:
            await _first(watch.over.wait(), session)
    finally:
        unsubscribe()
    if session.broken.done():
        raise session.broken.result()
    _settle(devices, watch)
    return devices


async def _begin(
    session: RigSession, applicants: Sequence[Applicant], watch: _Watch, devices: list[Paired]
) -> None:
    for applicant in applicants:
        devices.append(Paired(applicant.eui64, applicant.name, Ending.ALREADY))
        if not session.hub.authorised(applicant.eui64):
            watch.waiting.add(applicant.eui64)
            await session.hub.pair(applicant.request)


def _settle(devices: Sequence[Paired], watch: _Watch) -> None:
    for paired in devices:
        if paired.eui64 in watch.outcomes or paired.eui64 in watch.waiting:
            paired.ending, paired.cause = watch.ending(paired.eui64)


def _held(loaded: LoadedRig, options: PairOptions, purpose: str) -> AbstractContextManager[RigHold]:
    return hold_rig(loaded, purpose, wait_s=options.wait_s, waiting=options.waiting)


def _opened(
    loaded: LoadedRig,
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]],
    note: str,
    hold: RigHold,
) -> AbstractAsyncContextManager[RigSession]:
    return open_rig(
        loaded,
        kind="bench",
        database=options.database,
        subscribers=subscribers,
        seed=options.seed,
        note=note,
        hold=hold,
    )


async def _pair(
    loaded: LoadedRig,
    applicants: Sequence[Applicant],
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]],
    hold: RigHold,
) -> PairResult:
    watch = _Watch(set())
    enough = asyncio.Event()
    devices: list[Paired] = []
    async with _opened(loaded, options, [watch, *subscribers], "labctl pair", hold) as session:
        with interrupts(enough):
            await _begin(session, applicants, watch, devices)
            session.power_on()
            if watch.waiting:
                await _first(watch.over.wait(), session, enough.wait())
    _settle(devices, watch)
    return _result(session, devices, enough)


def confirm(
    loaded: LoadedRig,
    window: timedelta,
    ask: Callable[[str], Applicant | None],
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]] = (),
) -> PairResult:
    """Open joining to see who comes, and pair whom `ask` gives back (S3 para. 17).

    `ask` may wait for a person: it is called in a thread of its own. None: not that one.
    """
    with _held(loaded, options, "labctl pair --confirm") as hold:
        work = _confirm(loaded, window, ask, options, subscribers, hold)
        return run(loaded, work, real_time=options.real_time)


async def _confirm(
    loaded: LoadedRig,
    window: timedelta,
    ask: Callable[[str], Applicant | None],
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]],
    hold: RigHold,
) -> PairResult:
    loop = asyncio.get_running_loop()
    watch = _Watch(set())
    enough = asyncio.Event()
    devices: list[Paired] = []

    async def offers() -> None:
        deadline = loop.time() + window.total_seconds()
        while not devices:
            try:
                async with asyncio.timeout_at(deadline):
                    eui64 = await watch.offered.get()
            except TimeoutError:
                return
            applicant = await loop.run_in_executor(None, ask, eui64)
            if applicant is None:
                continue
            devices.append(Paired(eui64, applicant.name, Ending.BROKEN_OFF))
            watch.waiting.add(eui64)
            watch.outcomes.pop(eui64, None)  # what came of its first try
            request = replace(applicant, method=PairingMethod.CONFIRM).request
            await session.hub.confirm(request)
        await watch.over.wait()

    note = "labctl pair --confirm"
    async with _opened(loaded, options, [watch, *subscribers], note, hold) as session:
        with interrupts(enough):
            await session.hub.offer(round(window.total_seconds()))
            session.power_on()
            await _first(offers(), session, enough.wait())
    for paired in devices:
        paired.ending, paired.cause = watch.ending(paired.eui64)
    return _result(session, devices, enough)


def unpair(
    loaded: LoadedRig,
    word: str,
    reason: str,
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]] = (),
) -> tuple[str, bool]:
    """Take a device, by name or address, off the network and out of the log.

    Returns who it was, and whether it said that it left; if not, it is refused from now on. A hub
    that is held does it. Raises `UsageError` when the log has no such device.
    """
    hub = reach(loaded)
    if hub is not None:
        with hub:
            done = hub.ask("unpair", options.say, device=word, reason=reason)
            return str(done["eui64"]), bool(done["left"])
    with _held(loaded, options, "labctl unpair") as hold:
        work = _unpair(loaded, word, reason, options, subscribers, hold)
        return run(loaded, work, real_time=options.real_time)


async def _unpair(
    loaded: LoadedRig,
    word: str,
    reason: str,
    options: PairOptions,
    subscribers: Sequence[Callable[[Event], None]],
    hold: RigHold,
) -> tuple[str, bool]:
    async with _opened(loaded, options, subscribers, "labctl unpair", hold) as session:
        device = listed(session, word)
        if session.bench is not None and device.authorised:
            session.power_on()
            await asyncio.sleep(_HEARD_AGAIN_S)
        return device.eui64, await session.hub.unpair(device.eui64, reason)


async def unpair_on(session: RigSession, word: str, reason: str) -> tuple[str, bool]:
    """As `unpair`, on a rig that is open. Raises `UsageError`, `RigError`."""
    device = listed(session, word)
    return device.eui64, await session.hub.unpair(device.eui64, reason)


def _result(session: RigSession, devices: list[Paired], enough: asyncio.Event) -> PairResult:
    return PairResult(
        session.run_id,
        devices,
        interrupted=enough.is_set(),
        broken=session.broken.result() if session.broken.done() else None,
    )


async def _first(
    work: Coroutine[Any, Any, object], session: RigSession, *others: Coroutine[Any, Any, object]
) -> None:
    """Until the work is done, one of the others is (somebody interrupts), or the rig breaks."""
    tasks = [asyncio.ensure_future(each) for each in (work, *others)]
    ends: set[asyncio.Future[Any]] = {*tasks, session.broken}
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()  # what was wrong with the work is the caller's to hear
