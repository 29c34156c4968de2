"""`labctl lease`: who has which rig, stick or device, and having it for oneself."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, Duration, inventory_option, wait_option, waiting_told
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_inventory
from labctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labctl.bench.leases import Target
    from labctl.leases import Entry, LeaseState

_WHAT = click.argument("what", type=RIG, metavar="RIG|THING")


@click.group(
    epilog=examples(
        "labctl lease list",
        "labctl lease take bench-ezsp --for 2h",
        "labctl lease take bench-ezsp --wait 10m -- make nightly",
    )
)
def lease() -> None:
    """Who has which rig, stick or device under test; one owner at a time.

    Whatever uses a rig leases it, with all that is in it, and gives it back at its end; so nobody
    needs these commands for a single run. THING is written as `labctl lease list` shows it.
    """


@lease.command("list", epilog=examples("labctl lease list", "labctl lease list --json"))
@inventory_option
@output_options("labctl.lease.list/1")
def list_(output: Output, inventory: Path | None) -> None:
    """List what is leased: things that all users share, and the rigs beside the inventory."""
    from labctl.bench.leases import listed

    states = listed(locate_inventory(inventory).path)
    output.emit([_as_json(state) for state in states], text=lambda: _listing(states))


@lease.command(
    epilog=examples(
        "labctl lease take bench-ezsp                  until Ctrl-C",
        "labctl lease take bench-ezsp --for 2h --purpose 'firmware update'",
        "labctl lease take bench-ezsp --wait 10m -- make nightly",
    )
)
@_WHAT
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
@click.option("--for", "lasts", type=Duration(), metavar="DURATION", help="Give it back then.")
@click.option("--purpose", default="by hand", metavar="TEXT", help="What for: told to others.")
@wait_option
@inventory_option
@output_options("labctl.lease.take/1")
def take(
    output: Output,
    what: str,
    command: tuple[str, ...],
    lasts: timedelta | None,
    purpose: str,
    wait: timedelta | None,
    inventory: Path | None,
) -> int:
    """Keep a rig, with all that is in it, or a thing, while COMMAND runs or until Ctrl-C.

    COMMAND, and what it starts, may use it: nobody comes in between. With --json a line is written
    when it is taken.

    Exit code: COMMAND's. 75: somebody else has it. 69: it was lost, or cannot be leased.
    """
    from labctl.bench.leases import Holding, run_under

    target = _target(output, what, inventory)

    def taken(holding: Holding) -> None:
        things = [str(thing) for _, things in target.parts for thing in things]
        if output.json:
            output.emit_line({"lease": holding.lease_id, "things": things})
            sys.stdout.flush()
        elif not command:
            output.message(f"{target.name} is yours: {', '.join(things)}. Ctrl-C gives it back.")

    return run_under(
        target,
        command,
        purpose=purpose,
        lasts=lasts,
        wait_s=wait.total_seconds() if wait else 0.0,
        waiting=waiting_told(output.message),
        taken=taken,
    )


@lease.command(epilog=examples("labctl lease release bench-ezsp"))
@_WHAT
@inventory_option
@output_options("labctl.lease.release/1")
def release(output: Output, what: str, inventory: Path | None) -> None:
    """Give back what `labctl lease take` keeps, from another terminal.

    Its process is told to end. Refused while somebody works with it.
    """
    from labctl.bench.leases import release as release_

    owners = release_(_target(output, what, inventory))
    output.emit(
        [_entry_json(entry) for entry in owners],
        text="\n".join(f"{what} is free; it was kept by {entry.told()}" for entry in owners),
    )


@lease.command("break", epilog=examples("labctl lease break bench-ezsp --yes"))
@_WHAT
@click.option("--yes", is_flag=True, help="Do it without asking.")
@inventory_option
@output_options("labctl.lease.break/1")
def break_(output: Output, what: str, yes: bool, inventory: Path | None) -> int:
    """End a lease, whoever has it.

    For a process that hangs but beats, and for a record that is damaged. A dead process needs none
    of this. Whoever works with the thing is stopped before his next write to it, and his run ends
    with an infrastructure error.
    """
    from labctl.bench.leases import break_leases

    target = _target(output, what, inventory)
    owners = [
        entry.told()
        for leases, things in target.parts
        for state in leases.states(things)
        for entry in state.entries[:1]
    ]
    if owners and not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{what} is in use by {owners[0]}", mend="add --yes")
        click.confirm(f"{what} is in use by {owners[0]}; take it away?", abort=True, err=True)
    broken = break_leases(target)
    output.emit(
        [_as_json(state) for state in broken],
        text=_listing(broken) if broken else f"{what} is free",
    )
    return ExitCode.PASS


def _target(output: Output, what: str, inventory: Path | None) -> Target:
    from labctl.bench.leases import target_of_rig, target_of_thing

    if ":" in what and not Path(what).exists():
        return target_of_thing(what)
    chosen = chosen_inventory(inventory)
    from labctl.config.loading import load_rig

    loaded = load_rig(find_rig(what, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    return target_of_rig(loaded)


def _as_json(state: LeaseState) -> dict[str, Any]:
    return {
        "thing": str(state.thing),
        "damaged": state.damaged,
        "owners": [_entry_json(entry) for entry in state.entries],
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "lease": entry.lease,
        "token": entry.token,
        "owner": entry.owner,
        "uid": entry.uid,
        "pid": entry.pid,
        "host": entry.host,
        "purpose": entry.purpose,
        "rig": entry.rig or None,
        "since_us": entry.since_us,
        "until_us": entry.until_us,
        "silent_after_s": entry.ttl_s,
        "reserved": entry.idle,
    }


def _listing(states: list[LeaseState]) -> str:
    if not states:
        return "nothing is leased"
    from labctl.leases.entry import utc_text

    rows: list[tuple[str, ...]] = [("THING", "OWNER", "PROCESS", "FOR", "SINCE", "UNTIL")]
    for state in states:
        if state.damaged:
            rows.append((str(state.thing), "the record is damaged", "", "", "", ""))
        for depth, entry in enumerate(state.entries):
            rows.append(
                (
                    "  lent by" if depth else str(state.thing),
                    f"{entry.owner}@{entry.host}",
                    str(entry.pid),
                    entry.purpose + (f" ({entry.rig})" if entry.rig else ""),
                    utc_text(entry.since_us),
                    utc_text(entry.until_us) if entry.until_us is not None else "-",
                )
            )
    return columns(rows)
