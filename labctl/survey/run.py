"""`labctl survey start`: the rig is opened, the devices are on its network, and somebody walks."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from labctl.config.problems import did_you_mean
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import BusyError, ConfigurationError, ExitCode, LabctlError, RigError, UsageError
from labctl.events import Band, DeviceKind, Event, Verdict
from labctl.record.database import open_for_reading
from labctl.record.survey import find_survey, load_survey, open_surveys
from labctl.record.survey_rows import SurveyData, SurveyRow
from labctl.record.verdict import exit_code_of
from labctl.rig.applicants import BY_A_PERSON
from labctl.rig.hold import RigHold, hold_rig
from labctl.rig.loop import run
from labctl.rig.patience import despite_losses
from labctl.rig.session import RigSession, key_store_of, open_rig
from labctl.rig.state_folder import forget_virtual_rig
from labctl.survey.commands import Finish, GoOn, Measure, Pause, Redo, Remark, Undo
from labctl.survey.leaders import Leader
from labctl.survey.settings import SurveySettings
from labctl.survey.view import View
from labctl.survey.walk import Walk

_HEARD_WITHIN_S = 180.0
"""How long a device that is paired may take to be heard after the rig was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyOptions:
    """How a survey is made. `resume` is a survey of the record that is not ended.

    `settings` None are those of the rig file. `devices` are names or addresses; none: all of the
    rig that are awake. `plan` is the path of a drawing of the floor, `plan_mm_per_pixel` its scale.
    """

    database: Path
    site: str = ""
    devices: tuple[str, ...] = ()
    hub_place: str = ""
    plan: str | None = None
    plan_mm_per_pixel: float | None = None
    resume: SurveyRow | None = None
    settings: SurveySettings | None = None
    seed: int | None = None
    fresh: bool = False
    capture: Path | None = None
    note: str = ""
    real_time: bool = False
    wait_s: float = 0.0
    waiting: Callable[[BusyError], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyResult:
    """What came of it. `trouble` is why the rig was out, if it was."""

    run_id: int
    data: SurveyData
    interrupted: bool
    trouble: LabctlError | None = None

    @property
    def finished(self) -> bool:
        """Whether the walk was ended; else it can be resumed."""
        return self.data.survey.ended_us is not None

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code: of the site's verdict once the walk is ended."""
        if self.trouble is not None:
            return self.trouble.exit_code
        if self.finished:
            return exit_code_of(Verdict(self.data.survey.verdict or Verdict.INCOMPLETE.value))
        return ExitCode.INTERRUPTED if self.interrupted else ExitCode.PASS


def to_resume(database: Path, rig: str, word: str | None) -> SurveyRow:
    """The survey to be resumed: that of a number or site, or the rig's newest that is not ended.

    Raises `UsageError`, `DatabaseError`.
    """
    connection = open_for_reading(database)
    try:
        if word is not None:
            found = find_survey(connection, word)
            if found.rig != rig:
                raise UsageError(f"survey {found.id} was made on rig {found.rig}, not on {rig}")
            if found.ended_us is not None:
                raise UsageError(
                    f"survey {found.id} of {found.site} is ended",
                    mend="leave --resume out to begin another",
                )
            return found
        left = open_surveys(connection, rig)
    finally:
        connection.close()
    if not left:
        raise UsageError(
            f"no survey of rig {rig} waits to be resumed", mend="leave --resume out to begin one"
        )
    return left[0]


def run_survey(
    loaded: LoadedRig, options: SurveyOptions, leader: Leader, view: View | None = None
) -> SurveyResult:
    """Walk until the leader ends or pauses it. Raises what opening a rig raises, and `UsageError`.

    A rig that gives out on the way leaves the survey open, with every probe until then.
    """
    devices = _devices(loaded, options)
    with hold_rig(loaded, "labctl survey", wait_s=options.wait_s, waiting=options.waiting) as hold:
        if options.fresh and loaded.is_virtual:
            forget_virtual_rig(loaded.inventory_path, loaded.name, key_store_of(loaded))
        work = _survey(loaded, options, devices, leader, view or View(), hold)
        return run(loaded, work, real_time=options.real_time)


async def _survey(
    loaded: LoadedRig,
    options: SurveyOptions,
    devices: tuple[DeviceUnderTest, ...],
    leader: Leader,
    view: View,
    hold: RigHold,
) -> SurveyResult:
    resumed = options.resume
    seed = options.seed
    if seed is None and resumed is not None and loaded.is_virtual:
        seed = resumed.seed  # the same house again
    interrupts = _Interrupts()
    walk: Walk | None = None
    async with open_rig(
        loaded,
        kind="survey",
        database=options.database,
        seed=seed,
        capture=options.capture,
        note=options.note,
        hold=hold,
    ) as session:
        session.recorder.survive_power_cuts()
        with interrupts.caught():

            async def work() -> None:
                nonlocal walk
                await _get_ready(session, devices)
                walk = _walk(session, options, devices, view)
                view.opened(walk.number, resumed=resumed is not None)
                await _lead(walk, leader, interrupts)

            await _unless_broken(session, work(), interrupts)
    trouble = session.broken.result() if session.broken.done() else None
    if walk is None:
        raise trouble or UsageError("it was interrupted before the devices were on the network")
    connection = open_for_reading(options.database)
    try:
        data = load_survey(connection, walk.number)
    finally:
        connection.close()
    return SurveyResult(
        run_id=session.run_id, data=data, interrupted=interrupts.pressed, trouble=trouble
    )


async def _unless_broken(session: RigSession, work: Any, interrupts: _Interrupts) -> None:
    """Until the work is done, or the rig is out; a second interrupt ends it as well."""
    task = asyncio.ensure_future(work)
    again = asyncio.ensure_future(interrupts.again.wait())
    try:
        await asyncio.wait({task, again, session.broken}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        again.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if not task.cancelled() and not session.broken.done():
        task.result()


async def _lead(walk: Walk, leader: Leader, interrupts: _Interrupts) -> None:
    while True:
        interrupted = interrupts.take()
        command = await leader.next(walk, interrupted=interrupted, stop=interrupts.stop)
        try:
            match command:
                case Pause():
                    return
                case Finish():
                    walk.finish()
                    return
                case Measure(place, note, photo):
                    found = await walk.measure(place, interrupts.stop)
                    if found is not None:
                        for kind, text in (("note", note), ("photo", photo)):
                            if text:
                                walk.remark(kind, text)
                case GoOn():
                    await walk.go_on(interrupts.stop)
                case Undo():
                    walk.undo()
                case Redo():
                    walk.redo()
                case Remark(kind, text):
                    walk.remark(kind, text)
        except UsageError as error:
            leader.refused(error)


def _walk(
    session: RigSession,
    options: SurveyOptions,
    devices: tuple[DeviceUnderTest, ...],
    view: View,
) -> Walk:
    if options.resume is not None:
        settings = SurveySettings.from_json(options.resume.rules)
        return Walk(session, settings, devices, view, options.resume.id)
    walk = Walk.begin(
        session,
        options.settings or SurveySettings.of_the_rig(session.loaded.rig.survey),
        devices,
        view,
        site=options.site or session.loaded.name,
        hub_place=options.hub_place,
        plan=options.plan,
        plan_mm_per_pixel=options.plan_mm_per_pixel,
    )
    _say_what_is_not_measured(walk)
    return walk


def _say_what_is_not_measured(walk: Walk) -> None:
    hub = walk.session.hub
    bands = tuple(bearer.band for bearer in hub.bearers)
    measured: set[Band] = set()
    for device in walk.devices:
        logged = hub.device_log().get(device.eui64)
        assert logged is not None  # it was heard
        on = hub.bearers.of(logged).band
        measured.add(on)
        others = [band.value for band in device.bands if band is not on and band in bands]
        if others:
            walk.limit(
                f"{device.name} could be on {' and '.join(others)} too: a device is probed on the "
                f"band that it is on, at first {on.value}; only it can choose another"
            )
    missing = [band.value for band in bands if band not in measured]
    if missing:
        walk.limit(f"no device is on {' or '.join(missing)}: what it would do there is not known")


# -- devices --------------------------------------------------------------------------------------


def _devices(loaded: LoadedRig, options: SurveyOptions) -> tuple[DeviceUnderTest, ...]:
    by_word = {word: d for d in loaded.devices for word in (str(d.eui64), d.name)}
    words = options.devices
    if options.resume is not None:
        connection = open_for_reading(options.database)
        try:
            kept = load_survey(connection, options.resume.id).devices
        finally:
            connection.close()
        words = tuple(device.eui64 for device in kept)
    if not words:
        awake = tuple(d for d in loaded.devices if d.kind is not DeviceKind.GAS_METER)
        if not awake:
            raise ConfigurationError(
                f"rig {loaded.name} has no device that could be carried around",
                where=str(loaded.path),
            )
        return awake
    for word in words:
        if word not in by_word:
            raise UsageError(
                f"{word} is not a device of rig {loaded.name}",
                mend=did_you_mean(word, [d.name for d in loaded.devices]),
            )
    return tuple({by_word[word].name: by_word[word] for word in words}.values())


async def _get_ready(session: RigSession, devices: tuple[DeviceUnderTest, ...]) -> None:
    """Pair who is not yet, and wait until each was heard. Raises `LabctlError`."""
    wanting = [d for d in devices if not session.hub.authorised(d.eui64)]
    for device in wanting:
        if device.pairing.method in BY_A_PERSON:
            raise ConfigurationError(
                f"{device.name} is paired by a person's act",
                where=str(session.loaded.path),
                mend=f"pair it before: labctl pair {session.loaded.name} {device.name}",
            )
    something = asyncio.Event()

    def happened(_event: Event) -> None:
        something.set()

    unsubscribe = session.bus.subscribe(happened)
    try:
        session.power_on()
        assert session.radio is not None
        for device in wanting:
            await despite_losses(partial(session.pair, device), session.radio, session.broken)
        windows_s = [d.pairing.window.total_seconds() for d in wanting]
        async with asyncio.timeout(max([_HEARD_WITHIN_S, *windows_s])):
            while any(not _is_there(session, d) for d in devices):
                something.clear()
                await something.wait()
        for device in devices:
            # On trial: what it can tell of its levels is found out before the first waypoint.
            trial = partial(_probe_once, session, device)
            await despite_losses(trial, session.radio, session.broken)
    except TimeoutError:
        silent = [d.name for d in devices if not _is_there(session, d)]
        raise RigError(
            f"nothing was heard of {' and '.join(silent)}",
            where=session.loaded.name,
            mend="switch it on near the hub, and begin where it is heard",
        ) from None
    finally:
        unsubscribe()


async def _probe_once(session: RigSession, device: DeviceUnderTest) -> None:
    await session.hub.probe(device.eui64)


def _is_there(session: RigSession, device: DeviceUnderTest) -> bool:
    logged = session.hub.device_log().get(device.eui64)
    return (
        logged is not None
        and session.hub.authorised(device.eui64)
        and logged.nwk is not None
        and logged.endpoint is not None
    )


class _Interrupts:
    """Ctrl-C: the first stops what is being probed, a second one before that was done ends all."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.again = asyncio.Event()
        self.pressed = False

    def take(self) -> bool:
        """Whether it was pressed since the last time."""
        pressed = self.stop.is_set()
        self.stop.clear()
        return pressed

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """SIGINT and SIGTERM come here."""
        loop = asyncio.get_running_loop()
        caught = (signal.SIGINT, signal.SIGTERM)

        def pressed() -> None:
            self.pressed = True
            (self.again if self.stop.is_set() else self.stop).set()

        for number in caught:
            loop.add_signal_handler(number, pressed)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)
