"""J09: a device more than the log has room for is refused, and the log stays as it was.

The log is filled with devices that do not exist, until it holds as many as the rig file says
(S2 para. 15: 16), and one more is added. It has to be refused with a sentence, on record, and the
whole log, its historic part and the keys in the radio must be after that what they were before, by
value. At the end the devices that do not exist go, and what is left must be what the case found.
"""

from __future__ import annotations

from labctl.campaign.case import Measure, case
from labctl.campaign.cases.join.door import placeholder, whole_log
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.watch import Watch
from labctl.errors import RigError
from labctl.events import Note, PairingArmed
from labctl.hub.hub import Hub
from labctl.hub.settings import LoggedDevice, PairingRequest
from labctl.rig.session import RigSession
from labctl.smart_energy.device_types import DeviceLogType

WINDOW_S = 600
_FIRST = 16


@case(
    "J09",
    "one device over the limit: refused, the log unchanged",
    measures=(
        Measure.exactly("short_of_limit", 0, why="S2 para. 15: the rig file's max_devices"),
        Measure.yes("refused"),
        Measure.yes("refusal_recorded"),
        Measure.exactly("armed", 0),
        Measure.exactly("changes_of_log", 0),
        Measure.exactly("left_behind", 0),
    ),
)
async def test_one_over_the_limit(rig: Stage, watch: Watch, measure: Measurements) -> None:
    session = rig.session
    await session.hub.close_joining()
    found = await whole_log(session)
    added: list[LoggedDevice] = []
    try:
        room = places(session) - taken(session.hub)
        for number in range(_FIRST, _FIRST + room):
            added.append(placeholder(number))
            await _add(session.hub, added[-1])
        full = await whole_log(session)
        over = placeholder(_FIRST - 1)
        try:
            await _add(session.hub, over)
        except RigError as error:
            measure.take("refused", "log is full" in error.what, error.what)
        else:
            added.append(over)
            measure.take("refused", 0, f"{over.name} was let in")
        changes = full.differences(await whole_log(session))
        measure.take("short_of_limit", places(session) - len(full.log.devices))
        measure.take("changes_of_log", len(changes), ", ".join(changes))
        measure(
            refusal_recorded=any(
                note.kind == "pairing-refused" for note in watch.of(over.eui64, Note)
            ),
            armed=len(watch.of(over.eui64, PairingArmed)),
        )
    finally:
        for other in added:
            await session.hub.unpair(other.eui64, "campaign: it was there to fill the log")
    left = found.differences(await whole_log(session))
    measure.take("left_behind", len(left), ", ".join(left))


def places(session: RigSession) -> int:
    """How many devices the log has room for, the gas proxy's channel left out."""
    hub = session.loaded.rig.hub
    return hub.max_devices - hub.gas_proxy_counts


def taken(hub: Hub) -> int:
    """How many of them are taken."""
    return sum(
        device.listed and device.log_type is not DeviceLogType.GPF for device in hub.device_log()
    )


async def _add(hub: Hub, other: LoggedDevice) -> None:
    await hub.pair(
        PairingRequest(
            eui64=other.eui64,
            window_s=WINDOW_S,
            requested_by="campaign",
            consent_reference="campaign: a device that does not exist",
            device=other,
        )
    )
