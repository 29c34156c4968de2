"""The coordinator of a rig: one stick, or two side by side that are one to the hub."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from labctl.config.inventory import VIRTUAL_PATH, Driver, FlowControl, Radio
from labctl.config.resolved import LoadedRig
from labctl.errors import LabctlError
from labctl.radio.coordinator import Coordinator
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.fence import Fence
from labctl.radio.lasting import LastingCoordinator
from labctl.radio.ports import resolve
from labctl.radio.side_by_side import SideBySide
from labctl.radio.znp import ZnpCoordinator, ZnpPort


def coordinator(
    loaded: LoadedRig,
    random_octets: Callable[[int], bytes],
    virtual_paths: Sequence[str] | None = None,
    fence_of: Callable[[str], Fence | None] = lambda _: None,
    *,
    gave_up: Callable[[LabctlError], None],
    switch_of: Callable[[str, Radio], Callable[[], Awaitable[None]] | None] = lambda *_: None,
) -> Coordinator:
    """The driver, or both, each outliving its stick for as long as the rig file says.

    `virtual_paths` are where virtual sticks listen, in the rig's order. `fence_of` gives, for a
    radio's name, what its driver asks before every write to it. `gave_up` is called when a lost
    radio does not come back. `switch_of` gives what switches a radio's power off and on, where that
    can be done.
    """
    radios = [(loaded.radio_name, loaded.radio)]
    if loaded.second is not None:
        radios.append((loaded.second.radio_name, loaded.second.radio))
    drivers = [
        LastingCoordinator(
            partial(
                _driver,
                name,
                radio,
                random_octets,
                virtual_paths[number] if virtual_paths else None,
                fence_of(name),
            ),
            name=name,
            for_s=loaded.rig.hub.reconnect.total_seconds(),
            gave_up=gave_up,
            switch=switch_of(name, radio),
        )
        for number, (name, radio) in enumerate(radios)
    ]
    return drivers[0] if len(drivers) == 1 else SideBySide(drivers)


def _driver(
    name: str,
    radio: Radio,
    random_octets: Callable[[int], bytes],
    virtual_path: str | None,
    fence: Fence | None,
) -> Coordinator:
    port: dict[str, Any] = {
        "name": name,
        "path": virtual_path or resolve(name, radio),
        "baudrate": radio.baudrate,
        "flow_control": None if radio.flow_control is FlowControl.NONE else radio.flow_control,
        "eui64": radio.eui64,
        "serial_number": radio.usb.serial_number if radio.usb else None,
        "shown_path": VIRTUAL_PATH if virtual_path else None,
        "fence": fence,
    }
    if radio.driver is Driver.ZNP:
        return ZnpCoordinator(ZnpPort(**port), random_octets)
    return EzspCoordinator(EzspPort(**port), random_octets)
