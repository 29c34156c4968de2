"""The tables, indexes and views of the database, as named migrations.

The database is a public interface: people open it in Datasette, in notebooks and in CI scripts.
A column may be added at the end of its table by a new migration; an existing migration is never
edited. `docs/database.md` describes every table and column, and a test holds it to this module.

Conventions: STRICT tables, integer keys, times ``…_us`` in UTC microseconds since the epoch, units
in the names, EUI-64 as ``aa:bb:cc:dd:ee:ff:00:11``. No column can hold a key, an install code or a
private key.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlite_utils import Database, Migrations

from labctl.record import schema_bearers, schema_campaign, schema_prune, schema_survey
from labctl.record.views import VIEWS

#: ``PRAGMA application_id``: "labc", so that ``file`` and we can tell the database from others.
APPLICATION_ID = 0x6C616263

migrations = Migrations("labctl")

_TABLES = (
    """
    CREATE TABLE runs (
        id             INTEGER PRIMARY KEY,
        rig            TEXT NOT NULL,
        kind           TEXT NOT NULL,
        started_us     INTEGER NOT NULL,
        ended_us       INTEGER,
        verdict        TEXT,
        simulated      INTEGER NOT NULL CHECK (simulated IN (0, 1)),
        labctl_version TEXT NOT NULL,
        host           TEXT NOT NULL,
        config_sha256  TEXT NOT NULL,
        note           TEXT NOT NULL DEFAULT '',
        reasons        TEXT NOT NULL DEFAULT '[]'
    ) STRICT
    """,
    """
    CREATE TABLE radios (
        id               INTEGER PRIMARY KEY,
        run_id           INTEGER NOT NULL REFERENCES runs (id),
        name             TEXT NOT NULL,
        driver           TEXT NOT NULL,
        band             TEXT NOT NULL,
        path             TEXT NOT NULL,
        serial_number    TEXT,
        manufacturer     TEXT,
        model            TEXT,
        firmware         TEXT,
        protocol_version INTEGER,
        eui64            TEXT NOT NULL,
        page             INTEGER NOT NULL,
        channel          INTEGER NOT NULL,
        tx_power_dbm     INTEGER,
        pan_id           INTEGER,
        extended_pan_id  TEXT,
        resumed          INTEGER CHECK (resumed IN (0, 1)),
        up_us            INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE devices (
        id                 INTEGER PRIMARY KEY,
        eui64              TEXT NOT NULL UNIQUE,
        name               TEXT,
        kind               TEXT,
        manufacturer       TEXT,
        model              TEXT,
        hardware_version   TEXT,
        firmware_version   TEXT,
        certificate_suite  INTEGER,
        certificate_issuer TEXT,
        first_seen_us      INTEGER NOT NULL,
        last_seen_us       INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE pairings (
        id                INTEGER PRIMARY KEY,
        run_id            INTEGER NOT NULL REFERENCES runs (id),
        device_id         INTEGER NOT NULL REFERENCES devices (id),
        method            TEXT NOT NULL,
        requested_by      TEXT NOT NULL,
        consent_reference TEXT,
        armed_us          INTEGER NOT NULL,
        window_s          INTEGER NOT NULL,
        removed_us        INTEGER,
        removal_reason    TEXT,
        closed_us         INTEGER,
        authorised        INTEGER CHECK (authorised IN (0, 1))
    ) STRICT
    """,
    """
    CREATE TABLE joins (
        id         INTEGER PRIMARY KEY,
        run_id     INTEGER NOT NULL REFERENCES runs (id),
        eui64      TEXT NOT NULL,
        device_id  INTEGER REFERENCES devices (id),
        kind       TEXT NOT NULL,
        band       TEXT NOT NULL,
        page       INTEGER NOT NULL,
        channel    INTEGER NOT NULL,
        nwk        INTEGER,
        parent_nwk INTEGER,
        started_us INTEGER NOT NULL,
        ended_us   INTEGER,
        outcome    TEXT,
        cause      TEXT
    ) STRICT
    """,
    """
    CREATE TABLE join_steps (
        id         INTEGER PRIMARY KEY,
        join_id    INTEGER NOT NULL REFERENCES joins (id),
        step       TEXT NOT NULL,
        at_us      INTEGER NOT NULL,
        elapsed_us INTEGER NOT NULL,
        status     TEXT NOT NULL,
        detail     TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    """
    CREATE TABLE link_samples (
        id        INTEGER PRIMARY KEY,
        run_id    INTEGER NOT NULL REFERENCES runs (id),
        device_id INTEGER NOT NULL REFERENCES devices (id),
        radio_id  INTEGER REFERENCES radios (id),
        at_us     INTEGER NOT NULL,
        direction TEXT NOT NULL,
        page      INTEGER NOT NULL,
        channel   INTEGER NOT NULL,
        rssi_dbm  INTEGER,
        lqi       INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE read_schedules (
        id           INTEGER PRIMARY KEY,
        run_id       INTEGER NOT NULL REFERENCES runs (id),
        device_id    INTEGER NOT NULL REFERENCES devices (id),
        name         TEXT NOT NULL,
        cluster_id   INTEGER NOT NULL,
        attributes   TEXT NOT NULL,
        period_ms    INTEGER NOT NULL CHECK (period_ms > 0),
        tolerance_ms INTEGER NOT NULL,
        endpoint     INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE reads (
        id            INTEGER PRIMARY KEY,
        run_id        INTEGER NOT NULL REFERENCES runs (id),
        device_id     INTEGER NOT NULL REFERENCES devices (id),
        at_us         INTEGER NOT NULL,
        initiator     TEXT NOT NULL,
        schedule_id   INTEGER REFERENCES read_schedules (id),
        endpoint      INTEGER NOT NULL,
        cluster_id    INTEGER NOT NULL,
        command_id    INTEGER,
        attributes    TEXT NOT NULL,
        status        INTEGER,
        latency_us    INTEGER NOT NULL,
        aps_encrypted INTEGER NOT NULL CHECK (aps_encrypted IN (0, 1))
    ) STRICT
    """,
    """
    CREATE TABLE events (
        id        INTEGER PRIMARY KEY,
        run_id    INTEGER NOT NULL REFERENCES runs (id),
        at_us     INTEGER NOT NULL,
        kind      TEXT NOT NULL,
        device_id INTEGER REFERENCES devices (id),
        severity  TEXT NOT NULL,
        detail    TEXT NOT NULL DEFAULT '{}'
    ) STRICT
    """,
    """
    CREATE TABLE artefacts (
        id     INTEGER PRIMARY KEY,
        run_id INTEGER NOT NULL REFERENCES runs (id),
        kind   TEXT NOT NULL,
        path   TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        bytes  INTEGER NOT NULL
    ) STRICT
    """,
)

# Run first: whatever a report asks, it asks of one run, and years of other runs lie beside it.
_INDEXES = (
    "CREATE INDEX runs_by_rig ON runs (rig, started_us)",
    "CREATE INDEX radios_by_run ON radios (run_id)",
    "CREATE INDEX pairings_by_run ON pairings (run_id)",
    "CREATE INDEX pairings_by_device ON pairings (device_id)",
    "CREATE INDEX joins_by_run ON joins (run_id, started_us)",
    "CREATE INDEX join_steps_by_join ON join_steps (join_id)",
    "CREATE INDEX link_samples_by_run ON link_samples (run_id, device_id, at_us)",
    "CREATE INDEX read_schedules_by_run ON read_schedules (run_id, device_id)",
    "CREATE INDEX reads_by_run ON reads (run_id, device_id, at_us)",
    "CREATE INDEX reads_by_schedule ON reads (schedule_id, at_us)",
    "CREATE INDEX events_by_run ON events (run_id, at_us)",
    "CREATE INDEX artefacts_by_run ON artefacts (run_id)",
)


def _execute(db: Database, statements: Iterable[str]) -> None:
    # Not executescript(), which would commit the migration's transaction first.
    for statement in statements:
        db.execute(statement)


@migrations(name="0001_first_tables")
def first_tables(db: Database) -> None:
    """The tables of the bench: runs, radios, devices, joins, link samples, reads, events."""
    _execute(db, _TABLES)
    _execute(db, _INDEXES)
    _execute(db, VIEWS)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


@migrations(name="0002_bearers")
def bearers(db: Database) -> None:
    """Bearers: counts behind links, what devices report of them, airtime, noise, deliveries."""
    _execute(db, schema_bearers.TABLES)
    _execute(db, schema_bearers.INDEXES)
    _execute(db, schema_bearers.COUNT_OLD_SAMPLES)
    _execute(db, schema_bearers.VIEWS)


@migrations(name="0003_campaign")
def campaign(db: Database) -> None:
    """Campaigns: cases, results, measurements."""
    _execute(db, schema_campaign.TABLES)
    _execute(db, schema_campaign.INDEXES)
    _execute(db, schema_campaign.VIEWS)


@migrations(name="0004_prune")
def prune(db: Database) -> None:
    """Roll-ups of runs whose samples were dropped."""
    _execute(db, schema_prune.TABLES)
    _execute(db, schema_prune.INDEXES)
    _execute(db, schema_prune.VIEWS)


@migrations(name="0005_evidence")
def evidence(db: Database) -> None:
    """The seed of a campaign, and the frames of a capture."""
    _execute(db, schema_campaign.EVIDENCE)


@migrations(name="0006_survey")
def survey(db: Database) -> None:
    """Range surveys: waypoints, probes, verdicts."""
    _execute(db, schema_survey.TABLES)
    _execute(db, schema_survey.INDEXES)
    _execute(db, schema_survey.VIEWS)


def known_migrations() -> list[str]:
    """The names of all migrations that this labctl knows, in order."""
    return [migration.name for migration in migrations._migrations]
