"""A virtual device with its own stack and application, on the virtual air."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from labctl.errors import ConfigurationError, LabctlError
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode
from labctl.virtual.air import Air
from labctl.virtual.devices.application import Application
from labctl.virtual.devices.bands import Bands
from labctl.virtual.devices.behaviour import Behaviour
from labctl.virtual.devices.client import Body, Client
from labctl.virtual.devices.flash import Flash, Memory
from labctl.virtual.devices.kinds import KINDS
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.ota import ImageSlot
from labctl.virtual.devices.picture import Picture, picture_path
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.servers import Product
from labctl.virtual.devices.settings import DEFAULT_SCHEDULES, Kind, ReadSchedule, Timings
from labctl.virtual.node import Node, NodeListener


class VirtualDevice:
    """One device on the table. It may be switched on and off at any instant.

    `identities` holds a certificate for each key establishment suite that the device can do; all
    of them are of `eui64`. `flash` is the file that outlasts power cycles, None keeps it in memory.
    `schedules` are its steady reads, by default those of its kind. `rng` is the only source of
    chance, and `make_node` is for tests that replace the stack.

    Construction raises `ConfigurationError` for identities that are not the device's.
    """

    def __init__(
        self,
        kind: Kind | str,
        *,
        air: Air,
        eui64: Eui64,
        install_code: InstallCode,
        identities: Mapping[int, Identity],
        rng: random.Random,
        flash: Path | None = None,
        position: tuple[float, float, float] = (0.0, 0.0, 0.0),
        tx_power_dbm: int = 8,
        bands: Bands | None = None,
        behaviour: Behaviour | None = None,
        schedules: Sequence[ReadSchedule] | None = None,
        timings: Timings | None = None,
        product: Product | None = None,
        make_node: Callable[..., Node] = Node,
    ) -> None:
        self.kind = Kind(kind)
        self.eui64 = eui64
        if not identities:
            raise ConfigurationError(
                f"the virtual device {eui64} has no certificate",
                mend="give it at least one key establishment suite",
            )
        for suite, identity in identities.items():
            foreign = identity.subject != eui64
            if behaviour is not None and behaviour.certificate_of_another:
                foreign = not foreign
            if identity.suite != suite or foreign:
                raise ConfigurationError(
                    f"the certificate for suite {suite} of the virtual device {eui64} is of "
                    f"{identity.subject}, suite {identity.suite}",
                    mend="issue a certificate for this device and this suite",
                )
        self._body = Body(
            kind=self.kind,
            product=product
            or Product(model=KINDS[self.kind].model, image_type=1 + list(Kind).index(self.kind)),
            identities=dict(identities),
            link_key=install_code.link_key(),
            behaviour=behaviour or Behaviour(),
            bands=bands or Bands(),
            schedules=tuple(DEFAULT_SCHEDULES[self.kind] if schedules is None else schedules),
            timings=timings or Timings(),
            rng=rng,
            cut_power=self._cut_power,
            slot=ImageSlot(None if flash is None else flash.with_suffix(".ota")),
            screen_path=None if flash is None else picture_path(flash),
            cut_before=set(),
        )
        self._power_back: asyncio.TimerHandle | None = None
        self._came_back: asyncio.Future[None] | None = None
        self._flash = Flash(flash, eui64)
        self._air = air
        self._position = position
        self._tx_power_dbm = tx_power_dbm
        self._make_node = make_node
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self.observations = Observations(lambda: asyncio.get_running_loop().time())

    # -- power --------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether it is switched on, be there power at the moment or not."""
        return self._power_back is not None or (self._task is not None and not self._task.done())

    def power_on(self) -> None:
        """Switch on; nothing happens when it is on. Call it on the running loop.

        Raise `ConfigurationError` when the flash file cannot be used.
        """
        if self.is_on:
            return
        if self._body.behaviour.forgets_network:
            self._flash.erase()
        memory = self._flash.load()
        self._client = Client(self._body, self._node, memory, self._flash, self.observations)
        self.observations.note(What.POWER_ON)
        self._task = asyncio.get_running_loop().create_task(
            self._client.run(), name=f"virtual {self.kind} {self.eui64}"
        )
        self._task.add_done_callback(self._ended)

    async def power_off(self) -> None:
        """Cut the power: radio, timers and RAM are gone. Nothing happens when it is off.

        An exception that ended the device's life is a bug of ours, and is raised here.
        """
        task, self._task = self._task, None
        if self._power_back is not None:
            self._power_back.cancel()
            self._power_back = None
        if task is None:
            return
        if not task.done():
            # The client takes its radio off the air as it ends, before any time passes.
            task.cancel()
            self.observations.note(What.POWER_OFF)
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise _mendable(error) or error

    async def run(self) -> None:
        """Switch on, and live until cancelled or switched off; then it is off."""
        self.power_on()
        try:
            while (task := self._task) is not None:
                await asyncio.wait([task])
                if self._power_back is None:
                    break
                self._came_back = asyncio.get_running_loop().create_future()
                await self._came_back
        finally:
            await self.power_off()

    def _cut_power(self, back_after_s: float) -> None:
        """A knob of the device takes its power away; it is switched on all the same."""
        if self._task is None or self._power_back is not None:
            return
        self._task.cancel()
        self._power_back = asyncio.get_running_loop().call_later(back_after_s, self._power_returns)

    def _power_returns(self) -> None:
        self._power_back = None
        ended, self._task = self._task, None
        if ended is not None and not ended.done():
            raise AssertionError("a device without power is still running")
        self.power_on()
        if self._came_back is not None and not self._came_back.done():
            self._came_back.set_result(None)

    async def read_too_early(self) -> bool | None:
        """Have it read a meter at once, in the clear and under the key that it has, to see what
        the hub says; whether any value came. None when it could not ask: it is off, or there is no
        meter.
        """
        if self._client is None or not self.is_on:
            return None
        return await self._client.read_too_early()

    def carry(self, position: tuple[float, float, float]) -> None:
        """Carry it to another place, metres, be it on or off."""
        self._position = position
        if self._client is not None and self.is_on:
            self._client.node.move(position)

    def factory_reset(self) -> None:
        """Forget network and keys, as the button in the battery compartment does, while it is off.

        Raise `ConfigurationError` when it is on.
        """
        if self.is_on:
            raise ConfigurationError(
                f"the virtual device {self.eui64} is on", mend="switch it off first"
            )
        self._flash.erase()
        self._body.slot.erase()

    async def flood(self, per_second: float, seconds: float) -> None:
        """Have it send reads for a while without waiting for answers, whatever its behaviour is.

        Nothing happens while it is off.
        """
        if self._client is not None and self.is_on:
            await self._client.flood(per_second, seconds)

    # -- what can be seen ---------------------------------------------------------------------

    @property
    def screen(self) -> Screen:
        """What the device knows and would show, since it was last switched on."""
        return self._client.screen if self._client is not None else Screen()

    @property
    def picture(self) -> Picture | None:
        """What a person sees on it at the moment; None while it is dark."""
        return self._client.picture() if self._client is not None and self.is_on else None

    @property
    def application(self) -> Application | None:
        """Its applications since it was last switched on."""
        return self._client.application if self._client is not None else None

    @property
    def is_authorised(self) -> bool:
        """Whether it holds a link key from key establishment."""
        if self._client is not None and self.is_on:
            return self._client.is_authorised
        return self._flash.load().authorised

    @property
    def node(self) -> Node | None:
        """The stack it sits on since it was last switched on; for tests and for the bench."""
        return self._client.node if self._client is not None else None

    def _node(self, memory: Memory, listener: NodeListener) -> Node:
        return self._make_node(
            self._air,
            memory.node,
            listener,
            rng=self._body.rng,
            position=self._position,
            tx_power_dbm=self._tx_power_dbm,
            **({"rx_on_when_idle": False, "mains_powered": False} if self._sleeps else {}),
        )

    @property
    def _sleeps(self) -> bool:
        return KINDS[self.kind].sleeps

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A life never ends by itself; when it does, somebody must hear of it at once."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        task.get_loop().call_exception_handler(
            {"message": f"{task.get_name()} broke down", "exception": error, "task": task}
        )


def _mendable(error: BaseException) -> LabctlError | None:
    """The first error in a group that tells somebody what to mend."""
    if isinstance(error, LabctlError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            if (found := _mendable(member)) is not None:
                return found
    return None
