"""`labctl survey`: walk over a site, and say which band reaches where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import (
    RIG,
    database_option,
    inventory_option,
    wait_option,
    waiting_told,
)
from labctl.cli.inventory import columns
from labctl.cli.logs import configure_logging
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_database
from labctl.errors import UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from labctl.record.survey_rows import SurveyData
    from labctl.survey.leaders import Leader


@click.group(
    epilog=examples(
        "labctl survey start rigs/bench-ezsp.yaml --site 'Mill Lane 4'",
        "labctl survey start rigs/virtual-stone-house.yaml --waypoints walk.yaml",
        "labctl survey list",
        "labctl survey show 'Mill Lane 4'",
    )
)
def survey() -> None:
    """Walk over a site with a device, and say which band reaches where, with what margin.

    docs/survey.md has how to walk, what is measured, and what is not known afterwards.
    """


@survey.command(
    epilog=examples(
        "labctl survey start bench-ezsp --site 'Mill Lane 4' --hub-at hall",
        "labctl survey start virtual-stone-house --waypoints walk.yaml --json",
        "labctl survey start bench-ezsp --resume",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.option("--site", metavar="NAME", help="What the site is called. Default: the rig's name.")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="Only with that device.")
@click.option("--hub-at", "hub_place", default="", metavar="PLACE", help="Where the hub stands.")
@click.option(
    "--plan",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="A drawing of the floor; its path is kept.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0, 10_000, min_open=True),
    metavar="MM",
    help="Millimetres to a pixel of the drawing.",
)
@click.option(
    "--waypoints",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Walk as this file says, instead of asking.",
)
@click.option("--resume", "resume", is_flag=True, help="Go on with the newest one of the rig.")
@click.option(
    "--survey", "number", metavar="SURVEY", help="With --resume: that one, not the newest."
)
@click.option("--seed", type=click.IntRange(0), help="Virtual rigs: another seed than the file's.")
@click.option("--fresh", is_flag=True, help="Virtual rigs: forget all memories first.")
@click.option(
    "--capture",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Virtual rigs: write what is on the air.",
)
@click.option("--note", default="", help="A remark that is kept with the run.")
@click.option(
    "--real-time", is_flag=True, help="Virtual rigs: let time pass as it does on the wall."
)
@wait_option
@inventory_option
@database_option
@output_options("labctl.survey.start/1")
def start(
    output: Output,
    rig: str,
    site: str | None,
    devices: tuple[str, ...],
    hub_place: str,
    plan: Path | None,
    scale: float | None,
    waypoints: Path | None,
    resume: bool,
    number: str | None,
    seed: int | None,
    fresh: bool,
    capture: Path | None,
    note: str,
    real_time: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Walk over a site. At each place type where you are; the devices are probed until the verdict
    is certain, half a minute or more; a bell says "move on".

    Type room, or room / spot, or room @ floor. Enter probes once more in the same room. :undo and
    :redo, :note TEXT, :photo PATH, :pause (to be resumed another time) and :quit (the walk is
    over). Ctrl-C stops what is being probed and asks.

    Exit code 0: every room passes on one of the bands (or is marginal), or paused. 1: a room is
    reached by none. 69: too little was measured, or the rig failed. 130: interrupted.
    """
    from labctl.config.loading import load_rig
    from labctl.survey.run import SurveyOptions, run_survey, to_resume

    chosen = chosen_inventory(inventory)
    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    if not loaded.is_virtual and (seed is not None or fresh):
        raise UsageError("--seed and --fresh are for rigs whose radio is virtual")
    if number is not None and not resume:
        raise UsageError("--survey says which one to resume", mend="give --resume with it")
    if resume and (site or devices or hub_place or plan or scale or fresh):
        raise UsageError(
            "a survey is resumed as it was begun",
            mend="leave --site, --device, --hub-at, --plan, --scale and --fresh out",
        )
    configure_logging(output.verbosity, output.message)
    path = locate_database(database, loaded.inventory_path).path
    leader, written_site = _leader(output, loaded, waypoints)
    result = run_survey(
        loaded,
        SurveyOptions(
            database=path,
            site=site or written_site or loaded.name,
            devices=devices,
            hub_place=hub_place,
            plan=None if plan is None else str(plan),
            plan_mm_per_pixel=scale,
            resume=to_resume(path, loaded.name, number) if resume else None,
            seed=seed,
            fresh=fresh,
            capture=capture,
            note=note,
            real_time=real_time,
            wait_s=wait.total_seconds() if wait else 0.0,
            waiting=waiting_told(output.message),
        ),
        leader,
        _view(output),
    )
    output.emit(
        {
            "survey": result.data.survey.id,
            "run": result.run_id,
            "finished": result.finished,
            "verdict": result.data.survey.verdict,
            "text": result.data.survey.text,
            "waypoints": result.data.survey.waypoints,
            "database": str(path),
            "trouble": result.trouble.what if result.trouble else None,
            "exit_code": int(result.exit_code),
        },
        text=lambda: _start_text(loaded.name, result.data),
    )
    if result.trouble:
        output.fail(f"the rig was out: {result.trouble}")
    return result.exit_code


def _leader(output: Output, loaded: Any, waypoints: Path | None) -> tuple[Leader, str | None]:
    from labctl.survey.leaders import Person, Script

    if waypoints is None:
        from labctl.cli.survey_view import TypedLines

        return Person(TypedLines().ask, lambda error: output.message(str(error))), None
    from labctl.survey.places import Positions
    from labctl.survey.waypoints_file import read_waypoints, steps

    walk = read_waypoints(waypoints)
    return Script(steps(walk, Positions(loaded))), walk.site


def _view(output: Output) -> Any:
    from labctl.survey.view import View

    if output.verbosity < 0:
        return View()
    from labctl.cli.survey_view import TerminalView

    return TerminalView(output)


@survey.command("list", epilog=examples("labctl survey list", "labctl survey list --json"))
@database_option
@output_options("labctl.survey.list/1")
def list_(output: Output, database: Path | None) -> None:
    """List the surveys of the database, newest first."""
    from dataclasses import asdict

    from labctl.cli.survey_view import when
    from labctl.record.database import open_for_reading
    from labctl.record.survey import surveys

    connection = open_for_reading(locate_database(database).path)
    try:
        found = surveys(connection)
    finally:
        connection.close()
    rows = [
        (
            str(each.id),
            each.verdict or "not ended",
            each.site,
            each.rig + (" (simulated)" if each.simulated else ""),
            when(each.started_us),
            f"{each.waypoints} waypoint{'' if each.waypoints == 1 else 's'}",
            each.text,
        )
        for each in found
    ]
    output.emit(
        [asdict(each) for each in found], text=columns(rows) if rows else "no survey was made yet"
    )


@survey.command(
    epilog=examples(
        "labctl survey show 3",
        "labctl survey show 'Mill Lane 4' --csv",
        "labctl survey show 3 --json",
    )
)
@click.argument("what", metavar="SURVEY|SITE|RIG")
@click.option("--csv", "as_csv", is_flag=True, help="One line for each waypoint and link.")
@click.option("--addresses", is_flag=True, help="Show EUI-64 addresses whole.")
@database_option
@output_options("labctl.survey.show/1")
def show(output: Output, what: str, as_csv: bool, addresses: bool, database: Path | None) -> None:
    """Show a survey: what each room and each waypoint came to, with margins and intervals."""
    from labctl.cli.survey_text import csv_text, data_of, text_of
    from labctl.record.database import open_for_reading
    from labctl.record.survey import find_survey, load_survey

    if as_csv and output.json:
        raise UsageError("--csv and --json exclude each other")
    connection = open_for_reading(locate_database(database).path)
    try:
        data = load_survey(connection, find_survey(connection, what).id)
    finally:
        connection.close()
    if as_csv:
        click.echo(csv_text(data, addresses=addresses), nl=False)
        return
    output.emit(data_of(data, addresses=addresses), text=lambda: text_of(data, addresses=addresses))


def _start_text(rig: str, data: SurveyData) -> str:
    from labctl.cli.survey_text import rooms_text

    row = data.survey
    if row.ended_us is None:
        return (
            f"survey {row.id} of {row.site} is not ended\ngo on: labctl survey start {rig} --resume"
        )
    return f"survey {row.id} of {row.site}: {row.verdict}\n{rooms_text(data)}\n{row.text}"
