"""Opening the database: pragmas, migrations, and errors that say what to do next."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database

from labctl.errors import DatabaseError
from labctl.record.schema import APPLICATION_ID, known_migrations, migrations

#: STRICT tables came with 3.37 (November 2021).
OLDEST_SQLITE = (3, 37, 0)

#: How long opening waits for somebody else's write to finish, in milliseconds.
OPEN_BUSY_MS = 5_000

#: How long one flush waits. Short, since the event loop (and so every radio) waits with it.
WRITE_BUSY_MS = 500

#: Files beside a database that may hold what has not reached it yet: the WAL, a hot journal.
_CHANGES = ("-wal", "-journal")

_NEXT_RUN = "What was committed before is safe; the next run starts cleanly."


def translate(error: sqlite3.Error, path: Path) -> DatabaseError:
    """Turn what SQLite says into what happened and what to do about it."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    where = str(path)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DatabaseError(
            "the database is locked: another program is writing to it",
            where=where,
            mend="Close the program that has an open transaction on it, or use another --db.",
        )
    if primary == sqlite3.SQLITE_FULL:
        return DatabaseError(
            "the disk is full, so nothing more can be recorded",
            where=where,
            mend=f"Free some space, or use a --db on another disk. {_NEXT_RUN}",
        )
    if primary == sqlite3.SQLITE_NOTADB:
        return DatabaseError(
            "this file is not an SQLite database",
            where=where,
            mend="Give another --db, or move the file away.",
        )
    if primary == sqlite3.SQLITE_CORRUPT:
        return DatabaseError(
            f"the database is damaged ({error})",
            where=where,
            mend="Copy it away, then try `sqlite3 FILE .recover`; give another --db meanwhile.",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return DatabaseError(
            "the database may not be written",
            where=where,
            mend="Check who owns the file and its folder (SQLite writes files beside it).",
        )
    if primary == sqlite3.SQLITE_CANTOPEN:
        return DatabaseError(
            "the database cannot be opened",
            where=where,
            mend="Check that the folder exists and may be written to (SQLite writes files there).",
        )
    if primary == sqlite3.SQLITE_IOERR:
        return DatabaseError(
            f"the disk does not take or give the data ({error})",
            where=where,
            mend=f"Check the disk and its cable or network. {_NEXT_RUN}",
        )
    return DatabaseError(f"SQLite says: {error}", where=where, mend="`labctl db check` tells more.")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite inside become `DatabaseError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise translate(error, path) from error


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `DatabaseError` unless the file is empty or ours, and not from a newer labctl."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables:
        return
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID or "_sqlite_migrations" not in tables:
        raise DatabaseError(
            "this is an SQLite database, but not one of labctl's",
            where=str(path),
            mend="Give another --db; labctl does not add its tables to other people's databases.",
        )
    known = set(known_migrations())
    newer = sorted(m.name for m in migrations.applied(Database(connection)) if m.name not in known)
    if newer:
        raise DatabaseError(
            f"a newer labctl wrote this database (it has {', '.join(newer)})",
            where=str(path),
            mend="Update labctl, or give another --db.",
        )


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open or create the database, bring its tables up to date, and set the pragmas.

    The connection is in autocommit mode: whoever writes begins and commits. Raises `DatabaseError`.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise DatabaseError(
            f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed",
            where=str(path),
            mend="Use a Python that is built with a newer SQLite.",
        )
    if path.is_dir():
        raise DatabaseError("this is a folder", where=str(path), mend="Give a file as --db.")
    with translated(path):
        connection = sqlite3.connect(path, isolation_level=None, timeout=OPEN_BUSY_MS / 1000)
        try:
            _check_identity(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path)
            connection.execute(f"PRAGMA busy_timeout = {WRITE_BUSY_MS}")
        except BaseException:
            connection.close()
            raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    database = Database(connection)
    if not migrations.pending(database):
        return
    # One writer at a time, decided before looking: two rigs may start on a new file together.
    connection.execute("BEGIN IMMEDIATE")
    try:
        _check_identity(connection, path)
        migrations.apply(database)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open an existing database read-only, also while a run writes to it.

    Where nothing may be written (read-only media, somebody else's archive) it is read as a file
    that nobody changes. Raises `DatabaseError`, also when the tables are older than this labctl
    needs.
    """
    if not path.exists():
        raise DatabaseError(
            "there is no database here yet",
            where=str(path),
            mend="Run `labctl bench` first, or say with --db or LABCTL_DB where it is.",
        )
    if path.is_dir():
        raise DatabaseError("this is a folder", where=str(path), mend="Give a file as --db.")
    with translated(path):
        try:
            return _opened_for_reading(path)
        except sqlite3.Error as error:
            if not _needs_files_beside(error, path.resolve()):
                raise
        _demand_rest(path)
        return _opened_for_reading(path, immutable=True)


def _opened_for_reading(path: Path, *, immutable: bool = False) -> sqlite3.Connection:
    """`immutable` promises SQLite that nobody writes, so that it looks for no file but this one."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=ro{'&immutable=1' if immutable else ''}",
        uri=True,
        isolation_level=None,
        timeout=OPEN_BUSY_MS / 1000,
    )
    try:
        _check_identity(connection, path)
        pending = migrations.pending(Database(connection))
        if pending:
            raise DatabaseError(
                f"the database lacks {', '.join(migration.name for migration in pending)}",
                where=str(path),
                mend="The next run on it brings it up to date.",
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _needs_files_beside(error: sqlite3.Error, file: Path) -> bool:
    """Whether SQLite failed for want of what even a reader in WAL mode wants to write: FILE-shm."""
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return primary in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not all(
        os.access(place, os.W_OK, effective_ids=True) for place in (file, file.parent)
    )


def _demand_rest(path: Path) -> None:
    """Raise `DatabaseError` if the file alone is not all of the database."""
    file = path.resolve()
    for suffix in _CHANGES:
        changes = file.with_name(file.name + suffix)
        if changes.exists() and changes.stat().st_size:
            raise DatabaseError(
                f"its last changes are in {changes.name}, and SQLite can only take them in where"
                " it may write",
                where=str(path),
                mend="Copy both files into a folder that may be written to, and give that as --db.",
            )


@dataclass(frozen=True, slots=True)
class Health:
    """What `labctl db check` found. `integrity` and `foreign_keys` are empty when all is well."""

    path: Path
    bytes: int
    journal_mode: str
    migrations: tuple[str, ...]
    pending: tuple[str, ...]
    integrity: tuple[str, ...]
    foreign_keys: tuple[str, ...]
    unfinished_runs: tuple[int, ...]

    @property
    def ok(self) -> bool:
        """True when nothing is damaged; an unfinished run may simply still be going on."""
        return not self.integrity and not self.foreign_keys


def check(path: Path) -> Health:
    """Look through the whole database without changing it. Raises `DatabaseError`."""
    connection = open_for_reading(path)
    try:
        with translated(path):
            database = Database(connection)
            integrity = [text for (text,) in connection.execute("PRAGMA integrity_check")]
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            unfinished = connection.execute("SELECT id FROM runs WHERE ended_us IS NULL").fetchall()
            (journal_mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            return Health(
                path=path,
                bytes=path.stat().st_size,
                journal_mode=journal_mode,
                migrations=tuple(m.name for m in migrations.applied(database)),
                pending=tuple(m.name for m in migrations.pending(database)),
                integrity=() if integrity == ["ok"] else tuple(integrity),
                foreign_keys=tuple(
                    f"{table} row {row} refers to no row of {parent}"
                    for table, row, parent, _ in broken
                ),
                unfinished_runs=tuple(run_id for (run_id,) in unfinished),
            )
    finally:
        connection.close()
