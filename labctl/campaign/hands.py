"""What a person would do at a device under test, done by whatever can: bench, switch, person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from labctl.campaign.findings import NotApplicable
from labctl.config.resolved import DeviceUnderTest
from labctl.rig.display import Shown, number_in, read_display
from labctl.rig.power import PowerBook, PowerSwitch
from labctl.rig.session import RigSession
from labctl.rig.state_folder import state_root

Ask = Callable[[str], Awaitable[None]]
"""Asks a person to do something, and returns when it is done."""


class Hands:
    """Does to one device what a person would. `ask` is None where there is nobody."""

    def __init__(self, session: RigSession, device: DeviceUnderTest, ask: Ask | None) -> None:
        self._session = session
        self._device = device
        self._ask = ask
        power = device.device.power
        self._switch = None
        if power is not None and session.bench is None:
            self._switch = PowerSwitch(
                device.name, power, PowerBook(state_root(session.loaded.inventory_path))
            )

    @property
    def switches_power(self) -> bool:
        """Whether the device's power can be switched without a person."""
        return self._session.bench is not None or self._switch is not None

    @property
    def can_reset(self) -> bool:
        """Whether the device can be made to forget its network."""
        return self._session.bench is not None or self._ask is not None

    async def power(self, *, on: bool) -> None:
        """Switch the device on or off. Raises `RigError`, `NotApplicable`."""
        if self._session.bench is not None:
            device = self._session.bench.devices[self._device.name]
            if on:
                device.power_on()
            else:
                await device.power_off()
        elif self._switch is not None:
            await self._switch.switch(on=on)
        else:
            await self.ask(f"switch {self._device.name} {'on' if on else 'off'}")

    async def cycle(self, off_s: float = 5.0) -> None:
        """Take its power away for `off_s` seconds. Raises `RigError`, `NotApplicable`."""
        await self.power(on=False)
        await asyncio.sleep(off_s)
        await self.power(on=True)

    async def reset(self) -> None:
        """Make it forget its network; a virtual device is then off. Raises `NotApplicable`."""
        if self._session.bench is not None:
            device = self._session.bench.devices[self._device.name]
            await device.power_off()
            device.factory_reset()
            return
        await self.ask(f"reset {self._device.name} to its factory state")

    async def look_for_network(self) -> None:
        """Make it look for a network. Raises `RigError`, `NotApplicable`."""
        if self._session.bench is not None:
            await self.power(on=True)
        elif self._switch is not None:
            await self.cycle()
        else:
            await self.ask(f"make {self._device.name} look for a network")

    @property
    def shows(self) -> bool:
        """Whether what the device shows can be read without a person."""
        return self._session.bench is not None or self._device.device.display is not None

    async def shown(self, what: Shown) -> float | None:
        """What its display shows; None when it shows nothing of the kind, or is dark.

        Raises `RigError`, and `NotApplicable` where nothing can read it.
        """
        if self._session.bench is not None:
            return _on_screen(self._session.bench.devices[self._device.name].picture, what)
        command = self._device.device.display
        if command is None:
            raise NotApplicable(
                f"nothing reads the display of {self._device.name}: no 'display' in the inventory"
            )
        return await read_display(self._device.name, command, what)

    async def ask(self, what: str) -> None:
        """Have a person do something. Raises `NotApplicable` where there is none."""
        if self._ask is None:
            raise NotApplicable(f"it takes a person or a switch: {what}")
        await self._ask(what)


_PENCE = 100


def _on_screen(picture: Mapping[str, Any] | None, what: Shown) -> float | None:
    """What a person would read off the picture of a virtual device."""
    fuel = Shown.GAS if what is Shown.GAS else Shown.ELECTRICITY
    meter: Mapping[str, Any] | None = None if picture is None else picture[fuel.value]
    if meter is None:
        return None
    if what is Shown.PRICE:
        return None if meter["price"] is None else _PENCE * float(meter["price"])
    return number_in(meter["reading"])
