"""What a bench run says about the product: the one place where a verdict is made.

`assess` is a pure function of what was recorded. It never blames a device for the rig's trouble,
and it says how sure it is. The limits are a proposal (no published figures exist for how
punctually a GB display must read) and are settings.

Of several findings the worst decides, in the order of `WORST_FIRST`. A fault of the product that
was seen outside the rig's outages is a fault, whatever else happened; but where the rig itself was
out, or too little was seen, nothing better than that can be said.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from labctl.errors import ExitCode
from labctl.events import CaseOutcome, Verdict
from labctl.record.bearer_rows import Airtime
from labctl.record.rows import Campaign, Device, Join, RunData, Schedule
from labctl.record.stats import upper_bound

WORST_FIRST = (
    Verdict.FAIL,
    Verdict.INFRASTRUCTURE_ERROR,
    Verdict.INCOMPLETE,
    Verdict.MARGINAL,
    Verdict.PASS,
)

_KEY_STEPS = frozenset({"key-initiate", "key-ephemeral", "key-confirm", "link-key-installed"})
_HOUR_US = 3_600_000_000
_NEVER_READ = frozenset({"gas-meter"})
"""Kinds that tell the hub what they measure, and read nothing that a schedule could name."""


_EXIT_CODES = {
    Verdict.PASS: ExitCode.PASS,
    Verdict.MARGINAL: ExitCode.PASS,
    Verdict.FAIL: ExitCode.PRODUCT_FAILED,
    Verdict.INCOMPLETE: ExitCode.RIG_UNAVAILABLE,
    Verdict.INFRASTRUCTURE_ERROR: ExitCode.RIG_UNAVAILABLE,
}


def exit_code_of(verdict: Verdict) -> ExitCode:
    """The exit code of a command that ends with this verdict."""
    return _EXIT_CODES[verdict]


class Certainty(enum.StrEnum):
    """How much the evidence carries."""

    SURE = "sure"
    FAIRLY_SURE = "fairly sure"
    UNSURE = "not sure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where one verdict ends and the next begins. Shares are from 0 to 1."""

    least_due: int = 10
    """A schedule of which fewer reads were due is not judged."""
    missed_marginal: float = 0.01
    """More than this share of the due reads missed, and at least two: marginal."""
    missed_fail: float = 0.05
    """More than this share missed, and at least three: fail."""
    unpunctual_marginal: float = 0.05
    """More than this share of intervals outside the tolerance, and at least three: marginal."""
    unanswered_rig: float = 0.01
    """More than this share of an authorised device's reads left without answer: the rig's error."""
    rejoins_marginal: int = 4
    """More rejoins than this in any day: marginal."""
    refusals_per_hour_marginal: int = 60
    """More refused requests than this an hour, once authorised: marginal."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found, in one sentence, with what it means for the verdict."""

    verdict: Verdict
    text: str
    certainty: Certainty = Certainty.SURE


@dataclass(frozen=True, slots=True)
class DeviceAssessment:
    """What the run says about one device under test; findings are worst first."""

    device_id: int
    eui64: str
    label: str
    verdict: Verdict
    certainty: Certainty
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the run says. `reasons` are sentences, worst first, fit for `RunEnded`."""

    verdict: Verdict
    certainty: Certainty
    reasons: tuple[str, ...]
    devices: tuple[DeviceAssessment, ...]
    rig: tuple[Finding, ...]


def assess(data: RunData, limits: Limits | None = None) -> Assessment:
    """Say what the run shows about each device under test, and about the run as a whole."""
    if data.campaign is not None:
        return assess_campaign(data, data.campaign)
    if data.run.kind == "survey":
        return assess_surveys(data)
    limits = limits or Limits()
    rig = _rig_findings(data)
    devices = tuple(
        _assess_device(data, device, limits) for device in data.devices if device.under_test
    )
    findings = [*rig]
    for device in devices:
        findings += [
            Finding(finding.verdict, f"{device.label}: {finding.text}", finding.certainty)
            for finding in device.findings
        ]
    if not devices:
        findings.append(Finding(Verdict.INCOMPLETE, "no device under test took part in this run"))
    findings = _sorted(findings)
    return Assessment(
        verdict=findings[0].verdict,
        certainty=_certainty(findings),
        reasons=tuple(finding.text for finding in findings),
        devices=devices,
        rig=tuple(rig),
    )


_OUTCOMES = {
    CaseOutcome.PASS: Verdict.PASS,
    CaseOutcome.MARGINAL: Verdict.MARGINAL,
    CaseOutcome.FAIL: Verdict.FAIL,
    CaseOutcome.INCOMPLETE: Verdict.INCOMPLETE,
    CaseOutcome.INFRASTRUCTURE_ERROR: Verdict.INFRASTRUCTURE_ERROR,
    CaseOutcome.SKIPPED: Verdict.INCOMPLETE,
}
"""What a case says of the run. One that is not applicable says nothing."""


def verdict_of(outcome: CaseOutcome) -> Verdict | None:
    """What a case's outcome says of its run; None when it says nothing."""
    return _OUTCOMES.get(outcome)


def assess_surveys(data: RunData) -> Assessment:
    """What the surveys of the run say of the site. How the devices read meanwhile decides nothing:
    they were carried out of reach on purpose.
    """
    rig = [
        finding
        for finding in (_rig_findings(data) if data.run.verdict is None else [])
        if finding.verdict is not Verdict.INCOMPLETE
    ]
    findings = [*rig]
    for found in data.surveys:
        site = found.survey.site
        if found.survey.ended_us is None:
            findings.append(Finding(Verdict.INCOMPLETE, f"{site}: the survey is not ended"))
        else:
            verdict = Verdict(found.survey.verdict or Verdict.INCOMPLETE.value)
            findings.append(Finding(verdict, f"{site}: {found.survey.text}"))
    if not findings:
        findings = [Finding(Verdict.INCOMPLETE, "no survey was begun")]
    findings = _sorted(findings)
    return Assessment(
        verdict=findings[0].verdict,
        certainty=_certainty(findings),
        reasons=tuple(finding.text for finding in findings),
        devices=(),
        rig=tuple(rig),
    )


def assess_campaign(data: RunData, campaign: Campaign) -> Assessment:
    """What the last attempts at the cases say of each device under test, and of the run.

    A case in quarantine that does not pass does not count. What the devices read in between
    decides nothing: cases take them off the network on purpose.
    """
    rig = _rig_findings(data) if data.run.verdict is None else []
    found: dict[int | None, list[Finding]] = {None: []}
    for result in campaign.last_attempts:
        verdict = verdict_of(CaseOutcome(result.outcome))
        if verdict is None or (result.quarantine and verdict is not Verdict.PASS):
            continue
        text = f"{result.case} {result.title}"
        if verdict is not Verdict.PASS:
            text += f": {result.cause or result.outcome}"
        found.setdefault(result.device_id, []).append(Finding(verdict, text))
    devices = []
    findings = [f for f in rig if f.verdict is not Verdict.INCOMPLETE] + found.pop(None)
    for device_id, own in found.items():
        device = data.device(device_id)
        if device is None:
            continue
        own = _sorted(own)
        devices.append(
            DeviceAssessment(
                device_id=device.id,
                eui64=device.eui64,
                label=device.label,
                verdict=own[0].verdict,
                certainty=_certainty(own),
                findings=tuple(own),
            )
        )
        findings += [
            Finding(finding.verdict, f"{device.label}: {finding.text}", finding.certainty)
            for finding in own
        ]
    if not findings:
        findings = [Finding(Verdict.INCOMPLETE, "no case was tried that says anything")]
    findings = _sorted(findings)
    said = [finding.text for finding in findings if finding.verdict is not Verdict.PASS]
    return Assessment(
        verdict=findings[0].verdict,
        certainty=_certainty(findings),
        reasons=tuple(said or [f"all {len(findings)} cases that say something pass"]),
        devices=tuple(devices),
        rig=tuple(rig),
    )


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: WORST_FIRST.index(finding.verdict))


def _certainty(findings: Sequence[Finding]) -> Certainty:
    """A good verdict is as sure as its weakest finding, a bad one as its strongest."""
    order = list(Certainty)
    worst = findings[0].verdict
    decisive = [order.index(f.certainty) for f in findings if f.verdict is worst]
    return order[max(decisive) if worst is Verdict.PASS else min(decisive)]


def _rig_findings(data: RunData) -> list[Finding]:
    found = []
    for event in data.events:
        if event.kind == "run-interrupted":
            found.append(
                Finding(
                    Verdict.INCOMPLETE,
                    "the run was cut off; what came after its last record is not known",
                )
            )
        elif event.kind == "internal-error":
            what = event.detail.get("cause") or event.detail.get("error") or "an unknown error"
            found.append(
                Finding(
                    Verdict.INFRASTRUCTURE_ERROR,
                    f"labctl itself failed ({what}); what it recorded afterwards may be wrong",
                )
            )
    if not data.radios:
        found.append(Finding(Verdict.INFRASTRUCTURE_ERROR, "no radio came up"))
    open_ended = [i for i in data.infrastructure if i.end_us > data.until_us]
    if open_ended:
        found.append(
            Finding(Verdict.INFRASTRUCTURE_ERROR, f"{open_ended[0].what}, and it did not come back")
        )
    elif data.infrastructure:
        seconds = sum(i.end_us - i.start_us for i in data.infrastructure) / 1e6
        times = "once" if len(data.infrastructure) == 1 else f"{len(data.infrastructure)} times"
        found.append(
            Finding(
                Verdict.PASS,
                f"the rig itself was out {times}, {seconds:.0f} s in all;"
                " no device is held to account for that",
                Certainty.FAIRLY_SURE,
            )
        )
    return found + _airtime(data)


def _airtime(data: RunData) -> list[Finding]:
    """The hub's own airtime: it is the rig's, and the law's limit is the rig's to keep."""
    busiest: dict[str, Airtime] = {}  # computed and counted by the firmware are the same thing
    for airtime in data.bearers.airtime:
        before = busiest.get(airtime.radio)
        if airtime.device_id is None and (before is None or airtime.peak_us > before.peak_us):
            busiest[airtime.radio] = airtime
    found = []
    for airtime in busiest.values():
        if airtime.peak_us < airtime.limited_us:
            continue
        text = (
            f"the hub was on the air for {airtime.peak_us / 1e6:.1f} s of an hour at {airtime.band}"
            f" ({airtime.source})"
        )
        if airtime.peak_us > airtime.regulated_us:
            text += f", more than the {airtime.regulated_us / 1e6:g} s that regulation allows"
            found.append(Finding(Verdict.INFRASTRUCTURE_ERROR, text))
        else:
            state = "Critical" if airtime.peak_us >= airtime.critical_us else "Limited"
            text += f": {state}, within the regulated {airtime.regulated_us / 1e6:g} s"
            found.append(Finding(Verdict.PASS, text))
    return found


def _device_airtime(data: RunData, device: Device) -> list[Finding]:
    """A device's own airtime is at least what the hub heard of it."""
    found = []
    own = [airtime for airtime in data.bearers.airtime if airtime.device_id == device.id]
    worst = max(own, key=lambda airtime: airtime.peak_us, default=None)
    if worst is not None and worst.peak_us > worst.regulated_us:
        found.append(
            Finding(
                Verdict.FAIL,
                f"it was on the air for {worst.peak_us / 1e6:.1f} s of an hour at {worst.band};"
                f" regulation allows {worst.regulated_us / 1e6:g} s",
            )
        )
    for over in data.bearers.over_capacity:
        if over.device_id == device.id:
            found.append(
                Finding(
                    Verdict.PASS,
                    f"its high-bandwidth link at 868 MHz was number {over.links} where the hub"
                    f" offers {over.limit}",
                )
            )
            break
    return found


def _assess_device(data: RunData, device: Device, limits: Limits) -> DeviceAssessment:
    attempts = [join for join in data.joins if join.device_id == device.id]
    keyed_before = not attempts and any(
        group.device_id == device.id
        and group.initiator == "device"
        and group.reads > group.unencrypted
        for group in data.reads
    )
    authorised = any(join.outcome == "authorised" for join in attempts)
    findings: list[Finding] = []
    if authorised or keyed_before:
        findings += _joined(data, attempts, keyed_before)
        findings += _rejoins(data, attempts, limits)
        schedules = [s for s in data.schedules if s.device_id == device.id]
        for schedule in schedules:
            findings += _schedule(schedule, limits)
        if not schedules and device.kind not in _NEVER_READ:
            findings.append(
                Finding(
                    Verdict.INCOMPLETE,
                    "no read schedule was declared for it, so its reads were not judged",
                )
            )
        findings += _unanswered(data, device, limits)
        findings += _refusals(data, device, limits)
        findings += _device_airtime(data, device)
    else:
        findings.append(_not_authorised(data, device, attempts))
    findings = _sorted(findings)
    return DeviceAssessment(
        device_id=device.id,
        eui64=device.eui64,
        label=device.label,
        verdict=findings[0].verdict,
        certainty=_certainty(findings),
        findings=tuple(findings),
    )


def _during_outage(data: RunData, join: Join) -> bool:
    end_us = join.ended_us if join.ended_us is not None else data.until_us
    return any(outage.overlaps(join.started_us, end_us + 1) for outage in data.infrastructure)


def _cause(join: Join) -> str:
    """The hub's word for why an attempt ended as it did."""
    return join.cause or (join.outcome or "the run ended first")


def _not_authorised(data: RunData, device: Device, attempts: list[Join]) -> Finding:
    # A window that closed without a word is recorded as a join, and is no attempt of the device.
    attempts = [join for join in attempts if join.outcome != "not-heard"]
    not_begun = [
        event
        for event in data.events
        if event.kind == "pairing-not-begun" and event.device_id == device.id
    ]
    if not_begun and all(join.outcome == "refused" for join in attempts):
        return Finding(Verdict.INCOMPLETE, f"it was not paired: {not_begun[-1].detail['cause']}")
    if not attempts:
        if device.last_heard_us is None:
            text = "nothing was heard of it, which shows nobody's fault"
        else:
            text = "it was heard, but did not try to join while the run went on"
        return Finding(Verdict.INCOMPLETE, text)
    last = attempts[-1]
    tried = "its attempt to join" if len(attempts) == 1 else f"its {len(attempts)} attempts to join"
    if all(_during_outage(data, join) for join in attempts):
        return Finding(
            Verdict.INFRASTRUCTURE_ERROR, f"{tried} fell into an outage of the rig ({_cause(last)})"
        )
    outside = [join for join in attempts if not _during_outage(data, join)]
    keyed = [
        join
        for join in outside
        if join.outcome is not None and any(step.step in _KEY_STEPS for step in join.steps)
    ]
    if keyed:
        return Finding(
            Verdict.FAIL,
            f"{tried} got as far as key establishment and failed there ({_cause(keyed[-1])})."
            " It held the right install code; if the cause speaks of certificates, check first"
            " that hub and device have theirs from the same authority",
            Certainty.FAIRLY_SURE,
        )
    return Finding(
        Verdict.INCOMPLETE,
        f"{tried} ended before key establishment ({_cause(outside[-1])}): check the install code,"
        " the address and the window before the device",
        Certainty.UNSURE,
    )


def _joined(data: RunData, attempts: list[Join], keyed_before: bool) -> list[Finding]:
    if keyed_before:
        return [Finding(Verdict.PASS, "it came paired and read under its link key")]
    first = next(join for join in attempts if join.outcome == "authorised")
    failed = [
        join
        for join in attempts[: attempts.index(first)]
        if join.outcome == "failed" and not _during_outage(data, join)
    ]
    if first.kind != "join":
        text = f"it came paired and rejoined ({first.kind})"
    else:
        seconds = ((first.ended_us or first.started_us) - first.started_us) / 1e6
        text = f"it joined and was authorised in {seconds:.1f} s"
    if not failed:
        return [Finding(Verdict.PASS, text)]
    times = "one attempt" if len(failed) == 1 else f"{len(failed)} attempts"
    return [
        Finding(
            Verdict.MARGINAL,
            f"{text}, after {times} that failed ({_cause(failed[-1])})",
            Certainty.FAIRLY_SURE,
        )
    ]


def _rejoins(data: RunData, attempts: list[Join], limits: Limits) -> list[Finding]:
    rejoins = [
        join for join in attempts[1:] if join.kind != "join" and not _during_outage(data, join)
    ]
    if not rejoins:
        return []
    days = max(1.0, (data.until_us - data.run.started_us) / (24 * _HOUR_US))
    count = "once" if len(rejoins) == 1 else f"{len(rejoins)} times"
    if len(rejoins) / days > limits.rejoins_marginal:
        return [
            Finding(
                Verdict.MARGINAL,
                f"it left the network and rejoined {count}; look at its link before each",
                Certainty.FAIRLY_SURE,
            )
        ]
    return [Finding(Verdict.PASS, f"it rejoined {count}")]


def _schedule(schedule: Schedule, limits: Limits) -> list[Finding]:
    result = schedule.result
    name = f"reads of {schedule.name}"
    excused = result.missed - result.missed_counting
    due = result.expected - excused
    if due < limits.least_due:
        return [
            Finding(
                Verdict.INCOMPLETE,
                f"{name}: {max(0, due)} were due, at least {limits.least_due} are needed to judge",
            )
        ]
    missed = min(result.missed_counting, due)
    share = missed / due
    bound = upper_bound(missed, due)
    text = f"{name}: {missed:,} of {due:,} due were missed ({share * 100:.1f} %;"
    text += f" fewer than {bound * 100:.2f} % in the long run, with 95 % confidence)"
    if excused:
        text += f"; {excused:,} more fell into outages of the rig and do not count"
    # A request that is lost on the air looks to the hub like one that was never made.
    # One lost frame says nothing, however few reads were due.
    if share > limits.missed_fail and missed >= 3:
        verdict = Verdict.FAIL
        certainty = Certainty.SURE if share > 0.5 else Certainty.FAIRLY_SURE
    elif share > limits.missed_marginal and missed >= 2:
        verdict, certainty = Verdict.MARGINAL, Certainty.FAIRLY_SURE
    else:
        verdict = Verdict.PASS
        certainty = Certainty.SURE if bound <= limits.missed_fail else Certainty.FAIRLY_SURE
    found = [Finding(verdict, text, certainty)]
    intervals = sum(result.intervals.values())
    for count, word in ((result.late, "late"), (result.early, "early")):
        # One or two are first contact and catching up, however few reads were due.
        if count >= 3 and count / intervals > limits.unpunctual_marginal:
            found.append(
                Finding(
                    Verdict.MARGINAL,
                    f"{name}: {count:,} of {intervals:,} came {word}, outside"
                    f" {schedule.period_ms / 1000:g} s ± {schedule.tolerance_ms / 1000:g} s",
                )
            )
    return found


def _unanswered(data: RunData, device: Device, limits: Limits) -> list[Finding]:
    """Reads under the link key that the hub left without an answer: the hub is the rig's."""
    own = [g for g in data.reads if g.device_id == device.id and g.initiator == "device"]
    total = sum(group.reads for group in own)
    unanswered = sum(group.unanswered for group in own if not group.unencrypted)
    if total and unanswered / total > limits.unanswered_rig:
        return [
            Finding(
                Verdict.INFRASTRUCTURE_ERROR,
                f"the hub left {unanswered:,} of its {total:,} reads without an answer",
            )
        ]
    return []


def _refusals(data: RunData, device: Device, limits: Limits) -> list[Finding]:
    own = [r for r in data.refusals if r.device_id == device.id and r.after_authorised]
    count = sum(refusal.after_authorised for refusal in own)
    if not count:
        return []
    hours = max(1.0, (data.until_us - data.run.started_us) / _HOUR_US)
    worst = max(own, key=lambda refusal: refusal.after_authorised)
    text = f"{count:,} of its requests were refused, mostly: {worst.cause}"
    if count / hours > limits.refusals_per_hour_marginal:
        return [Finding(Verdict.MARGINAL, text)]
    return [Finding(Verdict.PASS, text)]
