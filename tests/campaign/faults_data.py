"""Faults that the cases on data find."""

from __future__ import annotations

from device_fault import DeviceFault

FAULTS = (
    DeviceFault(
        name="reads-electricity-too-often",
        says="it reads electricity every 2 s",
        caught_by="D19",
        behaviour={"read_periods": {"electricity": "2s"}},
    ),
    DeviceFault(
        name="reads-electricity-too-seldom",
        says="it reads electricity every 20 s",
        caught_by="D19",
        behaviour={"read_periods": {"electricity": "20s"}},
    ),
    DeviceFault(
        name="stops-reading",
        says="it falls silent for good after half an hour",
        caught_by="D19",
        behaviour={"silent_after": "30min"},
    ),
    DeviceFault(
        name="asks-twice",
        says="it sends each of its reads twice",
        caught_by="D19",
        behaviour={"reads_per_slot": 2},
    ),
    DeviceFault(
        name="reads-gas-too-often",
        says="it reads gas every 5 min",
        caught_by="D20",
        behaviour={"read_periods": {"gas": "5min"}},
    ),
    DeviceFault(
        name="gives-up-after-unsupported",
        says="it never reads electricity again once an attribute was unsupported",
        caught_by="D25",
        behaviour={"gives_up_after_unsupported": True},
    ),
    DeviceFault(
        name="ignores-the-divisor",
        says="it shows readings as if every meter's Divisor were 1000",
        caught_by="D21",
        behaviour={"display": {"ignores_divisor": True}},
    ),
    DeviceFault(
        name="ignores-the-multiplier",
        says="it shows readings as if every meter's Multiplier were 1",
        caught_by="D21",
        behaviour={"display": {"ignores_multiplier": True}},
        device="virtual-ihd",
    ),
)
