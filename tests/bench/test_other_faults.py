"""Faults of the computer in the middle of a run: the disk, the database, the key store."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import loaded_rig

from labctl import files
from labctl.errors import ExitCode, LabctlError
from labctl.events import Verdict
from labctl.record import recorder as recorder_module
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig


def with_rig(
    folder: Path, scenario: Callable[[RigSession], Coroutine[Any, Any, None]]
) -> RigSession:
    loaded = loaded_rig(folder)

    async def main() -> RigSession:
        async with open_rig(loaded, kind="bench", database=folder / "labctl.db") as session:
            await scenario(session)
        return session

    return run(loaded, main())


def test_a_key_store_on_a_full_disk_ends_the_run_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: Any, target: Any, **options: Any) -> None:
        if Path(target).name == "keys.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target, **options)

    causes: list[LabctlError] = []

    async def scenario(session: RigSession) -> None:
        await session.pair_all()
        monkeypatch.setattr(files.os, "replace", full)
        session.power_on()
        causes.append(await asyncio.wait_for(session.broken, 300))
        monkeypatch.setattr(files.os, "replace", replace)

    session = with_rig(tmp_path, scenario)
    (cause,) = causes
    assert cause.exit_code is ExitCode.CONFIGURATION
    assert "No space left" in cause.what
    assert "bug" not in str(cause)
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        assert not db.execute("SELECT 1 FROM events WHERE kind = 'internal-error'").fetchall()
        (verdict,) = db.execute("SELECT verdict FROM runs").fetchone()
    assert session.assessment is not None
    assert verdict == session.assessment.verdict.value == Verdict.INFRASTRUCTURE_ERROR.value


def test_a_database_on_a_disk_that_stays_full_ends_the_run_once_with_whole_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_module, "MOST_BUSY_FLUSHES", 5)
    causes: list[LabctlError] = []
    written: list[int] = []

    async def scenario(session: RigSession) -> None:
        await session.pair_all()
        session.power_on()
        await asyncio.sleep(120)
        session.recorder.flush()
        connection = session.recorder.connection
        (rows,) = connection.execute("SELECT count(*) FROM reads").fetchone()
        written.append(rows)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        causes.append(await asyncio.wait_for(session.broken, 900))

    with pytest.raises(LabctlError, match="disk is full"):
        with_rig(tmp_path, scenario)
    (cause,) = causes
    assert cause.exit_code is ExitCode.RIG_UNAVAILABLE
    assert "disk is full" in cause.what
    assert cause.mend
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert not db.execute("PRAGMA foreign_key_check").fetchall()
        (rows,) = db.execute("SELECT count(*) FROM reads").fetchone()
    assert rows >= written[0]
