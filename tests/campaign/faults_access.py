"""Faults that the cases on access and robustness find."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="writes-to-the-meter",
        says="it writes the meter's Multiplier once it is registered",
        caught_by="A26",
        behaviour={"writes_attribute": True},
    ),
    DeviceFault(
        name="sends-ppmid-commands",
        says="a CAD that sends what only a PPMID or a supplier may",
        caught_by="A27",
        behaviour={"forbidden_commands_every": "1min"},
    ),
)
