"""Virtual devices, an IHD and a CAD: own stack, own ZCL, own habits; they know nothing of the hub.

`VirtualDevice` is the way in; `docs/virtual-devices.md` tells how they behave.
"""

from labctl.virtual.devices.device import VirtualDevice
from labctl.virtual.devices.observations import Observation, Observations, ReadCount, What
from labctl.virtual.devices.screen import MeterReadout, Screen
from labctl.virtual.devices.servers import Product
from labctl.virtual.devices.settings import (
    DEFAULT_SCHEDULES,
    Behaviour,
    Fuel,
    Kind,
    ReadSchedule,
    Timings,
)

__all__ = [
    "DEFAULT_SCHEDULES",
    "Behaviour",
    "Fuel",
    "Kind",
    "MeterReadout",
    "Observation",
    "Observations",
    "Product",
    "ReadCount",
    "ReadSchedule",
    "Screen",
    "Timings",
    "VirtualDevice",
    "What",
]
