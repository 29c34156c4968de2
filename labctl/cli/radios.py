"""`labctl radios`: which sticks there are, who has them, and what they can do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, inventory_option
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.config.paths import chosen_inventory, find_rig, locate_inventory
from labctl.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labctl.config.inventory import Radio
    from labctl.lab.survey import Row


@click.command(
    epilog=examples(
        "labctl radios                            all sticks",
        "labctl radios --no-probe                 without opening any port",
        "labctl radios --rig bench-ezsp           those of a rig; exit code 69 if one is missing",
        "labctl radios socket://192.0.2.1:6638    one that nothing else names",
        "labctl radios --json | jq '.data.radios[].probed.eui64'",
    )
)
@click.argument("ports", nargs=-1, metavar="[PORT]...")
@click.option("--rig", type=RIG, metavar="RIG", help="Only the radios of this rig.")
@click.option("--no-probe", is_flag=True, help="Open no port.")
@inventory_option
@output_options("labctl.radios/1")
def radios(
    output: Output, ports: tuple[str, ...], rig: str | None, no_probe: bool, inventory: Path | None
) -> int:
    """List serial ports and network coordinators, and ask the sticks among them what they are.

    A stick that is asked is reset; what it holds stays. One that a process has open, or that is
    leased, is left alone, and it is said who has it. Ports that nothing tells to be sticks are
    asked when they are named: PORT is a device path or socket://HOST:PORT.

    Exit code 69: a radio of --rig, or a PORT, is missing or does not answer. 75: somebody has it.
    """
    import asyncio

    from labctl.lab.survey import State, survey

    known = _radios(rig, inventory)
    rows = asyncio.run(survey(known, named=ports, only_radios=rig is not None, asking=not no_probe))
    output.emit({"radios": [_as_json(row) for row in rows]}, text=lambda: _table(rows))
    for row in rows:
        if row.trouble is not None and row.state is not State.NOT_ASKED:
            output.message(str(row.trouble))
    if not rows:
        output.message("there are no serial ports here; `labctl doctor` looks into it")
    wanted = [row for row in rows if ports or rig]
    if any(row.state in (State.MISSING, State.SILENT) for row in wanted):
        return ExitCode.RIG_UNAVAILABLE
    return ExitCode.BUSY if any(row.state is State.HELD for row in wanted) else ExitCode.PASS


def _radios(rig: str | None, inventory: Path | None) -> Mapping[str, Radio]:
    from labctl.config.loading import load_inventory, load_rig

    if rig is not None:
        chosen = chosen_inventory(inventory)
        loaded = load_rig(find_rig(rig, chosen), chosen)
        of_rig = {loaded.radio_name: loaded.radio}
        if loaded.second is not None:
            of_rig[loaded.second.radio_name] = loaded.second.radio
        return of_rig
    path = locate_inventory(inventory).path
    return load_inventory(path).radios if inventory is not None or path.exists() else {}


_TITLES = ("PORT", "RADIO", "STICK", "STATE", "SPEAKS", "BANDS", "KEYS", "ADDRESS")


def _table(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = columns([_TITLES, *(_cells(row) for row in rows)])
    said = [f"{row.port.device}: {remark}" for row in rows for remark in _remarks(row)]
    return "\n".join([lines, *([""] if said else []), *said])


def _cells(row: Row) -> tuple[str, ...]:
    stick, found = row.port.stick, row.probed
    name = stick.name if stick else row.port.product or ""
    if row.port.usb_text:
        name = f"{name} ({row.port.usb_text})".strip()
    if found is None:
        return (row.port.device, " ".join(row.names), name, row.state.value, "", "", "", "")
    speaks = f"{found.protocol}, {found.firmware}" if found.firmware else found.protocol
    bands = (" and " if found.both_at_once else " or ").join(found.bands)
    return (
        row.port.device,
        " ".join(row.names),
        name,
        row.state.value,
        speaks,
        bands,
        "" if found.key_table_size is None else str(found.key_table_size),
        str(found.eui64 or ""),
    )


def _remarks(row: Row) -> list[str]:
    said = [f"held by {holder}" for holder in row.held_by]
    if row.twins:
        said.append(
            f"cannot be told from {', '.join(row.twins)} but by its socket: its steady path is "
            f"{row.path}"
        )
    if row.port.stick is not None and row.port.stick.note and row.probed is None:
        said.append(row.port.stick.note)
    if row.probed is not None:
        suites = row.probed.key_establishment
        if suites:
            said.append("does key establishment by itself: suite " + " and ".join(map(str, suites)))
        said += row.probed.remarks
    judgement = row.judgement
    if judgement is not None and judgement.fitness != "good":
        mend = f" ({judgement.mend})" if judgement.mend else ""
        said.append(f"{judgement.fitness}: {judgement.why}{mend}")
    if row.state == "not asked" and row.trouble is not None:
        said.append(f"not asked: {row.trouble.what}")
    return list(dict.fromkeys(said))


def _as_json(row: Row) -> dict[str, Any]:
    port, found, judgement = row.port, row.probed, row.judgement
    usb = port.usb
    return {
        "device": port.device,
        "path": row.path,
        "by_id": port.by_id,
        "by_path": port.by_path,
        "usb": None
        if usb is None
        else {"vid": usb.vid, "pid": usb.pid, "serial_number": usb.serial_number},
        "location": port.location,
        "manufacturer": port.manufacturer,
        "product": port.product,
        "stick": port.stick.name if port.stick else None,
        "confidence": port.confidence.value,
        "radios": list(row.names),
        "state": row.state.value,
        "held_by": list(row.held_by),
        "twins": list(row.twins),
        "probed": None
        if found is None
        else {
            "driver": found.driver.value,
            "protocol": found.protocol,
            "protocol_version": found.protocol_version,
            "baudrate": found.line.baudrate,
            "flow_control": found.line.flow_control.value,
            "eui64": str(found.eui64) if found.eui64 else None,
            "firmware": found.firmware,
            "manufacturer": found.manufacturer,
            "model": found.model,
            "bands": [band.value for band in found.bands],
            "both_bands_at_once": found.both_at_once,
            "key_establishment": list(found.key_establishment),
            "key_table_size": found.key_table_size,
            "usable": found.usable,
            "remarks": list(found.remarks),
        },
        "firmware": None
        if judgement is None
        else {"fitness": judgement.fitness.value, "why": judgement.why, "mend": judgement.mend},
        "trouble": None
        if row.trouble is None
        else {"what": row.trouble.what, "where": row.trouble.where, "mend": row.trouble.mend},
    }
