"""What is kept of a run whose samples were dropped: roll-ups, which the views show instead."""

from __future__ import annotations

from labctl.record import views

TABLES = (
    "ALTER TABLE runs ADD COLUMN pruned_us INTEGER",
    """
    CREATE TABLE run_rollups (
        id               INTEGER PRIMARY KEY,
        run_id           INTEGER NOT NULL UNIQUE REFERENCES runs (id),
        reads            INTEGER NOT NULL,
        reads_unanswered INTEGER NOT NULL,
        link_samples     INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE schedule_rollups (
        id             INTEGER PRIMARY KEY,
        run_id         INTEGER NOT NULL REFERENCES runs (id),
        schedule_id    INTEGER NOT NULL UNIQUE REFERENCES read_schedules (id),
        expected       INTEGER,
        observed       INTEGER,
        p50_ms         INTEGER,
        p95_ms         INTEGER,
        longest_gap_ms INTEGER,
        early          INTEGER,
        late           INTEGER,
        missed         INTEGER
    ) STRICT
    """,
)

INDEXES = ("CREATE INDEX schedule_rollups_by_run ON schedule_rollups (run_id)",)

_COMPLIANCE = f"""{views.SCHEDULE_COMPLIANCE.rstrip()}
WHERE u.pruned_us IS NULL
UNION ALL
SELECT
    k.run_id, u.rig, u.simulated, k.schedule_id, d.name, d.eui64, s.name, s.cluster_id,
    s.period_ms, s.tolerance_ms, k.expected, k.observed, k.p50_ms, k.p95_ms, k.longest_gap_ms,
    k.early, k.late, k.missed
FROM schedule_rollups AS k
JOIN runs AS u ON u.id = k.run_id
JOIN read_schedules AS s ON s.id = k.schedule_id
JOIN devices AS d ON d.id = s.device_id
"""  # noqa: S608 - our own text


def _kept(column: str, where: str) -> tuple[str, str]:
    """A count of the health view, and the same with the roll-up's in front."""
    counted = f"(SELECT count(*) FROM {where}) AS {column}"  # noqa: S608 - our own names
    return counted, counted.replace(
        f") AS {column}",
        f") + coalesce((SELECT {column} FROM run_rollups"  # noqa: S608 - our own names
        f" WHERE run_id = r.id), 0) AS {column}",
    )


_HEALTH = views.RIG_HEALTH
for _column, _where in (
    ("reads", "reads AS x WHERE x.run_id = r.id AND x.initiator = 'device'"),
    (
        "reads_unanswered",
        "reads AS x\n     WHERE x.run_id = r.id AND x.initiator = 'device' AND x.status IS NULL",
    ),
    ("link_samples", "link_samples AS x WHERE x.run_id = r.id"),
):
    _counted, _with_rollup = _kept(_column, _where)
    assert _counted in _HEALTH, _counted
    _HEALTH = _HEALTH.replace(_counted, _with_rollup)

VIEWS = (
    "DROP VIEW v_schedule_compliance",
    _COMPLIANCE,
    "DROP VIEW v_rig_health",
    _HEALTH,
)
