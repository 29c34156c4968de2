"""Pairings as the database has them: evidence of who is, or was, in a rig's device log."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

_QUERY = """
    SELECT d.eui64, d.name, d.kind, p.method, p.requested_by, p.consent_reference, p.armed_us,
           p.window_s, p.closed_us, p.authorised, p.removed_us, p.removal_reason
      FROM pairings p
      JOIN runs r ON r.id = p.run_id
      JOIN devices d ON d.id = p.device_id
     WHERE r.rig = ?
     ORDER BY p.id
"""


@dataclass(frozen=True, slots=True)
class Pairing:
    """The newest pairing of a device on a rig. Times are UTC microseconds."""

    eui64: str
    name: str | None
    kind: str | None
    method: str
    requested_by: str
    consent_reference: str | None
    armed_us: int
    window_s: int
    closed_us: int | None
    authorised: bool | None
    removed_us: int | None
    removal_reason: str | None


def pairings_of(connection: sqlite3.Connection, rig: str) -> dict[str, Pairing]:
    """The newest pairing of each device that was ever paired on a rig, by address."""
    found: dict[str, Pairing] = {}
    for row in connection.execute(_QUERY, (rig,)):
        authorised = None if row[9] is None else bool(row[9])
        pairing = replace(Pairing(*row), authorised=authorised)
        found.pop(pairing.eui64, None)
        found[pairing.eui64] = pairing
    return found
