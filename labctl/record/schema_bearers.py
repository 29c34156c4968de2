"""What the second migration adds: bearers, their airtime and noise, and the counts behind links.

The counts are what makes percentiles quick: a link has some forty different levels, however many
years of frames lie behind them. The recorder adds to them in the transaction that writes the
samples, so the two never differ; here they are made for the samples that are there already.
"""

from __future__ import annotations

TABLES = (
    """
    CREATE TABLE links (
        id        INTEGER PRIMARY KEY,
        run_id    INTEGER NOT NULL REFERENCES runs (id),
        device_id INTEGER NOT NULL REFERENCES devices (id),
        radio_id  INTEGER REFERENCES radios (id),
        direction TEXT NOT NULL,
        page      INTEGER NOT NULL,
        channel   INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE link_rssi_counts (
        link_id  INTEGER NOT NULL REFERENCES links (id),
        rssi_dbm INTEGER NOT NULL,
        samples  INTEGER NOT NULL,
        PRIMARY KEY (link_id, rssi_dbm)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE link_lqi_counts (
        link_id INTEGER NOT NULL REFERENCES links (id),
        lqi     INTEGER NOT NULL,
        samples INTEGER NOT NULL,
        PRIMARY KEY (link_id, lqi)
    ) STRICT, WITHOUT ROWID
    """,
    """
    CREATE TABLE link_reports (
        id             INTEGER PRIMARY KEY,
        run_id         INTEGER NOT NULL REFERENCES runs (id),
        device_id      INTEGER NOT NULL REFERENCES devices (id),
        radio_id       INTEGER REFERENCES radios (id),
        at_us          INTEGER NOT NULL,
        source         TEXT NOT NULL,
        lqi            INTEGER,
        rssi_dbm       INTEGER,
        in_cost        INTEGER,
        out_cost       INTEGER,
        power_delta_db INTEGER,
        mac_retries    INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE deliveries (
        id        INTEGER PRIMARY KEY,
        run_id    INTEGER NOT NULL REFERENCES runs (id),
        device_id INTEGER NOT NULL REFERENCES devices (id),
        radio_id  INTEGER REFERENCES radios (id),
        at_us     INTEGER NOT NULL,
        attempts  INTEGER NOT NULL,
        delivered INTEGER NOT NULL,
        retries   INTEGER
    ) STRICT
    """,
    """
    CREATE TABLE noise_samples (
        id        INTEGER PRIMARY KEY,
        run_id    INTEGER NOT NULL REFERENCES runs (id),
        radio_id  INTEGER REFERENCES radios (id),
        at_us     INTEGER NOT NULL,
        page      INTEGER NOT NULL,
        channel   INTEGER NOT NULL,
        level_dbm INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE airtime_samples (
        id              INTEGER PRIMARY KEY,
        run_id          INTEGER NOT NULL REFERENCES runs (id),
        radio_id        INTEGER REFERENCES radios (id),
        device_id       INTEGER REFERENCES devices (id),
        at_us           INTEGER NOT NULL,
        airtime_us      INTEGER NOT NULL,
        limited_us      INTEGER NOT NULL,
        critical_us     INTEGER NOT NULL,
        regulated_us    INTEGER NOT NULL,
        state           TEXT NOT NULL,
        source          TEXT NOT NULL,
        next_state      TEXT,
        next_state_in_s INTEGER
    ) STRICT
    """,
    "ALTER TABLE reads ADD COLUMN radio_id INTEGER REFERENCES radios (id)",
)

INDEXES = (
    "CREATE UNIQUE INDEX links_by_run ON links"
    " (run_id, device_id, coalesce(radio_id, 0), direction, page, channel)",
    "CREATE INDEX link_reports_by_run ON link_reports (run_id, device_id, at_us)",
    "CREATE INDEX deliveries_by_run ON deliveries (run_id, device_id, at_us)",
    "CREATE INDEX noise_samples_by_run ON noise_samples (run_id, radio_id, at_us)",
    "CREATE INDEX airtime_samples_by_run ON airtime_samples (run_id, radio_id, device_id, at_us)",
)

# One pass over the samples, whose joint counts are few; the rest is made of those.
COUNT_OLD_SAMPLES = (
    """
    CREATE TEMP TABLE old_counts AS
    SELECT run_id, device_id, radio_id, direction, page, channel, rssi_dbm, lqi,
        count(*) AS samples
    FROM link_samples GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    """,
    """
    INSERT INTO links (run_id, device_id, radio_id, direction, page, channel)
    SELECT DISTINCT run_id, device_id, radio_id, direction, page, channel FROM old_counts
    """,
    """
    INSERT INTO link_rssi_counts (link_id, rssi_dbm, samples)
    SELECT l.id, o.rssi_dbm, sum(o.samples) FROM old_counts AS o
    JOIN links AS l ON l.run_id = o.run_id AND l.device_id = o.device_id
        AND coalesce(l.radio_id, 0) = coalesce(o.radio_id, 0) AND l.direction = o.direction
        AND l.page = o.page AND l.channel = o.channel
    WHERE o.rssi_dbm IS NOT NULL GROUP BY 1, 2
    """,
    """
    INSERT INTO link_lqi_counts (link_id, lqi, samples)
    SELECT l.id, o.lqi, sum(o.samples) FROM old_counts AS o
    JOIN links AS l ON l.run_id = o.run_id AND l.device_id = o.device_id
        AND coalesce(l.radio_id, 0) = coalesce(o.radio_id, 0) AND l.direction = o.direction
        AND l.page = o.page AND l.channel = o.channel
    GROUP BY 1, 2
    """,
    "DROP TABLE old_counts",
)


def _percentile(table: str, column: str, percent: int, where: str) -> str:
    return f"""
    (SELECT min(CASE WHEN upto * 100 >= total * {percent} THEN value END) FROM (
        SELECT c.{column} AS value,
            sum(sum(c.samples)) OVER (ORDER BY c.{column}) AS upto,
            sum(sum(c.samples)) OVER () AS total
        FROM {where} GROUP BY c.{column}))
    """  # noqa: S608 - our own text


def _of_link(quantity: str, percent: int) -> str:
    column = {"rssi": "rssi_dbm", "lqi": "lqi"}[quantity]
    table = f"link_{quantity}_counts"
    return _percentile(table, column, percent, f"{table} AS c WHERE c.link_id = l.id")


_LINK_BY_DEVICE = f"""
CREATE VIEW v_link_by_device AS
SELECT
    l.run_id,
    r.rig,
    r.simulated,
    l.device_id,
    d.name AS device,
    d.eui64,
    q.name AS radio,
    q.band,
    l.direction,
    l.page,
    l.channel,
    (SELECT sum(samples) FROM link_lqi_counts WHERE link_id = l.id) AS samples,
    {_of_link("rssi", 50)} AS rssi_median_dbm,
    {_of_link("rssi", 10)} AS rssi_p10_dbm,
    (SELECT min(rssi_dbm) FROM link_rssi_counts WHERE link_id = l.id) AS rssi_min_dbm,
    (SELECT max(rssi_dbm) FROM link_rssi_counts WHERE link_id = l.id) AS rssi_max_dbm,
    {_of_link("lqi", 50)} AS lqi_median,
    {_of_link("lqi", 10)} AS lqi_p10
FROM links AS l
JOIN runs AS r ON r.id = l.run_id
JOIN devices AS d ON d.id = l.device_id
LEFT JOIN radios AS q ON q.id = l.radio_id
"""  # noqa: S608 - our own text

_BAND = "CASE WHEN {}.page = 0 THEN '2.4 GHz' ELSE '868 MHz' END"


def _of_band(percent: int) -> str:
    where = (
        "links AS x JOIN link_rssi_counts AS c ON c.link_id = x.id"
        " WHERE x.run_id = l.run_id AND x.device_id = l.device_id"
        f" AND x.direction = l.direction AND {_BAND.format('x')} = l.band"
    )
    return _percentile("link_rssi_counts", "rssi_dbm", percent, where)


_LINK_BY_BAND = f"""
CREATE VIEW v_link_by_band AS
WITH l AS (
    SELECT x.run_id, x.device_id, {_BAND.format("x")} AS band, x.direction,
        sum(c.samples) AS samples
    FROM links AS x JOIN link_lqi_counts AS c ON c.link_id = x.id
    GROUP BY 1, 2, 3, 4
)
SELECT
    l.run_id,
    r.rig,
    r.simulated,
    l.device_id,
    d.name AS device,
    d.eui64,
    l.band,
    l.direction,
    l.samples,
    {_of_band(5)} AS rssi_p5_dbm,
    {_of_band(50)} AS rssi_median_dbm,
    {_of_band(95)} AS rssi_p95_dbm
FROM l
JOIN runs AS r ON r.id = l.run_id
JOIN devices AS d ON d.id = l.device_id
"""  # noqa: S608 - our own text

_AIRTIME_PEAKS = """
CREATE VIEW v_airtime_peaks AS
SELECT
    a.run_id,
    r.rig,
    r.simulated,
    q.name AS radio,
    q.band,
    a.device_id,
    d.name AS device,
    d.eui64,
    a.source,
    count(*) AS samples,
    max(a.airtime_us) AS peak_us,
    a.limited_us,
    a.critical_us,
    a.regulated_us,
    sum(a.state IN ('limited', 'critical', 'suspended')) AS samples_over_limited
FROM airtime_samples AS a
JOIN runs AS r ON r.id = a.run_id
LEFT JOIN radios AS q ON q.id = a.radio_id
LEFT JOIN devices AS d ON d.id = a.device_id
GROUP BY a.run_id, a.radio_id, a.device_id, a.source, a.limited_us, a.critical_us, a.regulated_us
"""

VIEWS = (
    "DROP VIEW v_link_by_device",
    _LINK_BY_DEVICE,
    _LINK_BY_BAND,
    _AIRTIME_PEAKS,
)
