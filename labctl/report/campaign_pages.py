"""The page of a campaign: cases by devices, and of each what was measured and what was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labctl.events import CaseOutcome, Verdict
from labctl.record.case_evidence import CaseEvidence
from labctl.record.link_quality import links_of
from labctl.record.rows import CaseResult, Device, Measurement, RunData
from labctl.record.verdict import Assessment, Limits, verdict_of
from labctl.report import formats
from labctl.report.cases import (
    Tried,
    counts,
    frames_text,
    good_text,
    limit_text,
    rig_troubles,
    tried,
    value_text,
    verdict_in,
    worst_first,
)
from labctl.report.facts import Facts
from labctl.report.gauges import Gauge, gauge
from labctl.report.method import campaign_method
from labctl.report.pages import Card, Reason, page_values, rendered

#: Joins and causes of refusals that are listed with one attempt.
MOST_LISTED = 6

_BAD = (CaseOutcome.FAIL, CaseOutcome.INFRASTRUCTURE_ERROR, CaseOutcome.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """One line of a table of measurements."""

    m: Measurement
    value: str
    limit: str
    good: str
    gauge: Gauge | None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt with its evidence."""

    a: CaseResult
    took: str
    measured: list[MeasuredRow]
    joins: list[str]
    more_joins: int
    reads: str
    refused: list[str]
    outages: list[str]
    frames: str
    frames_time: str


@dataclass(frozen=True, slots=True)
class CaseView:
    """A case on a device. `is_open` is whether it is unfolded from the start."""

    t: Tried
    is_open: bool
    brief: str
    attempts: list[AttemptView]


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """A case on all its devices."""

    case: str
    title: str
    views: list[CaseView]


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A row of the matrix: what a case came to, device by device; None where it was not tried."""

    case: str
    title: str
    cells: list[Tried | None]


@dataclass(frozen=True, slots=True)
class DeviceColumn:
    """A column of the matrix. `device` is None for the column of cases of no single device."""

    name: str
    device: Device | None
    verdict: str | None
    about: str


def html(
    data: RunData,
    assessment: Assessment,
    facts: Facts,
    limits: Limits,
    evidence: Mapping[int, CaseEvidence],
) -> str:
    """The page: one file, as that of every run."""
    cases = tried(data)
    columns = _columns(data, cases)
    groups = _groups(data, cases, evidence)
    return rendered(
        "campaign.html.j2",
        page_values(data, facts, limits, links_of(data), _reasons(data, cases))
        | {
            "views": [],
            "method": campaign_method(limits, simulated=data.run.simulated),
            "cards": _cards(data, cases),
            "campaign": data.campaign,
            "columns": columns,
            "matrix": _matrix(cases, columns),
            "groups": groups,
            "quarantined": [one for one in cases if one.excused],
            "bystanders": [
                device.id
                for device in data.devices
                if device.id not in {one.device_id for one in cases}
            ],
        },
        "campaign.css",
    )


def _columns(data: RunData, cases: Sequence[Tried]) -> list[DeviceColumn]:
    found = []
    for device_id in dict.fromkeys(one.device_id for one in cases):
        own = [one for one in cases if one.device_id == device_id]
        device = data.device(device_id)
        verdict = verdict_in(own)
        found.append(
            DeviceColumn(
                own[0].device,
                device,
                None if verdict is None else verdict.value,
                "" if device is None else _about(device),
            )
        )
    return sorted(found, key=lambda column: column.device is None)


def _about(device: Device) -> str:
    made = " ".join(part for part in (device.manufacturer, device.model) if part)
    firmware = f"firmware {device.firmware_version}" if device.firmware_version else ""
    parts = [formats.KINDS.get(device.kind or "other", "device"), made, firmware, device.eui64]
    return " · ".join(part for part in parts if part)


def _matrix(cases: Sequence[Tried], columns: Sequence[DeviceColumn]) -> list[MatrixRow]:
    found: dict[str, dict[int | None, Tried]] = {}
    for one in cases:
        found.setdefault(one.case, {})[one.device_id] = one
    ids = [column.device.id if column.device else None for column in columns]
    return [
        MatrixRow(case, next(iter(own.values())).title, [own.get(each) for each in ids])
        for case, own in found.items()
    ]


def _reasons(data: RunData, cases: Sequence[Tried]) -> list[Reason]:
    """What stands beside the verdict: the rig's trouble, and each case that did not pass."""
    found = [
        Reason(cause, Verdict.INFRASTRUCTURE_ERROR.value) for cause in rig_troubles(data, cases)
    ]
    # Trouble of the rig, and what was skipped for one cause, strike many cases: it is said once.
    struck: dict[tuple[CaseOutcome, str], list[Tried]] = {}
    for one in worst_first(cases):
        verdict = verdict_of(one.outcome)
        if one.excused or verdict in (None, Verdict.PASS):
            continue
        cause = one.last.cause or formats.words(one.outcome.value)
        alone = one.outcome not in (CaseOutcome.INFRASTRUCTURE_ERROR, CaseOutcome.SKIPPED)
        struck.setdefault((one.outcome, f"{one.title}: {cause}" if alone else cause), []).append(
            one
        )
    for (outcome, text), own in struck.items():
        said = verdict_of(outcome)
        assert said is not None
        who = ", ".join(f"{one.case} {one.device}" for one in own[:MOST_LISTED])
        if len(own) > MOST_LISTED:
            who += f" and {len(own) - MOST_LISTED} more"
        found.append(Reason(f"{who}: {text}", said.value, own[0].anchor))
    if not found:
        passed = sum(one.outcome is CaseOutcome.PASS for one in cases)
        what = f"{formats.plural(passed, 'case')} passed" if passed else "no case said anything"
        found.append(Reason(what, (data.run.verdict or Verdict.INCOMPLETE.value)))
    return found


def _cards(data: RunData, cases: Sequence[Tried]) -> list[Card]:
    found = counts(cases)
    says = sum(count for outcome, count in found.items() if verdict_of(outcome) is not None)
    passed = found.get(CaseOutcome.PASS, 0) + found.get(CaseOutcome.MARGINAL, 0)
    cards = [Card("Passed", f"{passed} of {says}", "cases on devices that count")]
    for outcome, below in (
        (CaseOutcome.FAIL, "the device's"),
        (CaseOutcome.INFRASTRUCTURE_ERROR, "not the device's"),
        (CaseOutcome.INCOMPLETE, "too little was seen"),
        (CaseOutcome.MARGINAL, "passed, look at them"),
        (CaseOutcome.SKIPPED, "what they rest on did not hold"),
        (CaseOutcome.NOT_APPLICABLE, "the reason is said"),
    ):
        if outcome in found or outcome is CaseOutcome.FAIL:
            title = formats.words(outcome.value).capitalize()
            cards.append(Card(title, formats.number(found.get(outcome, 0)), below))
    excused = sum(one.excused for one in cases)
    if excused:
        cards.append(Card("In quarantine", formats.number(excused), "did not pass, do not count"))
    return cards


def _groups(
    data: RunData, cases: Sequence[Tried], evidence: Mapping[int, CaseEvidence]
) -> list[CaseGroup]:
    found: dict[str, list[Tried]] = {}
    for one in cases:
        found.setdefault(one.case, []).append(one)
    return [
        CaseGroup(case, own[-1].title, [_case(data, one, evidence) for one in worst_first(own)])
        for case, own in found.items()
    ]


def _case(data: RunData, one: Tried, evidence: Mapping[int, CaseEvidence]) -> CaseView:
    tried_at_all = one.outcome not in (CaseOutcome.NOT_APPLICABLE, CaseOutcome.SKIPPED)
    attempts = [_attempt(data, each, evidence[each.id]) for each in reversed(one.attempts)]
    brief = one.last.cause
    if not brief:
        brief = "; ".join(
            f"{m.name} {value_text(m)}" for m in one.last.measurements[:3] if m.value is not None
        )
    return CaseView(
        t=one,
        is_open=one.outcome in _BAD and not one.excused,
        brief=brief,
        attempts=attempts if tried_at_all else [],
    )


def _attempt(data: RunData, attempt: CaseResult, evidence: CaseEvidence) -> AttemptView:
    names = {device.id: device.label for device in data.devices}
    joins = []
    for join in evidence.joins[:MOST_LISTED]:
        who = "" if join.device_id == attempt.device_id else names.get(join.device_id or 0)
        what = f"{formats.words(join.kind)} {formats.words(join.outcome or 'unfinished')}"
        joins.append(
            f"{formats.clock_time(join.started_us)} {what}"
            + (f": {join.cause}" if join.cause else "")
            + (f" ({who or join.eui64})" if join.device_id != attempt.device_id else "")
        )
    if evidence.reads is None:
        reads = "dropped since"
    else:
        reads = formats.number(evidence.reads)
        if evidence.reads_unanswered:
            reads += f", {formats.number(evidence.reads_unanswered)} without an answer"
    capture = attempt.capture
    return AttemptView(
        a=attempt,
        took=formats.duration(attempt.ended_us - attempt.started_us),
        measured=[
            MeasuredRow(m, value_text(m), limit_text(m), good_text(m), gauge(m))
            for m in attempt.measurements
        ],
        joins=joins,
        more_joins=max(0, len(evidence.joins) - MOST_LISTED),
        reads=reads,
        refused=[f"{formats.number(n)} × {cause}" for cause, n in evidence.refused[:MOST_LISTED]],
        outages=[
            f"{formats.clock_time(each.start_us)} for"
            f" {formats.duration(each.end_us - each.start_us)}: {each.what}"
            for each in evidence.outages[:MOST_LISTED]
        ],
        frames="" if capture is None else frames_text(capture),
        frames_time=""
        if capture is None
        else f"{formats.clock_time(capture.first_us)} to {formats.clock_time(capture.last_us)}",
    )
