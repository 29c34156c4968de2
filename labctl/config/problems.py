"""What is wrong in a file, and where: collected, put in file order, and raised as one error."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import ConfigurationError

_LONG_HEX = re.compile(r"[0-9a-fA-F]{14,}")
_SEPARATORS = re.compile(r"[\s:.\-_]")
_LONGEST_QUOTE = 48


class ProblemSeverity(enum.StrEnum):
    """An error stops the rig from being opened; a warning is worth a look."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in one place. `line` and `column` count from 1; 0 means the whole file."""

    path: Path
    what: str
    line: int = 0
    column: int = 0
    mend: str = ""
    severity: ProblemSeverity = ProblemSeverity.ERROR

    @property
    def where(self) -> str:
        """``path:line:column``, in the form that editors and terminals make clickable."""
        if not self.line:
            return str(self.path)
        return f"{self.path}:{self.line}:{self.column}"

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}"
        return f"{text}\n  {self.mend}" if self.mend else text

    def as_json(self) -> dict[str, object]:
        """For the `--json` envelope."""
        return {
            "severity": self.severity.value,
            "path": str(self.path),
            "line": self.line or None,
            "column": self.column or None,
            "what": self.what,
            "mend": self.mend or None,
        }


class ConfigurationErrors(ConfigurationError):
    """All that is wrong with a file and the files it refers to, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(first.what, where=first.where, mend=first.mend)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


def in_file_order(problems: Iterable[Problem]) -> list[Problem]:
    """Sorted by place; files stay in the order in which they first appear. Repeats are dropped."""
    distinct = list(dict.fromkeys(problems))
    files = list(dict.fromkeys(problem.path for problem in distinct))
    return sorted(distinct, key=lambda p: (files.index(p.path), p.line, p.column))


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Those that stop us."""
    return [problem for problem in problems if problem.severity is ProblemSeverity.ERROR]


def quote(value: object) -> str:
    """A value of the file for a message: short, and never something that may be a secret.

    People paste install codes into the wrong place, so anything that reads as 14 or more
    hexadecimal digits (the shortest code with its CRC has 16) is only counted.
    """
    text = value if isinstance(value, str) else getattr(value, "text", None) or repr(value)
    digits = _SEPARATORS.sub("", text)
    if _LONG_HEX.search(digits):
        return f"<{len(digits)} characters>"
    if len(text) > _LONGEST_QUOTE:
        text = text[: _LONGEST_QUOTE - 1] + "…"
    return repr(text) if isinstance(value, str) else text


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """A suggestion, or what there is to choose from, or nothing."""
    names = sorted({str(name) for name in candidates})
    close = difflib.get_close_matches(word.lower(), [name.lower() for name in names], n=1)
    if close:
        match = next(name for name in names if name.lower() == close[0])
        return f"did you mean {match!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"known here: {shown}"
