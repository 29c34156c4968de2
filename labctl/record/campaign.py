"""What is recorded of a campaign."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections import defaultdict

from labctl.record import fetch
from labctl.record.rows import Campaign, CaptureRow, CaseResult, Measurement


def campaign(db: sqlite3.Connection, run_id: int) -> Campaign | None:
    """The campaign of that run with all its results; None when the run is of another kind."""
    found = fetch.rows(
        db,
        Campaign,
        "SELECT generation, meters, selection, reference, seed FROM campaigns WHERE run_id = :run",
        {"run": run_id},
    )
    if not found:
        return None
    return dataclasses.replace(found[0], results=results(db, run_id))


def results(db: sqlite3.Connection, run_id: int) -> tuple[CaseResult, ...]:
    """All attempts at all cases of a run, in the order of their beginning."""
    measured: dict[int, list[Measurement]] = defaultdict(list)
    for row in db.execute(
        "SELECT result_id, measurements.name, unit, value, text, least, most, good_from, good_to,"
        " measurements.outcome FROM measurements JOIN results ON results.id = result_id"
        " WHERE run_id = ? ORDER BY measurements.id",
        (run_id,),
    ):
        measured[row[0]].append(Measurement(*row[1:]))
    captures = {
        row[0]: CaptureRow(*row[1:])
        for row in db.execute(
            "SELECT result_id, path, sha256, bytes, first_frame, last_frame, first_us, last_us,"
            " left_out FROM artefacts WHERE run_id = ? AND kind = 'capture'"
            " AND result_id IS NOT NULL AND first_frame IS NOT NULL",
            (run_id,),
        )
    }
    found = fetch.rows(
        db,
        CaseResult,
        'SELECT results.id, cases.name AS "case", title, device_id, attempt, started_us, ended_us,'
        " outcome, cause, band, firmware_version, quarantine"
        " FROM results JOIN cases ON cases.id = case_id"
        " WHERE run_id = :run ORDER BY started_us, results.id",
        {"run": run_id},
    )
    return tuple(
        dataclasses.replace(
            result, measurements=tuple(measured[result.id]), capture=captures.get(result.id)
        )
        for result in found
    )
