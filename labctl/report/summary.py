"""The Markdown summary of a campaign, for the pages of CI systems: what is bad comes first.

It always fits: job summaries of GitHub Actions take 1 MiB, but comments and notes 65,536
characters. What has no room is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from labctl.events import CaseOutcome
from labctl.record.rows import RunData
from labctl.report import formats
from labctl.report.cases import (
    Tried,
    counts,
    frames_text,
    limit_text,
    rig_troubles,
    tried,
    value_text,
    worst_first,
)

MOST_OCTETS = 65_000
"""Of UTF-8."""
_LONGEST = 400
"""Letters of one sentence that somebody else wrote."""

MARKS = {
    CaseOutcome.PASS: "✓",
    CaseOutcome.MARGINAL: "≈",
    CaseOutcome.FAIL: "✗",
    CaseOutcome.INCOMPLETE: "…",
    CaseOutcome.INFRASTRUCTURE_ERROR: "!",
    CaseOutcome.SKIPPED: "»",
    CaseOutcome.NOT_APPLICABLE: "–",
}
"""A mark for each outcome; what is excused stands in brackets."""


def summary(data: RunData, most_octets: int = MOST_OCTETS) -> str:
    """The text, of at most `most_octets` octets."""
    cases = tried(data)
    page = _Page(most_octets)
    _head(page, data, cases)
    _failures(page, cases)
    _infrastructure(page, data, cases)
    _others(page, cases)
    _quarantine(page, cases)
    _table(page, cases)
    return page.text()


class _Page:
    """Lines, as long as there is room; room for saying how many more there are is kept."""

    _KEPT = 200

    def __init__(self, most_octets: int) -> None:
        self._left = most_octets - self._KEPT
        self._lines: list[str] = []

    def add(self, *lines: str) -> bool:
        """Add these lines together, or none of them."""
        size = sum(len(line.encode()) + 1 for line in lines)
        if size > self._left:
            return False
        self._left -= size
        self._lines += lines
        return True

    def section(self, head: Sequence[str], entries: Sequence[Sequence[str]], what: str) -> None:
        """A heading with entries; those that have no room are counted."""
        if not entries:
            return
        if not self.add(*head):
            self._leave_out(len(entries), what)
            return
        # What there is room for is found before it is written: the count has to fit as well.
        for shown, entry in enumerate(entries):
            more = self._more(len(entries) - shown, what)
            size = sum(len(line.encode()) + 1 for line in entry)
            last = shown == len(entries) - 1
            if size + (0 if last else len("\n".join(more).encode()) + 1) > self._left:
                self._leave_out(len(entries) - shown, what)
                return
            self.add(*entry)
        self.add("")

    def _leave_out(self, count: int, what: str) -> None:
        """Say how many there are more, in the room that was kept for it."""
        self._left += self._KEPT
        self.add(*self._more(count, what))
        self._left -= self._KEPT

    @staticmethod
    def _more(count: int, what: str) -> tuple[str, ...]:
        return ("", f"… and {count} more {what}; the report has them all.", "")

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines).rstrip("\n") + "\n"


def _head(page: _Page, data: RunData, cases: Sequence[Tried]) -> None:
    run = data.run
    verdict = run.verdict or "has not ended"
    page.add(f"# {_md(run.rig)}: {formats.words(verdict)}", "")
    if run.simulated:
        page.add("> **Simulated.** It says nothing of any real product or place.", "")
    words = ", ".join(
        f"{count} {formats.words(outcome.value)}" for outcome, count in counts(cases).items()
    )
    excused = sum(one.excused for one in cases)
    if excused:
        words += f"{', ' if words else ''}{excused} in quarantine"
    names = [
        device.label for device in data.devices if any(o.device_id == device.id for o in cases)
    ]
    page.add(
        f"Campaign run {run.id}, {formats.when(run.started_us)} UTC,"
        f" {formats.duration(data.until_us - run.started_us)} of rig time,"
        f" labctl {_md(run.labctl_version)}.",
        "",
        f"**{words or 'No case was tried'}**"
        + (f" on {formats.plural(len(names), 'device')}." if names else "."),
        "",
    )


def _failures(page: _Page, cases: Sequence[Tried]) -> None:
    entries = []
    for one in worst_first(cases):
        if one.outcome is not CaseOutcome.FAIL or one.excused:
            continue
        bad = [m for m in one.last.measurements if m.outcome == CaseOutcome.FAIL.value]
        attempts = f" ({len(one.attempts)} attempts)" if len(one.attempts) > 1 else ""
        lines = [f"### ✗ {_md(one.case)} {_md(one.title)} – {_md(one.device)}{attempts}", ""]
        if bad:
            lines += ["| measured | value | limit |", "|---|--:|---|"]
            lines += [
                f"| {_md(m.name)} | {_md(value_text(m))} | {_md(limit_text(m))} |" for m in bad
            ]
        else:
            lines.append(_md(one.last.cause or "it failed"))
        if one.last.capture is not None:
            lines += ["", f"On the air: {_md(frames_text(one.last.capture))}."]
        entries.append([*lines, ""])
    page.section(("## Failures", ""), entries, "failures")


def _infrastructure(page: _Page, data: RunData, cases: Sequence[Tried]) -> None:
    """Each cause once, with the cases that it struck, and those that were skipped after it."""
    causes: dict[str, list[Tried]] = {cause: [] for cause in rig_troubles(data, cases)}
    for one in cases:
        if one.outcome is CaseOutcome.INFRASTRUCTURE_ERROR and not one.excused:
            causes.setdefault(one.last.cause or "no cause was told", []).append(one)
    for one in cases:
        if one.outcome is CaseOutcome.SKIPPED:
            for cause, struck in causes.items():
                if cause in one.last.cause:
                    struck.append(one)
                    break
    entries = [
        [f"- {_md(cause)}" + (f" ({_listed(struck)})" if struck else "")]
        for cause, struck in causes.items()
    ]
    page.section(("## Infrastructure, not the product", ""), entries, "causes")


def _others(page: _Page, cases: Sequence[Tried]) -> None:
    for outcome, title in (
        (CaseOutcome.INCOMPLETE, "Incomplete"),
        (CaseOutcome.MARGINAL, "Marginal"),
    ):
        entries = [
            [f"- {_md(one.case)} {_md(one.device)}: {_md(one.last.cause or one.title)}"]
            for one in cases
            if one.outcome is outcome and not one.excused
        ]
        page.section((f"## {title}", ""), entries, "of them")


def _quarantine(page: _Page, cases: Sequence[Tried]) -> None:
    entries = [
        [
            f"| {_md(one.case)} | {_md(one.device)} | {formats.words(one.outcome.value)}"
            f" | {_md(one.last.quarantine)} | {_md(one.last.cause)} |"
        ]
        for one in cases
        if one.excused
    ]
    head = (
        "## In quarantine",
        "",
        "| case | device | came to | owner, last day | cause |",
        "|---|---|---|---|---|",
    )
    page.section(head, entries, "in quarantine")


def _table(page: _Page, cases: Sequence[Tried]) -> None:
    devices = list(dict.fromkeys(one.device for one in cases))
    found: dict[str, dict[str, Tried]] = {}
    for one in cases:
        found.setdefault(one.case, {})[one.device] = one
    entries = []
    for case, own in found.items():
        cells = " | ".join(_cell(own.get(device)) for device in devices)
        title = next(iter(own.values())).title
        entries.append([f"| {_md(case)} | {_md(title)} | {cells} |"])
    legend = ", ".join(f"{mark} {formats.words(outcome.value)}" for outcome, mark in MARKS.items())
    head = (
        "## All cases",
        "",
        f"{legend}; ( ) in quarantine",
        "",
        f"| case | what has to hold | {' | '.join(_md(device) for device in devices)} |",
        "|---|---|" + ":-:|" * len(devices),
    )
    page.section(head, entries, "cases")


def _cell(one: Tried | None) -> str:
    if one is None:
        return ""
    mark = MARKS[one.outcome]
    return f"({mark})" if one.excused else mark


def _listed(cases: Sequence[Tried]) -> str:
    shown = [f"{_md(one.case)} {_md(one.device)}" for one in cases[:8]]
    more = len(cases) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _md(text: object) -> str:
    whole = str(text)
    return formats.markdown_text(whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…")
