"""Who a device says that it is, and what the record has of it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from labctl.campaign.findings import Failed, NotSeen
from labctl.campaign.subject import Subject
from labctl.events import DeviceSeen

_TRIES = 3
_ANSWERS_WITHIN_S = 60.0


async def asked_who_it_is(device: Subject) -> DeviceSeen:
    """Have the hub read the device's Basic cluster. Raises `Failed` when nothing comes of it."""
    for _ in range(_TRIES):
        device.session.hub.identify(device.eui64)
        try:
            return await device.watch.wait(
                DeviceSeen,
                device.eui64,
                within_s=_ANSWERS_WITHIN_S,
                what="an answer of its Basic cluster",
                which=lambda seen: seen.kind is None,  # a declaration says what it is
            )
        except NotSeen:
            continue
    raise Failed(f"{device.name} answers no read of its Basic cluster, in {_TRIES} tries")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A device as it is in the record."""

    id: int
    eui64: str
    firmware: str | None
    suite: int | None
    issuer: str | None
    first_seen_us: int
    last_seen_us: int


def recorded(device: Subject) -> Recorded:
    """What the record has of a device, with all that happened until now."""
    row = flushed(device).execute(
        "SELECT id, eui64, firmware_version, certificate_suite, certificate_issuer, first_seen_us,"
        " last_seen_us FROM devices WHERE eui64 = ?",
        (device.eui64,),
    )
    return Recorded(*row.fetchone())


def flushed(device: Subject) -> sqlite3.Connection:
    """The database, with all that happened until now."""
    device.session.recorder.flush()
    return device.session.recorder.connection
