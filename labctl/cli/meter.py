"""`labctl meter`: what a person does to the meters of a rig."""

from __future__ import annotations

from pathlib import Path

import click

from labctl.cli.arguments import RIG, inventory_option
from labctl.cli.keypad import keypad
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig

_WHAT = ("demand", "outage", "tariff", "top-up", "clock", "supply", "tenancy")
_SHOWN_DIGITS = 4
"""Of a top-up code, as on a receipt."""


@click.group(epilog=examples("labctl meter set virtual demand 2.4kW"))
def meter() -> None:
    """The emulated meters of a rig."""


@meter.command(
    "set",
    context_settings={"ignore_unknown_options": True},
    epilog=examples(
        "labctl meter set virtual demand 2.4kW --for 10min",
        "labctl meter set virtual outage 5min",
        "labctl meter set virtual tariff night.yaml --meter electricity",
        "labctl meter set virtual top-up 12345678901234567890 --amount 10",
        "labctl meter set virtual clock +1h",
    ),
)
@click.argument("rig", type=RIG)
@click.argument("what", type=click.Choice(_WHAT))
@click.argument("value")
@click.option("--meter", metavar="NAME", help="One meter. Default: all that it makes sense for.")
@click.option("--for", "lasting", metavar="DURATION", help="How long a demand lasts.")
@click.option("--amount", metavar="POUNDS", help="What a top-up is worth.")
@inventory_option
@output_options("labctl.meter.set/1")
def set_(
    output: Output,
    rig: str,
    what: str,
    value: str,
    meter: str | None,
    lasting: str | None,
    amount: str | None,
    inventory: Path | None,
) -> None:
    """Do something to the meters of a rig, whether it runs or not.

    \b
    demand 2.4kW|500W|1.2m3/h|profile   a load instead of the profile, or back to it
    outage 5min|over                    the mains fail, or are back
    tariff FILE                         a tariff, as a rig file has it, in a file of its own
    top-up CODE                         a code of 20 digits, entered at a prepayment meter
    clock +1h|-30s                      the meter's clock is ahead of UTC, or behind
    supply on|off|armed                 the supplier switches
    tenancy now|INSTANT                 new people: what was before is hidden from devices

    It is written to the rig's journal (.labctl/RIG/journal.jsonl). A run that is under way finds
    it within ten seconds of its own time, and it happens then; otherwise the next run begins with
    it. On a virtual rig it is dated to where the rig's time has come.
    """
    from labctl.config.durations import parse_duration
    from labctl.config.loading import load_rig
    from labctl.errors import UsageError
    from labctl.rig.meter_commands import What, set_meter

    chosen = chosen_inventory(inventory)
    loaded = load_rig(find_rig(rig, chosen), chosen)
    try:
        length = None if lasting is None else parse_duration(lasting)
    except ValueError as error:
        raise UsageError(str(error)) from None
    entry = set_meter(loaded, What(what), value, meter=meter, lasting=length, pounds=amount)
    shown = value
    if What(what) is What.TOP_UP:  # it may have been typed, and is not to stand in a job's log
        shown = f"{'*' * (len(value) - _SHOWN_DIGITS)}{value[-_SHOWN_DIGITS:]}"
        entry = entry | {"code": shown}
    data = {"rig": loaded.name, "entry": entry}
    output.emit(data, text=f"{loaded.name}: {what} {shown} is in the journal")


meter.add_command(keypad)
