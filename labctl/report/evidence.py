"""The evidence archive of a campaign: all that its verdict rests on, in one file that can be
checked.

A ZIP with the report in all its forms, the run's rows of the database, the log, what was on the
air in attempts that did not pass, and the configuration without secrets. `MANIFEST` has the SHA-256
of each member, in the form that `sha256sum -c` reads. The archive of the same record has the same
octets, however often it is made.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import zipfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import UsageError
from labctl.record.database import open_for_reading, open_for_writing, translated
from labctl.record.extract import extract
from labctl.record.matrix import EVIDENCE
from labctl.record.queries import find_run, newest_campaign
from labctl.record.rows import RunData
from labctl.report.evidence_format import (
    CONFIGURATION,
    MANIFEST,
    header,
    is_safe,
    member_info,
)
from labctl.report.run_log import run_log
from labctl.report.write import render

SUFFIX = ".evidence.zip"


@dataclass(frozen=True, slots=True)
class Evidence:
    """An archive that was made. `left_out` says what should be in it and is not, and why."""

    run_id: int
    path: Path
    sha256: str
    bytes: int
    members: tuple[str, ...]
    left_out: tuple[str, ...]


def make_evidence(
    db_path: Path, rig_or_run: str | int, reports: Path, configuration: bytes | None
) -> Evidence:
    """Make the archive of a campaign, or of a rig's newest, in `reports`, and note it.

    `configuration` is the canonical JSON of the configuration now; it goes in when it is what the
    run was played with. Captures are looked for in `reports`. Raises `UsageError` for a run that is
    no campaign, goes on or has lost its samples, and when the file cannot be written;
    `DatabaseError`.
    """
    with closing(open_for_reading(db_path)) as connection, translated(db_path):
        connection.execute("BEGIN")
        run = find_run(connection, rig_or_run)
        if run.kind != "campaign" and not str(rig_or_run).isdecimal():
            run = newest_campaign(connection, run.rig) or run
        if run.kind != "campaign":
            raise UsageError(
                f"run {run.id} is no campaign, but a {run.kind} run",
                mend="evidence is of campaigns: `labctl campaign run`",
            )
        if run.ended_us is None:
            raise UsageError(f"run {run.id} has not ended", mend="evidence is made of what is over")
        rendered = render(connection, run.id)
        members = {
            name: text().encode()
            for name, text in (
                (rendered.names[kind], text) for kind, text in rendered.texts.items()
            )
        }
        members[f"{rendered.stem}.db"] = extract(connection, run.id)
        members[f"{rendered.stem}.log"] = run_log(connection, rendered.data).encode()
        recorded = connection.execute(
            "SELECT path, sha256 FROM artefacts WHERE run_id = ? AND kind = 'capture' ORDER BY id",
            (run.id,),
        ).fetchall()
    left_out = _add_configuration(members, rendered.data, configuration)
    captures: dict[str, Path] = {}
    for path, sha256 in recorded:
        why = _why_not(reports, path, sha256)
        if why is None:
            captures[path] = reports / path
        else:
            left_out.append(f"{path}: {why}")
    target = reports / f"{rendered.stem}{SUFFIX}"
    _write(target, rendered.data, members, captures, left_out)
    with target.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    made = Evidence(
        run_id=run.id,
        path=target,
        sha256=sha256,
        bytes=target.stat().st_size,
        members=tuple(sorted([MANIFEST, *members, *captures])),
        left_out=tuple(left_out),
    )
    _note(db_path, made)
    return made


def _add_configuration(
    members: dict[str, bytes], data: RunData, configuration: bytes | None
) -> list[str]:
    if configuration is None:
        return [f"{CONFIGURATION}: the rig file or the inventory is not there, or cannot be read"]
    if hashlib.sha256(configuration).hexdigest() != data.run.config_sha256:
        return [f"{CONFIGURATION}: the rig file or the inventory was changed since the run"]
    members[CONFIGURATION] = configuration
    return []


def _why_not(reports: Path, path: str, sha256: str) -> str | None:
    """Why a capture cannot go in; None when it can."""
    if not is_safe(path):
        return "it is outside the folder of the reports"
    try:
        with (reports / path).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"it cannot be read: {error.strerror or error}"
    return None if found == sha256 else "it is not what was recorded"


def _write(
    target: Path,
    data: RunData,
    members: Mapping[str, bytes],
    captures: Mapping[str, Path],
    left_out: list[str],
) -> None:
    """Write the archive whole or not at all."""
    sums = {name: hashlib.sha256(octets).hexdigest() for name, octets in members.items()}
    for name, path in captures.items():
        sums[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = header(data.run, left_out) + "".join(
        f"{sums[name]}  {name}\n" for name in sorted(sums)
    )
    at_us = data.run.ended_us or data.run.started_us
    fresh = target.with_name(f".labctl-{secrets.token_hex(8)}.new")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with zipfile.ZipFile(fresh, "x", allowZip64=False) as archive:
                archive.writestr(member_info(MANIFEST, at_us), manifest)
                for name in sorted(sums):
                    octets = members.get(name)
                    archive.writestr(
                        member_info(name, at_us),
                        captures[name].read_bytes() if octets is None else octets,
                    )
            os.replace(fresh, target)
        finally:
            fresh.unlink(missing_ok=True)
    except (OSError, zipfile.LargeZipFile) as error:
        raise UsageError(
            f"the evidence cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(target),
            mend="Give another folder with --reports.",
        ) from error


def _note(db_path: Path, made: Evidence) -> None:
    """The record has one archive of a run: the last that was made."""
    with closing(open_for_writing(db_path)) as connection, translated(db_path):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                "DELETE FROM artefacts WHERE run_id = ? AND kind = ?", (made.run_id, EVIDENCE)
            )
            connection.execute(
                "INSERT INTO artefacts (run_id, kind, path, sha256, bytes) VALUES (?, ?, ?, ?, ?)",
                (made.run_id, EVIDENCE, made.path.name, made.sha256, made.bytes),
            )
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
