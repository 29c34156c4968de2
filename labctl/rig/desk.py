"""Pairings that take a person's act: a code typed at the meter, an address that is confirmed.

A device of the rig file with one of these methods is not armed by the run. The run says what is to
be done, and waits for it as long as the rig file's window. On a virtual rig a virtual consumer does
it; where somebody has set a Privacy PIN at the emulated meter, that is whose meter it is, and the
virtual consumer, who does not know it, does nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from labctl.clock import Clock
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.errors import LabctlError
from labctl.events import Event, EventBus, Note, PairingArmed, PairingMethod, Severity
from labctl.hub.hub import Hub
from labctl.rig.acts import ActsFile, Entered, KeypadRefused
from labctl.rig.applicants import by_local_code, of_the_rig
from labctl.rig.keypad import Keypad
from labctl.smart_energy.local_code import local_code

LOOK_EVERY_S = 5.0
_TYPING_S = 30.0
_LOOKING_S = 10.0
_WAITED_FOR = {
    PairingMethod.LOCAL_CODE: "nobody typed its code at the meter",
    PairingMethod.CONFIRM: "nobody confirmed its address",
}


class PairingDesk:
    """Where the acts of persons arrive while a rig runs.

    `keypad` gives the emulated meter's as it stands; `seed` is None on a real rig.
    """

    def __init__(
        self,
        loaded: LoadedRig,
        hub: Hub,
        bus: EventBus,
        clock: Clock,
        acts: ActsFile,
        keypad: Callable[[], Keypad],
        seed: int | None,
    ) -> None:
        self._loaded = loaded
        self._hub = hub
        self._bus = bus
        self._clock = clock
        self._acts = acts
        self._keypad = keypad
        self._seed = seed
        self._awaited: dict[str, DeviceUnderTest] = {}
        self._confirming: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def serves(self, hub: Hub) -> None:
        """Another hub has taken over."""
        self._hub = hub

    def open(self) -> None:
        """Begin to look for acts. Raises `ConfigurationError` when their file cannot be used.

        Codes that were left for a run before this one are dropped: their person has gone.
        """
        for act in self._acts.take():
            if isinstance(act, KeypadRefused):
                self._refused(act)
        self._bus.subscribe(self._saw)
        self._start(self._watch())

    async def close(self) -> None:
        """Nobody is waited for any more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def expect(self, devices: list[DeviceUnderTest]) -> int:
        """Say what is to be done for each of these, and wait for it in the background.

        Returns for how many seconds joining has to be open for all (`Hub.offer`), for those of them
        that are to be shown; 0: there are none.
        """
        for device in devices:
            self._awaited[device.eui64] = device
            seconds = _window_s(device)
            self._note(
                "pairing-awaits-person",
                device.eui64,
                method=device.pairing.method.value,
                do=self._to_do(device),
                within_s=seconds,
            )
            self._start(self._give_up(device, seconds))
            if device.pairing.method is PairingMethod.LOCAL_CODE and self._has_consumer:
                self._start(self._consumer_types(device))
        shown = [d for d in devices if d.pairing.method is PairingMethod.CONFIRM]
        return max((_window_s(device) for device in shown), default=0)

    # -- persons ----------------------------------------------------------------------------------

    @property
    def _has_consumer(self) -> bool:
        return self._seed is not None and not self._keypad().has_pin

    def _to_do(self, device: DeviceUnderTest) -> str:
        if device.pairing.method is PairingMethod.LOCAL_CODE:
            if self._has_consumer:
                return "the virtual consumer types its code at the meter"
            return f"type its code: labctl meter keypad {self._loaded.name} {device.name}"
        if self._seed is not None:
            return "the virtual consumer confirms its address"
        return f"confirm it: labctl pair {self._loaded.name} --confirm --eui64 {device.eui64}"

    async def _consumer_types(self, device: DeviceUnderTest) -> None:
        """Sets a PIN at a meter that has none, and types what the device's label says."""
        await asyncio.sleep(_TYPING_S)
        if device.eui64 not in self._awaited:
            return  # somebody was quicker
        pin = f"{random.Random(f'{self._seed}/consumer').randrange(10_000):04d}"
        keypad = Keypad(None)
        keypad.set_pin(pin)
        keypad.enter(pin)
        digits = local_code(device.install_code).reveal().decode()
        await self._entered(Entered(by_local_code(self._loaded, device.name, digits)))

    def _saw(self, event: Event) -> None:
        """Follows what is armed, and, for a virtual consumer, who is shown."""
        if isinstance(event, PairingArmed):
            self._awaited.pop(event.eui64, None)
        elif isinstance(event, Note) and event.kind == "joiner-offered" and event.eui64:
            device = self._awaited.get(event.eui64)
            if device is None or device.pairing.method is not PairingMethod.CONFIRM:
                return
            if self._seed is not None and event.eui64 not in self._confirming:
                self._confirming.add(event.eui64)
                self._start(self._consumer_confirms(device))

    async def _consumer_confirms(self, device: DeviceUnderTest) -> None:
        await asyncio.sleep(_LOOKING_S)
        if device.eui64 not in self._awaited:
            return  # somebody was quicker
        applicant = of_the_rig(self._loaded, device.name)
        await self._entered(Entered(replace(applicant, method=PairingMethod.CONFIRM)))

    async def _give_up(self, device: DeviceUnderTest, seconds: int) -> None:
        await asyncio.sleep(seconds)
        if self._awaited.pop(device.eui64, None) is not None:
            cause = f"{_WAITED_FOR[device.pairing.method]} within {seconds} s"
            self._note("pairing-not-begun", device.eui64, cause=cause)

    # -- acts -------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                acts = self._acts.take()
            except LabctlError as error:
                self._note("acts-unreadable", None, cause=error.what)
                continue
            for act in acts:
                if isinstance(act, KeypadRefused):
                    self._refused(act)
                else:
                    await self._entered(act)

    def _refused(self, act: KeypadRefused) -> None:
        self._note("keypad-refused", None, cause=act.cause, device=act.device)

    async def _entered(self, act: Entered) -> None:
        """What is wrong with a pairing is recorded, and does not end the run."""
        request = act.applicant.request
        try:
            if self._hub.authorised(request.eui64):
                self._note("pairing-needless", request.eui64, cause="it is authorised already")
            elif request.method is PairingMethod.CONFIRM:
                await self._hub.confirm(request)
            else:
                await self._hub.pair(request)
        except LabctlError as error:
            self._note("pairing-not-begun", request.eui64, cause=error.what)

    # -- tools ------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "at the pairing desk", "exception": error}
            )

    def _note(self, kind: str, eui64: str | None, **detail: object) -> None:
        self._bus.emit(
            Note(
                at_us=self._clock.now_us(),
                kind=kind,
                severity=Severity.WARNING,
                eui64=eui64,
                detail=detail,
            )
        )


def _window_s(device: DeviceUnderTest) -> int:
    return round(device.pairing.window.total_seconds())
