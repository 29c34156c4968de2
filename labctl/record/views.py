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

# Percentiles by histogram: measured to be some 20 times faster than ranking every sample.
_LINK_BY_DEVICE = """
CREATE VIEW v_link_by_device AS
WITH
rssi AS (
    SELECT run_id, device_id, radio_id, direction, page, channel, rssi_dbm AS value, count(*) AS n
    FROM link_samples WHERE rssi_dbm IS NOT NULL
    GROUP BY run_id, device_id, radio_id, direction, page, channel, rssi_dbm
),
rssi_ranked AS (
    SELECT *,
        sum(n) OVER (
            PARTITION BY run_id, device_id, radio_id, direction, page, channel ORDER BY value
        ) AS upto,
        sum(n) OVER (PARTITION BY run_id, device_id, radio_id, direction, page, channel) AS total
    FROM rssi
),
rssi_stats AS (
    SELECT run_id, device_id, radio_id, direction, page, channel,
        min(CASE WHEN upto * 10 >= total THEN value END) AS p10,
        min(CASE WHEN upto * 2 >= total THEN value END) AS median,
        min(value) AS least,
        max(value) AS greatest
    FROM rssi_ranked
    GROUP BY run_id, device_id, radio_id, direction, page, channel
),
lqi AS (
    SELECT run_id, device_id, radio_id, direction, page, channel, lqi AS value, count(*) AS n
    FROM link_samples
    GROUP BY run_id, device_id, radio_id, direction, page, channel, lqi
),
lqi_ranked AS (
    SELECT *,
        sum(n) OVER (
            PARTITION BY run_id, device_id, radio_id, direction, page, channel ORDER BY value
        ) AS upto,
        sum(n) OVER (PARTITION BY run_id, device_id, radio_id, direction, page, channel) AS total
    FROM lqi
),
lqi_stats AS (
    SELECT run_id, device_id, radio_id, direction, page, channel, max(total) AS samples,
        min(CASE WHEN upto * 10 >= total THEN value END) AS p10,
        min(CASE WHEN upto * 2 >= total THEN value END) AS median
    FROM lqi_ranked
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
    s.median AS rssi_median_dbm,
    s.p10 AS rssi_p10_dbm,
    s.least AS rssi_min_dbm,
    s.greatest AS rssi_max_dbm,
    l.median AS lqi_median,
    l.p10 AS lqi_p10
FROM lqi_stats AS l
JOIN runs AS r ON r.id = l.run_id
JOIN devices AS d ON d.id = l.device_id
LEFT JOIN radios AS q ON q.id = l.radio_id
LEFT JOIN rssi_stats AS s
    ON s.run_id = l.run_id AND s.device_id = l.device_id AND s.radio_id IS l.radio_id
    AND s.direction = l.direction AND s.page = l.page AND s.channel = l.channel
"""

# `missed` counts the reads that would have fallen inside each interval and, at the end, those whose
# time (with its tolerance) had passed when the run ended. An unfinished run ends at its last read.
# 1200000000 us are the 20 minutes that a device may take over discovery once it is authorised.
_SCHEDULE_COMPLIANCE = """
CREATE VIEW v_schedule_compliance AS
WITH
spans AS (
    SELECT
        s.*,
        min(r.at_us) AS first_us,
        max(r.at_us) AS last_us,
        count(r.id) AS observed,
        coalesce(
            u.ended_us,
            (SELECT max(x.at_us) FROM reads AS x
             WHERE x.run_id = s.run_id AND x.device_id = s.device_id)
        ) AS end_us,
        (SELECT min(j.ended_us) FROM joins AS j
         WHERE j.run_id = s.run_id AND j.device_id = s.device_id AND j.outcome = 'authorised'
        ) AS authorised_us
    FROM read_schedules AS s
    JOIN runs AS u ON u.id = s.run_id
    LEFT JOIN reads AS r ON r.schedule_id = s.id AND r.initiator = 'device'
    GROUP BY s.id
),
bounds AS (
    SELECT *,
        CASE
            WHEN first_us IS NULL THEN authorised_us
            WHEN first_us - authorised_us
                > (period_ms + tolerance_ms) * 1000 + 1200000000 THEN authorised_us
            ELSE first_us
        END AS begin_us
    FROM spans
),
intervals AS (
    SELECT
        s.id AS schedule_id,
        s.period_ms,
        s.tolerance_ms,
        (r.at_us - lag(r.at_us) OVER (PARTITION BY s.id ORDER BY r.at_us, r.id)) / 1000
            AS interval_ms
    FROM read_schedules AS s
    JOIN reads AS r ON r.schedule_id = s.id AND r.initiator = 'device'
),
ranked AS (
    SELECT *,
        row_number() OVER (PARTITION BY schedule_id ORDER BY interval_ms) AS rank,
        count(*) OVER (PARTITION BY schedule_id) AS total
    FROM intervals
    WHERE interval_ms IS NOT NULL
),
stats AS (
    SELECT
        schedule_id,
        min(CASE WHEN rank * 2 >= total THEN interval_ms END) AS p50_ms,
        min(CASE WHEN rank * 100 >= total * 95 THEN interval_ms END) AS p95_ms,
        max(interval_ms) AS longest_ms,
        sum(interval_ms < period_ms - tolerance_ms) AS early,
        sum(interval_ms > period_ms + tolerance_ms) AS late,
        sum(max(0, (interval_ms + period_ms / 2) / period_ms - 1)) AS missed
    FROM ranked
    GROUP BY schedule_id
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
    coalesce((b.end_us - b.begin_us) / (b.period_ms * 1000), 0)
        + (b.first_us IS NOT NULL AND b.begin_us = b.first_us) AS expected,
    b.observed,
    t.p50_ms,
    t.p95_ms,
    max(
        coalesce(t.longest_ms, 0),
        coalesce((b.end_us - coalesce(b.last_us, b.begin_us)) / 1000, 0),
        coalesce((b.first_us - b.begin_us) / 1000, 0)
    ) AS longest_gap_ms,
    coalesce(t.early, 0) AS early,
    coalesce(t.late, 0) AS late,
    coalesce(t.missed, 0)
        + max(0, coalesce((b.end_us - coalesce(b.last_us, b.begin_us)
            - b.tolerance_ms * 1000) / (b.period_ms * 1000), 0))
        + max(0, coalesce((b.first_us - b.begin_us) / (b.period_ms * 1000), 0)) AS missed
FROM bounds AS b
JOIN runs AS u ON u.id = b.run_id
JOIN devices AS d ON d.id = b.device_id
LEFT JOIN stats AS t ON t.schedule_id = b.id
"""

_RIG_HEALTH = """
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

VIEWS = (_JOIN_TIMES, _LINK_BY_DEVICE, _SCHEDULE_COMPLIANCE, _RIG_HEALTH)
