"""Writing the report of a run: HTML, Markdown and JSON side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labctl.errors import UsageError
from labctl.files import replace_file
from labctl.record.database import open_for_reading, translated
from labctl.record.queries import find_run, load_run
from labctl.record.verdict import Limits, assess
from labctl.report import pages
from labctl.report.facts import facts as facts_of
from labctl.report.formats import slug

#: The formats, in the order in which their paths are returned.
FORMATS = ("html", "md", "json")


def write_report(
    db_path: str | Path,
    rig_or_run: str | int,
    out_dir: str | Path,
    formats: Sequence[str] = FORMATS,
    *,
    limits: Limits | None = None,
) -> list[Path]:
    """Write the report of a run, or of a rig's newest run, into `out_dir` (made if need be).

    The files are ``RIG-run-ID.html``, ``.md`` and ``.json``; those of the same run are replaced.
    Returns their paths in the order of `FORMATS`. Raises `DatabaseError`, and `UsageError` for an
    unknown run or format and for a folder that cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(
            f"there is no report format {unknown[0]!r}", mend=f"There are {', '.join(FORMATS)}."
        )
    limits = limits or Limits()
    path = Path(db_path)
    connection = open_for_reading(path)
    try:
        with translated(path):
            # One transaction, so that a run that goes on cannot change between two questions.
            connection.execute("BEGIN")
            run = find_run(connection, rig_or_run)
            if run.pruned_us is not None:
                raise UsageError(
                    f"the samples of run {run.id} were dropped: no report can be made of it",
                    mend=f"its verdict was {run.verdict}; what was written then still holds",
                )
            data = load_run(connection, run.id)
    finally:
        connection.close()
    assessment = assess(data, limits)
    facts = facts_of(data, assessment, limits)
    texts = {
        "html": lambda: pages.html(data, assessment, facts, limits),
        "md": lambda: pages.markdown(data, facts, limits),
        "json": lambda: pages.json_text(facts),
    }
    stem = f"{slug(data.run.rig)}-run-{data.run.id}"
    folder = Path(out_dir)
    written = []
    for name in FORMATS:
        if name in formats:
            target = folder / f"{stem}.{name}"
            _replace(target, texts[name]())
            written.append(target)
    return written


def _replace(target: Path, text: str) -> None:
    """Write a file whole or not at all: somebody may have the old one open."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, text)
    except OSError as error:
        raise UsageError(
            f"the report cannot be written: {error.strerror or error}",
            where=str(target),
            mend="Give another folder with --out.",
        ) from error
