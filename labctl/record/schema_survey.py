"""The tables of range surveys: where was probed, every probe, and what the probes came to."""

from __future__ import annotations

TABLES = (
    """
    CREATE TABLE surveys (
        id                INTEGER PRIMARY KEY,
        run_id            INTEGER NOT NULL REFERENCES runs (id),
        site              TEXT NOT NULL,
        hub_place         TEXT NOT NULL DEFAULT '',
        started_us        INTEGER NOT NULL,
        ended_us          INTEGER,
        verdict           TEXT,
        text              TEXT NOT NULL DEFAULT '',
        rules             TEXT NOT NULL,
        plan_path         TEXT,
        plan_mm_per_pixel REAL,
        seed              INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE survey_devices (
        id        INTEGER PRIMARY KEY,
        survey_id INTEGER NOT NULL REFERENCES surveys (id),
        device_id INTEGER NOT NULL REFERENCES devices (id),
        UNIQUE (survey_id, device_id)
    ) STRICT
    """,
    """
    CREATE TABLE waypoints (
        id         INTEGER PRIMARY KEY,
        survey_id  INTEGER NOT NULL REFERENCES surveys (id),
        run_id     INTEGER NOT NULL REFERENCES runs (id),
        number     INTEGER NOT NULL CHECK (number > 0),
        room       TEXT NOT NULL,
        floor      INTEGER NOT NULL,
        spot       TEXT NOT NULL DEFAULT '',
        x_m        REAL,
        y_m        REAL,
        z_m        REAL,
        latitude   REAL,
        longitude  REAL,
        started_us INTEGER NOT NULL,
        ended_us   INTEGER,
        undone_us  INTEGER,
        UNIQUE (survey_id, number)
    ) STRICT
    """,
    """
    CREATE TABLE probes (
        id           INTEGER PRIMARY KEY,
        waypoint_id  INTEGER NOT NULL REFERENCES waypoints (id),
        device_id    INTEGER NOT NULL REFERENCES devices (id),
        radio_id     INTEGER REFERENCES radios (id),
        band         TEXT NOT NULL,
        direction    TEXT NOT NULL,
        at_us        INTEGER NOT NULL,
        kind         TEXT NOT NULL,
        delivered    INTEGER NOT NULL CHECK (delivered IN (0, 1)),
        rssi_dbm     INTEGER,
        lqi          INTEGER,
        level_source TEXT,
        retries      INTEGER,
        latency_us   INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE waypoint_noise (
        id          INTEGER PRIMARY KEY,
        waypoint_id INTEGER NOT NULL REFERENCES waypoints (id),
        radio_id    INTEGER REFERENCES radios (id),
        at_us       INTEGER NOT NULL,
        page        INTEGER NOT NULL,
        channel     INTEGER NOT NULL,
        level_dbm   INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE survey_remarks (
        id          INTEGER PRIMARY KEY,
        survey_id   INTEGER NOT NULL REFERENCES surveys (id),
        waypoint_id INTEGER REFERENCES waypoints (id),
        at_us       INTEGER NOT NULL,
        kind        TEXT NOT NULL,
        text        TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE direction_verdicts (
        id                 INTEGER PRIMARY KEY,
        waypoint_id        INTEGER NOT NULL REFERENCES waypoints (id),
        device_id          INTEGER NOT NULL REFERENCES devices (id),
        band               TEXT NOT NULL,
        direction          TEXT NOT NULL,
        verdict            TEXT NOT NULL,
        reason             TEXT NOT NULL DEFAULT '',
        probes             INTEGER NOT NULL,
        delivered          INTEGER NOT NULL,
        ratio_low          REAL NOT NULL,
        ratio_high         REAL NOT NULL,
        rssi_median_dbm    INTEGER,
        rssi_p10_dbm       INTEGER,
        sensitivity_dbm    INTEGER NOT NULL,
        p10_margin_db      REAL,
        margin_at_least_db REAL,
        passes_lower       TEXT NOT NULL,
        design_effect      REAL NOT NULL,
        decided_at         INTEGER,
        retries            INTEGER,
        level_source       TEXT,
        UNIQUE (waypoint_id, device_id, band, direction)
    ) STRICT
    """,
    """
    CREATE TABLE link_verdicts (
        id              INTEGER PRIMARY KEY,
        waypoint_id     INTEGER NOT NULL REFERENCES waypoints (id),
        device_id       INTEGER NOT NULL REFERENCES devices (id),
        band            TEXT NOT NULL,
        verdict         TEXT NOT NULL,
        p10_margin_db   REAL,
        passes_lower    TEXT NOT NULL,
        asymmetry_db    INTEGER,
        asymmetry_found INTEGER NOT NULL CHECK (asymmetry_found IN (0, 1)),
        UNIQUE (waypoint_id, device_id, band)
    ) STRICT
    """,
)

INDEXES = (
    "CREATE INDEX surveys_by_run ON surveys (run_id)",
    "CREATE INDEX surveys_by_site ON surveys (site, started_us)",
    "CREATE INDEX waypoints_by_run ON waypoints (run_id)",
    "CREATE INDEX probes_by_waypoint ON probes (waypoint_id)",
    "CREATE INDEX waypoint_noise_by_waypoint ON waypoint_noise (waypoint_id)",
    "CREATE INDEX survey_remarks_by_survey ON survey_remarks (survey_id)",
)

_LINKS = """
CREATE VIEW v_survey_links AS
SELECT
    s.id AS survey_id,
    s.site,
    r.rig,
    r.simulated,
    w.number AS waypoint,
    w.room,
    w.floor,
    w.spot,
    d.name AS device,
    l.band,
    l.verdict,
    l.p10_margin_db,
    l.passes_lower,
    f.probes AS from_hub_probes,
    f.delivered AS from_hub_delivered,
    f.verdict AS from_hub_verdict,
    t.probes AS to_hub_probes,
    t.delivered AS to_hub_delivered,
    t.verdict AS to_hub_verdict,
    l.asymmetry_db,
    l.asymmetry_found
FROM link_verdicts AS l
JOIN waypoints AS w ON w.id = l.waypoint_id
JOIN surveys AS s ON s.id = w.survey_id
JOIN runs AS r ON r.id = w.run_id
JOIN devices AS d ON d.id = l.device_id
LEFT JOIN direction_verdicts AS f ON f.waypoint_id = l.waypoint_id AND f.device_id = l.device_id
    AND f.band = l.band AND f.direction = 'from-hub'
LEFT JOIN direction_verdicts AS t ON t.waypoint_id = l.waypoint_id AND t.device_id = l.device_id
    AND t.band = l.band AND t.direction = 'to-hub'
WHERE w.undone_us IS NULL
"""

# As good as its worst waypoint; a failure outweighs what is not known (statistics/reach.py).
_ROOMS = """
CREATE VIEW v_survey_rooms AS
SELECT
    w.survey_id,
    s.site,
    w.room,
    w.floor,
    d.name AS device,
    l.band,
    CASE min(CASE l.verdict WHEN 'fail' THEN 0 WHEN 'incomplete' THEN 1 WHEN 'marginal' THEN 2
             ELSE 3 END)
        WHEN 0 THEN 'fail' WHEN 1 THEN 'incomplete' WHEN 2 THEN 'marginal' ELSE 'pass' END
        AS verdict,
    count(*) AS waypoints,
    sum(l.verdict = 'pass') AS passing,
    CASE WHEN count(l.p10_margin_db) = count(*) THEN min(l.p10_margin_db) END AS p10_margin_db
FROM link_verdicts AS l
JOIN waypoints AS w ON w.id = l.waypoint_id
JOIN surveys AS s ON s.id = w.survey_id
JOIN devices AS d ON d.id = l.device_id
WHERE w.undone_us IS NULL
GROUP BY w.survey_id, w.floor, w.room, l.device_id, l.band
"""

VIEWS = (_LINKS, _ROOMS)
