"""What labctl keeps, and what it is told: files, database, disk, clock, locks, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from labctl.clock import MICROSECONDS
from labctl.config.loading import Checked
from labctl.config.problems import errors_of
from labctl.errors import DatabaseError, ExitCode, LabctlError
from labctl.lab.doctor.host import Host
from labctl.lab.doctor.row import Row, fail, ok, skip, warn
from labctl.record.database import Health

LITTLE_ROOM, NO_ROOM = 1 << 30, 100 << 20
"""Octets: a day of a busy hub is some 50 MB."""

_AHEAD_US = 60 * MICROSECONDS


def files(checked: Iterable[tuple[str, Path, Checked]]) -> list[Row]:
    """`file:PATH`: inventory and rig files, with all that they refer to."""
    rows = []
    for what, path, result in checked:
        errors = errors_of(result.problems)
        id_ = f"file:{path}"
        if errors:
            more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
            command = "rig check" if what == "rig file" else "inventory check"
            rows.append(
                fail(
                    id_,
                    f"line {errors[0].line}: {errors[0].what}{more}",
                    f"labctl {command} {path} shows all",
                    ExitCode.CONFIGURATION,
                )
            )
        else:
            rows.append(ok(id_, f"{what}, {_remarks(len(result.problems))}"))
    return rows


def _remarks(warnings: int) -> str:
    return "no problems" if not warnings else f"{warnings} warnings"


def database(path: Path, check: Callable[[Path], Health]) -> Row:
    """`database`: integrity, migrations, references. Read only."""
    if not path.exists():
        return skip("database", f"there is none yet at {path}: the first run makes it")
    try:
        health = check(path)
    except DatabaseError as error:
        if "lacks" in error.what:
            return warn("database", error.what, error.mend)
        return fail("database", f"{path}: {error.what}", error.mend)
    broken = [*health.integrity, *health.foreign_keys]
    if broken:
        return fail(
            "database",
            f"{path}: {broken[0]}",
            "copy it away, then try `sqlite3 FILE .recover`; give another --db meanwhile",
        )
    told = f"{path}: {health.bytes / 1e6:.1f} MB, {len(health.migrations)} migrations, intact"
    return ok("database", told)


def disk(folder: Path, host: Host) -> Row:
    """`disk`: room where the database grows."""
    free = host.free_octets(folder)
    if free is None:
        return skip("disk", f"{folder} does not tell its free space")
    told = f"{free / 1e9:.1f} GB free at {folder}"
    if free < NO_ROOM:
        return fail("disk", told, "free some space, or name a database elsewhere (LABCTL_DB)")
    if free < LITTLE_ROOM:
        return warn("disk", told, "free some space: a day of a busy hub takes some 50 MB")
    return ok("disk", told)


def clock(host: Host) -> Row:
    """`clock`: whether the computer's time is kept right. Devices read it from the hub."""
    if host.system != "Linux":
        return skip("clock", f"{host.system} has no timedatectl: look at its settings of the time")
    said = host.run("timedatectl", "show", "--property=NTPSynchronized", "--property=NTP")
    if said is None:
        return skip("clock", "timedatectl is not here to say whether the time is synchronised")
    if said.code != 0:
        why = said.text.splitlines()[0] if said.text else "it fails"
        return skip("clock", f"timedatectl does not say: {why[:120]}")
    values = dict(line.partition("=")[::2] for line in said.text.splitlines())
    if values.get("NTPSynchronized") == "yes":
        return ok("clock", "synchronised")
    if values.get("NTP") == "yes":
        return warn(
            "clock",
            "it is to be synchronised, and is not yet",
            "is the network up? `timedatectl timesync-status` tells more",
        )
    return warn("clock", "it is not synchronised", "sudo timedatectl set-ntp true")


def clock_of_record(last_us: int | None, host: Host) -> Row:
    """`clock-record`: whether the last real run is in the past, as it should be."""
    if last_us is None:
        return skip("clock-record", "no run of a real rig is recorded")
    ahead_us = last_us - host.wall_us()
    if ahead_us > _AHEAD_US:
        hours = ahead_us / MICROSECONDS / 3600
        return fail(
            "clock-record",
            f"the last run ended {hours:.1f} h after what the computer's clock says now",
            "set the clock right: what is recorded now would be out of order",
        )
    return ok("clock-record", "the last run is in the past")


def locks(what: str, use: Callable[[], object]) -> Row:
    """`locks:WHAT`: whether leases can be taken there. Without them no rig is opened."""
    try:
        use()
    except LabctlError as error:
        return fail(f"locks:{what}", f"{error.where}: {error.what}", error.mend)
    return ok(f"locks:{what}", "usable")


def keys(rig: str, path: Path, host: Host, load: Callable[[], object] | None = None) -> Row:
    """`keys:RIG`: the file with the link keys is nobody else's, and can be read."""
    id_ = f"keys:{rig}"
    found = host.file_mode(path)
    if found is None:
        return skip(id_, f"there is no key store yet at {path}")
    mode, own = found
    if mode & 0o077:
        return fail(
            id_,
            f"{path} has mode {mode:04o}: others may read the link keys",
            f"chmod 600 {path}, and mind who has read it",
        )
    if not own and not host.is_root():
        return fail(id_, f"{path} is another user's", "run labctl as that user")
    if load is not None:
        try:
            load()
        except LabctlError as error:
            return fail(id_, f"{path}: {error.what}", error.mend)
    return ok(id_, f"{path}, mode {mode:04o}")
