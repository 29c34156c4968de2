"""`labctl power`: the switches of sticks and devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import inventory_option
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import locate_inventory

if TYPE_CHECKING:
    from labctl.bench.power import Switch
    from labctl.rig.power import Seen


@click.group(epilog=examples("labctl power list", "labctl power cycle stick-1"))
def power() -> None:
    """Switches for the power of sticks and devices, as the inventory has them."""


@power.command("list", epilog=examples("labctl power list", "labctl power list --json"))
@inventory_option
@output_options("labctl.power.list/1")
def list_(output: Output, inventory: Path | None) -> None:
    """List the switches, with what each was seen to do when it was last used."""
    from labctl.bench.power import switches
    from labctl.config.loading import load_inventory

    path = locate_inventory(inventory).path
    found = switches(load_inventory(path), path)
    output.emit([_as_json(one) for one in found], text=lambda: _listing(found))


@power.command(epilog=examples("labctl power cycle stick-1"))
@click.argument("name")
@inventory_option
@output_options("labctl.power.cycle/1")
def cycle(output: Output, name: str, inventory: Path | None) -> None:
    """Switch a radio or a device off and on again, and see whether it vanished and came back.

    What came of it is kept: a run does not try a port that is known not to switch.

    Exit code 69: it did not work. 75: somebody is using it.
    """
    from labctl.bench.power import cycle as cycle_
    from labctl.bench.power import switch_named
    from labctl.config.loading import load_inventory

    path = locate_inventory(inventory).path
    switch = switch_named(load_inventory(path), path, name)
    seen = cycle_(switch, path)
    output.emit(
        {"name": name, "switch": switch.power.identity, **_seen_json(seen)},
        text=f"{name}: {_WORDS[seen.ability.value]}",
    )


_WORDS = {
    "switches": "it vanished and came back",
    "stays-on": "the switch says yes, and the power stays on",
    "not-back": "it vanished and did not come back",
    "refuses": "the switch failed",
    "unseen": "the switch says yes; nobody can see what came of it",
}


def _seen_json(seen: Seen) -> dict[str, Any]:
    return {"ability": seen.ability.value, "at_us": seen.at_us, "detail": seen.detail or None}


def _as_json(switch: Switch) -> dict[str, Any]:
    return {
        "name": switch.name,
        "switch": switch.power.identity,
        "seen": _seen_json(switch.seen) if switch.seen else None,
    }


def _listing(found: list[Switch]) -> str:
    if not found:
        return "the inventory has no switches"
    from labctl.leases.entry import utc_text

    return columns(
        [
            (
                one.name,
                one.power.identity,
                _WORDS[one.seen.ability.value] if one.seen else "never tried",
                utc_text(one.seen.at_us) if one.seen else "",
            )
            for one in found
        ]
    )
