"""Faults of devices in their life cycle, and the case that finds each."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="stays when it is removed",
        says="it obeys no APS Remove Device, and talks on",
        caught_by="L39",
        behaviour={"stays_when_removed": True},
    ),
)
