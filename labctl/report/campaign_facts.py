"""The facts of a campaign, as plain values: the key `campaign` of the JSON report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from labctl.record.case_evidence import CaseEvidence
from labctl.record.rows import CaseResult, RunData
from labctl.report.cases import Tried, counts, tried
from labctl.report.facts import Facts
from labctl.report.formats import iso


def campaign_facts(data: RunData, evidence: Mapping[int, CaseEvidence]) -> Facts:
    """What a campaign came to, ready for `json.dumps`."""
    assert data.campaign is not None
    cases = tried(data)
    return {
        "generation": data.campaign.generation,
        "meters": data.campaign.meters,
        "selection": data.campaign.selection,
        "reference": data.campaign.reference,
        "seed": data.campaign.seed,
        "counts": {outcome.value: count for outcome, count in counts(cases).items()},
        "in_quarantine": sum(one.excused for one in cases),
        "cases": [_tried(one, evidence) for one in cases],
    }


def _tried(one: Tried, evidence: Mapping[int, CaseEvidence]) -> Facts:
    return {
        "case": one.case,
        "title": one.title,
        "device_id": one.device_id,
        "device": None if one.device_id is None else one.device,
        "outcome": one.outcome.value,
        "cause": one.last.cause,
        "quarantine": one.last.quarantine or None,
        "counts": not one.excused,
        "attempts": [_attempt(attempt, evidence.get(attempt.id)) for attempt in one.attempts],
    }


def _attempt(attempt: CaseResult, evidence: CaseEvidence | None) -> Facts:
    found: Facts = {
        "result_id": attempt.id,
        "attempt": attempt.attempt,
        "outcome": attempt.outcome,
        "cause": attempt.cause,
        "started": iso(attempt.started_us),
        "started_us": attempt.started_us,
        "ended": iso(attempt.ended_us),
        "ended_us": attempt.ended_us,
        "band": attempt.band,
        "firmware_version": attempt.firmware_version,
        "measurements": [asdict(measured) for measured in attempt.measurements],
        "capture": None if attempt.capture is None else asdict(attempt.capture),
    }
    if evidence is not None:
        found["evidence"] = {
            "joins": [join.id for join in evidence.joins],
            "reads": evidence.reads,
            "reads_unanswered": evidence.reads_unanswered,
            "refused": [{"cause": cause, "count": count} for cause, count in evidence.refused],
            "outages": [asdict(outage) for outage in evidence.outages],
        }
    return found
