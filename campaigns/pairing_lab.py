"""A hub on a virtual stick, put together by hand, so that either's power can go at any instant.

`labctl` opens rigs as a whole and closes them in good order. Here the hub is let go of as SIGKILL
would, the stick is pulled out, and both are started again on what their files say.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from labctl.clock import Clock
from labctl.config.resolved import LoadedRig
from labctl.events import Event, EventBus
from labctl.hub.hub import Hub
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.rig.assembly import hub_settings
from labctl.rig.key_store import KeyStore
from labctl.rig.meters import meters
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.virtual.air import Air, Radio
from labctl.virtual.devices import Behaviour, Timings, VirtualDevice
from labctl.virtual.ncp import Flash, VirtualEzspNcp
from labctl.virtual.ncp import Identity as Firmware
from labctl.virtual.propagation import Propagation
from labctl.virtual.znp import Memory, VirtualZnpNcp
from labctl.virtual.znp.nvram import Table
from labctl.virtual.znp.structures import HAS_INSTALL_CODE, TclkEntry

START_S = 1_767_600_000
STICK = Eui64("00:00:5e:ef:10:00:00:01")
OTHER_STICK = Eui64("00:00:5e:ef:10:00:00:ee")
ISSUER = Eui64("4c:41:42:43:54:4c:43:41")
FOREIGN_ISSUER = Eui64("46:4f:52:45:49:47:4e:43")

_E = TypeVar("_E", bound=Event)


class PairingLab:
    """One room. Everything random comes from `seed`; `loss` is the share of frames lost."""

    def __init__(
        self,
        loaded: LoadedRig,
        folder: Path,
        *,
        seed: int | str,
        loss: float = 0.0,
        suites: tuple[int, ...] = (2,),
        stick_suites: tuple[int, ...] = (),
        ezsp: int = 13,
        driver: str = "ezsp",
    ) -> None:
        self._loaded = loaded
        self._folder = folder
        self._seed = seed
        self._suites = suites
        self._stick_suites = stick_suites
        self._ezsp = ezsp
        self._driver = driver
        self.loop = asyncio.get_running_loop()
        self.bugs: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.bugs.append(context))
        self.clock = Clock(self.loop, START_S * 1_000_000)
        self.events: list[Event] = []
        self.air = Air(rng=self.random("air"), propagation=Propagation(shadowing_db=0.0))
        self.loss = loss
        losses = self.random("loss")

        def drop(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            return losses.random() < self.loss

        self.air.drop = drop
        self.vault = KeyStore(folder / "keys.json")
        self.authorities = {
            issuer: {
                suite: LabCertificateAuthority.generate(
                    suite, issuer, self.random(f"ca {issuer} {suite}").randbytes
                )
                for suite in (1, 2)
            }
            for issuer in (ISSUER, FOREIGN_ISSUER)
        }
        self.stick: VirtualEzspNcp | VirtualZnpNcp | None = None
        self.hub: Hub | None = None
        self._coordinator: EzspCoordinator | ZnpCoordinator | None = None
        self._life = 0
        self.devices: list[VirtualDevice] = []

    def random(self, name: str) -> random.Random:
        """A source of chance of its own for each name."""
        return random.Random(f"{self._seed}/{name}")

    def identity(self, suite: int, subject: Eui64, issuer: Eui64 = ISSUER) -> Identity:
        """A certificate, the same whenever it is asked for."""
        rng = self.random(f"identity {suite} {subject} {issuer}")
        return self.authorities[issuer][suite].issue(subject, rng.randbytes)

    # -- the stick and the hub ----------------------------------------------------------------

    async def plug_in(self, stick: Eui64 = STICK) -> None:
        """Give a stick power, with the flash that it has."""
        self._life += 1
        file = self._folder / f"stick-{stick.replace(':', '')}.json"
        rng = self.random(f"stick {self._life}")
        if self._driver == "znp":
            self.stick = VirtualZnpNcp(air=self.air, eui64=stick, memory=Memory(file), rng=rng)
        else:
            self.stick = VirtualEzspNcp(
                air=self.air,
                eui64=stick,
                flash=Flash(file),
                rng=rng,
                cbke={suite: self.identity(suite, stick) for suite in self._stick_suites} or None,
                identity=Firmware.speaking(self._ezsp),
            )
        self._port = await self.stick.listen("127.0.0.1", 0)

    async def pull_out(self) -> None:
        """Take the stick's power."""
        if self.stick is not None:
            await self.stick.close()
            self.stick = None

    async def start_hub(self, **settings: Any) -> Hub:
        """Start a hub as a new process would."""
        self._life += 1
        if self.stick is None:
            await self.plug_in()
        rng = self.random(f"hub {self._life}")
        path = f"socket://127.0.0.1:{self._port}"
        if self._driver == "znp":
            self._coordinator = ZnpCoordinator(ZnpPort(name="stick", path=path), rng.randbytes)
        else:
            self._coordinator = EzspCoordinator(EzspPort(name="stick", path=path), rng.randbytes)
        bus = EventBus()
        bus.subscribe(self.events.append)
        self.hub = Hub(
            replace(hub_settings(self._loaded), suites=self._suites, **settings),
            self._coordinator,
            bus,
            self.clock,
            meters=meters(self._loaded, origin_s=START_S),
            identities=lambda own: {suite: self.identity(suite, own) for suite in self._suites},
            random_octets=rng.randbytes,
            vault=self.vault,
        )
        await self.hub.start()
        return self.hub

    async def kill_hub(self) -> None:
        """The hub's process is gone, as by SIGKILL: nothing is closed or tidied up."""
        hub, self.hub = self.hub, None
        coordinator, self._coordinator = self._coordinator, None
        if hub is None or coordinator is None:
            return
        await hub._chores.cancel()
        coordinator._stopping = True
        if isinstance(coordinator, ZnpCoordinator):
            await coordinator.abandon()
            return
        if coordinator._app is not None and coordinator._app._watchdog_task is not None:
            coordinator._app._watchdog_task.cancel()
        for task in tuple(coordinator._tasks):
            task.cancel()
        if coordinator._app is not None:
            await coordinator._app.disconnect()
            coordinator._app = None

    async def stop_hub(self) -> None:
        """The hub ends in good order."""
        hub, self.hub = self.hub, None
        if hub is not None:
            await hub.stop()

    async def close(self) -> None:
        """The end of the day. Raises what was a bug of ours."""
        try:
            await self.stop_hub()
        finally:
            for device in self.devices:
                await device.power_off()
            await self.pull_out()
            self.loop.set_exception_handler(None)
        if self.bugs:
            raise AssertionError(self.bugs) from self.bugs[0].get("exception")

    # -- devices --------------------------------------------------------------------------------

    def device(
        self,
        kind: str,
        eui64: Eui64,
        code: InstallCode,
        *,
        suites: tuple[int, ...] = (2,),
        issuer: Eui64 = ISSUER,
        subject: Eui64 | None = None,
        behaviour: Behaviour | None = None,
        timings: Timings | None = None,
    ) -> VirtualDevice:
        """Put a device on the table, switched off."""
        device = VirtualDevice(
            kind,
            air=self.air,
            eui64=eui64,
            install_code=code,
            identities={suite: self.identity(suite, subject or eui64, issuer) for suite in suites},
            rng=self.random(f"device {eui64}"),
            flash=self._folder / f"device-{eui64.replace(':', '')}.json",
            position=(3.0, 1.0, 0.0),
            behaviour=behaviour,
            timings=timings,
        )
        self.devices.append(device)
        return device

    # -- what can be seen -------------------------------------------------------------------------

    def of(self, kind: type[_E]) -> list[_E]:
        """The events of one kind, of all hubs so far."""
        return [event for event in self.events if isinstance(event, kind)]

    def keys_in_the_stick(self) -> dict[Eui64, Secret]:
        """The NCP's link key table, as its flash has it."""
        assert self.stick is not None
        if isinstance(self.stick, VirtualZnpNcp):
            return _keys_in(self.stick)
        table = self.stick.firmware.contents.link_keys.values()
        return {partner: Secret(key) for partner, key in table}

    def network_key(self) -> bytes:
        """The one that the stick has now."""
        assert self.stick is not None
        if isinstance(self.stick, VirtualZnpNcp):
            assert self.stick.firmware.network.node is not None
            return self.stick.firmware.network.node.state.network_key
        return self.stick.firmware.contents.node.network_key

    async def until(self, done: Callable[[], bool], seconds: float, step_s: float = 1.0) -> bool:
        """Wait until `done`, for so many seconds at most."""
        deadline = self.loop.time() + seconds
        while not done():
            if self.loop.time() >= deadline:
                return False
            await asyncio.sleep(step_s)
        return True


def _keys_in(stick: VirtualZnpNcp) -> dict[Eui64, Secret]:
    """A Z-Stack's keys of install codes, by partner."""
    nvram = stick.firmware.nvram
    entries = map(TclkEntry.unpack, nvram.entries(Table.TCLK))
    return {
        entry.partner: Secret(nvram.entry(Table.INSTALL_CODES, entry.install_code & 0x7F))
        for entry in entries
        if not entry.empty and entry.install_code & HAS_INSTALL_CODE
    }
