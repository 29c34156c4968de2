"""`labctl bench`: the whole job on one rig."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import (
    RIG,
    Duration,
    database_option,
    inventory_option,
    reports_option,
    wait_option,
    waiting_told,
)
from labctl.cli.capture import SIZE, rotation_of
from labctl.cli.logs import configure_logging
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_database, locate_reports
from labctl.errors import LabctlError, UsageError

if TYPE_CHECKING:
    from labctl.bench.board import Board
    from labctl.bench.run import BenchResult, View


@click.command(
    epilog=examples(
        "labctl bench rigs/virtual.yaml",
        "labctl bench virtual --for 2h --seed 7 --fresh",
        "labctl bench virtual --for 10min --capture air.pcap --keys air.keys",
        "labctl bench bench-ezsp            until Ctrl-C",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.option(
    "--for",
    "duration",
    type=Duration(),
    metavar="DURATION",
    help="How long to run, in rig time. Default: what the rig file says; on a real rig, until "
    "interrupted.",
)
@click.option("--seed", type=click.IntRange(0), help="Virtual rigs: another seed than the file's.")
@click.option(
    "--fresh",
    is_flag=True,
    help="Virtual rigs: forget the stick's and the devices' memories first, as if all were new.",
)
@click.option(
    "--form-anew",
    is_flag=True,
    help="Give up the network that the stick holds and form another: all devices must be paired "
    "again.",
)
@click.option(
    "--real-time", is_flag=True, help="Virtual rigs: let time pass as it does on the wall."
)
@click.option(
    "--capture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Virtual rigs: write every frame on the air (pcap, IEEE 802.15.4 TAP).",
)
@click.option(
    "--capture-rotate",
    type=SIZE,
    metavar="SIZE",
    help="Go on in another file when one has this size, such as 100MB: FILE-0001.pcap and so on.",
)
@click.option(
    "--capture-keep",
    type=click.IntRange(1),
    metavar="N",
    help="With --capture-rotate: keep the last N files of this run.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the keys that open a capture (Wireshark's zigbee_pc_keys, 0600) at the end.",
)
@click.option("--note", default="", help="A remark that is kept with the run.")
@click.option("--plain", is_flag=True, help="Lines instead of the live view.")
@wait_option
@inventory_option
@database_option
@reports_option
@output_options("labctl.bench/1")
def bench(
    output: Output,
    rig: str,
    duration: timedelta | None,
    seed: int | None,
    fresh: bool,
    form_anew: bool,
    real_time: bool,
    capture: Path | None,
    capture_rotate: int | None,
    capture_keep: int | None,
    keys: Path | None,
    note: str,
    plain: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
    reports: Path | None,
) -> int:
    """Pair a rig's devices, serve them, watch, record, and report.

    Starts the hub, opens a pairing window for each device under test that is not paired yet,
    serves them for the time given, and says what the run shows about them. Everything is recorded
    in the database; the report is written at the end.

    Exit code 0: pass (or marginal). 1: a device failed. 69: no verdict, for the rig failed or too
    little was seen. 75: somebody else has the rig. 130: interrupted before its time.
    """
    rotation = rotation_of(capture_rotate, capture_keep, "--capture-rotate")
    if rotation is not None and capture is None:
        raise UsageError("--capture-rotate goes with --capture")
    chosen = chosen_inventory(inventory)
    from labctl.config.loading import load_rig

    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    _only_for_virtual_rigs(
        loaded.is_virtual,
        {
            "--seed": seed is not None,
            "--fresh": fresh,
            "--real-time": real_time,
            "--capture": capture is not None,
        },
    )
    from labctl.bench.board import Board
    from labctl.bench.run import BenchOptions, run_bench
    from labctl.report import write_report

    database_path = locate_database(database, loaded.inventory_path).path
    reports_path = locate_reports(reports, loaded.inventory_path).path
    duration = duration or loaded.bench_duration
    board = Board()
    view, context, echo = _view(output, board, duration, plain=plain)
    configure_logging(output.verbosity, echo)
    with context:
        result = run_bench(
            loaded,
            BenchOptions(
                database=database_path,
                duration=duration,
                fresh=fresh,
                form_anew=form_anew,
                seed=seed,
                capture=capture,
                rotation=rotation,
                keys=keys,
                real_time=real_time,
                note=note,
                wait_s=wait.total_seconds() if wait else 0.0,
                waiting=waiting_told(echo),
            ),
            [board, view],
        )
    unwritten: LabctlError | None = None
    files: list[Path] = []
    try:
        files = write_report(database_path, result.run_id, reports_path)
    except LabctlError as error:
        unwritten = error  # the verdict of a long run is not to be lost with it
    output.emit(
        _as_json(result, database_path, files),
        text=lambda: _as_text(output, loaded.path, result, database_path, files),
    )
    if result.broken:
        output.fail(f"the run ended early: {result.broken}")
    if result.capture_failure:
        output.fail(f"{capture}: the capture is cut short: {result.capture_failure}")
    if unwritten:
        output.fail(
            f"the report was not written: {unwritten.what}\n"
            f"  the run is recorded: labctl report {result.run_id} --out FOLDER"
        )
    return result.exit_code


def _only_for_virtual_rigs(virtual: bool, given: dict[str, bool]) -> None:
    wrong = [option for option, is_given in given.items() if is_given]
    if wrong and not virtual:
        raise UsageError(
            f"{', '.join(wrong)} cannot be used with a real radio",
            mend="leave it out, or use a rig whose radio is virtual",
        )


def _view(
    output: Output, board: Board, duration: timedelta | None, *, plain: bool
) -> tuple[View, AbstractContextManager[object], Callable[[str], None]]:
    """The live view on a terminal; lines where there is none, or where they were asked for.

    The last of the three prints a line of text beside the view.
    """
    from labctl.bench.plain import PlainView

    interactive = sys.stdout.isatty() and sys.stderr.isatty() and not plain and not output.json
    if not interactive or output.verbosity < 0:
        return PlainView(board, output.message), nullcontext(), output.message
    from labctl.bench.live import LiveView

    console = output.console(err=True)
    live = LiveView(board, console, duration_s=duration.total_seconds() if duration else None)
    return live, live, console.print


def _as_json(result: BenchResult, database: Path, files: list[Path]) -> dict[str, Any]:
    assessment = result.assessment
    return {
        "run": result.run_id,
        "verdict": assessment.verdict.value,
        "certainty": assessment.certainty.value,
        "reasons": list(assessment.reasons),
        "devices": [
            {"eui64": device.eui64, "device": device.label, "verdict": device.verdict.value}
            for device in assessment.devices
        ],
        "interrupted": result.interrupted,
        "broken": result.broken.what if result.broken else None,
        "seed": result.seed,
        "database": str(database),
        "reports": [str(path) for path in files],
    }


_VERDICT_COLORS = {
    "pass": "green",
    "marginal": "yellow",
    "incomplete": "yellow",
    "fail": "red",
    "infrastructure-error": "magenta",
}


def _as_text(
    output: Output, rig: Path, result: BenchResult, database: Path, files: list[Path]
) -> str:
    assessment = result.assessment
    verdict = assessment.verdict.value
    lines = [
        "verdict   "
        + click.style(verdict.replace("-", " "), fg=_VERDICT_COLORS[verdict], bold=True)
        + f" ({assessment.certainty.value})"
    ]
    lines += [f"          {reason}" for reason in assessment.reasons]
    lines += [f"database  {database} (run {result.run_id})"]
    lines += [f"report    {path}" for path in files]
    if result.seed is not None:
        lines.append(
            f"seed      {result.seed}; the same again: "
            f"labctl bench {rig} --seed {result.seed} --fresh"
        )
    return "\n".join(lines)
