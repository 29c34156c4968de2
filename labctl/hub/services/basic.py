"""Basic 0x0000: who the hub is (ZCL 3.2)."""

from __future__ import annotations

from labctl.hub.services.base import Attribute, Security, Service, defined
from labctl.smart_energy.clusters import Basic

_MAINS = 0x01


class BasicService(Service[None]):
    """Readable without APS security, by whoever is in the device log."""

    definition = Basic
    security = Security.NONE

    def __init__(self, *, manufacturer: str, model: str) -> None:
        super().__init__(
            [
                Attribute(defined(Basic, "zcl_version"), 2),
                Attribute(defined(Basic, "app_version"), 1),
                Attribute(defined(Basic, "stack_version"), 1),
                Attribute(defined(Basic, "hw_version"), 1),
                Attribute(defined(Basic, "manufacturer"), manufacturer),
                Attribute(defined(Basic, "model"), model),
                Attribute(defined(Basic, "power_source"), _MAINS),
                Attribute(defined(Basic, "physical_env"), 0),
            ]
        )
