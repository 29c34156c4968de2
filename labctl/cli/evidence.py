"""`labctl evidence`: a campaign's archive, made and checked."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, database_option, inventory_option, reports_option
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import (
    SUFFIXES,
    chosen_inventory,
    find_rig,
    locate_database,
    locate_reports,
)
from labctl.errors import ExitCode, LabctlError

if TYPE_CHECKING:
    from labctl.config.resolved import LoadedRig
    from labctl.report.evidence import Evidence
    from labctl.report.evidence_check import Checked


@click.group(
    epilog=examples(
        "labctl evidence make virtual",
        "labctl evidence verify reports/virtual-run-3.evidence.zip",
    )
)
def evidence() -> None:
    """A campaign's evidence in one file: report, record, log, captures, configuration, hashes.

    `labctl campaign run` makes it at its end. There is no secret in it. docs/campaign.md says what
    is.
    """


@evidence.command(
    epilog=examples("labctl evidence make virtual", "labctl evidence make 12 --reports /tmp")
)
@click.argument("rig_or_run", metavar="RIG|RUN", type=RIG)
@inventory_option
@database_option
@reports_option
@output_options("labctl.evidence.make/1")
def make(
    output: Output,
    rig_or_run: str,
    inventory: Path | None,
    database: Path | None,
    reports: Path | None,
) -> None:
    """Make the archive of a campaign (the newest of RIG, or that of a run's number) again.

    As long as record, captures and rig file are what they were, it has the same octets. What is not
    there any more is left out, and the archive says so.
    """
    from labctl.record.database import open_for_reading
    from labctl.record.queries import find_run
    from labctl.report.evidence import make_evidence

    path = locate_database(database).path
    name = Path(rig_or_run).stem if Path(rig_or_run).suffix in SUFFIXES else rig_or_run
    connection = open_for_reading(path)
    try:
        rig = find_run(connection, name).rig
    finally:
        connection.close()
    made = make_evidence(
        path,
        name,
        locate_reports(reports).path,
        _configuration(rig_or_run if name != rig_or_run else rig, inventory),
    )
    output.emit(as_data(made), text=f"{made.path}\nsha256 {made.sha256}")
    for each in made.left_out:
        output.warning(f"left out: {each}")


def _configuration(rig: str, inventory: Path | None) -> bytes | None:
    """What the rig's files say now; None when they cannot be read."""
    from labctl.config.loading import load_rig, without_secrets

    try:
        chosen = chosen_inventory(inventory)
        return without_secrets(load_rig(find_rig(rig, chosen), chosen))
    except LabctlError:
        # What is missing is said by the archive; the run's own file may be gone for years.
        return None


def evidence_of(loaded: LoadedRig, database: Path, run_id: int, reports: Path) -> Evidence:
    """Make the archive of a campaign that has just ended. Raises `LabctlError`."""
    from labctl.config.loading import without_secrets
    from labctl.report.evidence import make_evidence

    return make_evidence(database, run_id, reports, without_secrets(loaded))


def as_data(made: Evidence) -> dict[str, Any]:
    """As the JSON outputs have it."""
    return {**asdict(made), "path": str(made.path)}


@evidence.command(
    epilog=examples(
        "labctl evidence verify reports/virtual-run-3.evidence.zip",
        'labctl evidence verify sent.zip --sha256 "$(cat sent.sha256)"',
    )
)
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--sha256",
    metavar="HEX",
    help="What the file's own hash has to be: `labctl matrix --json` has it.",
)
@output_options("labctl.evidence.verify/1")
def verify(output: Output, file: Path, sha256: str | None) -> int:
    """Check an archive: every member against the manifest, and that there is nothing else.

    The manifest finds damage and careless change. Against change on purpose compare the file's own
    hash (`--sha256`) with what the record has. Nothing is unpacked.

    Exit code 0: it is what was made. 69: it is damaged, altered, or no such archive.
    """
    from labctl.report.evidence_check import check_evidence

    found = check_evidence(file, sha256)
    output.emit(
        {**asdict(found), "path": str(found.path), "ok": not found.problems},
        text=lambda: _text(found),
    )
    for problem in found.problems[:50]:
        output.fail(problem)
    if len(found.problems) > 50:
        output.fail(f"and {len(found.problems) - 50} more")
    return ExitCode.RIG_UNAVAILABLE if found.problems else ExitCode.PASS


def _text(found: Checked) -> str:
    lines = [f"{found.path}: {found.members} members, {found.bytes / 1e6:,.1f} MB"]
    if found.about:
        lines.append(found.about)
    lines.append(f"sha256 {found.sha256}")
    lines += [f"left out when it was made: {each}" for each in found.left_out]
    if not found.problems:
        lines.append("every member is what the manifest says, and there is nothing else")
    return "\n".join(lines)
