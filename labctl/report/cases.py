"""A campaign's cases as its outputs show them: each case on each device, with all its attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.events import CaseOutcome, Verdict
from labctl.record.rows import CaptureRow, CaseResult, Measurement, RunData
from labctl.record.verdict import WORST_FIRST, verdict_of

WORST_CASES_FIRST = (
    CaseOutcome.FAIL,
    CaseOutcome.INFRASTRUCTURE_ERROR,
    CaseOutcome.INCOMPLETE,
    CaseOutcome.MARGINAL,
    CaseOutcome.SKIPPED,
    CaseOutcome.PASS,
    CaseOutcome.NOT_APPLICABLE,
)
"""The order in which outcomes are listed."""

THE_RIG = "rig"
"""What stands for the device of a case that is of no single one."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A case on a device, or on none (`device_id` None), with every attempt at it, in order."""

    case: str
    title: str
    device_id: int | None
    device: str
    attempts: tuple[CaseResult, ...]

    @property
    def last(self) -> CaseResult:
        """The attempt that says what the case came to."""
        return self.attempts[-1]

    @property
    def outcome(self) -> CaseOutcome:
        """What it came to."""
        return CaseOutcome(self.last.outcome)

    @property
    def excused(self) -> bool:
        """Whether it is in quarantine and did not pass: it does not count."""
        return bool(self.last.quarantine) and verdict_of(self.outcome) not in (None, Verdict.PASS)

    @property
    def took_us(self) -> int:
        """Rig time of all attempts."""
        return sum(attempt.ended_us - attempt.started_us for attempt in self.attempts)

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return f"case-{self.attempts[0].id}"


def tried(data: RunData) -> tuple[Tried, ...]:
    """Every case on every device, in the order in which they were played."""
    names = {device.id: device.label for device in data.devices}
    found: dict[tuple[str, int | None], list[CaseResult]] = {}
    results = data.campaign.results if data.campaign is not None else ()
    for result in sorted(results, key=lambda result: result.id):
        found.setdefault((result.case, result.device_id), []).append(result)
    return tuple(
        Tried(
            case=case,
            title=attempts[-1].title,
            device_id=device_id,
            device=THE_RIG if device_id is None else names.get(device_id, f"device {device_id}"),
            attempts=tuple(attempts),
        )
        for (case, device_id), attempts in found.items()
    )


def worst_first(cases: Iterable[Tried]) -> list[Tried]:
    """What counts and is bad comes first; what is excused comes behind what is not."""
    return sorted(cases, key=lambda one: (one.excused, WORST_CASES_FIRST.index(one.outcome)))


def counts(cases: Iterable[Tried]) -> dict[CaseOutcome, int]:
    """How many came to what, worst first; what came to nothing of the kind is left out."""
    found = [one.outcome for one in cases if not one.excused]
    return {outcome: found.count(outcome) for outcome in WORST_CASES_FIRST if outcome in found}


def rig_troubles(data: RunData, cases: Iterable[Tried]) -> list[str]:
    """The causes of infrastructure errors that no case has: each once."""
    if data.run.verdict not in (None, Verdict.INFRASTRUCTURE_ERROR.value):
        return []
    if any(one.outcome is CaseOutcome.INFRASTRUCTURE_ERROR and not one.excused for one in cases):
        return []
    if data.run.verdict is None:
        return []
    return list(data.run.reasons[:1]) or ["the rig was out"]


def verdict_in(cases: Iterable[Tried]) -> Verdict | None:
    """The worst verdict of cases that count; None when none says anything."""
    found = [verdict_of(one.outcome) for one in cases if not one.excused]
    said = [verdict for verdict in found if verdict is not None]
    return min(said, key=WORST_FIRST.index, default=None)


# -- words ------------------------------------------------------------------------------------


def plain(value: float) -> str:
    """A number as it is measured: six digits, a real minus."""
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def value_text(measured: Measurement) -> str:
    """What was measured, with its unit."""
    if measured.text:
        return measured.text
    if measured.value is None:
        return "not measured"
    return plain(measured.value) + (f" {measured.unit}" if measured.unit else "")


def limit_text(measured: Measurement) -> str:
    """The limits beyond which it fails; empty where there are none."""
    unit = f" {measured.unit}" if measured.unit else ""
    least, most = measured.least, measured.most
    if least is not None and least == most:
        return f"exactly {plain(least)}{unit}"
    if least is not None and most is not None:
        return f"{plain(least)} to {plain(most)}{unit}"
    if least is not None:
        return f"at least {plain(least)}{unit}"
    return f"at most {plain(most)}{unit}" if most is not None else ""


def good_text(measured: Measurement) -> str:
    """The limits beyond which it is marginal; empty where they are no narrower."""
    unit = f" {measured.unit}" if measured.unit else ""
    low, high = measured.good_from, measured.good_to
    if low is not None and high is not None:
        return f"good from {plain(low)} to {plain(high)}{unit}"
    if low is not None:
        return f"good from {plain(low)}{unit}"
    return f"good to {plain(high)}{unit}" if high is not None else ""


def measured_text(measured: Measurement) -> str:
    """A measurement with its limits in one line: "authorised_s 31 s, at most 1200 s"."""
    return ", ".join(
        part
        for part in (
            f"{measured.name} {value_text(measured)}",
            limit_text(measured),
            good_text(measured),
        )
        if part
    )


def frames_text(capture: CaptureRow) -> str:
    """Which frames of which file are evidence."""
    text = f"{capture.path}, frames {capture.first_frame} to {capture.last_frame}"
    if capture.left_out:
        text += f" ({capture.left_out} earlier ones were left out)"
    return text
