"""All checks of a computer, or of one rig on it, in the order in which a person mends them."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from labctl import __version__
from labctl.config.inventory import Radio
from labctl.config.loading import Checked, inspect_inventory, inspect_rig
from labctl.config.resolved import LoadedRig
from labctl.errors import DatabaseError
from labctl.lab.doctor import access, sticks, store
from labctl.lab.doctor.host import Host
from labctl.lab.doctor.row import Row, ok
from labctl.lab.survey import Look, survey
from labctl.lab.survey import Row as Stick
from labctl.leases import LockFolder
from labctl.record.database import check, open_for_reading
from labctl.record.queries import end_of, runs
from labctl.rig.hold import rigs_leased
from labctl.rig.key_store import KeyStore
from labctl.rig.state_folder import key_store_path

_DRIVERS = ("bellows", "zigpy", "zigpy-znp", "pyserial")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is looked at. `rigs` are paths of rig files; `rig` says that it is about that one."""

    inventory: Path
    database: Path
    rigs: tuple[Path, ...]
    chosen: Path | None = None
    rig: bool = False


async def examine(
    patient: Patient, *, asking: bool = True, host: Host | None = None, look: Look | None = None
) -> list[Row]:
    """Every check. Raises nothing that a file, a port or the computer can bring about."""
    host = host or Host()
    checked = _checked(patient)
    loaded = [result.rig for _, _, result in checked if result.rig is not None]
    radios = _radios(patient, checked, loaded)
    found = await survey(radios, only_radios=patient.rig, asking=asking, look=look)
    return [
        software(),
        *store.files(checked),
        *_of_ports(found, radios, host),
        access.hub_power(host),
        store.locks("shared", LockFolder.shared),
        store.locks("rigs", lambda: rigs_leased(patient.inventory)),
        *_keys(loaded, host),
        store.database(patient.database, check),
        store.disk(patient.database.absolute().parent, host),
        store.clock(host),
        store.clock_of_record(last_real_us(patient.database), host),
    ]


async def rule(patient: Patient, look: Look | None = None) -> str:
    """A udev rule for the sticks that are plugged in. Opens none."""
    checked = _checked(patient)
    loaded = [result.rig for _, _, result in checked if result.rig is not None]
    radios = _radios(patient, checked, loaded)
    return access.udev_rule(await survey(radios, only_radios=patient.rig, asking=False, look=look))


def _of_ports(found: Sequence[Stick], radios: Mapping[str, Radio], host: Host) -> list[Row]:
    return [
        *access.ports(found),
        *access.permissions(found, host),
        access.udev(found, host),
        access.modem_manager(found, host),
        *access.holders(found),
        *sticks.twins(found),
        *sticks.unasked(found),
        *sticks.answers(found),
        *sticks.firmware(found),
        *sticks.as_written(found, radios),
    ]


def software() -> Row:
    """`software`: versions, for whoever is sent the output."""
    versions = [f"{name} {_version(name)}" for name in _DRIVERS]
    return ok(
        "software",
        f"labctl {__version__}, Python {platform.python_version()}, {', '.join(versions)}, "
        f"{platform.system()} {platform.release()}",
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _checked(patient: Patient) -> list[tuple[str, Path, Checked]]:
    found = []
    if patient.inventory.exists() or not patient.rigs:
        found.append(("inventory", patient.inventory, inspect_inventory(patient.inventory)))
    found += [("rig file", path, inspect_rig(path, patient.chosen)) for path in patient.rigs]
    return found


def _radios(
    patient: Patient,
    checked: Sequence[tuple[str, Path, Checked]],
    loaded: Sequence[LoadedRig],
) -> dict[str, Radio]:
    if patient.rig:
        return {
            name: radio
            for rig in loaded
            for name, radio in (
                (rig.radio_name, rig.radio),
                (rig.second_radio_name, rig.second_radio),
            )
            if name is not None and radio is not None
        }
    return {
        name: radio
        for what, _, result in checked
        if what == "inventory" and result.inventory is not None
        for name, radio in result.inventory.radios.items()
    }


def _keys(loaded: Sequence[LoadedRig], host: Host) -> list[Row]:
    rows = []
    for rig in loaded:
        path = key_store_path(rig.inventory_path, rig.name, rig.path, rig.rig.hub.key_store)
        rows.append(store.keys(rig.name, path, host, KeyStore(path).load))
    return rows


def last_real_us(database: Path) -> int | None:
    """When a run of a real rig was last heard of, UTC microseconds; None when there was none."""
    try:
        connection = open_for_reading(database)
    except DatabaseError:
        return None  # the row of the database says why
    try:
        real = (run for run in runs(connection) if not run.simulated)
        return max((end_of(connection, run) for run in real), default=None)
    finally:
        connection.close()
