"""D19: electricity is read every 10 s, not more often, and without gaps.

A HAN has one channel for all, and every read more is airtime that others lack; a display that
pauses for a minute is not live. The device is left alone for the time of watching (24 h), with all
others on the network. Taken are the 95th percentile of the intervals between its reads of
electricity, the longest time without one, and how many came of those that were due. Times in which
the rig was out or the device was told to be silent are left out.

The limits are for the 10 s of the published list (0.1 % is left to the clocks). Where the rig file
expects another period, they are the same in that period: a gap of six periods, never below 60 s.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import Observation, metering_schedule
from labctl.campaign.subject import Subject
from labctl.events import DeviceKind

_PERIOD_S = 10.0
_GAP_S = 60.0
_CLOCKS = 0.999


@case(
    "D19",
    "electricity is read every 10 s: p95 of the interval at least 10 s, no gap above 60 s",
    measures=(
        Measure("interval_p95_s", "s", least=_CLOCKS * _PERIOD_S, good_to=12, why="proposal"),
        Measure("longest_gap_s", "s", most=_GAP_S, why="proposal"),
        Measure("reads_of_due", "%", least=90, good_from=98, good_to=102, most=110, why="proposal"),
    ),
    kinds=(DeviceKind.CAD, DeviceKind.IHD, DeviceKind.PPMID),
    meters=("electricity",),
)
async def test_electricity_reads(
    device: Subject, measure: Measurements, observation: Observation
) -> None:
    schedule = metering_schedule(device, "electricity")
    period_s = schedule.period_ms / 1000
    measure.expect(
        "interval_p95_s",
        least=_CLOCKS * period_s,
        good_to=period_s + schedule.tolerance_ms / 1000,
    )
    measure.expect("longest_gap_s", most=max(_GAP_S, _GAP_S / _PERIOD_S * period_s))
    kept = observation.kept(device, schedule)
    watched_h = observation.seconds / 3600
    measure.take("longest_gap_s", kept.longest_s)
    measure.take(
        "reads_of_due",
        kept.share_of(schedule.period_ms * 1000),
        f"{kept.observed} reads in {watched_h:.1f} h",
    )
    if kept.intervals_us:
        measure.take("interval_p95_s", kept.interval_s(95))
