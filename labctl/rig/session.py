"""Opening a rig: the one place where everything is put together, and taken apart again.

    async with open_rig(loaded, kind="bench", database=path) as session:
        await session.pair_all()
        ...
    print(session.assessment.verdict)

Leaving the block stops the hub, ends the run with its verdict and closes the database, however it
is left. A rig that cannot be opened leaves a run with the verdict *infrastructure error* behind,
and raises the error.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.capture.rotation import Rotation
from labctl.capture.wireshark import write_wireshark_keys
from labctl.clock import MICROSECONDS, Clock
from labctl.config.inventory import Radio
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import ConfigurationError, InternalError, LabctlError, RigError
from labctl.events import (
    DeviceSeen,
    Event,
    EventBus,
    Note,
    PairingMethod,
    RunEnded,
    RunStarted,
    Severity,
    Verdict,
)
from labctl.hub.hub import Hub
from labctl.hub.settings import HubSettings, PairingRequest
from labctl.meters.entries import Entry
from labctl.radio.coordinator import Coordinator
from labctl.record.queries import last_rig_time_us, load_run
from labctl.record.recorder import Recorder
from labctl.record.verdict import Assessment, assess
from labctl.rig.acts import NAME as ACTS
from labctl.rig.acts import Act, ActsFile
from labctl.rig.air_keys import link_keys
from labctl.rig.applicants import BY_A_PERSON
from labctl.rig.assembly import hub_settings, meters
from labctl.rig.authority import FOREIGN_ISSUER, LabAuthority
from labctl.rig.clock_watch import ClockWatch, ThisHost
from labctl.rig.desk import PairingDesk
from labctl.rig.hold import RigHold, hold_rig, rig_state
from labctl.rig.hub_swap import RunningHub
from labctl.rig.journal_file import NAME as JOURNAL
from labctl.rig.journal_file import JournalFile
from labctl.rig.key_store import KeyStore
from labctl.rig.keypad import Keypad
from labctl.rig.patience import despite_losses
from labctl.rig.power import PowerBook, radio_switch
from labctl.rig.radios import coordinator
from labctl.rig.room import virtual_bench
from labctl.rig.state_folder import StateFolder, key_store_path
from labctl.secret import hide
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.virtual.bench import VirtualBench

_LOGGER = logging.getLogger(__name__)

_MINUTE_US = 60 * MICROSECONDS
_NOTE_TIME_EVERY_S = 60.0


@dataclass(slots=True)
class RigSession:
    """An open rig. `assessment` is there once the session is over."""

    loaded: LoadedRig
    clock: Clock
    bus: EventBus
    recorder: Recorder
    hub: Hub
    seed: int | None
    """The seed of a virtual rig."""
    bench: VirtualBench | None
    broken: asyncio.Future[LabctlError]
    """Resolves to the cause when the run cannot go on: no stick, no database, a bug of ours."""
    assessment: Assessment | None = None

    run_id: int = 0
    """The run's number in the database."""

    radio: Coordinator | None = None
    """The hub's coordinator."""

    desk: PairingDesk | None = None
    """Where persons pair."""

    look_at_meters: Callable[[], int] = lambda: 0
    """Takes what commands wrote into the meters' journal now, not within ten seconds; how many
    entries that were. Raises `ConfigurationError`."""

    enter: Callable[[Entry], None] = lambda entry: None
    """Does something to the meters, as `labctl meter set` would. Raises `JournalError` for an
    entry that is older than the last, `ConfigurationError`."""

    running: RunningHub | None = None
    """The hub as it can be put on another stick (`rig.hub_swap`)."""

    kind: str = "bench"
    """What its runs are: bench, campaign, survey, hub."""

    def begin_next_run(self, note: str = "") -> Assessment:
        """End the run in the record with its verdict and begin another: the hub goes on.

        Raises `DatabaseError`.
        """
        self.hub.care.links.tell_deliveries()
        self.recorder.flush()
        assessment = assess(
            load_run(self.recorder.connection, self.run_id, until_us=self.clock.now_us())
        )
        _end_run(self.bus, self.clock, assessment.verdict, *assessment.reasons)
        _start_run(self.bus, self.clock, self.loaded, self.kind, note)
        self.hub.declare()
        self.recorder.flush()
        assert self.recorder.run_id is not None  # RunStarted was written
        self.run_id = self.recorder.run_id
        return assessment

    def write_keys(self, path: Path) -> None:
        """Write the keys of a virtual rig for Wireshark, to a file of mode 0600.

        Raises `ConfigurationError` on a real rig (`write_real_keys`), and when the file cannot be
        written.
        """
        if self.bench is None:
            raise ConfigurationError(
                "the keys of a real rig are in its stick", mend="ask while the rig is open"
            )
        try:
            write_wireshark_keys(path, self.bench.wireshark_keys())
        except OSError as error:
            raise ConfigurationError(
                f"the keys cannot be written: {error.strerror}", where=str(path)
            ) from error

    async def write_real_keys(self, path: Path) -> None:
        """Write the keys of a real rig for Wireshark, while it is open: the network's out of the
        stick, and the link keys that the hub keeps.

        Where the stick does not show its own, the link keys have to do, and a warning says so.
        Raises `ConfigurationError` when the file cannot be written.
        """
        keys = link_keys(self.loaded, key_store_of(self.loaded))
        try:
            assert self.radio is not None
            for number, key in enumerate(await self.radio.network_keys(), 1):
                keys.append((key.reveal(), f"network {number}"))
        except RigError as error:
            _LOGGER.warning("the network key is not among the keys: %s", error)
        try:
            write_wireshark_keys(path, keys)
        except OSError as error:
            raise ConfigurationError(
                f"the keys cannot be written: {error.strerror}", where=str(path)
            ) from error

    def power_on(self) -> None:
        """Switch on the virtual devices. On a real rig that is done by hand."""
        if self.bench is not None:
            self.bench.power_on()

    async def pair(self, device: DeviceUnderTest) -> None:
        """Put a device into the log and open its window, as its rig file says.

        A device that holds an established link key from before is left alone.
        """
        pairing = device.pairing
        await self.hub.pair(
            PairingRequest(
                eui64=device.eui64,
                window_s=round(pairing.window.total_seconds()),
                method=PairingMethod(pairing.method),
                requested_by=pairing.requested_by,
                consent_reference=pairing.consent_reference,
            )
        )

    async def pair_all(self, enough: asyncio.Event | None = None) -> None:
        """Pair every device under test that is not authorised yet.

        What takes a person is only begun: it is said, and waited for while the run goes on. A radio
        that is lost meanwhile is waited for, until `enough` is set.
        """
        wanting = [d for d in self.loaded.devices if not self.hub.authorised(d.eui64)]
        for device in wanting:
            if device.pairing.method not in BY_A_PERSON:
                await self._although_lost(partial(self.pair, device), enough)
        if self.desk is not None:
            shown = self.desk.expect([d for d in wanting if d.pairing.method in BY_A_PERSON])
            if shown:
                await self._although_lost(partial(self.hub.offer, shown), enough)

    async def _although_lost(
        self, act: Callable[[], Awaitable[None]], enough: asyncio.Event | None
    ) -> None:
        assert self.radio is not None
        await despite_losses(act, self.radio, self.broken, enough)


@asynccontextmanager
async def open_rig(
    loaded: LoadedRig,
    *,
    kind: str,
    database: Path,
    subscribers: Sequence[Callable[[Event], None]] = (),
    seed: int | None = None,
    capture: Path | None = None,
    rotation: Rotation | None = None,
    form_anew: bool = False,
    note: str = "",
    hold: RigHold | None = None,
) -> AsyncIterator[RigSession]:
    """Open a rig for a run of `kind` (bench, campaign, survey), recorded in `database`.

    `subscribers` hear every event from the start of the run on. `seed` replaces the rig file's on
    a virtual rig, and `capture` writes what is on its air, with `rotation` to several files.
    `form_anew` gives up the network that the stick holds: every device must be paired again. `hold`
    is the rig, where the caller has it already; else it is leased here, at once or not at all.

    Raises `ConfigurationError`, `RigError`, `DatabaseError`.
    """
    loop = asyncio.get_running_loop()
    if capture is not None and not loaded.is_virtual:
        raise ConfigurationError(
            "the hub's own radio cannot capture while it is on the hub's network",
            where=str(loaded.path),
            mend="leave --capture out; `labctl capture` beside this run does it with a second "
            "stick",
        )
    folder = StateFolder(loaded.inventory_path, loaded.name)
    broken: asyncio.Future[LabctlError] = loop.create_future()
    with (
        nullcontext(hold) if hold else hold_rig(loaded, kind) as held,
        Recorder(database, loop=loop, on_failure=lambda error: _break(broken, error)) as recorder,
    ):
        clock = _clock(loaded, loop, folder, recorder)
        bus = EventBus()
        recorder.subscribe(bus)
        for subscriber in subscribers:
            bus.subscribe(subscriber)
        _start_run(bus, clock, loaded, kind, note)
        loop.set_exception_handler(partial(_unhandled, broken))
        broken.add_done_callback(partial(_note_end, bus, clock))
        held.when_lost(partial(_break, broken))
        async with AsyncExitStack() as stack:
            stack.callback(loop.set_exception_handler, None)
            if not loaded.is_virtual:
                stack.callback(asyncio.create_task(held.keep()).cancel)
            try:
                session = await _put_together(
                    _Opening(
                        loaded=loaded,
                        clock=clock,
                        bus=bus,
                        recorder=recorder,
                        folder=folder,
                        broken=broken,
                        seed=seed,
                        capture=capture,
                        rotation=rotation,
                        form_anew=form_anew,
                        hold=held,
                    ),
                    stack,
                )
            except LabctlError as error:
                await _wind_down(stack, broken)
                cause = held.lost or error
                _end_run(bus, clock, Verdict.INFRASTRUCTURE_ERROR, f"the rig: {cause.what}")
                raise cause from (None if cause is error else error)
            session.kind = kind
            try:
                yield session
            except Exception as error:
                await _wind_down(stack, broken)
                if isinstance(error, RigError) and held.lost is not None:
                    # The radio was shut to this process, at which its driver stumbled.
                    reason = f"the rig: {held.lost.what}"
                    _end_run(bus, clock, Verdict.INFRASTRUCTURE_ERROR, reason)
                    raise held.lost from error
                _end_run(
                    bus, clock, Verdict.INFRASTRUCTURE_ERROR, f"labctl stopped: {hide(str(error))}"
                )
                raise
            await _wind_down(stack, broken)
            _note_bug(bus, clock, broken)
            recorder.flush()
            session.assessment = assess(
                load_run(recorder.connection, session.run_id, until_us=clock.now_us())
            )
            _end_run(bus, clock, session.assessment.verdict, *session.assessment.reasons)
            if loaded.is_virtual:
                folder.note_rig_time(clock.now_us())


async def _wind_down(stack: AsyncExitStack, broken: asyncio.Future[LabctlError]) -> None:
    """Close everything. What fails at that must not keep the run from being ended."""
    try:
        await stack.aclose()
    except (LabctlError, OSError) as error:
        _LOGGER.warning("while closing the rig: %s", error)
        _break(broken, error if isinstance(error, LabctlError) else RigError(str(error)))


def _clock(
    loaded: LoadedRig, loop: asyncio.AbstractEventLoop, folder: StateFolder, recorder: Recorder
) -> Clock:
    """Rig time: the wall's on a real rig; on a virtual one it goes on where it ended."""
    if loaded.rig.virtual is None or not loaded.is_virtual:
        return Clock.of_the_wall(loop)
    start_us = round(loaded.rig.virtual.start.timestamp() * MICROSECONDS)
    last_us = max(folder.last_rig_time_us(), last_rig_time_us(recorder.connection, loaded.name))
    if last_us >= start_us:
        start_us = (last_us // _MINUTE_US + 1) * _MINUTE_US
    return Clock(loop, start_us)


def _start_run(bus: EventBus, clock: Clock, loaded: LoadedRig, kind: str, note: str) -> None:
    bus.emit(
        RunStarted(
            at_us=clock.now_us(),
            rig=loaded.name,
            kind=kind,
            simulated=loaded.is_virtual,
            labctl_version=__version__,
            host=platform.node(),
            config_sha256=loaded.config_sha256,
            note=note,
        )
    )
    for device in loaded.devices:
        bus.emit(
            DeviceSeen(
                at_us=clock.now_us(),
                eui64=device.eui64,
                name=device.name,
                kind=device.kind,
                manufacturer=device.device.manufacturer,
                model=device.device.model,
            )
        )


def _end_run(bus: EventBus, clock: Clock, verdict: Verdict, *reasons: str) -> None:
    bus.emit(RunEnded(at_us=clock.now_us(), verdict=verdict, reasons=reasons))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """What a rig is opened with, once the database and the lock are there."""

    loaded: LoadedRig
    clock: Clock
    bus: EventBus
    recorder: Recorder
    folder: StateFolder
    broken: asyncio.Future[LabctlError]
    seed: int | None
    capture: Path | None
    rotation: Rotation | None
    form_anew: bool
    hold: RigHold


async def _put_together(opening: _Opening, stack: AsyncExitStack) -> RigSession:
    """Virtual bench, coordinator, hub; what is opened is closed by `stack`, last first."""
    loaded, clock, bus, folder = opening.loaded, opening.clock, opening.bus, opening.folder
    virtual = loaded.rig.virtual if loaded.is_virtual else None
    bench: VirtualBench | None = None
    seed: int | None = None
    paths: tuple[str, ...] | None = None
    random_octets: Callable[[int], bytes] = os.urandom
    authority_path = folder.root / "lab-ca.json"
    if virtual is not None:
        seed = virtual.seed if opening.seed is None else opening.seed
        random_octets = random.Random(f"{seed}/hub/{clock.now_us()}").randbytes
        authority_path = folder.rig / "lab-ca.json"
        origin_s = round(virtual.start.timestamp())
    else:
        origin_s = folder.meters_origin_s(clock.now_us() // MICROSECONDS)
    authority = LabAuthority(authority_path, random_octets)
    if virtual is not None:
        assert seed is not None
        bench = virtual_bench(
            loaded,
            virtual,
            seed=seed,
            folder=folder.rig,
            authority=authority,
            foreign=LabAuthority(
                folder.rig / "foreign-ca.json", random_octets, issuer=FOREIGN_ISSUER
            ),
            now_us=clock.now_us,
        )
        stack.push_async_callback(bench.stop)
        if opening.capture is not None:
            bench.capture_to(opening.capture, opening.rotation)
        paths = await bench.start()
    journal = JournalFile(folder.rig / JOURNAL)
    settings = hub_settings(loaded)
    if opening.form_anew:
        settings = replace(settings, network=replace(settings.network, form_anew=True))
    vault = KeyStore(key_store_of(loaded), opening.hold.check_rig)
    shown = meters(loaded, origin_s=origin_s, journal=journal.load(), seed=seed)

    def make(
        loaded: LoadedRig, paths: tuple[str, ...] | None, settings: HubSettings
    ) -> tuple[Coordinator, Hub]:
        radio = coordinator(
            loaded,
            random_octets,
            paths,
            opening.hold.fence,
            gave_up=partial(_break, opening.broken),
            switch_of=partial(_switch_of, opening),
        )
        return radio, Hub(
            settings,
            radio,
            bus,
            clock,
            meters=shown,
            identities=partial(_hub_identities, loaded, authority),
            random_octets=random_octets,
            vault=vault,
        )

    radio, hub = make(loaded, paths, settings)
    await hub.start()
    running = RunningHub(hub, radio, partial(make, settings=hub_settings(loaded)), vault)
    stack.push_async_callback(
        _watched(journal, bus, clock, lambda: running.hub.publisher.meters_changed())
    )
    stack.push_async_callback(lambda: running.hub.stop())
    desk = PairingDesk(
        loaded,
        hub,
        bus,
        clock,
        ActsFile(folder.rig / ACTS),
        lambda: Keypad(keypad_path(loaded)),
        seed,
    )
    desk.open()
    stack.push_async_callback(desk.close)
    ticking = (
        ClockWatch(clock, bus, ThisHost()).run() if virtual is None else _keep_time(folder, clock)
    )
    stack.callback(asyncio.create_task(ticking).cancel)
    assert opening.recorder.run_id is not None  # RunStarted came first
    return RigSession(
        run_id=opening.recorder.run_id,
        loaded=loaded,
        clock=clock,
        bus=bus,
        recorder=opening.recorder,
        hub=hub,
        seed=seed,
        bench=bench,
        radio=radio,
        broken=opening.broken,
        desk=desk,
        look_at_meters=lambda: journal.exchange(clock.now_us()),
        enter=partial(_enter, journal, clock, running),
        running=running,
    )


def _enter(journal: JournalFile, clock: Clock, running: RunningHub, entry: Entry) -> None:
    journal.exchange(clock.now_us())
    journal.journal.append(entry)
    journal.exchange(clock.now_us())
    running.hub.publisher.meters_changed()


def _switch_of(
    opening: _Opening, name: str, radio: Radio
) -> Callable[[], Coroutine[Any, Any, None]] | None:
    """What switches a radio's power off and on, and records what came of it."""
    power = radio.power
    if power is None or radio.is_virtual:
        return None
    switch = radio_switch(
        name,
        radio,
        PowerBook(opening.folder.root),
        lambda: opening.hold.check_power(power),
    )
    assert switch is not None

    async def cycle() -> None:
        detail: dict[str, object] = {"radio": name, "switch": switch.identity}
        severity = Severity.INFO
        if not switch.worth_trying:
            _LOGGER.info("the power of %s is not switched: it is known not to help", name)
            return
        try:
            detail["ability"] = (await switch.cycle()).ability.value
        except RigError as error:
            detail["cause"] = error.what
            severity = Severity.WARNING
        opening.bus.emit(
            Note(
                at_us=opening.clock.now_us(),
                kind="power-switched",
                severity=severity,
                detail=detail,
            )
        )

    return cycle


async def note_without_rig(loaded: LoadedRig, database: Path, note: str, found: Note) -> None:
    """Record something that happened while the rig was not running, as a run of its own.

    `found` is dated anew, `note` is the run's. Raises `DatabaseError`.
    """
    loop = asyncio.get_running_loop()
    folder = StateFolder(loaded.inventory_path, loaded.name)
    with Recorder(database, loop=loop) as recorder:
        clock = _clock(loaded, loop, folder, recorder)
        bus = EventBus()
        recorder.subscribe(bus)
        _start_run(bus, clock, loaded, "bench", note)
        bus.emit(replace(found, at_us=clock.now_us()))
        _end_run(bus, clock, Verdict.INCOMPLETE, f"the rig was not opened: {note}")


def is_running(loaded: LoadedRig) -> bool:
    """Whether another process has the rig open. Raises `ConfigurationError`, `RigError`."""
    entries = rig_state(loaded).entries
    return bool(entries) and not entries[0].idle


def handed_over(loaded: LoadedRig, act: Act) -> bool:
    """Hand an act to the rig, if it runs. Raises `ConfigurationError`, `RigError`."""
    if not is_running(loaded):
        return False
    ActsFile(StateFolder(loaded.inventory_path, loaded.name).rig / ACTS).add(act)
    return True


def keypad_path(loaded: LoadedRig) -> Path:
    """The file that keeps the state of the emulated meter's keypad."""
    return key_store_path(loaded.inventory_path, loaded.name, loaded.path, None).with_name(
        "keypad.json"
    )


def key_store_of(loaded: LoadedRig) -> Path:
    """The file that keeps the rig's device log with its keys."""
    return key_store_path(loaded.inventory_path, loaded.name, loaded.path, loaded.rig.hub.key_store)


def _hub_identities(
    loaded: LoadedRig, authority: LabAuthority, own: Eui64
) -> Mapping[int, Identity]:
    """The hub's certificates: licensed ones by name, or the lab's own for the stick's address.

    Of two radios side by side each has its own.
    """
    licensed = loaded.certificate
    if loaded.second is not None and (licensed is None or licensed.subject != own):
        other = loaded.second.certificate
        licensed = other if other is not None and other.subject == own else None
    if licensed is not None:
        return {licensed.suite: licensed}
    return {suite: authority.identity(suite, own) for suite in loaded.rig.hub.all_suites}


def _watched(
    journal: JournalFile, bus: EventBus, clock: Clock, changed: Callable[[], None]
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Look after the meters' journal; what is returned ends that, and writes what is left.

    `changed` is called when the meters are not what they were.
    """

    def problem(error: ConfigurationError) -> None:
        detail: dict[str, object] = {"cause": error.what}
        bus.emit(
            Note(
                at_us=clock.now_us(),
                kind="meter-journal",
                severity=Severity.WARNING,
                detail=detail,
            )
        )

    watching = asyncio.create_task(journal.watch(clock.now_us, problem, changed))

    async def end() -> None:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    return end


async def _keep_time(folder: StateFolder, clock: Clock) -> None:
    """A virtual rig that is killed goes on at a later time than it had reached."""
    while True:
        folder.note_rig_time(clock.now_us())
        await asyncio.sleep(_NOTE_TIME_EVERY_S)


def _note_end(bus: EventBus, clock: Clock, broken: asyncio.Future[LabctlError]) -> None:
    """From now on the rig is out, and nothing that happens is a device's fault."""
    if broken.cancelled() or isinstance(broken.result(), InternalError):
        return
    bus.emit(
        Note(
            at_us=clock.now_us(),
            kind="rig-gave-out",
            severity=Severity.ERROR,
            detail={"cause": broken.result().what},
        )
    )


def _note_bug(bus: EventBus, clock: Clock, broken: asyncio.Future[LabctlError]) -> None:
    if broken.done() and isinstance(broken.result(), InternalError):
        bus.emit(
            Note(
                at_us=clock.now_us(),
                kind="internal-error",
                severity=Severity.ERROR,
                detail={"cause": broken.result().what},
            )
        )


def _unhandled(
    broken: asyncio.Future[LabctlError], loop: asyncio.AbstractEventLoop, context: dict[str, Any]
) -> None:
    """An error that nobody caught ends the run: what is recorded after it could be wrong."""
    loop.default_exception_handler(context)
    error = context.get("exception")
    if isinstance(error, LabctlError):  # a disk that is full, a file that cannot be written
        _break(broken, error)
        return
    cause = context["message"] if error is None else hide(f"{type(error).__name__}: {error}")
    _break(broken, InternalError(f"a bug in labctl: {cause}"))


def _break(broken: asyncio.Future[LabctlError], error: LabctlError) -> None:
    if not broken.done():
        broken.set_result(error)
