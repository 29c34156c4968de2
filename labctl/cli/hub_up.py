"""`labctl hub up` and what reaches the hub that it holds: status, channel, suspend, resume."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import (
    RIG,
    Duration,
    database_option,
    inventory_option,
    wait_option,
    waiting_told,
)
from labctl.cli.inventory import columns
from labctl.cli.logs import configure_logging
from labctl.cli.output import Output, examples, output_options
from labctl.cli.pair import _load, _options
from labctl.config.paths import locate_database
from labctl.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from labctl.bench.hub_up import View


@click.command(
    epilog=examples(
        "labctl hub up bench-ezsp                 until Ctrl-C or SIGTERM",
        "labctl hub up bench-ezsp --pair --json",
        "labctl hub up virtual --fast",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.option("--pair", "pair", is_flag=True, help="Open the windows of the rig file's devices.")
@click.option(
    "--new-run",
    "new_run",
    type=Duration(),
    metavar="DURATION",
    default="1d",
    show_default=True,
    help="Begin a new run in the record so often; the hub goes on.",
)
@click.option(
    "--alive",
    type=Duration(),
    metavar="DURATION",
    default="1min",
    show_default=True,
    help="With --json: a line about how it stands so often.",
)
@click.option("--fast", is_flag=True, help="Virtual rigs: let time pass as fast as it can.")
@inventory_option
@database_option
@wait_option
@output_options("labctl.hub.up/1")
def up(
    output: Output,
    rig: str,
    pair: bool,
    new_run: timedelta,
    alive: timedelta,
    fast: bool,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
) -> int:
    """Hold the hub of a rig: for days, in the foreground, until SIGINT or SIGTERM.

    pair, unpair, read, meter, hub channel, hub suspend and hub status of the same rig reach it
    through a socket in the rig's folder (.labctl/RIG/hub.sock), which only its owner can open.
    Everything is recorded, in a new run each day. A radio that is lost is waited for as long as
    the rig file says (hub.reconnect). docs/hub-service.md has a systemd unit.

    With --json, a line on stdout for each of: up, radio-lost, radio-up, run, alive.

    Exit code 0: told to end. 69: the rig gave out.
    """
    loaded = _load(output, rig, inventory)
    if fast and not loaded.is_virtual:
        raise UsageError("--fast is for virtual rigs: real radios have the wall's time")
    from labctl.bench.hub_up import HubOptions, hold_hub

    configure_logging(output.verbosity, output.message)
    options = HubOptions(
        database=locate_database(database, loaded.inventory_path).path,
        new_run_every=new_run,
        alive_every=alive,
        pair=pair,
        fast=fast,
        wait_s=wait.total_seconds() if wait else 0.0,
        waiting=waiting_told(output.message),
    )
    result = hold_hub(loaded, options, _view(output))
    if result.broken is not None:
        output.fail(f"the hub gave out: {result.broken}")
        if output.json:
            output.emit_line({"what": "ended", "broken": result.broken.what})
    elif output.json:
        output.emit_line({"what": "ended", "broken": None})
    return result.exit_code


def _view(output: Output) -> View:
    from labctl.bench.board import Board
    from labctl.bench.hub_up import View
    from labctl.bench.plain import PlainView
    from labctl.events import Event

    board = Board()
    plain = PlainView(board, output.message)

    class Lines(View):
        """Lines on stderr as the bench has them, and with --json how it stands on stdout."""

        def __call__(self, event: Event) -> None:
            board(event)
            plain(event)

        def tick(self, now_us: int) -> None:
            plain.tick(now_us)

        def stands(self, what: str, status: dict[str, Any]) -> None:
            if output.json:
                output.emit_line({"what": what, "status": status})
                sys.stdout.flush()
            elif what == "up":
                output.message(f"the hub of {status['rig']} is up (run {status['run']})")

    return Lines()


@click.command(
    epilog=examples("labctl hub status bench-ezsp", "labctl hub status bench-ezsp --json")
)
@click.argument("rig", type=RIG, metavar="RIG")
@inventory_option
@output_options("labctl.hub.status/1")
def status(output: Output, rig: str, inventory: Path | None) -> int:
    """Show whether the hub of a rig is held, and how it stands with radios and devices.

    Exit code 0: it is up. 69: nobody holds it, or its radio is lost.
    """
    loaded = _load(output, rig, inventory)
    from labctl.bench.hub_once import hub_status

    found = hub_status(loaded)
    if found is None:
        text = f"nobody holds the hub of {loaded.name}: labctl hub up {loaded.name}"
        output.emit({"up": False, "rig": loaded.name}, text=text)
        return ExitCode.RIG_UNAVAILABLE
    output.emit({"up": True, **found}, text=_status_text(found))
    lost = [radio for radio in found["radios"] if radio["lost"]]
    return ExitCode.RIG_UNAVAILABLE if lost else ExitCode.PASS


def _status_text(found: dict[str, Any]) -> str:
    lines = [
        f"hub       {found['rig']}, process {found['pid']}, labctl {found['labctl']}",
        f"up since  {_when(found['since_us'])}; run {found['run']}; it is {_when(found['now_us'])}",
    ]
    for radio in found["radios"]:
        state = f"lost: {radio['lost']}" if radio["lost"] else "up"
        lines.append(
            f"radio     {radio['name']}: {state}, page {radio['page']} channel {radio['channel']}, "
            f"PAN 0x{radio['pan_id']:04x}"
        )
    rows: list[tuple[str, ...]] = [
        (
            device["eui64"],
            device["name"],
            device["kind"],
            f"key: {device['key']}",
            f"on {device['radio']}" if device["radio"] else "not heard",
            f"suspended for {device['suspended_min']} min" if device["suspended_min"] else "",
        )
        for device in found["devices"]
    ]
    return "\n".join(lines + (["", columns(rows)] if rows else []))


def _when(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


@click.command(
    epilog=examples(
        "labctl hub channel dual-band                   the quietest of its page",
        "labctl hub channel dual-band '868.45 MHz'",
        "labctl hub channel bench-ezsp 'page 0, channel 25' --bearer 0",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("channel", required=False, metavar="[FREQUENCY]")
@click.option(
    "--bearer",
    type=click.IntRange(0, 1),
    help="Which of the hub's bands: 0 is its first. Default: 868 MHz where it has that.",
)
@inventory_option
@database_option
@wait_option
@output_options("labctl.hub.channel/1")
def channel(
    output: Output,
    rig: str,
    channel: str | None,
    bearer: int | None,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
) -> None:
    """Move the hub to another channel, with its devices following.

    Without FREQUENCY, to the quietest channel of its page, if one is worth the move. A sleepy gas
    meter is waited for, which can take an hour and a half.
    """
    arguments = {"channel": channel, "bearer": bearer}
    done = _ask(output, rig, inventory, database, wait, "channel", arguments)
    output.emit(
        done,
        text=f"{done['radio']} is at {done['channel']}"
        + (f", moved from {done['before']}" if done["moved"] else ": it stays"),
    )


@click.command(
    epilog=examples("labctl hub suspend dual-band sub-ghz-cad-1 --for 5min --cause 'too loud'")
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device")
@click.option(
    "--for", "lasting", type=Duration(), metavar="DURATION", required=True, help="1 to 255 min."
)
@click.option("--cause", default="asked for", metavar="TEXT", help="Why: kept in the record.")
@inventory_option
@database_option
@wait_option
@output_options("labctl.hub.suspend/1")
def suspend(
    output: Output,
    rig: str,
    device: str,
    lasting: timedelta,
    cause: str,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
) -> None:
    """Tell a device on 868 MHz to send nothing for a while (Sub-GHz cluster).

    DEVICE is its name or its address.
    """
    minutes, rest = divmod(lasting, timedelta(minutes=1))
    if rest or not 1 <= minutes <= 255:
        raise UsageError("a suspension lasts 1 to 255 whole minutes")
    arguments = {"device": device, "minutes": minutes, "cause": cause}
    done = _ask(output, rig, inventory, database, wait, "suspend", arguments)
    output.emit(done, text=f"{done['eui64']} is to be silent for {minutes} min")


@click.command(epilog=examples("labctl hub resume dual-band sub-ghz-cad-1"))
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device")
@click.option("--cause", default="asked for", metavar="TEXT", help="Why: kept in the record.")
@inventory_option
@database_option
@wait_option
@output_options("labctl.hub.resume/1")
def resume(
    output: Output,
    rig: str,
    device: str,
    cause: str,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
) -> None:
    """Let a device that was suspended talk again. DEVICE is its name or its address."""
    arguments = {"device": device, "cause": cause}
    done = _ask(output, rig, inventory, database, wait, "resume", arguments)
    output.emit(done, text=f"{done['eui64']} may talk again")


@click.command(
    epilog=examples(
        "labctl read bench-ezsp ihd basic manufacturer_name model_identifier",
        "labctl read bench-ezsp cad 0x0702 0x0000 --endpoint 1 --json",
    )
)
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("device")
@click.argument("cluster")
@click.argument("attributes", nargs=-1, required=True, metavar="ATTRIBUTE...")
@click.option(
    "--endpoint",
    type=click.IntRange(1, 240),
    help="The device's endpoint. Default: the one that it last spoke from.",
)
@inventory_option
@database_option
@wait_option
@output_options("labctl.read/1")
def read(
    output: Output,
    rig: str,
    device: str,
    cluster: str,
    attributes: tuple[str, ...],
    endpoint: int | None,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
) -> int:
    """Have the hub read attributes of a device, from the server side of one of its clusters.

    DEVICE is its name or its address. CLUSTER and ATTRIBUTE are names as in rig files, or numbers.
    A hub that is held does it (labctl hub up); otherwise the rig is opened for it.

    Exit code 0: read. 1: the device has one of them not, or refuses it. 69: no answer.
    """
    from labctl.config.clusters import cluster_named

    number = _number(cluster)
    named = cluster_named(cluster.lower() if number is None else number)
    if named is None:
        raise UsageError(f"{cluster} is no cluster that is known here", mend="give its number")
    cluster_id, names = named
    wanted: list[int] = []
    for word in attributes:
        attribute = _number(word)
        attribute = names.attributes.get(word.lower()) if attribute is None else attribute
        if attribute is None:
            raise UsageError(
                f"{word} is no attribute of {cluster} that is known here", mend="give its number"
            )
        wanted.append(attribute)
    arguments: dict[str, object] = {
        "device": device,
        "cluster": cluster_id,
        "attributes": wanted,
        "endpoint": endpoint,
    }
    done = _ask(output, rig, inventory, database, wait, "read", arguments)
    output.emit(done, text=lambda: columns([_attribute_row(each) for each in done["attributes"]]))
    refused = [each for each in done["attributes"] if each["status"]]
    return ExitCode.PRODUCT_FAILED if refused else ExitCode.PASS


def _number(word: str) -> int | None:
    try:
        return int(word, 0)
    except ValueError:
        return None


def _attribute_row(each: dict[str, Any]) -> tuple[str, ...]:
    name = each["name"] or f"0x{each['attribute']:04X}"
    if each["status"]:
        return name, f"status 0x{each['status']:02X}", ""
    return name, str(each["value"]), str(each["type"])


def _ask(
    output: Output,
    rig: str,
    inventory: Path | None,
    database: Path | None,
    wait: timedelta | None,
    do: str,
    arguments: dict[str, Any],
) -> dict[str, Any]:
    loaded = _load(output, rig, inventory)
    from labctl.bench.hub_once import ask_hub

    configure_logging(output.verbosity, output.message)
    return ask_hub(loaded, _options(loaded, database, None, False, output, wait), do, arguments)
