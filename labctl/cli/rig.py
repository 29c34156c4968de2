"""`labctl rig`: rig files, checked and shown. Nothing here opens a rig."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from labctl.cli.arguments import RIG, inventory_option
from labctl.cli.inventory import columns
from labctl.cli.output import Output, examples, output_options
from labctl.cli.problems import checked_text, counted, plural
from labctl.config.paths import (
    RIGS_FOLDER,
    chosen_inventory,
    find_rig,
    rig_files,
    rig_folders,
)
from labctl.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from labctl.config.problems import Problem
    from labctl.config.resolved import LoadedRig, ReadSchedule


@click.group(epilog=examples("labctl rig list", "labctl rig check", "labctl rig show virtual"))
def rig() -> None:
    """Rig files: which radio is the hub's, what it serves, which devices are under test.

    RIG is the path of a rig file, or the name of one in rigs/ (beside the inventory, or here).
    """


@rig.command(
    epilog=examples(
        "labctl rig check",
        "labctl rig check rigs/virtual.yaml",
        "labctl rig check --json | jq '.data.rigs[] | select(.ok | not)'",
    )
)
@click.argument("rigs", nargs=-1, type=RIG, metavar="[RIG]...")
@inventory_option
@output_options("labctl.rig.check/1")
def check(output: Output, rigs: tuple[str, ...], inventory: Path | None) -> int:
    """Check rig files with their inventory; without RIG, all rig files.

    Offline: no port is opened. Install codes and certificates of the devices under test are read
    and checked, and never shown. Exit code 78 when there is an error.
    """
    from labctl.config.loading import inspect_rig

    chosen = chosen_inventory(inventory)
    paths = [find_rig(word, chosen) for word in rigs] or _all_rigs(output, chosen)
    results: list[dict[str, Any]] = []
    texts: list[str] = []
    found: list[Problem] = []
    for path in paths:
        checked = inspect_rig(path, chosen)
        results.append(
            {
                "path": str(path),
                "rig": checked.rig.name if checked.rig else None,
                "ok": not checked.errors,
                "config_sha256": checked.rig.config_sha256 if checked.rig else None,
                "problems": [problem.as_json() for problem in checked.problems],
            }
        )
        texts.append(
            checked_text(path, checked.problems, _summary(checked.rig) if checked.rig else "")
        )
        found += checked.errors
    output.emit({"rigs": results}, text="\n".join(texts))
    if found:
        output.fail(counted(found))
        return ExitCode.CONFIGURATION
    return ExitCode.PASS


def _all_rigs(output: Output, inventory: Path | None) -> list[Path]:
    from labctl.config.document import is_commented_out

    paths = rig_files(inventory)
    if not paths:
        folders = rig_folders(inventory)
        raise ConfigurationError(
            "there are no rig files" if folders else f"there is no folder {RIGS_FOLDER}/",
            where=", ".join(map(str, folders)),
            mend="give the path of a rig file",
        )
    asleep = {path for path in paths if is_commented_out(path)}
    for path in sorted(asleep):
        output.message(f"{path}: left alone, all of it is commented out")
    return [path for path in paths if path not in asleep]


def _summary(loaded: LoadedRig) -> str:
    kind = "virtual" if loaded.is_virtual else f"{loaded.radio.driver} at {loaded.radio.place}"
    return (
        f"{loaded.name}: {kind}, {plural(len(loaded.rig.meters), 'meter')}, "
        f"{plural(len(loaded.devices), 'device')} under test"
    )


@rig.command("list", epilog=examples("labctl rig list", "labctl rig list --json"))
@inventory_option
@output_options("labctl.rig.list/1")
def list_(output: Output, inventory: Path | None) -> None:
    """List all rig files, and whether each can be used."""
    from labctl.config.loading import inspect_rig

    chosen = chosen_inventory(inventory)
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for path in _all_rigs(output, chosen):
        checked = inspect_rig(path, chosen)
        loaded = checked.rig
        data.append(
            {
                "name": path.stem,
                "path": str(path),
                "ok": loaded is not None,
                "rig": loaded.name if loaded else None,
                "radio": loaded.radio_name if loaded else None,
                "virtual": loaded.is_virtual if loaded else None,
                "devices": [device.name for device in loaded.devices] if loaded else None,
            }
        )
        state = _summary(loaded) if loaded else f"{counted(checked.errors)}: labctl rig check"
        rows.append((path.stem, str(path), state))
    output.emit(data, text=columns(rows) if rows else "")


@rig.command(epilog=examples("labctl rig show virtual", "labctl rig show virtual --json"))
@click.argument("rig", type=RIG, metavar="RIG")
@inventory_option
@output_options("labctl.rig.show/1")
def show(output: Output, rig: str, inventory: Path | None) -> None:
    """Show a rig with everything looked up: defaults, addresses, clusters and attributes.

    Install codes and keys are never shown.
    """
    from labctl.config.loading import load_rig

    chosen = chosen_inventory(inventory)
    loaded = load_rig(find_rig(rig, chosen), chosen)
    for warning in loaded.warnings:
        output.warning(str(warning))
    output.emit(_as_json(loaded), text=lambda: _as_text(loaded))


def _as_json(loaded: LoadedRig) -> dict[str, Any]:
    shown = loaded.rig.model_dump(mode="json")
    duration = shown["bench"]["duration"]
    if duration is None and loaded.bench_duration is not None:
        from labctl.config.durations import duration_text

        duration = duration_text(loaded.bench_duration)
    return {
        "rig": loaded.name,
        "path": str(loaded.path),
        "inventory": str(loaded.inventory_path),
        "config_sha256": loaded.config_sha256,
        "virtual": loaded.is_virtual,
        "hub": {
            **shown["hub"],
            "suites": list(loaded.rig.hub.all_suites),
            "band": "dual" if len(loaded.phys) > 1 else loaded.bands[0].value,
            "page": loaded.phys[0].channel.page,
            "channel": loaded.phys[0].channel.number,
            "tx_power_dbm": loaded.phys[0].tx_power_dbm,
        },
        "bearers": [
            {
                "radio": loaded.second_radio_name or loaded.radio_name
                if number
                else loaded.radio_name,
                "band": phy.band.value,
                "page": phy.channel.page,
                "channel": phy.channel.number,
                "frequency_khz": phy.channel.frequency_khz,
                "tx_power_dbm": phy.tx_power_dbm,
            }
            for number, phy in enumerate(loaded.phys)
        ],
        "radio": {"name": loaded.radio_name, **loaded.radio.model_dump(mode="json")},
        "certificate": None
        if loaded.certificate is None
        else {
            "suite": loaded.certificate.suite,
            "subject": loaded.certificate.subject,
            "issuer": loaded.certificate.issuer,
        },
        "meters": shown["meters"],
        "devices": [
            {
                "name": device.name,
                "eui64": device.eui64,
                "kind": device.kind.value,
                "manufacturer": device.device.manufacturer,
                "model": device.device.model,
                "virtual": device.device.virtual is not None,
                "pairing": device.pairing.model_dump(mode="json"),
                "reads": [_schedule_json(schedule) for schedule in device.schedules],
            }
            for device in loaded.devices
        ],
        "left_out": list(loaded.left_out),
        "bench": {"duration": duration},
        "virtual_bench": shown["virtual"] if loaded.is_virtual else None,
    }


def _schedule_json(schedule: ReadSchedule) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "cluster_id": schedule.cluster_id,
        "endpoint": schedule.endpoint,
        "meter": schedule.meter,
        "on_hub": schedule.on_hub,
        "attributes": list(schedule.attributes),
        "command_id": schedule.command_id,
        "period_ms": schedule.period_ms,
        "tolerance_ms": schedule.tolerance_ms,
    }


def _as_text(loaded: LoadedRig) -> str:
    data = _as_json(loaded)
    hub, radio = data["hub"], data["radio"]
    suites = " and ".join(str(suite) for suite in hub["suites"])
    lines = [
        f"rig         {loaded.name}{' (virtual)' if loaded.is_virtual else ''}",
        f"files       {loaded.path}, {loaded.inventory_path}",
        f"radio       {radio['name']}: {radio['driver']} at {radio['path']}",
        f"hub         {hub['generation']}, key establishment suite {suites}",
        *(
            f"bearer      {bearer['radio']}: {phy.channel}, {phy.tx_power_dbm} dBm"
            for bearer, phy in zip(data["bearers"], loaded.phys, strict=True)
        ),
        f"bench       {data['bench']['duration'] or 'until interrupted'}",
        f"sha256      {loaded.config_sha256}",
    ]
    lines += [
        f"meter       {name}: {meter.kind}, {meter.mpxn}, serial number {meter.serial_number}"
        for name, meter in loaded.rig.meters.items()
    ]
    for device in loaded.devices:
        name = f"{device.name}: {device.kind}, {device.eui64}, {device.pairing.method} pairing"
        lines.append(f"device      {name}")
        lines += [f"  reads     {_schedule_text(schedule)}" for schedule in device.schedules]
    lines += [f"left out    {name}" for name in loaded.left_out]
    return "\n".join(lines)


def _schedule_text(schedule: ReadSchedule) -> str:
    from datetime import timedelta

    from labctl.config.durations import duration_text

    what = (
        ", ".join(f"0x{attribute:04X}" for attribute in schedule.attributes)
        if schedule.command_id is None
        else f"command 0x{schedule.command_id:02X}"
    )
    place = schedule.meter or ("the hub" if schedule.on_hub else schedule.endpoint)
    every = duration_text(timedelta(milliseconds=schedule.period_ms))
    within = duration_text(timedelta(milliseconds=schedule.tolerance_ms))
    return (
        f"{schedule.name}: cluster 0x{schedule.cluster_id:04X}, {what}"
        + (f" of {place}" if place else "")
        + f", every {every} within {within}"
    )
