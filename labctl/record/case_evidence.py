"""What the record holds of the time of each attempt at a case: joins, reads, refusals, outages."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass

from labctl.record.compliance import Interval
from labctl.record.rows import CaseResult, Join, RunData

_OF_ALL = """
    SELECT count(*), coalesce(sum(status IS NULL), 0) FROM reads
    WHERE run_id = :run AND initiator = 'device' AND at_us BETWEEN :start AND :end
"""
_OF_ONE = f"{_OF_ALL} AND device_id = :device"


@dataclass(frozen=True, slots=True)
class CaseEvidence:
    """What happened from the beginning of an attempt to its end.

    Of the attempt's device; of all devices for a case that is of no single one. Joins that no
    device of the inventory made stand with every case. `reads` are those that a device asked for,
    None of a run whose samples were dropped.
    """

    joins: tuple[Join, ...]
    reads: int | None
    reads_unanswered: int | None
    refused: tuple[tuple[str, int], ...]
    """Causes of refusals, and how often, the most frequent first."""
    outages: tuple[Interval, ...]
    """Of the rig itself."""


def case_evidence(db: sqlite3.Connection, data: RunData) -> dict[int, CaseEvidence]:
    """The evidence of each attempt of a campaign, by its result's id."""
    if data.campaign is None:
        return {}
    refusals: dict[int | None, list[tuple[int, str]]] = defaultdict(list)
    for device_id, at_us, detail in db.execute(
        "SELECT device_id, at_us, detail FROM events WHERE run_id = ? AND kind = 'refused'"
        " ORDER BY at_us, id",
        (data.run.id,),
    ):
        cause = str(json.loads(detail).get("cause") or "no cause")
        refusals[device_id].append((at_us, cause))
        refusals[-1].append((at_us, cause))
    return {
        result.id: _of(
            db, data, result, refusals[-1 if result.device_id is None else result.device_id]
        )
        for result in data.campaign.results
    }


def _of(
    db: sqlite3.Connection, data: RunData, result: CaseResult, refused: list[tuple[int, str]]
) -> CaseEvidence:
    start_us, end_us = result.started_us, result.ended_us
    reads: int | None = None
    unanswered: int | None = None
    if data.run.pruned_us is None:
        reads, unanswered = db.execute(
            _OF_ALL if result.device_id is None else _OF_ONE,
            {"run": data.run.id, "device": result.device_id, "start": start_us, "end": end_us},
        ).fetchone()
    left = bisect_left(refused, start_us, key=lambda each: each[0])
    right = bisect_right(refused, end_us, key=lambda each: each[0])
    causes = Counter(cause for _, cause in refused[left:right])
    return CaseEvidence(
        joins=tuple(
            join
            for join in data.joins
            if (join.device_id in (None, result.device_id) or result.device_id is None)
            and join.started_us <= end_us
            and (data.until_us if join.ended_us is None else join.ended_us) >= start_us
        ),
        reads=reads,
        reads_unanswered=unanswered,
        refused=tuple(causes.most_common()),
        outages=tuple(each for each in data.infrastructure if each.overlaps(start_us, end_us + 1)),
    )
