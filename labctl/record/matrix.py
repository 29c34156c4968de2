"""What works with what: each device's firmware against hub generation, meter set and band.

A row is of the newest campaign that said anything of it. It is stale once the device was seen with
another firmware: then nobody knows, and a retest is due.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from labctl.events import CaseOutcome, Verdict
from labctl.record.verdict import WORST_FIRST, verdict_of

EVIDENCE = "evidence"
"""The kind of an artefact that is a campaign's evidence archive."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One combination, what the newest campaign said of it, and whether that still holds.

    `device` is the model where it is known, else the name; `firmware` is None when the device did
    not tell. `cases` is how many cases said something, `selection` what was left of them.
    `evidence_sha256` is None when no archive was made.
    """

    manufacturer: str | None
    device: str
    kind: str | None
    firmware: str | None
    generation: str
    meters: str
    band: str
    verdict: str
    cases: int
    selection: str
    rig: str
    run_id: int
    at_us: int
    simulated: bool
    stale: bool
    firmware_now: str | None
    evidence_sha256: str | None


_RESULTS = """
    SELECT devices.id, devices.manufacturer, coalesce(devices.model, devices.name, devices.eui64),
        devices.kind, results.firmware_version, campaigns.generation, campaigns.meters,
        results.band, campaigns.selection, runs.rig, runs.id, runs.started_us, runs.simulated,
        devices.firmware_version,
        (SELECT sha256 FROM artefacts WHERE run_id = runs.id AND kind = :evidence
            ORDER BY artefacts.id DESC LIMIT 1),
        results.outcome
    FROM results JOIN runs ON runs.id = results.run_id
    JOIN campaigns ON campaigns.run_id = runs.id
    JOIN devices ON devices.id = results.device_id
    WHERE runs.ended_us IS NOT NULL AND results.quarantine = ''
        AND (:rig IS NULL OR runs.rig = :rig)
        AND NOT EXISTS (SELECT 1 FROM results AS later WHERE later.run_id = results.run_id
            AND later.case_id = results.case_id AND later.device_id = results.device_id
            AND later.id > results.id)
    ORDER BY runs.started_us, runs.id, results.id
"""


def matrix(db: sqlite3.Connection, *, rig: str | None = None) -> list[MatrixRow]:
    """Every combination that a campaign was played on, by device, then the rest.

    A result without a band (the device was not on the network at its end) counts for the band that
    the others of the same campaign and device had.
    """
    campaigns: dict[tuple[int, int], list[tuple[object, ...]]] = {}
    for row in db.execute(_RESULTS, {"rig": rig, "evidence": EVIDENCE}):
        campaigns.setdefault((row[10], row[0]), []).append(tuple(row))
    newest: dict[tuple[object, ...], MatrixRow] = {}
    for rows in campaigns.values():
        for key, found in _rows_of(rows):
            newest[key] = found
    return sorted(
        newest.values(),
        key=lambda row: (row.device, row.firmware or "", row.generation, row.meters, row.band),
    )


def _rows_of(
    rows: list[tuple[object, ...]],
) -> list[tuple[tuple[object, ...], MatrixRow]]:
    """The rows of one device in one campaign: one for each band and firmware that it had."""
    bands = [str(row[7]) for row in rows if row[7]]
    firmwares = [str(row[4]) for row in rows if row[4]]
    verdicts: dict[tuple[str, str | None], list[Verdict]] = {}
    usual = (
        max(bands, key=bands.count) if bands else "",
        firmwares[-1] if firmwares else None,
    )
    for row in rows:
        verdict = verdict_of(CaseOutcome(str(row[15])))
        if verdict is None:
            continue
        key = (str(row[7] or usual[0]), str(row[4]) if row[4] else usual[1])
        verdicts.setdefault(key, []).append(verdict)
    first = rows[0]
    found: list[tuple[tuple[object, ...], MatrixRow]] = []
    for (band, firmware), own in verdicts.items():
        now = None if first[13] is None else str(first[13])
        entry = MatrixRow(
            manufacturer=None if first[1] is None else str(first[1]),
            device=str(first[2]),
            kind=None if first[3] is None else str(first[3]),
            firmware=firmware,
            generation=str(first[5]),
            meters=str(first[6]),
            band=band,
            verdict=min(own, key=WORST_FIRST.index).value,
            cases=len(own),
            selection=str(first[8]),
            rig=str(first[9]),
            run_id=int(str(first[10])),
            at_us=int(str(first[11])),
            simulated=bool(first[12]),
            stale=now is not None and firmware is not None and now != firmware,
            firmware_now=now,
            evidence_sha256=None if first[14] is None else str(first[14]),
        )
        found.append(((first[0], firmware, first[5], first[6], band), entry))
    return found
