"""`labctl matrix`: what works with what."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, database_option, html_option
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import SUFFIXES, locate_database
from labctl.errors import UsageError

if TYPE_CHECKING:
    from labctl.record.matrix import MatrixRow

_SHA_DIGITS = 12


@click.command(
    epilog=examples(
        "labctl matrix",
        "labctl matrix --csv > matrix.csv",
        "labctl matrix --html matrix.html",
        "labctl matrix --rig bench-ezsp --json",
    )
)
@click.option("--rig", metavar="RIG", type=RIG, help="Only campaigns of that rig.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV; new columns come last.")
@html_option
@database_option
@output_options("labctl.matrix/1")
def matrix(
    output: Output, rig: str | None, as_csv: bool, html: Path | None, database: Path | None
) -> None:
    """Show which device and firmware works with which hub generation, meters and band.

    Each row is of the newest campaign that said anything of it, with its date, verdict, and the
    hash of its evidence. It is stale once the device was seen with another firmware.
    """
    from labctl.record.database import open_for_reading, translated
    from labctl.record.matrix import matrix as rows_of

    if as_csv and html is not None:
        raise UsageError("--csv and --html are two forms of the same: choose one")
    if as_csv and output.json:
        raise UsageError("--csv and --json are two forms of the same: choose one")
    path = locate_database(database).path
    connection = open_for_reading(path)
    name = Path(rig).stem if rig and Path(rig).suffix in SUFFIXES else rig
    try:
        with translated(path):
            rows = rows_of(connection, rig=name)
    finally:
        connection.close()
    if html is not None:
        from labctl.report.matrix import html as page_of
        from labctl.report.write import write_page

        write_page(html, page_of(rows, name))
    output.emit(
        [asdict(row) for row in rows],
        text=lambda: str(html) if html is not None else _csv(rows) if as_csv else _text(rows),
    )


def _csv(rows: list[MatrixRow]) -> str:
    from labctl.record.matrix import MatrixRow

    file = io.StringIO()
    writer = csv.DictWriter(file, [field.name for field in fields(MatrixRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return file.getvalue().rstrip("\n")


def _text(rows: list[MatrixRow]) -> str:
    if not rows:
        return "no campaign has said anything yet: labctl campaign run RIG"
    head = ("verdict", "device", "firmware", "hub", "meters", "band", "cases", "date", "evidence")
    return columns([head, *(_row(row) for row in rows)])


def _row(row: MatrixRow) -> tuple[str, ...]:
    stale = f"stale: now {row.firmware_now}, retest" if row.stale else row.verdict
    return (
        stale,
        " ".join(filter(None, (row.manufacturer, row.device))),
        row.firmware or "not told",
        row.generation,
        row.meters,
        row.band or "-",
        str(row.cases) + (" (some)" if row.selection else ""),
        datetime.fromtimestamp(row.at_us / 1e6, tz=UTC).date().isoformat()
        + (" simulated" if row.simulated else ""),
        row.evidence_sha256[:_SHA_DIGITS] if row.evidence_sha256 else "-",
    )
