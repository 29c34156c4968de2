"""A database where nothing may be written: on read-only media, in somebody else's archive."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import emit, healthy

from labctl.errors import DatabaseError
from labctl.record.database import check, open_for_reading
from labctl.record.recorder import Recorder
from labctl.report.write import write_report

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that anybody can reach; pytest's own are for their owner alone."""
    with tempfile.TemporaryDirectory(prefix="labctl-read-only-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in the folder may be written. Root may always, so it is somebody else for a while."""
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)
        folder.chmod(0o755)


def record(path: Path) -> None:
    """A run that has ended: all of it is in the file, which is in WAL mode."""
    recorder = Recorder(path)
    emit(healthy(hours=0.1), recorder)
    recorder.close()
    assert [beside.name for beside in path.parent.iterdir()] == [path.name]


def test_a_database_that_nobody_can_write_beside_is_read(folder: Path, tmp_path: Path) -> None:
    record(folder / "lab.db")
    expected = check(Path(shutil.copy(folder / "lab.db", tmp_path)))
    assert expected.ok
    with read_only(folder):
        with closing(open_for_reading(folder / "lab.db")) as connection:
            (reads,) = connection.execute("SELECT count(*) FROM reads").fetchone()
        found = check(folder / "lab.db")
    assert [path.name for path in folder.iterdir()] == ["lab.db"]
    assert reads > 0
    assert (found.ok, found.migrations, found.bytes) == (
        True,
        expected.migrations,
        expected.bytes,
    )


def test_its_report_is_the_one_of_a_copy(folder: Path, tmp_path: Path) -> None:
    record(folder / "lab.db")
    copy = shutil.copy(folder / "lab.db", tmp_path)
    expected = write_report(copy, 1, tmp_path, ["json"])[0].read_text()
    with tempfile.TemporaryDirectory() as out:
        Path(out).chmod(0o777)
        with read_only(folder):
            (path,) = write_report(folder / "lab.db", 1, out, ["json"])
        assert path.read_text() == expected


def test_a_symbolic_link_to_it_is_read_where_it_leads(folder: Path) -> None:
    record(folder / "lab.db")
    with tempfile.TemporaryDirectory() as elsewhere:
        Path(elsewhere).chmod(0o777)
        link = Path(elsewhere) / "link.db"
        link.symlink_to(folder / "lab.db")
        with read_only(folder), closing(open_for_reading(link)) as connection:
            assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_changes_beside_it_are_not_passed_over(folder: Path, suffix: str) -> None:
    record(folder / "lab.db")
    (folder / f"lab.db{suffix}").write_bytes(b"what has not reached the file" * 100)
    with (
        read_only(folder),
        pytest.raises(DatabaseError, match=rf"last changes are in lab\.db{suffix}") as caught,
    ):
        open_for_reading(folder / "lab.db")
    assert "Copy both files" in caught.value.mend


def test_a_copy_with_a_live_wal_is_told_from_one_without(folder: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "lab.db")
    emit(healthy(hours=0.1), recorder)
    try:
        for name in ("lab.db", "lab.db-wal"):
            shutil.copy(tmp_path / name, folder / name)
    finally:
        recorder.close()
    with read_only(folder), pytest.raises(DatabaseError, match=r"last changes are in lab\.db-wal"):
        open_for_reading(folder / "lab.db")
    (folder / "lab.db").chmod(0o644)
    (folder / "lab.db-wal").chmod(0o644)
    with closing(open_for_reading(folder / "lab.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_an_empty_wal_is_no_change(folder: Path) -> None:
    record(folder / "lab.db")
    (folder / "lab.db-wal").touch()
    with read_only(folder), closing(open_for_reading(folder / "lab.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_where_there_may_be_written_nothing_is_taken_for_unchanging(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may come: a file that is read as unchanging would be read wrongly then."""
    record(folder / "lab.db")
    (folder / "lab.db-wal").mkdir()  # SQLite cannot open it, whoever asks
    opened: list[str] = []
    connect = sqlite3.connect

    def watch(database: str, **options: Any) -> sqlite3.Connection:
        opened.append(database)
        connection: sqlite3.Connection = connect(database, **options)
        return connection

    monkeypatch.setattr("labctl.record.database.sqlite3.connect", watch)
    with pytest.raises(DatabaseError, match="cannot be opened"):
        open_for_reading(folder / "lab.db")
    assert len(opened) == 1
    assert "immutable" not in opened[0]


def test_a_read_only_file_of_somebody_else_is_refused_as_ever(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE theirs (x)")
    with read_only(folder), pytest.raises(DatabaseError, match="not one of labctl's"):
        open_for_reading(folder / "other.db")
