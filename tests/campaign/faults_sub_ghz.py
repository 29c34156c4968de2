"""Faults of devices on 868 MHz, and the case that finds each."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="talks though suspended",
        says="it goes on reading though the hub told it to be silent",
        caught_by="S36",
        behaviour={"ignores_suspension": True},
        device="sub-ghz-cad-1",
        rig="virtual-868",
    ),
    DeviceFault(
        name="answers a Suspend",
        says="it answers Suspend ZCL Messages with a Default Response",
        caught_by="S36",
        behaviour={"answers_suspension": True},
        device="sub-ghz-cad-1",
        rig="virtual-868",
    ),
    DeviceFault(
        name="never asks whether to talk",
        says="it talks at once after a power cut, and does not ask whether it may",
        caught_by="S36",
        behaviour={"never_asks_suspension": True},
        device="sub-ghz-cad-1",
        rig="virtual-868",
    ),
    DeviceFault(
        name="ignores a channel change at 868 MHz",
        says="it stays on the channel that the hub leaves, and has to search",
        caught_by="S38",
        behaviour={"ignores_channel_change": True},
        device="sub-ghz-cad-1",
        rig="virtual-868",
    ),
    DeviceFault(
        name="does not wait with its download",
        says="it asks for the next block of its image at once, though it is told to wait",
        caught_by="S37",
        behaviour={"ignores_ota_wait": True},
        device="sub-ghz-cad-1",
        rig="virtual-868",
    ),
)
