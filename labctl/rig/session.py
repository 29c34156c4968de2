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
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.clock import MICROSECONDS, Clock
from labctl.config.inventory import VIRTUAL_PATH, FlowControl
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import ConfigurationError, InternalError, LabctlError, RigError
from labctl.events import (
    DeviceSeen,
    Event,
    EventBus,
    Note,
    PairingMethod,
    RadioLost,
    RunEnded,
    RunStarted,
    Severity,
    Verdict,
)
from labctl.hub.hub import Hub
from labctl.hub.settings import PairingRequest
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.record.queries import last_rig_time_us, load_run
from labctl.record.recorder import Recorder
from labctl.record.verdict import Assessment, assess
from labctl.rig.assembly import behaviour, device_schedules, hub_settings, meters, virtual_kind
from labctl.rig.authority import FOREIGN_ISSUER, LabAuthority
from labctl.rig.journal_file import NAME as JOURNAL
from labctl.rig.journal_file import JournalFile
from labctl.rig.key_store import KeyStore
from labctl.rig.lock import rig_lock
from labctl.rig.state_folder import StateFolder, key_store_path
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.virtual.bench import DeviceInTheRoom, VirtualBench
from labctl.virtual.devices import Kind
from labctl.virtual.frames.tap import write_wireshark_keys
from labctl.virtual.propagation import Propagation

_LOGGER = logging.getLogger(__name__)

_MINUTE_US = 60 * MICROSECONDS
_NOTE_TIME_EVERY_S = 60.0
_VIRTUAL_STICK = Eui64("00:00:5e:ef:10:00:00:00")


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

    def write_keys(self, path: Path) -> None:
        """Write the keys of a virtual rig for Wireshark, to a file of mode 0600.

        Raises `ConfigurationError` on a real rig, whose keys stay in the stick, and when the file
        cannot be written.
        """
        if self.bench is None:
            raise ConfigurationError(
                "the keys of a real rig stay in its stick", mend="leave --keys out"
            )
        try:
            write_wireshark_keys(path, self.bench.wireshark_keys())
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

    async def pair_all(self) -> None:
        """Pair every device under test that is not authorised yet."""
        for device in self.loaded.devices:
            if not self.hub.authorised(device.eui64):
                await self.pair(device)


@asynccontextmanager
async def open_rig(
    loaded: LoadedRig,
    *,
    kind: str,
    database: Path,
    subscribers: Sequence[Callable[[Event], None]] = (),
    seed: int | None = None,
    capture: Path | None = None,
    form_anew: bool = False,
    note: str = "",
) -> AsyncIterator[RigSession]:
    """Open a rig for a run of `kind` (bench, campaign, survey), recorded in `database`.

    `subscribers` hear every event from the start of the run on. `seed` replaces the rig file's on
    a virtual rig, and `capture` writes what is on its air. `form_anew` gives up the network that
    the stick holds: every device must be paired again.

    Raises `ConfigurationError`, `RigError`, `DatabaseError`.
    """
    loop = asyncio.get_running_loop()
    if capture is not None and not loaded.is_virtual:
        raise ConfigurationError(
            "the air of a real rig cannot be captured by this version",
            where=str(loaded.path),
            mend="leave --capture out, and put a sniffer beside the rig",
        )
    folder = StateFolder(loaded.inventory_path, loaded.name)
    broken: asyncio.Future[LabctlError] = loop.create_future()
    with (
        rig_lock(folder.rig, loaded.name, Clock.of_the_wall(loop).now_us()),
        Recorder(database, loop=loop, on_failure=lambda error: _break(broken, error)) as recorder,
    ):
        clock = _clock(loaded, loop, folder, recorder)
        bus = EventBus()
        recorder.subscribe(bus)
        for subscriber in subscribers:
            bus.subscribe(subscriber)
        _start_run(bus, clock, loaded, kind, note)
        loop.set_exception_handler(partial(_unhandled, broken))
        async with AsyncExitStack() as stack:
            stack.callback(loop.set_exception_handler, None)
            try:
                session = await _put_together(
                    loaded,
                    stack,
                    clock,
                    bus,
                    recorder,
                    folder,
                    seed,
                    capture,
                    broken,
                    form_anew=form_anew,
                )
            except LabctlError as error:
                await _wind_down(stack, broken)
                _end_run(bus, clock, Verdict.INFRASTRUCTURE_ERROR, f"the rig: {error.what}")
                raise
            try:
                yield session
            except Exception as error:
                await _wind_down(stack, broken)
                _end_run(bus, clock, Verdict.INFRASTRUCTURE_ERROR, f"labctl stopped: {error}")
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


async def _put_together(
    loaded: LoadedRig,
    stack: AsyncExitStack,
    clock: Clock,
    bus: EventBus,
    recorder: Recorder,
    folder: StateFolder,
    seed: int | None,
    capture: Path | None,
    broken: asyncio.Future[LabctlError],
    *,
    form_anew: bool,
) -> RigSession:
    """Virtual bench, coordinator, hub; what is opened is closed by `stack`, last first."""
    virtual = loaded.rig.virtual if loaded.is_virtual else None
    bench: VirtualBench | None = None
    chosen_seed: int | None = None
    random_octets: Callable[[int], bytes] = os.urandom
    authority_path = folder.root / "lab-ca.json"
    if virtual is not None:
        chosen_seed = virtual.seed if seed is None else seed
        random_octets = random.Random(f"{chosen_seed}/hub/{clock.now_us()}").randbytes
        authority_path = folder.rig / "lab-ca.json"
        origin_s = round(virtual.start.timestamp())
    else:
        origin_s = folder.meters_origin_s(clock.now_us() // MICROSECONDS)
    authority = LabAuthority(authority_path, random_octets)
    foreign = LabAuthority(folder.rig / "foreign-ca.json", random_octets, issuer=FOREIGN_ISSUER)
    path, shown_path = loaded.radio.path, None
    if virtual is not None:
        assert chosen_seed is not None
        stick = loaded.radio.eui64 or _VIRTUAL_STICK
        bench = VirtualBench(
            seed=chosen_seed,
            folder=folder.rig,
            stick_eui64=stick,
            stick_identities={
                suite: authority.identity(suite, stick)
                for suite in loaded.radio.key_establishment or ()
            },
            propagation=Propagation(
                exponent=virtual.environment.path_loss_exponent,
                shadowing_db=virtual.environment.shadowing_db,
                noise_dbm=virtual.environment.noise_floor_dbm,
            ),
            devices=[_in_the_room(loaded, device, authority, foreign) for device in loaded.devices],
            now_us=clock.now_us,
        )
        stack.push_async_callback(bench.stop)
        if capture is not None:
            bench.capture_to(capture)
        path, shown_path = await bench.start(), VIRTUAL_PATH
    radio = loaded.radio
    coordinator = EzspCoordinator(
        EzspPort(
            name=loaded.radio_name,
            path=path,
            baudrate=radio.baudrate,
            flow_control=None if radio.flow_control is FlowControl.NONE else radio.flow_control,
            eui64=radio.eui64,
            serial_number=radio.usb.serial_number if radio.usb else None,
            shown_path=shown_path,
        ),
        random_octets,
    )
    journal = JournalFile(folder.rig / JOURNAL)
    settings = hub_settings(loaded)
    if form_anew:
        settings = replace(settings, network=replace(settings.network, form_anew=True))
    hub = Hub(
        settings,
        coordinator,
        bus,
        clock,
        meters=meters(loaded, origin_s=origin_s, journal=journal.load(), seed=chosen_seed),
        identities=partial(_hub_identities, loaded, authority),
        random_octets=random_octets,
        vault=KeyStore(key_store_of(loaded)),
    )
    bus.subscribe(lambda event: _break_on_loss(broken, event))
    await hub.start()
    stack.push_async_callback(_watched(journal, bus, clock))
    stack.push_async_callback(hub.stop)
    if virtual is not None:
        ticker = asyncio.create_task(_keep_time(folder, clock))
        stack.callback(ticker.cancel)
    assert recorder.run_id is not None  # RunStarted came first
    return RigSession(
        run_id=recorder.run_id,
        loaded=loaded,
        clock=clock,
        bus=bus,
        recorder=recorder,
        hub=hub,
        seed=chosen_seed,
        bench=bench,
        broken=broken,
    )


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
    """The hub's certificates: licensed ones by name, or the lab's own for the stick's address."""
    if loaded.certificate is not None:
        return {loaded.certificate.suite: loaded.certificate}
    return {suite: authority.identity(suite, own) for suite in loaded.rig.hub.all_suites}


def _in_the_room(
    loaded: LoadedRig, device: DeviceUnderTest, authority: LabAuthority, foreign: LabAuthority
) -> DeviceInTheRoom:
    virtual = device.device.virtual
    assert virtual is not None  # the configuration refuses real devices on a virtual radio
    kind = virtual_kind(device)
    if kind is None:
        raise ConfigurationError(
            f"there is no virtual {device.kind.value}, which {device.name} is to be",
            where=str(loaded.inventory_path),
            mend=f"say what it does: virtual.acts_as is one of {', '.join(Kind)}",
        )
    issuer = foreign if virtual.behaviour.foreign_certificate else authority
    subject = device.eui64
    if virtual.behaviour.certificate_of_another:
        subject = Eui64.from_big_endian(bytes(octet ^ 0x55 for octet in subject.big_endian))
    return DeviceInTheRoom(
        name=device.name,
        kind=kind.value,
        eui64=device.eui64,
        install_code=device.install_code,
        identities={suite: issuer.identity(suite, subject) for suite in virtual.suites},
        position=virtual.position,
        behaviour=behaviour(virtual.behaviour),
        schedules=device_schedules(loaded, device),
    )


def _watched(
    journal: JournalFile, bus: EventBus, clock: Clock
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Look after the meters' journal; what is returned ends that, and writes what is left."""

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

    watching = asyncio.create_task(journal.watch(clock.now_us, problem))

    async def end() -> None:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)

    return end


async def _keep_time(folder: StateFolder, clock: Clock) -> None:
    """A virtual rig that is killed goes on at a later time than it had reached."""
    while True:
        folder.note_rig_time(clock.now_us())
        await asyncio.sleep(_NOTE_TIME_EVERY_S)


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
    cause = context["message"] if error is None else f"{type(error).__name__}: {error}"
    _break(broken, InternalError(f"a bug in labctl: {cause}"))


def _break_on_loss(broken: asyncio.Future[LabctlError], event: Event) -> None:
    if isinstance(event, RadioLost):
        _break(
            broken,
            RigError(
                f"the radio was lost: {event.cause}",
                where=event.name,
                mend="plug the stick in again, and start another run",
            ),
        )


def _break(broken: asyncio.Future[LabctlError], error: LabctlError) -> None:
    if not broken.done():
        broken.set_result(error)
