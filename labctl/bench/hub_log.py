"""The device log of a rig's hub, looked at and carried away while no rig is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from labctl.bench.interrupts import interrupts
from labctl.config.resolved import LoadedRig
from labctl.errors import ConfigurationError, UsageError
from labctl.events import Event
from labctl.record.database import open_for_reading
from labctl.record.pairings import Pairing, pairings_of
from labctl.rig.key_store import KeyStore, for_another_stick
from labctl.rig.loop import run
from labctl.rig.session import key_store_of, open_rig


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A device of the log, without its keys. Times are UTC microseconds.

    `state` is of its link key: none, install code, unproven, hashed, established; None when only
    the database knows of the device.
    """

    eui64: str
    name: str
    kind: str
    device_type: int | None
    state: str | None
    method: str | None
    requested_by: str | None
    consent_reference: str | None
    added_us: int | None
    authorised: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A device that was removed, as long as its key is remembered."""

    eui64: str
    name: str
    kind: str
    removed_us: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HubLog:
    """The whole log. `places` is how many devices it takes, `to_be_restored` waits for a start."""

    hub: str | None
    extended_pan_id: str | None
    places: int
    to_be_restored: bool
    entries: tuple[Entry, ...]
    historic: tuple[Gone, ...]
    key_store: Path
    key_store_exists: bool


def hub_log(loaded: LoadedRig, database: Path) -> HubLog:
    """What key store and database say. Raises `ConfigurationError`, `DatabaseError`.

    Without a key store (it was lost, or the rig was never opened) the database alone tells who was
    paired and not removed.
    """
    path = key_store_of(loaded)
    kept = KeyStore(path).load()
    recorded: dict[str, Pairing] = {}
    if database.exists():
        with closing(open_for_reading(database)) as connection:
            recorded = pairings_of(connection, loaded.name)
    entries = []
    for device in kept.devices:
        evidence, row = device.evidence, recorded.get(device.eui64)
        entries.append(
            Entry(
                eui64=device.eui64,
                name=device.name,
                kind=device.kind.value,
                device_type=None if device.log_type is None else int(device.log_type),
                state=device.state.value,
                method=evidence.method.value if evidence else None,
                requested_by=evidence.requested_by if evidence else None,
                consent_reference=evidence.consent_reference if evidence else None,
                added_us=evidence.added_us if evidence else (row.armed_us if row else None),
                authorised=row.authorised if row else None,
            )
        )
    if not path.exists():
        entries = [_recorded(row) for row in recorded.values() if row.removed_us is None]
    hub = loaded.rig.hub
    return HubLog(
        hub=kept.hub,
        extended_pan_id=kept.extended_pan_id,
        places=hub.max_devices - hub.gas_proxy_counts,
        to_be_restored=kept.restore,
        entries=tuple(entries),
        historic=tuple(
            Gone(
                eui64=device.eui64,
                name=device.name,
                kind=device.kind.value,
                removed_us=device.removed_us,
                reason=device.reason,
            )
            for device in kept.historic
        ),
        key_store=path,
        key_store_exists=path.exists(),
    )


def _recorded(row: Pairing) -> Entry:
    return Entry(
        eui64=row.eui64,
        name=row.name or row.eui64,
        kind=row.kind or "other",
        device_type=None,
        state=None,
        method=row.method,
        requested_by=row.requested_by,
        consent_reference=row.consent_reference,
        added_us=row.armed_us,
        authorised=row.authorised,
    )


def export_log(loaded: LoadedRig, file: Path, *, overwrite: bool = False) -> int:
    """Write what another stick needs to take over (GBCS CCS03). Returns the number of devices.

    Raises `UsageError` when there is nothing to export, or `file` exists.
    """
    kept = KeyStore(key_store_of(loaded)).load()
    export = for_another_stick(kept)
    if kept.hub is None or not export.devices:
        raise UsageError(
            f"the log of rig {loaded.name} has no device with an established key",
            mend="pair one first",
        )
    if file.exists() and not overwrite:
        raise UsageError("this file exists", where=str(file), mend="add --yes to replace it")
    KeyStore(file).save(export)
    return len(export.devices)


def import_log(
    loaded: LoadedRig,
    file: Path,
    database: Path,
    *,
    overwrite: bool = False,
    wait: timedelta = timedelta(0),
    real_time: bool = False,
    subscribers: tuple[Callable[[Event], None], ...] = (),
) -> dict[str, Any]:
    """Take over the devices of another hub: form its network on this rig's stick, with its keys.

    Waits `wait` for the devices to come and establish keys anew. Returns who there is, and who
    came. Raises `UsageError`, `ConfigurationError`, `RigError`.
    """
    if not file.exists():
        raise ConfigurationError("there is no such file", where=str(file))
    export = KeyStore(file).load()
    if not export.restore:
        raise UsageError(
            "this is a key store, not an export",
            where=str(file),
            mend="write one with `labctl hub export RIG FILE`",
        )
    store = KeyStore(key_store_of(loaded))
    before = store.load()
    if before.devices and not overwrite:
        raise UsageError(
            f"the log of rig {loaded.name} has {len(before.devices)} devices, which would be lost",
            mend="add --yes to replace it",
        )
    store.save(export)
    try:
        return run(loaded, _take_over(loaded, database, wait, subscribers), real_time=real_time)
    except BaseException:
        if store.load().restore:  # the stick was not formed: nothing has happened yet
            store.save(before)
        raise


async def _take_over(
    loaded: LoadedRig,
    database: Path,
    wait: timedelta,
    subscribers: tuple[Callable[[Event], None], ...],
) -> dict[str, Any]:
    enough = asyncio.Event()
    with interrupts(enough):
        async with open_rig(
            loaded,
            kind="bench",
            database=database,
            subscribers=subscribers,
            note="labctl hub import",
        ) as session:
            listed = [device for device in session.hub.device_log() if device.listed]
            radio = session.hub.radio
            if wait:
                session.power_on()
                loop = asyncio.get_running_loop()
                deadline = loop.time() + wait.total_seconds()
                while loop.time() < deadline and not enough.is_set() and not session.broken.done():
                    if all(session.hub.authorised(device.eui64) for device in listed):
                        break
                    await asyncio.sleep(1.0)
            return {
                "hub": str(radio.eui64),
                "extended_pan_id": str(radio.extended_pan_id),
                "devices": [
                    {
                        "eui64": str(device.eui64),
                        "name": device.name,
                        "authorised": session.hub.authorised(device.eui64),
                    }
                    for device in listed
                ],
            }
