"""`labctl selftest`: trying out a stick, and a report to send in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, inventory_option
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import (
    chosen_inventory,
    find_rig,
    locate_inventory,
    locate_reports,
)
from labctl.errors import ConfigurationError, ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.lab.selftest.report import Report
    from labctl.lab.selftest.steps import Step
    from labctl.lab.survey import Row

_COLORS = {"pass": "green", "doubtful": "yellow", "fail": "red", "skipped": "bright_black"}


@click.command(
    epilog=examples(
        "labctl selftest stick-1                       a radio of the inventory",
        "labctl selftest /dev/ttyACM0 --form           a new stick, on a scratch network",
        "labctl selftest bench-ezsp                    all radios of a rig",
        "labctl selftest socket://127.0.0.1:8899 --form",
    )
)
@click.argument("what", type=RIG, metavar="STICK|RIG")
@click.option("--form", is_flag=True, help="Form a scratch network on a stick that holds none.")
@click.option(
    "--give-up-network",
    "give_up",
    is_flag=True,
    help="With --form: also where the stick holds a network. It is lost, and its pairings.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for the reports. Default: that of `labctl report`.",
)
@inventory_option
@output_options("labctl.selftest/1")
def selftest(
    output: Output,
    what: str,
    form: bool,
    give_up: bool,
    out: Path | None,
    inventory: Path | None,
) -> int:
    """Try out a stick: what it answers, listens to, keeps, and whether it comes back.

    STICK is a radio of the inventory, a device path or socket://HOST:PORT. No other device is
    needed, and none should be near. A network that the stick holds is resumed and left as it was;
    a stick without one is asked only what it is, unless --form is given: then a network is formed
    with little power, and given up at the end.

    The report (Markdown and JSON) is made to be sent in: it tells the kind of stick, not which one,
    and no secrets.

    Exit code 0: nothing failed. 69: something did, or the stick is not there. 75: it is in use.
    """
    import asyncio

    from labctl.lab.selftest.run import report_names, try_out

    if give_up and not form:
        raise UsageError(
            "--give-up-network is about forming another one", mend="give --form as well"
        )
    rows = _rows(what, inventory)
    folder = out or locate_reports(None, locate_inventory(inventory).path).path
    shown: list[tuple[Report, Path, Path]] = []
    for row, name in zip(rows, report_names(rows), strict=True):
        output.message(f"{row.port.device}: trying it out")
        report = asyncio.run(
            try_out(row, form=form, give_up=give_up, told=lambda step: output.message(_line(step)))
        )
        shown.append((report, *report.write(folder, name)))
    output.emit(
        {
            "passed": all(report.passed for report, _, _ in shown),
            "reports": [
                {"markdown": str(markdown), "json": str(data), **report.as_json()}
                for report, markdown, data in shown
            ],
        },
        text="\n".join(str(path) for _, *paths in shown for path in paths),
    )
    failed = [report for report, _, _ in shown if not report.passed]
    return ExitCode.RIG_UNAVAILABLE if failed else ExitCode.PASS


def _rows(what: str, inventory: Path | None) -> Sequence[Row]:
    """The sticks that are meant. Raises `ConfigurationError`."""
    import asyncio

    from labctl.config.loading import load_inventory, load_rig
    from labctl.lab.survey import is_path, survey

    if is_path(what):
        return asyncio.run(survey(named=[what], asking=False))
    path = locate_inventory(inventory).path
    radios = load_inventory(path).radios if path.exists() else {}
    if what in radios:
        radios = {what: radios[what]}
    else:
        chosen = chosen_inventory(inventory)
        loaded = load_rig(find_rig(what, chosen), chosen)
        radios = {loaded.radio_name: loaded.radio}
        if loaded.second_radio_name is not None and loaded.second_radio is not None:
            radios[loaded.second_radio_name] = loaded.second_radio
    if all(radio.is_virtual for radio in radios.values()):
        raise ConfigurationError(
            f"{what} is virtual: there is no stick to try out",
            where="labctl selftest",
            mend="`labctl virtual ncp --pty /tmp/stick` serves a virtual one, which can be tried",
        )
    return asyncio.run(survey(radios, only_radios=True, asking=False))


def _line(step: Step) -> str:
    word = click.style(f"{step.outcome.value:<8}", fg=_COLORS[step.outcome.value])
    text = f"{word}  {step.title}: {step.evidence}"
    return f"{text}\n          → {step.mend}" if step.mend else text
