"""L42: what the report needs is in the record: address, firmware, certificate, dates, and a hash.

A result is worth something to others only with what it is of (S1 p. 6, S2 paragraph 306): which
device by its MAC address, with which firmware, by a certificate of which suite, when it was seen
first and last, and a hash by which the evidence can be recognised. The hash is of this device's
results of this run until now, with their measurements, and of what they rest on; whoever has the
database can work it out again (labctl.record.digest). What no key establishment of the device is in
the database for, its suite, is left open rather than blamed on the device.
"""

from __future__ import annotations

import datetime

from labctl.campaign.case import READERS, Measure, case
from labctl.campaign.coming_back import steady
from labctl.campaign.identity import asked_who_it_is, flushed, recorded
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.record.digest import digest
from labctl.smart_energy.eui64 import Eui64


@case(
    "L42",
    "the report has address, firmware, certificate suite, dates and a hash of the evidence",
    measures=(
        Measure.yes("mac", why="S1 p. 6"),
        Measure.yes("firmware", why="S1 p. 6"),
        Measure("suite", least=1, most=2, why="S1 p. 6"),
        Measure.yes("dates", why="S1 p. 6"),
        Measure.yes("evidence_hash", why="S1 p. 6"),
    ),
    kinds=READERS,
)
async def test_in_writing(device: Subject, measure: Measurements) -> None:
    await steady(device)
    await asked_who_it_is(device)
    found = recorded(device)
    measure.take("mac", Eui64(found.eui64) == device.eui64, found.eui64)
    measure.take("firmware", found.firmware is not None, found.firmware or "")
    if found.suite is not None:
        issuer = f", issued by {found.issuer}" if found.issuer else ""
        measure.take("suite", found.suite, f"{found.suite}{issuer}")
    now_us = device.session.clock.now_us()
    dates = f"{_date(found.first_seen_us)} to {_date(found.last_seen_us)}"
    measure.take("dates", found.first_seen_us <= found.last_seen_us <= now_us, dates)
    evidence = digest(flushed(device), device.session.run_id, found.id, now_us)
    measure.take("evidence_hash", len(evidence) == 64, f"SHA-256 {evidence}")


def _date(at_us: int) -> str:
    return datetime.datetime.fromtimestamp(at_us / MICROSECONDS, datetime.UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
