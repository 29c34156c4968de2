"""Closing the runs that a kill left open."""

from __future__ import annotations

import json
import sqlite3

from labctl.events import Severity, Verdict

REASON = "the run was cut off: the process ended without closing it"

_LAST_RECORDED = """
SELECT max(
    coalesce((SELECT max(at_us) FROM reads WHERE run_id = :run), :begin),
    coalesce((SELECT max(at_us) FROM link_samples WHERE run_id = :run), :begin),
    coalesce((SELECT max(at_us) FROM events WHERE run_id = :run), :begin),
    coalesce((SELECT max(max(started_us, coalesce(ended_us, started_us)))
              FROM joins WHERE run_id = :run), :begin))
"""


def close_interrupted(db: sqlite3.Connection, rig: str) -> None:
    """End the runs of this rig that have no end, inside the caller's transaction.

    Whoever starts a run holds the rig's lease, so no other run of the same rig can be alive; a run
    of another rig in the same database may be, and is left alone. The end is the last thing that
    was recorded: nothing is known of what came after.
    """
    for run_id, started_us in db.execute(
        "SELECT id, started_us FROM runs WHERE rig = ? AND ended_us IS NULL", (rig,)
    ).fetchall():
        (last_us,) = db.execute(_LAST_RECORDED, {"run": run_id, "begin": started_us}).fetchone()
        db.execute(
            "INSERT INTO events (run_id, at_us, kind, severity, detail) VALUES (?, ?, ?, ?, ?)",
            (
                run_id,
                last_us,
                "run-interrupted",
                Severity.ERROR.value,
                json.dumps({"reason": REASON}),
            ),
        )
        db.execute(
            "UPDATE runs SET ended_us = ?, verdict = ?, reasons = ? WHERE id = ?",
            (last_us, Verdict.INCOMPLETE.value, json.dumps([REASON]), run_id),
        )
