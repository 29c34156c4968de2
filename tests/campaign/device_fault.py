"""Faults of devices that the campaign has to find, and the case that finds each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFault:
    """A virtual device with one fault. `behaviour` is as the inventory has it."""

    name: str
    says: str
    """What is wrong with the device, in a few words."""
    caught_by: str
    """The case that has to fail."""
    behaviour: Mapping[str, Any]
    device: str = "virtual-cad"
    rig: str = "virtual"
    with_cases: tuple[str, ...] = field(default=())
    """Cases that have to be played before it."""
    entry: Mapping[str, Any] = field(default_factory=dict)
    """What else is other in the device's entry of the inventory."""

    @property
    def given(self) -> dict[str, Any]:
        """What `play` and `rig_in` have to be given for it."""
        return {
            "rig": self.rig,
            "device": self.device,
            "behaviour": self.behaviour,
            "entry": self.entry,
        }
