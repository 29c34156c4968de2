"""The virtual bench: a room with a stick and devices in it.

It is built from plain values and hands out one thing: the serial path of the stick. Everything
random comes from one seed, split by name, so that another device in the room does not change what
happens to the first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labctl.capture import FrameWriter
from labctl.capture.rotation import CaptureFiles, Rotation, open_capture
from labctl.errors import ConfigurationError
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode
from labctl.virtual.air import Air
from labctl.virtual.devices import Behaviour, ReadSchedule, VirtualDevice
from labctl.virtual.devices.bands import ONLY_2_4_GHZ, Bands
from labctl.virtual.interference import Disturber
from labctl.virtual.line import SerialStick
from labctl.virtual.ncp import Flash, VirtualEzspNcp
from labctl.virtual.ncp import Identity as Firmware
from labctl.virtual.ncp.hardware import RETAIL, Hardware
from labctl.virtual.onlooker import Onlooker
from labctl.virtual.propagation import Propagation
from labctl.virtual.znp import Memory, VirtualZnpNcp


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInTheRoom:
    """A virtual device and where it stands, in metres; the stick stands at the origin."""

    name: str
    kind: str
    eui64: Eui64
    install_code: InstallCode
    identities: Mapping[int, Identity]
    position: tuple[float, float, float]
    bands: Bands = ONLY_2_4_GHZ
    behaviour: Behaviour
    schedules: Sequence[ReadSchedule] | None
    """None: what its kind reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StickInTheRoom:
    """A virtual stick, where it stands in metres, and what it has.

    `identities` are the certificates that its firmware does key establishment with; without any it
    has no library for it. `protocol` is "ezsp" or "znp"; `ezsp` is the version of the one, and the
    other one is a retail stick whatever else is said.
    """

    eui64: Eui64
    identities: Mapping[int, Identity] | None = None
    hardware: Hardware = RETAIL
    protocol: str = "ezsp"
    ezsp: int = 13
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)


class VirtualBench:
    """Sticks and devices on one air, on the running event loop.

    `folder` keeps what their flash memories hold, and is what makes a second run go on where the
    first ended; the files in it hold keys and are of mode 0600. `now_us` stamps captured frames.
    """

    def __init__(
        self,
        *,
        seed: int,
        folder: Path,
        sticks: Sequence[StickInTheRoom],
        propagation: Propagation,
        devices: Sequence[DeviceInTheRoom],
        now_us: Callable[[], int],
        disturbers: Sequence[Disturber] = (),
    ) -> None:
        self._seed = seed
        self._now_us = now_us
        self._room: list[DeviceInTheRoom] = []
        self._air = Air(rng=self._random("air"), propagation=propagation)
        for disturber in disturbers:
            self._air.disturb(disturber)
        self._stand = tuple(sticks)
        self._folder = folder
        self._sticks = [self._stick(stick, number) for number, stick in enumerate(sticks, 1)]
        self.devices: dict[str, VirtualDevice] = {}
        for device in devices:
            self.put(device)
        self._exchanges = 0
        self._capture: CaptureFiles | None = None
        self.capture_failure: str | None = None
        """Why the capture is cut short, once the bench has stopped."""

    def _stick(
        self, stick: StickInTheRoom, number: int, rng: random.Random | None = None
    ) -> SerialStick:
        rng = rng or self._random("stick" if number == 1 else f"stick {number}")
        if stick.protocol == "znp":
            return VirtualZnpNcp(
                air=self._air,
                eui64=stick.eui64,
                memory=_memory_of(self._folder, stick.eui64, number),
                rng=rng,
                position=stick.position,
            )
        return VirtualEzspNcp(
            air=self._air,
            eui64=stick.eui64,
            flash=_flash_of(self._folder, stick.eui64, number),
            rng=rng,
            position=stick.position,
            identity=Firmware.speaking(stick.ezsp),
            cbke=stick.identities,
            hardware=stick.hardware,
        )

    def put(self, device: DeviceInTheRoom) -> VirtualDevice:
        """Put another device into the room, switched off."""
        self._room.append(device)
        placed = self.devices[device.name] = VirtualDevice(
            device.kind,
            air=self._air,
            eui64=device.eui64,
            install_code=device.install_code,
            identities=device.identities,
            rng=self._random(device.name),
            flash=self._folder / f"{device.name}.json",
            position=device.position,
            bands=device.bands,
            behaviour=device.behaviour,
            schedules=device.schedules,
        )
        return placed

    async def start(self) -> tuple[str, ...]:
        """Plug the sticks in. Returns the paths under which the driver finds them, in order."""
        ports = [await stick.listen("127.0.0.1", 0) for stick in self._sticks]
        return tuple(f"socket://127.0.0.1:{port}" for port in ports)

    def power_on(self) -> None:
        """Switch on every device."""
        for device in self.devices.values():
            device.power_on()

    @property
    def sticks(self) -> tuple[SerialStick, ...]:
        """The sticks, in the rig's order: to pull, to plug in again, to hang."""
        return tuple(self._sticks)

    async def unplug(self, stick: int = 0) -> None:
        """Pull a stick out: its power and its port are gone at once."""
        await self._sticks[stick].pull()

    async def plug(self, stick: int = 0) -> None:
        """Plug a stick in again, where it was."""
        await self._sticks[stick].plug()

    async def exchange(self, stick: int, eui64: Eui64) -> str:
        """Put another stick in the place of one; returns the path under which it is found.

        It is of the same make, and has a memory of its own, which it has again the next time.
        """
        await self._sticks[stick].close()
        stand = list(self._stand)
        stand[stick] = replace(stand[stick], eui64=eui64, identities=None)
        self._stand = tuple(stand)
        self._exchanges += 1
        rng = self._random(f"stick {stick + 1}, exchange {self._exchanges}")
        self._sticks[stick] = other = self._stick(stand[stick], stick + 1, rng)
        return f"socket://127.0.0.1:{await other.listen('127.0.0.1', 0)}"

    async def stop(self) -> None:
        """Switch everything off; flash memories are written."""
        for device in self.devices.values():
            await device.power_off()
        for stick in self._sticks:
            await stick.close()
        if self._capture is not None:
            writer, self._capture = self._capture, None
            self._air.stop_capture(writer)
            writer.close()
            if writer.failure is not None:
                self.capture_failure = writer.failure.strerror or "it could not be written"

    def capture_to(self, path: Path, rotation: Rotation | None = None) -> CaptureFiles:
        """Write every frame on the air to `path`, on all bands, as the sticks hear it.

        Raise `ConfigurationError` when the file cannot be written.
        """
        try:
            self._capture = open_capture(path, self._now_us, rotation)
        except OSError as error:
            raise ConfigurationError(
                f"the capture cannot be written: {error.strerror}", where=str(path)
            ) from error
        names = [stick.eui64 for stick in self._stand]
        self._air.capture_to(self._capture, beside=names, at=self._stand[0].position)
        return self._capture

    def overhear(self, writer: FrameWriter) -> None:
        """Hand every frame on the air to `writer` as well, as the sticks hear it."""
        names = [stick.eui64 for stick in self._stand]
        self._air.capture_to(writer, beside=names, at=self._stand[0].position)

    def onlooker(self) -> Onlooker:
        """Somebody who hears all that is on the air, beside the first stick; to be entered."""
        x, y, z = self._stand[0].position
        return Onlooker(
            self._air,
            self._now_us,
            lambda: [
                key
                for stick in self._sticks
                for key, label in stick.wireshark_keys()
                if label == "network" and len(key) == 16
            ],
            (x + 1.0, y, z),
            self._random("onlooker"),
        )

    @property
    def capture(self) -> CaptureFiles | None:
        """The capture that goes on."""
        return self._capture

    def wireshark_keys(self) -> list[tuple[bytes, str]]:
        """Every key that opens the capture, with a label: network, install-code and link keys."""
        keys = [key for stick in self._sticks for key in stick.wireshark_keys()]
        keys += [
            (device.install_code.link_key().reveal(), f"{device.name} install code")
            for device in self._room
        ]
        return keys

    def _random(self, name: str) -> random.Random:
        return random.Random(f"{self._seed}/{name}")


def _flash_of(folder: Path, stick: Eui64, number: int) -> Flash:
    """That of the rig's stick with this number, or the file of one that took its place."""
    flash = Flash(folder / ("stick.json" if number == 1 else f"stick-{number}.json"))
    if flash.stored_eui64 in (None, stick):
        return flash
    return Flash(folder / f"stick-{stick.replace(':', '')}.json")


def _memory_of(folder: Path, stick: Eui64, number: int) -> Memory:
    """The same for a ZNP stick."""
    memory = Memory(folder / ("stick-znp.json" if number == 1 else f"stick-znp-{number}.json"))
    if memory.stored_eui64 in (None, stick):
        return memory
    return Memory(folder / f"stick-znp-{stick.replace(':', '')}.json")
