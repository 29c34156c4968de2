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
    DeviceFault(
        name="keeps the former tenant's data",
        says="it keeps the half-hours of the tenant before, though it is told to clear them",
        caught_by="L40",
        behaviour={"keeps_tenant_data": True},
    ),
    DeviceFault(
        name="tells no firmware version",
        says="its Basic cluster has no version of its firmware",
        caught_by="L41",
        behaviour={"hides_firmware": True},
    ),
)
