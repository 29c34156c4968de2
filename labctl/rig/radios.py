"""The coordinator of a rig: one stick, or two side by side that are one to the hub."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labctl.config.inventory import VIRTUAL_PATH, FlowControl, Radio
from labctl.config.resolved import LoadedRig
from labctl.radio.coordinator import Coordinator
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.fence import Fence
from labctl.radio.ports import resolve
from labctl.radio.side_by_side import SideBySide


def coordinator(
    loaded: LoadedRig,
    random_octets: Callable[[int], bytes],
    virtual_paths: Sequence[str] | None = None,
    fence_of: Callable[[str], Fence | None] = lambda _: None,
) -> Coordinator:
    """The driver, or both. `virtual_paths` are where virtual sticks listen, in the rig's order.

    `fence_of` gives, for a radio's name, what its driver asks before every write to it.
    """
    radios = [(loaded.radio_name, loaded.radio)]
    if loaded.second is not None:
        radios.append((loaded.second.radio_name, loaded.second.radio))
    drivers = [
        _driver(
            name,
            radio,
            random_octets,
            virtual_paths[number] if virtual_paths else None,
            fence_of(name),
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
    return EzspCoordinator(
        EzspPort(
            name=name,
            path=virtual_path or resolve(name, radio),
            baudrate=radio.baudrate,
            flow_control=None if radio.flow_control is FlowControl.NONE else radio.flow_control,
            eui64=radio.eui64,
            serial_number=radio.usb.serial_number if radio.usb else None,
            shown_path=VIRTUAL_PATH if virtual_path else None,
            fence=fence,
        ),
        random_octets,
    )
