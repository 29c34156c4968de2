"""L41: a device tells its firmware, and what an earlier one was shown to do is stale.

The hub reads the version out of the device's Basic cluster (0x0000) at this instant. A result holds
for the firmware that it was got with and for no other (S1 p. 10, S2 paragraph 306): every case
whose latest result in this database is of another version has to be tried again, and is named. A
device that tells no version cannot be told from an older one, and fails. The case is best played
after all others, since it counts what they have left to do.
"""

from __future__ import annotations

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import steady
from labctl.campaign.identity import asked_who_it_is, flushed
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.events import CaseOutcome

_OWN = "L41"
"""Its own results say nothing of the device's behaviour."""
_SAID = (CaseOutcome.PASS, CaseOutcome.MARGINAL, CaseOutcome.FAIL)


@case(
    _OWN,
    "new firmware version: earlier results are stale, a retest is due",
    measures=(
        Measure.yes("version_told", why="S1 p. 10"),
        Measure("stale_results", optional=True),
        Measure("cases_due", optional=True, good_to=0, why="S2 paragraph 306"),
    ),
    kinds=READERS,
)
async def test_new_firmware(device: Subject, measure: Measurements) -> None:
    await steady(device)
    version = (await asked_who_it_is(device)).firmware_version
    measure.take("version_told", version is not None, version or "")
    if version is None:
        return
    stale, due = _of_other_versions(device, version)
    measure.take("stale_results", stale)
    measure.take("cases_due", len(due), f"{len(due)}: {', '.join(due)}" if due else "")


def _of_other_versions(device: Subject, version: str) -> tuple[int, list[str]]:
    """How many results are of another firmware, and the cases whose latest one is."""
    latest: dict[str, str] = {}
    stale = 0
    for name, firmware, outcome in flushed(device).execute(
        "SELECT cases.name, results.firmware_version, outcome FROM results"
        " JOIN cases ON cases.id = results.case_id JOIN devices ON devices.id = device_id"
        " WHERE eui64 = ? AND results.firmware_version IS NOT NULL"
        " ORDER BY results.ended_us, results.id",
        (device.eui64,),
    ):
        if outcome not in _SAID or name == _OWN:
            continue
        latest[name] = firmware
        stale += firmware != version
    return stale, sorted(name for name, firmware in latest.items() if firmware != version)
