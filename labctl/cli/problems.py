"""What a check found, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click

from labctl.config.problems import Problem, ProblemSeverity, errors_of

_COLORS = {ProblemSeverity.ERROR: "red", ProblemSeverity.WARNING: "yellow"}


def problem_text(problem: Problem) -> str:
    """`path:line:column: error: what`, and below it what to do."""
    word = click.style(f"{problem.severity}:", fg=_COLORS[problem.severity])
    text = f"{problem.where}: {word} {problem.what}"
    return f"{text}\n  {problem.mend}" if problem.mend else text


def checked_text(path: object, problems: Sequence[Problem], summary: str) -> str:
    """All problems of a file, or that it is all right."""
    lines = [problem_text(problem) for problem in problems]
    if not errors_of(problems):
        lines.append(f"{path}: {click.style('ok', fg='green')}{f' ({summary})' if summary else ''}")
    return "\n".join(lines)


def counted(problems: Iterable[Problem]) -> str:
    """`2 errors, 1 warning`."""
    found = list(problems)
    errors = len(errors_of(found))
    warnings = len(found) - errors
    parts = [plural(errors, "error")] if errors else []
    parts += [plural(warnings, "warning")] if warnings else []
    return ", ".join(parts) or "no problems"


def plural(count: int, noun: str) -> str:
    """`1 device`, `2 devices`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"
