"""One finding of the doctor, and what all of them mean for the exit code."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from labctl.errors import ExitCode


class Verdict(enum.StrEnum):
    """What came of a check."""

    OK = "ok"
    WARN = "warn"
    """It works, and something will get in the way."""
    FAIL = "fail"
    """It cannot work."""
    SKIP = "skip"
    """It could not be looked at, or there is nothing to look at: the evidence says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """`id` names the check, and what it is about behind a colon. `mend` says what to do.

    `exit_code` counts when the verdict is *fail*: 78 for what stands in a file, 69 for all else.
    """

    id: str
    verdict: Verdict
    evidence: str
    mend: str = ""
    exit_code: ExitCode = ExitCode.RIG_UNAVAILABLE

    def as_json(self) -> dict[str, str]:
        """For `--json`."""
        return {
            "id": self.id,
            "verdict": self.verdict.value,
            "evidence": self.evidence,
            "mend": self.mend,
        }


def ok(id_: str, evidence: str) -> Row:
    """All is well."""
    return Row(id_, Verdict.OK, evidence)


def warn(id_: str, evidence: str, mend: str) -> Row:
    """It works for now."""
    return Row(id_, Verdict.WARN, evidence, mend)


def fail(id_: str, evidence: str, mend: str, exit_code: ExitCode = ExitCode.RIG_UNAVAILABLE) -> Row:
    """It cannot work."""
    return Row(id_, Verdict.FAIL, evidence, mend, exit_code)


def skip(id_: str, why: str, mend: str = "") -> Row:
    """It was not looked at."""
    return Row(id_, Verdict.SKIP, why, mend)


def exit_code(rows: Iterable[Row]) -> ExitCode:
    """69 when something of the computer or a stick fails; 78 when it is files alone."""
    codes = {row.exit_code for row in rows if row.verdict is Verdict.FAIL}
    if not codes:
        return ExitCode.PASS
    return (
        ExitCode.CONFIGURATION if codes == {ExitCode.CONFIGURATION} else (ExitCode.RIG_UNAVAILABLE)
    )
