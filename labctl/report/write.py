"""Writing the report of a run: HTML, Markdown and JSON side by side, and JUnit of a campaign."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import UsageError
from labctl.files import replace_file
from labctl.record.case_evidence import case_evidence
from labctl.record.database import open_for_reading, translated
from labctl.record.queries import find_run, load_run
from labctl.record.rows import RunData
from labctl.record.verdict import Limits, assess
from labctl.report import pages
from labctl.report.campaign_facts import campaign_facts
from labctl.report.campaign_pages import html as campaign_html
from labctl.report.facts import facts as facts_of
from labctl.report.formats import slug
from labctl.report.junit import junit
from labctl.report.summary import summary

#: The formats, in the order in which their paths are returned.
FORMATS = ("html", "md", "json")
#: What a campaign has besides.
OF_CAMPAIGNS = ("junit",)

_SUFFIXES = {"junit": "junit.xml"}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A report in memory. `stem` is RIG-run-ID, `names` are the files' names by format."""

    data: RunData
    stem: str
    texts: Mapping[str, Callable[[], str]]

    @property
    def names(self) -> dict[str, str]:
        """The names of the files, in the order of the formats."""
        return {name: f"{self.stem}.{_SUFFIXES.get(name, name)}" for name in self.texts}


def write_report(
    db_path: str | Path,
    rig_or_run: str | int,
    out_dir: str | Path,
    formats: Sequence[str] | None = None,
    *,
    limits: Limits | None = None,
) -> list[Path]:
    """Write the report of a run, or of a rig's newest run, into `out_dir` (made if need be).

    The files are ``RIG-run-ID.html``, ``.md`` and ``.json``, of a campaign ``.junit.xml`` too;
    those of the same run are replaced. `formats` None: all that there are of such a run. Returns
    their paths in the order of `FORMATS`. Raises `DatabaseError`, and `UsageError` for an unknown
    run or format and for a folder that cannot be written.
    """
    known = (*FORMATS, *OF_CAMPAIGNS)
    unknown = [name for name in formats or () if name not in known]
    if unknown:
        raise UsageError(
            f"there is no report format {unknown[0]!r}", mend=f"There are {', '.join(known)}."
        )
    path = Path(db_path)
    with closing(open_for_reading(path)) as connection, translated(path):
        # One transaction, so that a run that goes on cannot change between two questions.
        connection.execute("BEGIN")
        rendered = render(connection, rig_or_run, limits=limits)
    for name in formats or ():
        if name not in rendered.texts:
            raise UsageError(
                f"run {rendered.data.run.id} is no campaign, and has no {name} file",
                mend=f"There are {', '.join(rendered.texts)}.",
            )
    folder = Path(out_dir)
    written = []
    for name, text in rendered.texts.items():
        if formats is None or name in formats:
            target = folder / rendered.names[name]
            _replace(target, text())
            written.append(target)
    return written


def render(
    connection: sqlite3.Connection, rig_or_run: str | int, *, limits: Limits | None = None
) -> Rendered:
    """The report of a run from an open database. Raises `UsageError`, `sqlite3.Error`."""
    limits = limits or Limits()
    run = find_run(connection, rig_or_run)
    if run.pruned_us is not None:
        raise UsageError(
            f"the samples of run {run.id} were dropped: no report can be made of it",
            mend=f"its verdict was {run.verdict}; what was written then still holds",
        )
    data = load_run(connection, run.id)
    assessment = assess(data, limits)
    facts = facts_of(data, assessment, limits)
    texts: dict[str, Callable[[], str]] = {
        "html": lambda: pages.html(data, assessment, facts, limits),
        "md": lambda: pages.markdown(data, facts, limits),
        "json": lambda: pages.json_text(facts),
    }
    if run.kind == "campaign":
        texts["md"] = lambda: summary(data)
        texts["junit"] = lambda: junit(data)
    if data.campaign is not None:
        evidence = case_evidence(connection, data)
        facts["campaign"] = campaign_facts(data, evidence)
        texts["html"] = lambda: campaign_html(data, assessment, facts, limits, evidence)
    return Rendered(data, f"{slug(data.run.rig)}-run-{data.run.id}", texts)


def write_page(target: Path, text: str) -> None:
    """Write a page where somebody asked for it. Raises `UsageError` when that cannot be done."""
    _replace(target, text, mend="Give another path.")


def _replace(target: Path, text: str, mend: str = "Give another folder with --out.") -> None:
    """Write a file whole or not at all: somebody may have the old one open."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, text)
    except OSError as error:
        raise UsageError(
            f"the report cannot be written: {error.strerror or error}",
            where=str(target),
            mend=mend,
        ) from error
