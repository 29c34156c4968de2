"""The tables of campaigns: which cases were tried, what came of each attempt, what was measured."""

from __future__ import annotations

TABLES = (
    """
    CREATE TABLE campaigns (
        id         INTEGER PRIMARY KEY,
        run_id     INTEGER NOT NULL UNIQUE REFERENCES runs (id),
        generation TEXT NOT NULL,
        meters     TEXT NOT NULL,
        selection  TEXT NOT NULL DEFAULT '',
        reference  TEXT
    ) STRICT
    """,
    """
    CREATE TABLE cases (
        id    INTEGER PRIMARY KEY,
        name  TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE results (
        id               INTEGER PRIMARY KEY,
        run_id           INTEGER NOT NULL REFERENCES runs (id),
        case_id          INTEGER NOT NULL REFERENCES cases (id),
        device_id        INTEGER REFERENCES devices (id),
        attempt          INTEGER NOT NULL CHECK (attempt > 0),
        started_us       INTEGER NOT NULL,
        ended_us         INTEGER NOT NULL,
        outcome          TEXT NOT NULL,
        cause            TEXT NOT NULL DEFAULT '',
        band             TEXT,
        firmware_version TEXT,
        quarantine       TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    """
    CREATE TABLE measurements (
        id        INTEGER PRIMARY KEY,
        result_id INTEGER NOT NULL REFERENCES results (id),
        name      TEXT NOT NULL,
        unit      TEXT NOT NULL,
        value     REAL,
        text      TEXT NOT NULL DEFAULT '',
        least     REAL,
        most      REAL,
        good_from REAL,
        good_to   REAL,
        outcome   TEXT NOT NULL
    ) STRICT
    """,
    "ALTER TABLE artefacts ADD COLUMN result_id INTEGER REFERENCES results (id)",
)

EVIDENCE = (
    "ALTER TABLE campaigns ADD COLUMN seed INTEGER",
    "ALTER TABLE artefacts ADD COLUMN first_frame INTEGER",
    "ALTER TABLE artefacts ADD COLUMN last_frame INTEGER",
    "ALTER TABLE artefacts ADD COLUMN first_us INTEGER",
    "ALTER TABLE artefacts ADD COLUMN last_us INTEGER",
    "ALTER TABLE artefacts ADD COLUMN left_out INTEGER",
)
"""Added later: what a campaign can be had again with, and which frames a capture is evidence by."""

INDEXES = (
    "CREATE INDEX results_by_run ON results (run_id, started_us)",
    "CREATE INDEX results_by_case ON results (case_id, device_id, started_us)",
    "CREATE INDEX measurements_by_result ON measurements (result_id)",
)

VIEWS = (
    # The last attempt of each case and device is what a run says of it.
    """
    CREATE VIEW v_case_results AS
    SELECT
        results.run_id,
        runs.rig,
        cases.name AS "case",
        cases.title,
        devices.name AS device,
        results.firmware_version,
        results.band,
        results.attempt,
        results.outcome,
        results.cause,
        results.quarantine,
        round((results.ended_us - results.started_us) / 1e6, 3) AS took_s,
        strftime('%Y-%m-%dT%H:%M:%SZ', results.started_us / 1000000, 'unixepoch') AS started
    FROM results
    JOIN runs ON runs.id = results.run_id
    JOIN cases ON cases.id = results.case_id
    LEFT JOIN devices ON devices.id = results.device_id
    ORDER BY results.run_id, cases.name, devices.name, results.attempt
    """,
)
