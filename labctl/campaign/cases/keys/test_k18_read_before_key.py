"""K18: without an established key there is no data.

The device joins, and the hub takes as long for key establishment as it may (see K17), so that a
device that cannot wait shows it. Until the device is authorised the hub must serve it no reads,
and must answer nothing but FAILURE, if it answers at all (SE 1.4a 5.4.6). What the device asks for
too early is noted: it gets nothing, and has to ask again. A virtual device is made to read a meter
at that time, in the clear and under the key of its install code, and looks itself at what comes.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, Start, case
from labctl.campaign.cases.keys.reaction import left_paired
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.campaign.watch import Watch
from labctl.events import JoinStepTaken, ReadServed, Refused, Step
from labctl.hub.provocation import Provocation

_WHY = "SE 1.4a 5.4.6"
_FAILURE = 0x01
_MAY_BE_READ = {0x0000, 0x0003, 0x0800}
"""Basic, Identify and Key Establishment: a device may look at them before it has a key."""


@case(
    "K18",
    "read before key establishment: FAILURE or silence, no data",
    measures=(
        Measure("reads_served", most=0, why=_WHY),
        Measure("other_answers", most=0, why=_WHY),
        Measure("value_came", most=0, optional=True, why=_WHY),
        Measure("asked_too_early", good_to=0, why="proposal"),
    ),
    start=Start.UNPAIRED,
    kinds=READERS,
    rests_on=("J01",),
)
async def test_read_before_key(device: Subject, measure: Measurements, watch: Watch) -> None:
    async with left_paired(device):
        hub, bench = device.session.hub, device.session.bench
        now_us = device.session.clock.now_us
        began_us = now_us()
        hub.provoke(device.eui64, Provocation.SLOW)
        await device.arm(round(AUTHORISED_WITHIN_S))
        await device.hands.look_for_network()
        await device.watch.wait(
            JoinStepTaken,
            device.eui64,
            within_s=AUTHORISED_WITHIN_S,
            what=f"key establishment begun by {device.name}",
            which=lambda taken: taken.step is Step.KEY_INITIATE,
        )
        made_to_us = now_us()
        if bench is not None:
            came = await bench.devices[device.name].read_too_early()
            if came is not None:
                measure.take("value_came", came)
        made_until_us = now_us()
        end = await device.authorisation(AUTHORISED_WITHIN_S)
        # From here on the hub holds the key; it only waits to hear that its confirmation arrived.
        until_us = max(
            taken.at_us
            for taken in watch.of(device.eui64, JoinStepTaken)
            if taken.join == end.join and taken.step is Step.KEY_CONFIRM
        )
        early = [read for read in device.reads if began_us <= read.at_us < until_us]
        refused = [
            refusal
            for refusal in watch.of(device.eui64, Refused, since_us=began_us)
            if refusal.at_us < until_us and _asks_for_data(refusal)
        ]
        measure.take("reads_served", sum(map(_asks_for_data, early)))
        measure.take("other_answers", sum(r.status not in (None, _FAILURE) for r in refused))
        own = [r for r in refused if not made_to_us <= r.at_us <= made_until_us]
        measure.take("asked_too_early", len(own), ", ".join(sorted({r.cause for r in own})))


def _asks_for_data(event: ReadServed | Refused) -> bool:
    return event.cluster_id is not None and event.cluster_id not in _MAY_BE_READ
