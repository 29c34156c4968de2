"""J01: a device whose install code is the hub's gets in."""

from __future__ import annotations

from labctl.campaign.case import Measure, Start, case
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.clock import MICROSECONDS
from labctl.events import JoinOutcome


@case(
    "J01",
    "correct code: joined, key established, authorised",
    measures=(
        Measure("authorised_s", "s", most=AUTHORISED_WITHIN_S, good_to=300, why="SE 1.4a 5.4.2"),
        Measure("failed_joins", most=2, good_to=0, why="proposal"),
    ),
    start=Start.UNPAIRED,
)
async def test_correct_code(device: Subject, measure: Measurements) -> None:
    began_us = device.session.clock.now_us()
    end = await device.pair()
    measure.take("authorised_s", (end.at_us - began_us) / MICROSECONDS)
    measure.take(
        "failed_joins",
        sum(each.outcome is not JoinOutcome.AUTHORISED for each in device.join_ends),
    )
