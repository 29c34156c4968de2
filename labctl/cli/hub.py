"""`labctl hub`: the hub's device log, and moving it to another stick."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from labctl.cli.arguments import RIG, Duration, database_option, inventory_option
from labctl.cli.hub_up import channel, resume, status, suspend, up
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.cli.pair import _load, _view
from labctl.config.paths import locate_database
from labctl.errors import ExitCode

if TYPE_CHECKING:
    from labctl.bench.hub_log import HubLog


@click.group(
    epilog=examples(
        "labctl hub up bench-ezsp", "labctl hub log virtual", "labctl hub export virtual hub.json"
    )
)
def hub() -> None:
    """The communications hub of a rig: holding it for days, and its device log."""


for command in (up, status, channel, suspend, resume):
    hub.add_command(command)


@hub.command(epilog=examples("labctl hub log virtual", "labctl hub log virtual --json"))
@click.argument("rig", type=RIG, metavar="RIG")
@inventory_option
@database_option
@output_options("labctl.hub.log/1")
def log(output: Output, rig: str, inventory: Path | None, database: Path | None) -> None:
    """Show the device log: who is in it, by whose wish, and who was removed.

    Offline: read from key store and database, without keys. `state` is of a device's link key.
    """
    loaded = _load(output, rig, inventory)
    from labctl.bench.hub_log import hub_log

    found = hub_log(loaded, locate_database(database, loaded.inventory_path).path)
    data = asdict(found) | {"key_store": str(found.key_store)}
    output.emit(data, text=lambda: _as_text(found))


def _as_text(found: HubLog) -> str:
    lines = [
        f"hub       {found.hub or 'not started yet'}, extended PAN id "
        f"{found.extended_pan_id or '-'}",
        f"entries   {len(found.entries)} of {found.places}; "
        "the gas proxy's channel is kept beside them",
        f"key store {found.key_store}" + ("" if found.key_store_exists else " (not there)"),
    ]
    if found.to_be_restored:
        lines.append("restoring at the next start")
    if found.entries:
        lines += ["", columns([_row(entry) for entry in found.entries])]
    if found.historic:
        rows: list[tuple[str, ...]] = [
            (gone.eui64, gone.name, gone.kind, f"removed {_when(gone.removed_us)}", gone.reason)
            for gone in found.historic
        ]
        lines += ["", "historic (their keys are remembered):", columns(rows)]
    return "\n".join(lines)


def _row(entry: object) -> tuple[str, ...]:
    from labctl.bench.hub_log import Entry

    assert isinstance(entry, Entry)
    by = f"by {entry.requested_by}" if entry.requested_by else ""
    consent = f"consent {entry.consent_reference}" if entry.consent_reference else ""
    return (
        entry.eui64,
        entry.name,
        entry.kind,
        f"key: {entry.state}" if entry.state else "key: unknown",
        entry.method or "",
        f"{by} {_when(entry.added_us)}".strip(),
        consent,
    )


def _when(at_us: int | None) -> str:
    if at_us is None:
        return ""
    return f"{datetime.fromtimestamp(at_us / 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


@hub.command(epilog=examples("labctl hub export bench-ezsp hub.json"))
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Replace the file if there is one.")
@inventory_option
@output_options("labctl.hub.export/1")
def export(output: Output, rig: str, file: Path, yes: bool, inventory: Path | None) -> None:
    """Write what another stick needs to take over the devices (GBCS CCS03).

    The extended PAN id, the device log, and hashed link keys, in a file of mode 0600. It holds
    keys: whoever has it can read what the devices are told until they have new ones.
    """
    loaded = _load(output, rig, inventory)
    from labctl.bench.hub_log import export_log

    count = export_log(loaded, file, overwrite=yes)
    output.emit({"file": str(file), "devices": count}, text=f"{file}: {count} devices")


@hub.command("import", epilog=examples("labctl hub import bench-2 hub.json --wait 30min"))
@click.argument("rig", type=RIG, metavar="RIG")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--yes", is_flag=True, help="Replace the device log that the rig has.")
@click.option(
    "--wait",
    type=Duration(),
    metavar="DURATION",
    help="Stay until the devices have come and have established keys anew, at most so long.",
)
@inventory_option
@database_option
@output_options("labctl.hub.import/1")
def import_(
    output: Output,
    rig: str,
    file: Path,
    yes: bool,
    wait: timedelta | None,
    inventory: Path | None,
    database: Path | None,
) -> int:
    """Take over another hub's devices on this rig's stick (trust-centre swap-out).

    The network that the stick holds is given up. One with the saved extended PAN id is formed in
    its place; devices find it once they miss their hub, rejoin with hashed keys, and establish
    new ones. The hub that was exported must be off.

    Exit code 0: formed, and with --wait all devices came. 69: not all came.
    """
    loaded = _load(output, rig, inventory)
    from labctl.bench.hub_log import import_log

    result = import_log(
        loaded,
        file,
        locate_database(database, loaded.inventory_path).path,
        overwrite=yes,
        wait=wait or timedelta(0),
        subscribers=tuple(_view(output)),
    )
    came = [device for device in result["devices"] if device["authorised"]]
    output.emit(
        result,
        text=f"{result['hub']} has extended PAN id {result['extended_pan_id']}; "
        f"{len(came)} of {len(result['devices'])} devices have new keys",
    )
    if wait and len(came) < len(result["devices"]):
        return ExitCode.RIG_UNAVAILABLE
    return ExitCode.PASS
