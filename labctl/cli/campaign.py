"""`labctl campaign`: the acceptance cases, played on a rig."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import (
    RIG,
    database_option,
    inventory_option,
    reports_option,
    wait_option,
    waiting_told,
)
from labctl.cli.evidence import as_data as evidence_data
from labctl.cli.evidence import evidence_of
from labctl.cli.inventory import columns
from labctl.cli.logs import configure_logging
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_database, locate_reports
from labctl.errors import LabctlError, UsageError

if TYPE_CHECKING:
    from datetime import timedelta

    from labctl.campaign.catalogue import BuiltIn
    from labctl.campaign.run import CampaignResult, Told
    from labctl.config.resolved import LoadedRig
    from labctl.record.rows import RunData
    from labctl.report.evidence import Evidence

_STYLES = {
    "pass": "green",
    "marginal": "yellow",
    "fail": "bold red",
    "incomplete": "yellow",
    "infrastructure-error": "magenta",
}
_MOST_REASONS = 12
_WIDTH = max(len(word) for word in _STYLES)


@click.group(
    epilog=examples(
        "labctl campaign run rigs/virtual.yaml",
        "labctl campaign list virtual",
        "labctl campaign show J01",
    )
)
def campaign() -> None:
    """Play the acceptance cases on a rig's devices, and say what each came to.

    The cases are pytest tests: `pytest --rig RIG FILE` plays a lab's own. docs/campaign.md has
    them all, and how to write another.
    """


@campaign.command(
    epilog=examples(
        "labctl campaign run rigs/virtual.yaml",
        "labctl campaign run bench-ezsp 'J*' K12 --device cad-1",
        "labctl campaign run bench-ezsp --also our_cases/ --wait 10m --no-input",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("cases", nargs=-1, metavar="[CASE]...")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="Only on that device.")
@click.option(
    "--also",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="A file or folder with cases of your own.",
)
@click.option("--seed", type=click.IntRange(0), help="Virtual rigs: another seed than the file's.")
@click.option("--fresh", is_flag=True, help="Virtual rigs: forget all memories first.")
@click.option("--note", default="", help="A remark that is kept with the run.")
@click.option(
    "--no-input", is_flag=True, help="Nobody is there: what takes a person does not apply."
)
@wait_option
@inventory_option
@database_option
@reports_option
@output_options("labctl.campaign.run/1")
def run(
    output: Output,
    rig: str,
    cases: tuple[str, ...],
    devices: tuple[str, ...],
    also: tuple[Path, ...],
    seed: int | None,
    fresh: bool,
    note: str,
    no_input: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
    reports: Path | None,
) -> int:
    """Play cases (all, or those that CASE names: J01, 'S*') on the devices of a rig.

    Each attempt is recorded with what was measured and the limits that held. A case that fails, or
    that the rig disturbed, is tried again as the rig file says. At the end the outputs are written:
    report, JUnit, summary, evidence.

    Exit code 0: pass (or marginal). 1: a device failed. 69: no verdict, for the rig failed or too
    little was seen. 75: somebody else has the rig. 130: interrupted.
    """
    loaded = _loaded(output, rig, inventory)
    if not loaded.is_virtual and (seed is not None or fresh):
        raise UsageError("--seed and --fresh are for rigs whose radio is virtual")
    from labctl.campaign.run import run_campaign
    from labctl.campaign.stage import StageOptions
    from labctl.report import write_report

    configure_logging(output.verbosity, output.message)
    database_path = locate_database(database, loaded.inventory_path).path
    reports_path = locate_reports(reports, loaded.inventory_path).path
    before = _newest(database_path, loaded.name)
    result = run_campaign(
        loaded,
        StageOptions(
            database=database_path,
            seed=seed,
            fresh=fresh,
            note=note,
            selection=" ".join([*cases, *(f"--device {name}" for name in devices)]),
            wait_s=wait.total_seconds() if wait else 0.0,
            waiting=waiting_told(output.message),
            reports=reports_path,
            ask=_ask_a_person if sys.stdin.isatty() and not no_input else None,
        ),
        cases=cases,
        devices=devices,
        also=also,
        progress=lambda told: _tell(output, told),
    )
    if result.run_id is None and (newest := _newest(database_path, loaded.name)) != before:
        # The rig would not open. The run that says so has a report, which CI systems wait for.
        result = replace(result, run_id=newest)
    files: list[Path] = []
    unwritten: LabctlError | None = None
    made: Evidence | None = None
    if result.run_id is not None:
        try:
            files = write_report(database_path, result.run_id, reports_path)
            made = evidence_of(loaded, database_path, result.run_id, reports_path)
            files.append(made.path)
        except LabctlError as error:
            unwritten = error  # the verdict of a long run is not to be lost with it
    output.emit(
        {**_as_json(result, database_path, files), "evidence": made and evidence_data(made)},
        text=lambda: _as_text(output, loaded, result, files),
    )
    if result.trouble:
        output.fail(f"the rig was out: {result.trouble}")
    if unwritten:
        output.fail(f"not all outputs were written: {unwritten.what}")
    for each in made.left_out if made else ():
        output.warning(f"not in the evidence: {each}")
    return result.exit_code


def _newest(database: Path, rig: str) -> int | None:
    """The newest campaign of a rig; None when there is none, or nothing to look into."""
    from labctl.errors import DatabaseError
    from labctl.record.database import open_for_reading
    from labctl.record.queries import newest_campaign

    try:
        connection = open_for_reading(database)
    except DatabaseError:
        return None
    try:
        found = newest_campaign(connection, rig)
    finally:
        connection.close()
    return None if found is None else found.id


def _loaded(output: Output, rig: str, inventory: Path | None) -> LoadedRig:
    from labctl.config.loading import load_rig

    chosen = chosen_inventory(inventory)
    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    return loaded


async def _ask_a_person(what: str) -> None:
    """Ask whoever sits at the terminal, while the rig goes on."""
    import asyncio

    sys.stderr.write(f"\a{what}, then press Enter: ")
    sys.stderr.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _tell(output: Output, told: Told) -> None:
    if output.verbosity < 0:
        return
    from rich.text import Text

    again = f" (attempt {told.attempts})" if told.attempts > 1 else ""
    line = Text(f"{told.number:3}/{told.of} ")
    line.append(f"{told.outcome:{_WIDTH}}", _STYLES.get(told.outcome, "dim"))
    line.append(f" {told.case} {told.device}{again}")
    if told.cause:
        line.append(f": {told.cause}", "" if told.outcome in _STYLES else "dim")
    output.console(err=True).print(line, soft_wrap=True, highlight=False)


def _as_json(result: CampaignResult, database: Path, files: Sequence[Path]) -> dict[str, Any]:
    assessment = result.assessment
    return {
        "run": result.run_id,
        "verdict": assessment.verdict.value if assessment else None,
        "certainty": assessment.certainty.value if assessment else None,
        "reasons": list(assessment.reasons) if assessment else [],
        "seed": result.seed,
        "database": str(database),
        "files": [str(path) for path in files],
        "trouble": result.trouble.what if result.trouble else None,
        "exit_code": int(result.exit_code),
    }


def _as_text(
    output: Output, loaded: LoadedRig, result: CampaignResult, files: Sequence[Path]
) -> str:
    assessment = result.assessment
    if assessment is None:
        return ""
    lines = [f"{loaded.name}, run {result.run_id}: {assessment.verdict.value}"]
    lines += [f"  {reason}" for reason in assessment.reasons[:_MOST_REASONS]]
    more = len(assessment.reasons) - _MOST_REASONS
    if more > 0:
        lines.append(f"  and {more} more: labctl campaign show {result.run_id}")
    if result.seed is not None:
        lines.append(f"again: labctl campaign run {loaded.path} --seed {result.seed} --fresh")
    lines += [str(path) for path in files]
    return "\n".join(lines)


@campaign.command("list", epilog=examples("labctl campaign list", "labctl campaign list virtual"))
@click.argument("rig", type=RIG, metavar="[RIG]", required=False)
@inventory_option
@output_options("labctl.campaign.list/1")
def list_(output: Output, rig: str | None, inventory: Path | None) -> None:
    """List the built-in cases; with RIG, on which of its devices each applies."""
    from labctl.campaign.applies import why_not
    from labctl.campaign.catalogue import built_in

    cases = built_in()
    if rig is None:
        data = [{"case": each.case.name, "title": each.case.title} for each in cases]
        text = columns([(each.case.name, each.case.title) for each in cases])
        output.emit(data, text=text)
        return
    loaded = _loaded(output, rig, inventory)
    rows = []
    found = []
    for each in cases:
        reasons = {device.name: why_not(each.case, loaded, device) for device in loaded.devices}
        found.append({"case": each.case.name, "title": each.case.title, "why_not": reasons})
        on = [name for name, reason in reasons.items() if reason is None]
        why = "" if on else next(iter(reasons.values()), None) or "the rig has no device under test"
        rows.append((each.case.name, ", ".join(on) or f"- ({why})", each.case.title))
    output.emit(found, text=columns(rows))


@campaign.command(
    epilog=examples("labctl campaign show J01", "labctl campaign show virtual --json")
)
@click.argument("what", metavar="CASE|RIG|RUN")
@database_option
@output_options("labctl.campaign.show/1")
def show(output: Output, what: str, database: Path | None) -> int | None:
    """Show a case: what it is for, what it measures. Or the results of a campaign: the newest of
    a rig, or that of a run's number."""
    from labctl.campaign.catalogue import built_in

    case = {each.case.name: each for each in built_in()}.get(what.upper())
    if case is not None:
        output.emit(_case_data(case), text=_case_text(case))
        return None
    data = _campaign_of(locate_database(database).path, what)
    assert data.campaign is not None
    output.emit(_results_data(data), text=_results_text(data))
    return None


def _campaign_of(path: Path, what: str) -> RunData:
    from labctl.record.database import open_for_reading
    from labctl.record.queries import find_run, load_run, newest_campaign

    connection = open_for_reading(path)
    try:
        run = find_run(connection, what)
        if run.kind != "campaign" and not what.isdecimal():
            run = newest_campaign(connection, run.rig) or run
        data = load_run(connection, run.id)
    finally:
        connection.close()
    if data.campaign is None:
        raise UsageError(
            f"run {run.id} is no campaign, but a {run.kind} run",
            mend=f"`labctl campaign run {run.rig}` makes one",
        )
    return data


def _case_data(found: BuiltIn) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "case": found.case.name,
        "title": found.case.title,
        "about": found.about,
        "start": found.case.start.value,
        "rests_on": list(found.case.rests_on),
        "measures": [asdict(measure) for measure in found.case.measures],
    }


def _case_text(found: BuiltIn) -> str:
    lines = [f"{found.case.name}  {found.case.title}", "", found.about, ""]
    lines.append(f"begins: {found.case.start.value}")
    if found.case.rests_on:
        lines.append(f"rests on: {', '.join(found.case.rests_on)}")
    for measure in found.case.measures:
        unit = f" {measure.unit}" if measure.unit else ""
        limits = [
            f"{word} {value:g}{unit}"
            for word, value in (
                ("at least", measure.least),
                ("good from", measure.good_from),
                ("good to", measure.good_to),
                ("at most", measure.most),
            )
            if value is not None
        ]
        if measure.least is not None and measure.least == measure.most:
            limits = [f"{measure.least:g}{unit} is right"]
        why = f" ({measure.why})" if measure.why else ""
        lines.append(f"measures {measure.name}: {', '.join(limits) or 'no limit'}{why}")
    return "\n".join(lines)


def _results_data(data: RunData) -> dict[str, Any]:
    from dataclasses import asdict

    assert data.campaign is not None
    names = {device.id: device.label for device in data.devices}
    return {
        "run": data.run.id,
        "rig": data.run.rig,
        "verdict": data.run.verdict,
        "generation": data.campaign.generation,
        "meters": data.campaign.meters,
        "results": [
            {**asdict(result), "device": names.get(result.device_id or -1)}
            for result in data.campaign.results
        ],
    }


def _results_text(data: RunData) -> str:
    assert data.campaign is not None
    names = {device.id: device.label for device in data.devices}
    rows = [
        (
            result.outcome,
            result.case,
            names.get(result.device_id or -1, ""),
            f"{(result.ended_us - result.started_us) / 1e6:.0f} s",
            result.cause or result.title,
        )
        for result in data.campaign.last_attempts
    ]
    verdict = data.run.verdict or "not ended"
    return f"{data.run.rig}, run {data.run.id}: {verdict}\n" + columns(rows)
