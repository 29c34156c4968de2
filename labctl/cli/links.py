"""`labctl links`: how well devices and hub hear each other, by band, direction and channel."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, database_option
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import SUFFIXES, locate_database
from labctl.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table

    from labctl.record.link_quality import RunLinks

_STYLES = {"good": "green", "marginal": "yellow", "bad": "red"}


@click.command(
    epilog=examples(
        "labctl links dual-band                 the newest run of the rig",
        "labctl links dual-band --watch         the same, live while it runs",
        "labctl links dual-band --run 12 --json",
        "labctl links dual-band --all-runs      RSSI by band over all its runs",
    )
)
@click.argument("rig", metavar="RIG", type=RIG)
@click.option("--run", "run_id", type=int, metavar="N", help="That run of the rig.")
@click.option("--watch", is_flag=True, help="Look again and again until the run ends.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.5),
    default=2.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks of --watch.",
)
@click.option("--all-runs", is_flag=True, help="RSSI by band over all runs of the rig.")
@database_option
@output_options("labctl.links/1")
def links(
    output: Output,
    rig: str,
    run_id: int | None,
    watch: bool,
    every: float,
    all_runs: bool,
    database: Path | None,
) -> None:
    """Show the links of a run: by device, bearer, direction and channel.

    RSSI is given as the 5th, 50th and 95th percentile, and the margin is the distance of the
    weakest tenth from the sensitivity. Lost frames have no RSSI, so look at what was delivered
    beside it. LQI is on a scale of each radio's own: never compare it between radios. What comes
    from the hub is as the device reports it.
    """
    if all_runs and (watch or run_id is not None):
        raise UsageError("--all-runs goes with neither --run nor --watch")
    path = locate_database(database).path
    name = Path(rig).stem if Path(rig).suffix in SUFFIXES else rig
    if all_runs:
        _all_runs(output, path, name)
    elif watch:
        _watch(output, path, name, run_id, every)
    else:
        found = _load(path, name, run_id)
        output.emit(_data(found), text=lambda: _text(output, found))


@contextlib.contextmanager
def _database(path: Path) -> Iterator[sqlite3.Connection]:
    from labctl.record.database import open_for_reading, translated

    connection = open_for_reading(path)
    try:
        with translated(path):
            # One transaction, so that a run that goes on cannot change between two questions.
            connection.execute("BEGIN")
            yield connection
    finally:
        connection.close()


def _load(path: Path, rig: str, run_id: int | None) -> RunLinks:
    from labctl.record.link_quality import load_links
    from labctl.record.queries import find_run

    with _database(path) as connection:
        run = find_run(connection, rig if run_id is None else run_id)
        if run_id is not None and run.rig != rig and str(run.id) != rig:
            raise UsageError(
                f"run {run_id} is of the rig {run.rig}, not of {rig}",
                mend=f"`labctl runs --rig {rig}` lists the runs of {rig}.",
            )
        return load_links(connection, run)


def _all_runs(output: Output, path: Path, rig: str) -> None:
    from dataclasses import asdict

    from labctl.record.band_quality import rssi_by_band
    from labctl.record.queries import find_run
    from labctl.report.link_table import BY_BAND_HEAD, by_band_lines

    with _database(path) as connection:
        name = find_run(connection, rig).rig
        found = rssi_by_band(connection, rig=name)
    output.emit(
        {"rig": name, "by_band": [asdict(each) for each in found]},
        text=lambda: "\n".join(_columns([BY_BAND_HEAD, *by_band_lines(found)], right={2, 3, 4, 5})),
    )
    if not found:
        output.message(f"no frames with an RSSI were recorded on {name}")


def _data(found: RunLinks) -> dict[str, object]:
    from labctl.report.link_table import as_json

    return as_json(found)


# -- text -----------------------------------------------------------------------------------------


def _title(found: RunLinks) -> str:
    from labctl.report.formats import when

    run = found.run
    end = f"ended {when(run.ended_us)}" if run.ended_us else f"at {when(found.until_us)}"
    return f"{run.rig}, run {run.id}{' (simulated)' if run.simulated else ''}, {end} UTC"


def _text(output: Output, found: RunLinks) -> str:
    from labctl.report.link_table import HEAD, MARGIN, NUMERIC, lines, radio_lines

    parts = [_title(found), *radio_lines(found), *_remarks(found)]
    rows = lines(found)
    if not rows:
        return "\n".join([*parts, "", "nothing was heard of any device"])
    laid = _columns([HEAD, *(line.cells for line in rows)], right=NUMERIC)
    if output.colored():
        for index, line in enumerate(rows, start=1):
            cell = line.cells[MARGIN]
            if line.margin and f" {cell}" in laid[index]:
                coloured = click.style(cell, fg=_STYLES[line.margin])
                laid[index] = laid[index].replace(f" {cell}", f" {coloured}", 1)
    return "\n".join([*parts, "", *laid])


def _remarks(found: RunLinks) -> list[str]:
    """Which band each device is on and why, and who is silent."""
    remarks = []
    for device in found.devices:
        if device.band is not None:
            choice = device.band
            others = [band for band in choice.could if band != choice.used]
            could = f", could use {' and '.join(others)}" if others else ""
            remarks.append(f"{device.label} is on {choice.used}{could}: {choice.why}")
    return remarks + _silent(found)


def _silent(found: RunLinks) -> list[str]:
    return [
        f"{device.label} is suspended for {device.suspended.minutes} min: {device.suspended.cause}"
        for device in found.devices
        if device.suspended is not None
    ]


def _columns(rows: Sequence[Sequence[str]], *, right: frozenset[int] | set[int]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


# -- live -----------------------------------------------------------------------------------------


def _watch(output: Output, path: Path, rig: str, run_id: int | None, every_s: float) -> None:
    """Look every few seconds until the run has ended. Without a terminal, one answer a look."""
    looks = _looks(path, rig, run_id, every_s)
    if output.json:
        for found in looks:
            output.emit_line(_data(found))
        return
    console = output.console()
    if not console.is_terminal:
        for found in looks:
            click.echo(_text(output, found) + "\n")
        return
    from rich.live import Live

    with Live(console=console, auto_refresh=False) as live:
        for found in looks:
            live.update(Screen(found), refresh=True)
    output.message(f"run {found.run.id} has ended")


def _looks(path: Path, rig: str, run_id: int | None, every_s: float) -> Iterator[RunLinks]:
    while True:
        found = _load(path, rig, run_id)
        yield found
        if found.run.ended_us is not None:
            return
        time.sleep(every_s)  # the pace of a screen is the reader's time


class Screen:
    """The links for a terminal: all columns where they fit, and else the ones that matter most."""

    def __init__(self, found: RunLinks) -> None:
        self._found = found

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        from labctl.report.link_table import radio_lines

        yield Text(_title(self._found), style="bold")
        for text in (*radio_lines(self._found), *_silent(self._found)):
            yield Text(text, style="dim")
        yield self._table(options.max_width)

    def _table(self, width: int) -> Table:
        from rich import box
        from rich.table import Table
        from rich.text import Text

        from labctl.report.link_table import HEAD, MARGIN, NARROW, NUMERIC, lines

        rows = lines(self._found, brief=True)
        every = [HEAD, *(row.cells for row in rows)]
        needed = sum(2 + max(len(cells[index]) for cells in every) for index in range(len(HEAD)))
        columns = range(len(HEAD)) if needed <= width else NARROW
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=False)
        for index in columns:
            right = index in NUMERIC
            table.add_column(
                HEAD[index],
                justify="right" if right else "left",
                no_wrap=index > 0,
                overflow="fold",
            )
        for row in rows:
            cells = [Text(cell) for cell in row.cells]
            if row.margin:
                cells[MARGIN].stylize(_STYLES[row.margin])
            table.add_row(*(cells[index] for index in columns))
        return table
