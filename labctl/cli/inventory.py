"""`labctl inventory`: what there is in the lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.output import Output, examples, output_options
from labctl.cli.problems import checked_text, counted, plural
from labctl.config.paths import locate_inventory
from labctl.errors import ExitCode

if TYPE_CHECKING:
    from labctl.config.inventory import Inventory

_FILE = click.argument(
    "file", type=click.Path(path_type=Path), required=False, metavar="[INVENTORY]"
)


@click.group(epilog=examples("labctl inventory list", "labctl inventory check"))
def inventory() -> None:
    """Radios, devices and certificates: physical things, whatever rig they serve in.

    INVENTORY is a path. Default: LABCTL_INVENTORY, or inventory.yaml here or above.
    """


@inventory.command(
    epilog=examples(
        "labctl inventory check",
        "labctl inventory check lab/inventory.yaml --json",
    )
)
@_FILE
@output_options("labctl.inventory.check/1")
def check(output: Output, file: Path | None) -> int:
    """Check an inventory: every key and value, every install code and certificate.

    Offline: no port is opened. References ({env: NAME}, {file: path}) are followed, and what they
    lead to is checked but never shown. Exit code 78 when there is an error.
    """
    from labctl.config.loading import inspect_inventory

    path = locate_inventory(file).path
    checked = inspect_inventory(path)
    data = {
        "path": str(path),
        "ok": not checked.errors,
        "problems": [problem.as_json() for problem in checked.problems],
    }
    summary = _summary(checked.inventory) if checked.inventory is not None else ""
    output.emit(data, text=checked_text(path, checked.problems, summary))
    if checked.errors:
        output.fail(counted(checked.problems))
        return ExitCode.CONFIGURATION
    return ExitCode.PASS


def _summary(inventory: Inventory) -> str:
    parts = [plural(len(inventory.radios), "radio"), plural(len(inventory.devices), "device")]
    if inventory.certificates:
        parts.append(plural(len(inventory.certificates), "certificate"))
    return ", ".join(parts)


@inventory.command(
    "list",
    epilog=examples(
        "labctl inventory list",
        "labctl inventory list --json | jq -r '.data.devices[].eui64'",
    ),
)
@_FILE
@output_options("labctl.inventory.list/1")
def list_(output: Output, file: Path | None) -> None:
    """List radios, devices and certificates."""
    from labctl.config.loading import load_inventory

    path = locate_inventory(file).path
    loaded = load_inventory(path)
    data: dict[str, Any] = {"path": str(path)}
    for section in ("radios", "devices", "certificates"):
        entries = loaded.model_dump(mode="json")[section]
        data[section] = [{"name": name, **entry} for name, entry in entries.items()]
    output.emit(data, text=lambda: _listing(loaded))


@inventory.command(
    epilog=examples(
        "labctl inventory suggest",
        "labctl inventory suggest --write",
        "labctl inventory suggest socket://192.0.2.1:6638 --write",
    )
)
@click.argument("ports", nargs=-1, metavar="[PORT]...")
@click.option(
    "--inventory",
    "file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The inventory. Default: LABCTL_INVENTORY, or inventory.yaml here or above.",
)
@click.option("--write", is_flag=True, help="Add them to the inventory; comments stay.")
@click.option("--no-probe", is_flag=True, help="Open no port: go by the names of the sticks.")
@output_options("labctl.inventory.suggest/1")
def suggest(
    output: Output, ports: tuple[str, ...], file: Path | None, write: bool, no_probe: bool
) -> None:
    """Write entries for the sticks that are plugged in and in no inventory yet.

    PORT is a device path or socket://HOST:PORT; without one, all that look like sticks. Free sticks
    are asked what they are. What comes out is YAML to put under `radios:`.
    """
    import asyncio

    from labctl.config.loading import load_inventory
    from labctl.lab.suggest import add_to, stanza, suggestions
    from labctl.lab.survey import survey

    path = locate_inventory(file).path
    radios = load_inventory(path).radios if path.exists() else {}
    rows = asyncio.run(survey(radios, named=ports, asking=not no_probe))
    entries = suggestions(rows, radios)
    if write and entries:
        add_to(path, entries)
    output.emit(
        {
            "path": str(path),
            "written": write and bool(entries),
            "radios": [{"name": entry.name, "yaml": entry.text("")} for entry in entries],
        },
        text=stanza(entries) if entries else "",
    )
    if not entries:
        output.message("no stick that is not in the inventory; `labctl radios` shows all ports")
    elif write:
        output.message(f"added to {path}")


def _listing(inventory: Inventory) -> str:
    rows: list[tuple[str, ...]] = [
        ("radio", name, radio.driver.value, str(radio.eui64 or ""), radio.place)
        for name, radio in inventory.radios.items()
    ]
    rows += [
        (
            "device",
            name,
            device.kind.value,
            str(device.eui64),
            " ".join(filter(None, (device.manufacturer, device.model)))
            + (" (virtual)" if device.virtual else ""),
        )
        for name, device in inventory.devices.items()
    ]
    rows += [
        ("certificate", name, f"suite {certificate.suite}", "", "")
        for name, certificate in inventory.certificates.items()
    ]
    return columns(rows)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as aligned text."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
