"""D20: gas is read at most once in 30 min, and from the hub's gas proxy.

A gas meter sleeps and shows its register to the hub every half hour: to read more often brings
nothing, and to read it from the meter itself would empty its battery. The device is left alone for
the time of watching (24 h). Taken are the middle of the intervals between its reads of the gas
register, whatever else it asked for with it, and how many of them were shorter than half an hour: a
few are allowed, for registration and for an answer that was lost. `from_proxy` counts the reads at
the hub's endpoint for gas; a device that asks the hub for a key with another node wants to talk to
the meter itself.

The limits are for the half hour of the published list. Where the rig file expects reads of gas more
often than that, they are for the period that it gives.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.findings import Incomplete
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import Observation, metering_endpoint, metering_schedule
from labctl.campaign.so_far import notes
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.events import DeviceKind

_HALF_HOUR_S = 1800.0
_CLOCKS = 0.999
_INTERVALS = 4
"""Fewer say nothing of what is usual: one of them may be from registration."""


@case(
    "D20",
    "gas is read at most once in 30 min, from the gas proxy",
    measures=(
        Measure("interval_p50_s", "s", least=_CLOCKS * _HALF_HOUR_S, optional=True, why="S1 p. 3"),
        Measure("too_soon", most=4, good_to=2, why="proposal"),
        Measure("from_proxy", least=1, why="S1 p. 3"),
        Measure("partner_keys", most=0, why="proposal"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("gas",),
)
async def test_gas_reads(device: Subject, measure: Measurements, observation: Observation) -> None:
    schedule = metering_schedule(device, "gas")
    least_s = _CLOCKS * min(_HALF_HOUR_S, schedule.period_ms / 1000)
    measure.expect("interval_p50_s", least=least_s)
    endpoint = metering_endpoint(device, schedule, "gas")
    kept = observation.register_kept(device, schedule, endpoint)
    if observation.seconds < 2 * least_s:
        raise Incomplete(f"the time of watching is too short: {observation.seconds:g} s")
    if len(kept.intervals_us) >= _INTERVALS:
        measure.take("interval_p50_s", kept.interval_s(50))
    measure.take("too_soon", sum(each < least_s * MICROSECONDS for each in kept.intervals_us))
    measure.take("from_proxy", kept.observed)
    measure.take("partner_keys", notes(device, "partner-key-sent"))
