"""The facts of one run, as plain values: what the JSON report is and what the others print.

HTML, Markdown and JSON are made from these same values, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from labctl.record.link_quality import RunLinks, links_of
from labctl.record.rows import Device, Join, Link, Run, RunData, Schedule
from labctl.record.verdict import Assessment, DeviceAssessment, Finding, Limits
from labctl.report.formats import iso
from labctl.report.link_table import as_json as links_json
from labctl.report.link_table import without_points

FORMAT = "labctl-report"
VERSION = 1

#: A schedule's longest gaps that are listed one by one.
MOST_GAPS = 200

#: Warnings and errors that are listed one by one.
MOST_EVENTS = 200

Facts = dict[str, Any]


def facts(data: RunData, assessment: Assessment, limits: Limits) -> Facts:
    """Everything that a report says of a run, ready for `json.dumps`."""
    run = data.run
    by_device = {device.device_id: device for device in assessment.devices}
    # The verdict that was given when the run ended stands, with its own reasons.
    given = run.verdict is not None
    same = not given or run.verdict == assessment.verdict
    notable = [event for event in data.events if event.severity != "info"]
    counted: dict[str, int] = {}
    for event in data.events:
        counted[event.kind] = counted.get(event.kind, 0) + 1
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": {
            "id": run.id,
            "rig": run.rig,
            "kind": run.kind,
            "started": iso(run.started_us),
            "started_us": run.started_us,
            "ended": iso(run.ended_us),
            "ended_us": run.ended_us,
            "until_us": data.until_us,
            "duration_us": data.until_us - run.started_us,
            "simulated": run.simulated,
            "labctl_version": run.labctl_version,
            "host": run.host,
            "config_sha256": run.config_sha256,
            "note": run.note,
        },
        "verdict": {
            "verdict": run.verdict or assessment.verdict.value,
            "certainty": assessment.certainty.value if same else None,
            "reasons": _reasons(run, assessment, same=same),
            "given_when_the_run_ended": given,
            "as_assessed_now": assessment.verdict.value,
        },
        "totals": {
            "devices_under_test": len(assessment.devices),
            "devices_authorised": sum(
                data.authorised_us(device.device_id) is not None
                or any(
                    group.device_id == device.device_id
                    and group.initiator == "device"
                    and group.reads > group.unencrypted
                    for group in data.reads
                )
                for device in assessment.devices
            ),
            "joins": len(data.joins),
            "reads": sum(g.reads for g in data.reads if g.initiator == "device"),
            "reads_due": sum(s.result.expected for s in data.schedules),
            "reads_missed": sum(s.result.missed for s in data.schedules),
            "reads_missed_counting": sum(s.result.missed_counting for s in data.schedules),
            "link_samples": sum(link.samples for link in data.links),
            "refused": sum(refusal.count for refusal in data.refusals),
            "rig_outages": len(data.infrastructure),
            "rig_outage_us": sum(i.end_us - i.start_us for i in data.infrastructure),
        },
        "rig_findings": [_finding(finding) for finding in assessment.rig],
        "devices": [
            _device(data, device, by_device.get(device.id))
            for device in data.devices
            if device.id in by_device
        ],
        "other_joins": [_join(join) for join in data.joins if join.device_id not in by_device],
        "refusals": [
            {**asdict(refusal), "first": iso(refusal.first_us), "last": iso(refusal.last_us)}
            for refusal in data.refusals
        ],
        "radios": [{**asdict(radio), "up": iso(radio.up_us)} for radio in data.radios],
        "bearers": _bearers(data, links_of(data)),
        "outages": [
            {**asdict(outage), "start": iso(outage.start_us), "end": iso(outage.end_us)}
            for outage in data.infrastructure
        ],
        "events": {
            "counts": dict(sorted(counted.items())),
            "warnings_and_errors": len(notable),
            "listed": [{**asdict(e), "at": iso(e.at_us)} for e in notable[:MOST_EVENTS]],
        },
        "limits": asdict(limits),
    }


def _reasons(run: Run, assessment: Assessment, *, same: bool) -> list[str]:
    """The reasons that were given; where there are none, those that are found now."""
    if run.reasons:
        return list(run.reasons)
    given = [] if same else [f"the verdict {run.verdict} was given when the run ended"]
    return [*given, *assessment.reasons]


def _bearers(data: RunData, quality: RunLinks) -> Facts:
    """What happened on the bands; `links` is what ``labctl links --json`` says of the run."""
    found = data.bearers
    timed: dict[str, tuple[Any, ...]] = {
        "duty_cycle_changes": found.duty_changes,
        "channel_moves": found.moves,
        "over_capacity": found.over_capacity,
        "band_choices": found.choices,
    }
    return {
        "links": links_json(quality),
        "airtime": [without_points(airtime) for airtime in found.airtime],
        "noise": [without_points(noise) for noise in found.noise],
        "suspensions": [
            {**asdict(each), "start": iso(each.start_us), "end": iso(each.end_us)}
            for each in found.suspensions
        ],
        **{
            name: [{**asdict(each), "at": iso(each.at_us)} for each in values]
            for name, values in timed.items()
        },
    }


def _finding(finding: Finding) -> Facts:
    return {
        "verdict": finding.verdict.value,
        "certainty": finding.certainty.value,
        "text": finding.text,
    }


def _device(data: RunData, device: Device, assessed: DeviceAssessment | None) -> Facts:
    assert assessed is not None
    return {
        **asdict(device),
        "label": device.label,
        "verdict": assessed.verdict.value,
        "certainty": assessed.certainty.value,
        "findings": [_finding(finding) for finding in assessed.findings],
        "first_heard": iso(device.first_heard_us),
        "last_heard": iso(device.last_heard_us),
        "authorised_us": data.authorised_us(device.id),
        "pairings": [
            {**asdict(pairing), "armed": iso(pairing.armed_us)}
            for pairing in data.pairings
            if pairing.device_id == device.id
        ],
        "joins": [_join(join) for join in data.joins if join.device_id == device.id],
        "schedules": [_schedule(s) for s in data.schedules if s.device_id == device.id],
        "links": [_link(link) for link in data.links if link.device_id == device.id],
        "reads": [asdict(group) for group in data.reads if group.device_id == device.id],
    }


def _join(join: Join) -> Facts:
    return {
        **asdict(join),
        "started": iso(join.started_us),
        "total_us": None if join.ended_us is None else join.ended_us - join.started_us,
    }


def _schedule(schedule: Schedule) -> Facts:
    result = schedule.result
    values = asdict(schedule)
    values.pop("result")
    gaps = sorted(result.gaps, key=lambda gap: gap.start_us - gap.end_us)[:MOST_GAPS]
    return {
        **values,
        "begin": iso(result.begin_us),
        "begin_us": result.begin_us,
        "end_us": result.end_us,
        "expected": result.expected,
        "observed": result.observed,
        "p50_ms": result.p50_ms,
        "p95_ms": result.p95_ms,
        "longest_gap_ms": result.longest_gap_ms,
        "early": result.early,
        "late": result.late,
        "missed": result.missed,
        "missed_counting": result.missed_counting,
        "gaps": len(result.gaps),
        "longest_gaps": [
            {
                "start": iso(gap.start_us),
                "start_us": gap.start_us,
                "length_us": gap.end_us - gap.start_us,
                "missed": gap.missed,
                "excused": gap.excused,
                "cause": gap.cause.value,
                "detail": gap.detail,
            }
            for gap in gaps
        ],
    }


def _link(link: Link) -> Facts:
    values = asdict(link)
    for name in ("buckets", "bucket_us", "rssi_counts", "lqi_counts"):
        values.pop(name)
    values["rssi_counts"] = {str(k): v for k, v in sorted(link.rssi_counts.items())}
    values["lqi_counts"] = {str(k): v for k, v in sorted(link.lqi_counts.items())}
    return values
