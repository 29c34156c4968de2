"""Faults of devices in recovery, and the case that finds each."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="forgets its network",
        says="it forgets network and keys with its power, and has to be paired anew",
        caught_by="R31",
        behaviour={"forgets_network": True},
    ),
)
