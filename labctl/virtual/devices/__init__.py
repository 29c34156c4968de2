"""Virtual devices: own stack, own ZCL, own habits; they know nothing of the hub.

`VirtualDevice` is the way in; `docs/virtual-devices.md` tells how they behave.
"""

from labctl.virtual.devices.behaviour import (
    Behaviour,
    Burst,
    Button,
    KeyCheck,
    KeyFault,
    KeyFaults,
    Layer,
    LifeStep,
    Malformed,
    Press,
)
from labctl.virtual.devices.device import VirtualDevice
from labctl.virtual.devices.display_faults import DisplayFaults
from labctl.virtual.devices.observations import Observation, Observations, ReadCount, What
from labctl.virtual.devices.picture import Picture, load_picture, picture_path
from labctl.virtual.devices.screen import MeterReadout, Screen
from labctl.virtual.devices.servers import Product
from labctl.virtual.devices.settings import (
    DEFAULT_SCHEDULES,
    Fuel,
    Kind,
    ReadSchedule,
    Timings,
)

__all__ = [
    "DEFAULT_SCHEDULES",
    "Behaviour",
    "Burst",
    "Button",
    "DisplayFaults",
    "Fuel",
    "KeyCheck",
    "KeyFault",
    "KeyFaults",
    "Kind",
    "Layer",
    "LifeStep",
    "Malformed",
    "MeterReadout",
    "Observation",
    "Observations",
    "Picture",
    "Press",
    "Product",
    "ReadCount",
    "ReadSchedule",
    "Screen",
    "Timings",
    "VirtualDevice",
    "What",
    "load_picture",
    "picture_path",
]
