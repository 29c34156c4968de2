"""The views that people read: each answers one question without any knowledge of the tables.

Percentiles are by nearest rank: the smallest value with at least that share of the values at or
below it, so that a percentile is always a value that really occurred. `queries.py` uses the same
rule, and a test holds the two together.
"""

from __future__ import annotations

_JOIN_TIMES = """
CREATE VIEW v_join_times AS
SELECT
    j.id AS join_id,
    j.run_id,
    r.rig,
    r.simulated,
    j.eui64,
    d.name AS device,
    j.kind,
    j.band,
    j.channel,
    j.started_us,
    j.outcome,
    j.cause,
    (j.ended_us - j.started_us) / 1000 AS total_ms,
    max(CASE WHEN s.step = 'association' THEN s.at_us - j.started_us END) / 1000
        AS to_association_ms,
    max(CASE WHEN s.step = 'device-announce' THEN s.at_us - j.started_us END) / 1000
        AS to_announce_ms,
    max(CASE WHEN s.step = 'link-key-installed' THEN s.at_us - j.started_us END) / 1000
        AS to_link_key_ms,
    max(CASE WHEN s.step = 'first-read' THEN s.at_us - j.started_us END) / 1000
        AS to_first_read_ms,
    count(s.id) AS steps
FROM joins AS j
JOIN runs AS r ON r.id = j.run_id
LEFT JOIN devices AS d ON d.id = j.device_id
LEFT JOIN join_steps AS s ON s.join_id = j.id
GROUP BY j.id
"""


# Percentiles by histogram: measured to be some 20 times faster than ranking every sample. They are
# looked up for each link (not joined): SQLite cannot carry a question about one run through two
# windows of different order, and would count the samples of years.
def _percentile(column: str, percent: int) -> str:
    return f"""
    (SELECT min(CASE WHEN upto * 100 >= total * {percent} THEN value END) FROM (
        SELECT {column} AS value,
            sum(count(*)) OVER (ORDER BY {column}) AS upto,
            sum(count(*)) OVER () AS total
        FROM link_samples AS x
        WHERE x.run_id = l.run_id AND x.device_id = l.device_id AND x.radio_id IS l.radio_id
            AND x.direction = l.direction AND x.page = l.page AND x.channel = l.channel
            AND {column} IS NOT NULL
        GROUP BY {column}))
    """  # noqa: S608 - our own text


_LINK_BY_DEVICE = f"""
CREATE VIEW v_link_by_device AS
WITH l AS (
    SELECT run_id, device_id, radio_id, direction, page, channel, count(*) AS samples,
        min(rssi_dbm) AS rssi_min, max(rssi_dbm) AS rssi_max
    FROM link_samples
    GROUP BY run_id, device_id, radio_id, direction, page, channel
)
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
    l.samples,
    {_percentile("rssi_dbm", 50)} AS rssi_median_dbm,
    {_percentile("rssi_dbm", 10)} AS rssi_p10_dbm,
    l.rssi_min AS rssi_min_dbm,
    l.rssi_max AS rssi_max_dbm,
    {_percentile("lqi", 50)} AS lqi_median,
    {_percentile("lqi", 10)} AS lqi_p10
FROM l
JOIN runs AS r ON r.id = l.run_id
JOIN devices AS d ON d.id = l.device_id
LEFT JOIN radios AS q ON q.id = l.radio_id
"""  # noqa: S608 - our own text

# `compliance.py` says the same in Python, and a test holds the two together; it also says why.
# `missed` counts the reads that would have fallen inside each interval and, at the end, those whose
# time (with its tolerance) had passed. 1200000000 us are the 20 minutes that a device may take over
# discovery. The intervals are looked up for each schedule (not joined), so that a question about
# one run does not rank the reads of years.
_INTERVALS = """
    SELECT (at_us - lag(at_us) OVER (ORDER BY at_us, id)) / 1000 AS ms
    FROM reads WHERE schedule_id = b.id AND initiator = 'device'
"""

SCHEDULE_COMPLIANCE = f"""
CREATE VIEW v_schedule_compliance AS
WITH
spans AS (
    SELECT
        s.*,
        (SELECT min(at_us) FROM reads
         WHERE schedule_id = s.id AND initiator = 'device') AS first_us,
        (SELECT max(at_us) FROM reads
         WHERE schedule_id = s.id AND initiator = 'device') AS last_us,
        (SELECT count(*) FROM reads
         WHERE schedule_id = s.id AND initiator = 'device') AS observed,
        coalesce(
            (SELECT max(e.at_us) FROM events AS e
             WHERE e.run_id = s.run_id AND e.device_id = s.device_id
             AND e.kind = 'pairing-removed' AND NOT EXISTS (
                 SELECT 1 FROM joins AS j
                 WHERE j.run_id = s.run_id AND j.device_id = s.device_id
                 AND j.outcome = 'authorised' AND j.ended_us > e.at_us)),
            (SELECT ended_us FROM runs WHERE id = s.run_id),
            (SELECT max(at_us) FROM (
                SELECT max(at_us) AS at_us FROM reads WHERE run_id = s.run_id UNION ALL
                SELECT max(at_us) FROM link_samples WHERE run_id = s.run_id UNION ALL
                SELECT max(at_us) FROM events WHERE run_id = s.run_id UNION ALL
                SELECT started_us FROM runs WHERE id = s.run_id))
        ) AS end_us,
        CASE
            WHEN EXISTS (SELECT 1 FROM joins AS j
                         WHERE j.run_id = s.run_id AND j.device_id = s.device_id)
            THEN (SELECT min(j.ended_us) FROM joins AS j
                  WHERE j.run_id = s.run_id AND j.device_id = s.device_id
                  AND j.outcome = 'authorised')
            ELSE (SELECT min(at_us) FROM (
                SELECT min(at_us) AS at_us FROM reads
                WHERE run_id = s.run_id AND device_id = s.device_id AND initiator = 'device'
                UNION ALL
                SELECT min(at_us) FROM link_samples
                WHERE run_id = s.run_id AND device_id = s.device_id AND direction = 'to-hub'))
        END AS reference_us
    FROM read_schedules AS s
),
b AS (
    SELECT *,
        CASE
            WHEN first_us IS NULL THEN reference_us
            WHEN first_us - reference_us
                > (period_ms + tolerance_ms) * 1000 + 1200000000 THEN reference_us
            ELSE first_us
        END AS begin_us
    FROM spans
)
SELECT
    b.run_id,
    u.rig,
    u.simulated,
    b.id AS schedule_id,
    d.name AS device,
    d.eui64,
    b.name AS schedule,
    b.cluster_id,
    b.period_ms,
    b.tolerance_ms,
    max(0, coalesce((b.end_us - b.begin_us) / (b.period_ms * 1000), 0))
        + (b.first_us IS NOT NULL AND b.begin_us = b.first_us) AS expected,
    b.observed,
    (SELECT min(CASE WHEN rank * 100 >= total * 50 THEN ms END) FROM (
        SELECT ms, row_number() OVER (ORDER BY ms) AS rank, count(*) OVER () AS total
        FROM ({_INTERVALS}) WHERE ms IS NOT NULL)) AS p50_ms,
    (SELECT min(CASE WHEN rank * 100 >= total * 95 THEN ms END) FROM (
        SELECT ms, row_number() OVER (ORDER BY ms) AS rank, count(*) OVER () AS total
        FROM ({_INTERVALS}) WHERE ms IS NOT NULL)) AS p95_ms,
    max(
        coalesce((SELECT max(ms) FROM ({_INTERVALS})), 0),
        coalesce((b.end_us - coalesce(b.last_us, b.begin_us)) / 1000, 0),
        coalesce((b.first_us - b.begin_us) / 1000, 0)
    ) AS longest_gap_ms,
    (SELECT count(*) FROM ({_INTERVALS}) WHERE ms < b.period_ms - b.tolerance_ms) AS early,
    (SELECT count(*) FROM ({_INTERVALS}) WHERE ms > b.period_ms + b.tolerance_ms) AS late,
    (SELECT coalesce(sum(max(0, (ms + b.period_ms / 2) / b.period_ms - 1)), 0)
     FROM ({_INTERVALS}) WHERE ms IS NOT NULL)
        + max(0, coalesce((b.end_us - coalesce(b.last_us, b.begin_us)
            - b.tolerance_ms * 1000) / (b.period_ms * 1000), 0))
        + max(0, coalesce((b.first_us - b.begin_us) / (b.period_ms * 1000), 0)) AS missed
FROM b
JOIN runs AS u ON u.id = b.run_id
JOIN devices AS d ON d.id = b.device_id
"""  # noqa: S608 - our own text

RIG_HEALTH = """
CREATE VIEW v_rig_health AS
SELECT
    r.id AS run_id,
    r.rig,
    r.kind,
    r.simulated,
    r.started_us,
    r.ended_us,
    r.verdict,
    (SELECT count(*) FROM radios AS x WHERE x.run_id = r.id) AS radio_starts,
    (SELECT count(*) FROM events AS x WHERE x.run_id = r.id AND x.kind = 'radio-lost')
        AS radio_losses,
    (SELECT count(*) FROM events AS x WHERE x.run_id = r.id AND x.kind = 'run-interrupted')
        AS interrupted,
    (SELECT count(*) FROM events AS x WHERE x.run_id = r.id AND x.severity = 'error') AS errors,
    (SELECT count(*) FROM events AS x WHERE x.run_id = r.id AND x.severity = 'warning')
        AS warnings,
    (SELECT count(*) FROM joins AS x WHERE x.run_id = r.id) AS joins,
    (SELECT count(*) FROM joins AS x WHERE x.run_id = r.id AND x.outcome = 'authorised')
        AS joins_authorised,
    (SELECT count(*) FROM joins AS x WHERE x.run_id = r.id AND x.outcome = 'refused')
        AS joins_refused,
    (SELECT count(*) FROM joins AS x WHERE x.run_id = r.id AND x.outcome = 'failed')
        AS joins_failed,
    (SELECT count(*) FROM reads AS x WHERE x.run_id = r.id AND x.initiator = 'device') AS reads,
    (SELECT count(*) FROM reads AS x
     WHERE x.run_id = r.id AND x.initiator = 'device' AND x.status IS NULL) AS reads_unanswered,
    (SELECT count(*) FROM link_samples AS x WHERE x.run_id = r.id) AS link_samples
FROM runs AS r
"""

VIEWS = (_JOIN_TIMES, _LINK_BY_DEVICE, SCHEDULE_COMPLIANCE, RIG_HEALTH)
