"""What a run's record says of one device, as one number: whoever has the database can check it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Final

_PARTS: Final = (
    "SELECT rig, kind, simulated, labctl_version, config_sha256, started_us FROM runs"
    " WHERE id = :run",
    "SELECT eui64 FROM devices WHERE id = :device",
    "SELECT method, armed_us FROM pairings"
    " WHERE run_id = :run AND device_id = :device AND armed_us < :until ORDER BY id",
    "SELECT cases.name, attempt, results.started_us, ended_us, outcome, cause, band,"
    " firmware_version FROM results JOIN cases ON cases.id = case_id"
    " WHERE run_id = :run AND device_id = :device AND ended_us < :until ORDER BY results.id",
    "SELECT measurements.name, unit, value, text, least, most, good_from, good_to,"
    " measurements.outcome FROM measurements JOIN results ON results.id = result_id"
    " WHERE run_id = :run AND device_id = :device AND ended_us < :until ORDER BY measurements.id",
)


def digest(db: sqlite3.Connection, run_id: int, device_id: int, until_us: int) -> str:
    """SHA-256 of a device's results in a run that ended before `until_us`, and what they rest on.

    For a result of a case that has such a digest, `until_us` is the result's `ended_us`. Nothing is
    in it that later runs change, and no samples: it stays the same when they are dropped.
    """
    found = hashlib.sha256()
    for query in _PARTS:
        for row in db.execute(query, {"run": run_id, "device": device_id, "until": until_us}):
            found.update(json.dumps(list(row), separators=(",", ":")).encode() + b"\n")
    return found.hexdigest()
