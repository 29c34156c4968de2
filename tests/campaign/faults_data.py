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
        says="it falls silent for good after a quarter of an hour",
        caught_by="D19",
        behaviour={"silent_after": "15min"},
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
    DeviceFault(
        name="forgets-the-summation",
        says="it counts from 0 again each time that it is switched on",
        caught_by="D22",
        behaviour={"display": {"forgets_summation": True}},
    ),
    DeviceFault(
        name="mixes-up-local-time",
        says="it files the half-hours of summer under local time",
        caught_by="D23",
        behaviour={"display": {"history_in_local_time": True}},
    ),
    DeviceFault(
        name="stale-tariff",
        says="it shows the first price that it was told until it is switched off",
        caught_by="D24",
        behaviour={"display": {"keeps_first_price": True}},
        device="virtual-ihd",
    ),
)
