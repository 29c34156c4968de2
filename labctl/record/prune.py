"""Dropping the samples of old runs. Verdicts, results, joins and roll-ups stay."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

SAMPLES = ("reads", "link_samples", "link_reports", "airtime_samples", "noise_samples")
"""Tables that grow with time. What they come to is kept in roll-ups, counts and verdicts."""


@dataclass(frozen=True, slots=True)
class Prunable:
    """A run whose samples are old enough to go, and how many those are."""

    run_id: int
    rig: str
    started_us: int
    samples: int


def prunable(db: sqlite3.Connection, before_us: int) -> list[Prunable]:
    """Runs that ended before that time and still have their samples, oldest first."""
    counts = " + ".join(
        f"(SELECT count(*) FROM {table} WHERE run_id = runs.id)"  # noqa: S608 - our own names
        for table in SAMPLES
    )
    return [
        Prunable(*row)
        for row in db.execute(
            f"SELECT id, rig, started_us, {counts} FROM runs"  # noqa: S608 - our own names
            " WHERE ended_us < ? AND pruned_us IS NULL ORDER BY id",
            (before_us,),
        )
    ]


def prune(db: sqlite3.Connection, run: Prunable, now_us: int) -> None:
    """Roll a run up and drop its samples, as one transaction. Raises `sqlite3.Error`."""
    values = {"run": run.run_id, "now": now_us}
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(
            "INSERT INTO schedule_rollups (run_id, schedule_id, expected, observed, p50_ms,"
            " p95_ms, longest_gap_ms, early, late, missed) SELECT run_id, schedule_id, expected,"
            " observed, p50_ms, p95_ms, longest_gap_ms, early, late, missed"
            " FROM v_schedule_compliance WHERE run_id = :run",
            values,
        )
        db.execute(
            "INSERT INTO run_rollups (run_id, reads, reads_unanswered, link_samples)"
            " SELECT run_id, reads, reads_unanswered, link_samples FROM v_rig_health"
            " WHERE run_id = :run",
            values,
        )
        for table in SAMPLES:
            db.execute(f"DELETE FROM {table} WHERE run_id = :run", values)  # noqa: S608 - our names
        db.execute("UPDATE runs SET pruned_us = :now WHERE id = :run", values)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def give_back(db: sqlite3.Connection) -> None:
    """Make the file as small as its contents. Takes as much disk again while it works."""
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
