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
    DeviceFault(
        name="floods-the-hub",
        says="it sends five reads a second and waits for no answer",
        caught_by="A28",
        behaviour={"flood": {"per_second": 5}},
    ),
    DeviceFault(
        name="crashes-on-malformed",
        says="it hangs once it hears a frame that cannot be read",
        caught_by="A29",
        behaviour={"crashes_on_malformed": True},
    ),
    DeviceFault(
        name="sends-malformed",
        says="it sends ZCL of random octets now and then",
        caught_by="A29",
        behaviour={"malformed": {"per_second": 0.2, "layers": ["zcl"]}},
        device="virtual-ihd",
    ),
)
