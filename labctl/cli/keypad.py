"""`labctl meter keypad`: what a consumer does at the emulated electricity meter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, database_option, inventory_option
from labctl.cli.output import Output, examples, output_options
from labctl.cli.pair import _load, _options, _view, tell, told_handed_over
from labctl.config.paths import locate_database
from labctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labctl.bench.pair import Applicant


@click.command(
    epilog=examples(
        "labctl meter keypad virtual --set-pin       asks for the PIN",
        "labctl meter keypad virtual virtual-cad     asks for PIN and code, then pairs",
        "labctl meter keypad virtual --reset --yes   as the supplier does",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device", required=False)
@click.option("--set-pin", is_flag=True, help="Set the Privacy PIN, or change it.")
@click.option("--reset", "reset", is_flag=True, help="Forget PIN and lock: the supplier's part.")
@click.option("--yes", is_flag=True, help="Reset without asking.")
@click.option("--pin", metavar="PIN", help="Four digits. Asked for when left out.")
@click.option("--code", metavar="DIGITS", help="The pairing code. Asked for when left out.")
@click.option("--consent", metavar="REFERENCE", help="The consumer's consent: kept as evidence.")
@inventory_option
@database_option
@output_options("labctl.meter.keypad/1")
def keypad(
    output: Output,
    rig: str,
    device: str | None,
    set_pin: bool,
    reset: bool,
    yes: bool,
    pin: str | None,
    code: str | None,
    consent: str | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Pair a device at the meter: by its code of 20 to 44 digits, behind the Privacy PIN.

    DEVICE is its address, or its name in the rig file. Without a PIN set nothing is paired; three
    wrong PINs in a row lock the keypad. The code is the install code with its CRC in decimal: 20,
    25, 34 or 44 digits, which is an inference from the lengths that the consultation names.

    A rig that runs is handed the code and pairs. What the keypad refuses is recorded.
    """
    loaded = _load(output, rig, inventory)
    from labctl.bench.keypad import (
        applicant_at,
        hand_over,
        hub_is_held,
        keypad_of,
        recorded,
        reset_keypad,
    )

    if reset:
        if not yes:
            _ask("forget the PIN and unlock the keypad?")
        reset_keypad(loaded)
        output.emit({"has_pin": False, "locked": False}, text="the keypad has no PIN any more")
        return ExitCode.PASS
    pad = keypad_of(loaded)
    path = locate_database(database, loaded.inventory_path).path
    if set_pin:
        before = _asked(None, "present PIN") if pad.has_pin else None
        new = _asked(pin, "new PIN")
        recorded(loaded, path, None, lambda: pad.set_pin(new, before=before))
        output.emit({"has_pin": True, "locked": False}, text="the PIN is set")
        return ExitCode.PASS
    if device is None:
        state = "locked" if pad.locked else ("PIN set" if pad.has_pin else "no PIN set")
        output.emit({"has_pin": pad.has_pin, "locked": pad.locked}, text=state)
        return ExitCode.PASS
    from dataclasses import replace

    from labctl.bench.pair import pair

    who: str = device

    def attempt() -> Applicant:
        if not pad.has_pin or pad.locked:
            pad.enter("")  # says why
        return applicant_at(loaded, pad, _asked(pin, "PIN"), who, _asked(code, "pairing code"))

    applicant = recorded(loaded, path, device, attempt)
    applicant = replace(
        applicant,
        requested_by="consumer, at the meter",
        consent_reference=consent or applicant.consent_reference,
    )
    if not hub_is_held(loaded) and hand_over(loaded, applicant):
        return told_handed_over(output, applicant)
    return tell(
        output,
        pair(loaded, [applicant], _options(loaded, database, None, False, output), _view(output)),
    )


def _asked(given: str | None, what: str) -> str:
    return given if given is not None else str(click.prompt(what, hide_input=True, err=True))


def _ask(question: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("this needs a yes", mend="add --yes")
    click.confirm(question, abort=True, err=True)
