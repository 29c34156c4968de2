"""`labctl report`, `labctl runs`, `labctl db`: what was recorded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, Duration, database_option
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import SUFFIXES, locate_database, locate_reports
from labctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labctl.record.database import Health
    from labctl.record.rows import Run

_FORMATS = ("html", "md", "json", "junit")


@click.command(
    epilog=examples(
        "labctl report virtual                 the newest run of the rig",
        "labctl report 12 --out /tmp           run 12, into another folder",
        "labctl report virtual --format json   only the facts, for a program",
    )
)
@click.argument("rig_or_run", metavar="RIG|RUN", type=RIG)
@database_option
@click.option(
    "--out",
    "--reports",
    "reports",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the files. Default: LABCTL_REPORTS, or reports/ beside the inventory.",
)
@click.option(
    "--format",
    "formats",
    metavar="LIST",
    help="Which of html, md, json and (of campaigns) junit to write, with commas between. "
    "Default: all that the run has.",
)
@click.option("--open", "open_page", is_flag=True, help="Show the page in the browser.")
@output_options("labctl.report/1")
def report(
    output: Output,
    rig_or_run: str,
    database: Path | None,
    reports: Path | None,
    formats: str | None,
    open_page: bool,
) -> None:
    """Write the report of a run, or of the newest run of a rig.

    The HTML file needs no network and no other file. Markdown and JSON beside it say the same. The
    report is made from the database alone, also while the run goes on.
    """
    from labctl.report import write_report

    chosen = None if formats is None else _chosen_formats(formats, open_page=open_page)
    written = write_report(
        locate_database(database).path, _rig_name(rig_or_run), locate_reports(reports).path, chosen
    )
    output.emit(
        [{"format": _format_of(path), "path": str(path)} for path in written],
        text="\n".join(map(str, written)),
    )
    if open_page:
        click.launch(str(written[0].resolve()))


def _format_of(path: Path) -> str:
    return "junit" if path.name.endswith(".junit.xml") else path.suffix.removeprefix(".")


def _rig_name(text: str) -> str:
    """The name under which a rig is recorded, when its file was given instead."""
    path = Path(text)
    return path.stem if path.suffix in SUFFIXES else text


def _chosen_formats(text: str, *, open_page: bool) -> list[str]:
    chosen = [word.strip().lower() for word in text.split(",") if word.strip()]
    for word in chosen:
        if word not in _FORMATS:
            raise UsageError(
                f"there is no report format {word!r}", mend=f"There are {', '.join(_FORMATS)}."
            )
    if not chosen:
        raise UsageError("no report format was given", mend="Leave --format out to get them all.")
    if open_page and "html" not in chosen:
        raise UsageError("--open shows the page", mend="Add html to --format.")
    return chosen


@click.command(
    epilog=examples(
        "labctl runs",
        "labctl runs --rig virtual --limit 5",
        "labctl runs --json | jq '.data[] | select(.verdict == \"fail\") | .id'",
    )
)
@click.option("--rig", metavar="RIG", type=RIG, help="Only runs of this rig.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="At most so many, the newest first; 0 for all.",
)
@database_option
@output_options("labctl.runs/1")
def runs(output: Output, rig: str | None, limit: int, database: Path | None) -> None:
    """List recorded runs, the newest first."""
    from labctl.record import queries
    from labctl.record.database import open_for_reading, translated

    path = locate_database(database).path
    connection = open_for_reading(path)
    try:
        with translated(path):
            found = queries.runs(
                connection, rig=None if rig is None else _rig_name(rig), limit=limit or None
            )
    finally:
        connection.close()
    output.emit([_run_data(run) for run in found], text=lambda: _listing(found))
    if not found:
        output.message(f"no runs{f' of {rig}' if rig else ''} in {path}")


def _run_data(run: Run) -> dict[str, Any]:
    from dataclasses import asdict

    from labctl.report.formats import iso

    return {**asdict(run), "started": iso(run.started_us), "ended": iso(run.ended_us)}


def _listing(found: list[Run]) -> str:
    from labctl.report.formats import duration, when

    if not found:
        return ""
    rows = [("run", "rig", "kind", "started (UTC)", "length", "verdict")]
    for run in found:
        length = "" if run.ended_us is None else duration(run.ended_us - run.started_us)
        verdict = run.verdict or "unfinished"
        if run.simulated:
            verdict += " (simulated)"
        rows.append((str(run.id), run.rig, run.kind, when(run.started_us), length, verdict))
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


@click.group(epilog=examples("labctl db path", "labctl db check"))
def db() -> None:
    """Where the database is, and whether it is sound.

    The tables are a public interface: docs/database.md describes them, with questions to ask.
    """


@db.command(
    epilog=examples(
        "labctl db path",
        'datasette "$(labctl db path)"',
    )
)
@database_option
@output_options("labctl.db.path/1")
def path(output: Output, database: Path | None) -> None:
    """Print the path of the database. It need not exist yet."""
    found = locate_database(database)
    output.emit(
        {
            "path": str(found.path),
            "exists": found.path.exists(),
            "source": found.source.value,
            "detail": found.detail,
        },
        text=str(found.path),
    )


@db.command(
    epilog=examples(
        "labctl db check",
        "labctl db check --db /srv/lab.db --json",
    )
)
@database_option
@output_options("labctl.db.check/1")
def check(output: Output, database: Path | None) -> int:
    """Look through the whole database: damage, references, migrations, unfinished runs.

    Nothing is changed, and a run may be going on. Exit code 69 when the database is damaged.
    """
    from labctl.record.database import check as check_database

    health = check_database(locate_database(database).path)
    rows = _check_rows(health)
    output.emit(
        {"path": str(health.path), "ok": health.ok, "bytes": health.bytes, "checks": rows},
        text=lambda: _check_text(health, rows),
    )
    if not health.ok:
        output.fail("the database is damaged")
        return ExitCode.RIG_UNAVAILABLE
    return ExitCode.PASS


@db.command(
    epilog=examples(
        "labctl db prune --keep 180d --dry-run",
        "labctl db prune --keep 180d --yes",
    )
)
@click.option(
    "--keep",
    type=Duration(),
    required=True,
    metavar="DURATION",
    help="Runs that ended longer ago lose their samples.",
)
@click.option("--rig", metavar="RIG", type=RIG, help="Only runs of that rig.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@output_options("labctl.db.prune/1")
def prune(
    output: Output,
    keep: timedelta,
    rig: str | None,
    dry_run: bool,
    yes: bool,
    database: Path | None,
) -> None:
    """Drop the samples of old runs: frames heard, reads, airtime and noise.

    Verdicts, results and measurements of cases, joins, events and roll-ups stay, so that history
    and views go on as before. The report of such a run cannot be made anew: keep the files.
    """
    from labctl.clock import MICROSECONDS, wall_us
    from labctl.record.database import open_for_writing, translated
    from labctl.record.prune import give_back, prunable
    from labctl.record.prune import prune as drop

    path = locate_database(database).path
    if not path.exists():
        raise UsageError(f"there is no database {path}", mend="give --db")
    connection = open_for_writing(path)
    try:
        with translated(path):
            now_us = wall_us()
            old = [
                run
                for run in prunable(connection, now_us - round(keep.total_seconds() * MICROSECONDS))
                if rig is None or run.rig == _rig_name(rig)
            ]
            samples = sum(run.samples for run in old)
            if old and not dry_run:
                if not yes and not click.confirm(
                    f"drop {samples:,} samples of {len(old)} runs for good?", err=True
                ):
                    raise UsageError("nothing was changed")
                for run in old:
                    drop(connection, run, now_us)
                give_back(connection)
    finally:
        connection.close()
    word = "would be dropped" if dry_run else "dropped"
    output.emit(
        {"runs": [run.run_id for run in old], "samples": samples, "dry_run": dry_run},
        text=f"{samples:,} samples of {len(old)} runs {word}; {path.stat().st_size / 1e6:,.1f} MB",
    )


def _check_rows(health: Health) -> list[dict[str, str]]:
    damaged = "Copy the file away, then try `sqlite3 FILE .recover`; use another --db meanwhile."

    def row(name: str, ok: bool, evidence: str, mend: str = "") -> dict[str, str]:
        return {"id": name, "verdict": "ok" if ok else "look", "evidence": evidence, "mend": mend}

    unfinished = health.unfinished_runs
    return [
        row(
            "integrity",
            not health.integrity,
            "; ".join(health.integrity[:5]) or "every page and index is sound",
            damaged if health.integrity else "",
        ),
        row(
            "references",
            not health.foreign_keys,
            "; ".join(health.foreign_keys[:5]) or "every reference leads somewhere",
            damaged if health.foreign_keys else "",
        ),
        row("migrations", True, ", ".join(health.migrations)),
        row(
            "runs",
            not unfinished,
            f"unfinished: {', '.join(map(str, unfinished))}" if unfinished else "all have ended",
            "Going on now, or cut off; the next run of the same rig closes what was cut off."
            if unfinished
            else "",
        ),
    ]


def _check_text(health: Health, rows: list[dict[str, str]]) -> str:
    lines = [f"{health.path}, {health.bytes / 1e6:,.1f} MB, journal {health.journal_mode}"]
    for row in rows:
        lines.append(f"  {row['verdict']:<5} {row['id']:<11} {row['evidence']}")
        if row["mend"]:
            lines.append(f"        {'':<11} {row['mend']}")
    return "\n".join(lines)
