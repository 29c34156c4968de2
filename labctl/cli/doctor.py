"""`labctl doctor`: what ails this computer, or a rig, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, database_option, inventory_option
from labctl.cli.output import QUIET, Output, examples, output_options
from labctl.config.paths import (
    chosen_inventory,
    find_rig,
    inventory_near,
    locate_database,
    locate_inventory,
    rig_files,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labctl.lab.doctor import Row
    from labctl.lab.doctor.examine import Patient

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}


@click.command(
    epilog=examples(
        "labctl doctor                       this computer, all sticks and all rig files",
        "labctl doctor bench-ezsp            one rig",
        "labctl doctor --udev-rule | sudo tee /etc/udev/rules.d/70-labctl.rules",
        "labctl doctor --json | jq '.data.rows[] | select(.verdict == \"fail\")'",
    )
)
@click.argument("rig", required=False, type=RIG)
@click.option("--no-probe", is_flag=True, help="Open no port.")
@click.option("--udev-rule", is_flag=True, help="Print a udev rule for the sticks, and no more.")
@inventory_option
@database_option
@output_options("labctl.doctor/1")
def doctor(
    output: Output,
    rig: str | None,
    no_probe: bool,
    udev_rule: bool,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Look into everything that a rig needs from this computer, and say what mends what is wrong.

    Ports, permissions and udev, ModemManager, who holds what, firmware, power of hub ports, lock
    folder, key stores, database, disk, clock, and all files. Nothing is changed; sticks that are
    free are asked what they are, which resets them.

    Exit code 0: nothing fails. 69: something of the computer or a stick does. 78: files alone do.
    """
    import asyncio

    from labctl.lab.doctor import exit_code
    from labctl.lab.doctor.examine import examine, rule

    patient = _patient(rig, inventory, database)
    if udev_rule:
        text = asyncio.run(rule(patient))
        output.emit({"rule": text}, text=text)
        return 0
    rows = asyncio.run(examine(patient, asking=not no_probe))
    code = exit_code(rows)
    output.emit(
        {"ok": code == 0, "rows": [row.as_json() for row in rows]},
        text=lambda: _text(rows, brief=output.verbosity == QUIET),
    )
    return code


def _patient(rig: str | None, inventory: Path | None, database: Path | None) -> Patient:
    from labctl.config.document import is_commented_out
    from labctl.lab.doctor.examine import Patient

    chosen = chosen_inventory(inventory)
    if rig is None:
        path = locate_inventory(inventory).path
        rigs = tuple(file for file in rig_files(chosen) if not is_commented_out(file))
    else:
        rigs = (find_rig(rig, chosen),)
        path = chosen or inventory_near(rigs[0].parent) or locate_inventory().path
    return Patient(
        inventory=path,
        database=locate_database(database, path).path,
        rigs=rigs,
        chosen=chosen,
        rig=rig is not None,
    )


def _text(rows: Sequence[Row], *, brief: bool) -> str:
    lines = []
    width = max(len(row.id) for row in rows)
    for row in rows:
        if brief and row.verdict in ("ok", "skip"):
            continue
        word = click.style(f"{row.verdict.value:<4}", fg=_COLORS[row.verdict.value])
        lines.append(f"{word}  {row.id:<{width}}  {row.evidence}")
        if row.mend:
            lines.append(f"{'':<{width + 6}}  → {row.mend}")
    return "\n".join(lines)
