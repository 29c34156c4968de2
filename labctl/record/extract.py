"""One run of the database as a database of its own: nothing of other runs is in it.

Which rows belong to a run follows from the tables' references: those with its number, those that
refer to such rows, and of what runs share (devices, cases) what is referred to by them.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from dataclasses import dataclass

from labctl.record.schema import APPLICATION_ID

_RUNS, _MIGRATIONS = "runs", "_sqlite_migrations"
_LEFT_OUT = {"artefacts": "kind <> 'evidence'"}
"""The archive that an extract goes into cannot hold its own hash."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    sql: str
    columns: tuple[str, ...]
    references: tuple[tuple[str, str], ...]
    """Columns, and the tables whose `id` they hold."""

    @property
    def is_shared(self) -> bool:
        """Whether runs share its rows: it refers to nothing."""
        return not self.references and self.name not in (_RUNS, _MIGRATIONS)


def extract(db: sqlite3.Connection, run_id: int) -> bytes:
    """An SQLite file with the rows of a run: the same octets for the same record.

    Devices are as they are known now, and last seen in the run at the latest. Raises
    `sqlite3.Error`.
    """
    tables = _tables(db)
    made = sqlite3.connect(":memory:", isolation_level=None)
    try:
        made.execute("PRAGMA page_size = 4096")
        made.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        made.execute("BEGIN")
        shared: dict[str, set[int]] = defaultdict(set)
        for table in tables.values():
            made.execute(table.sql)
            if table.is_shared:
                continue
            _copy(db, made, table, _where(tables, table.name), run_id)
            for column, to in table.references:
                if tables[to].is_shared:
                    shared[to] |= {
                        number
                        for (number,) in made.execute(
                            f'SELECT DISTINCT "{column}" FROM "{table.name}"'  # noqa: S608
                        )
                        if number is not None
                    }
        for name, numbers in shared.items():
            for number in sorted(numbers):
                _copy(db, made, tables[name], "id = :run", number)
        # Views come last: they speak of tables, and of each other.
        for kind in ("index", "trigger", "view"):
            for (sql,) in db.execute(
                "SELECT sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY name",
                (kind,),
            ):
                made.execute(sql)
        made.execute(
            "UPDATE devices SET last_seen_us = min(last_seen_us, (SELECT coalesce(ended_us,"
            " last_seen_us) FROM runs))"
        )
        made.execute("COMMIT")
        return made.serialize()
    finally:
        made.close()


def _tables(db: sqlite3.Connection) -> dict[str, _Table]:
    return {
        name: _Table(
            name,
            sql,
            tuple(row[1] for row in db.execute(f'PRAGMA table_info("{name}")')),
            tuple(
                sorted((row[3], row[2]) for row in db.execute(f'PRAGMA foreign_key_list("{name}")'))
            ),
        )
        for name, sql in db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall()
        if not name.startswith("sqlite_")
    }


def _where(tables: dict[str, _Table], name: str) -> str:
    """Which rows of a table belong to the run `:run`."""
    table = tables[name]
    if name == _MIGRATIONS:
        return "TRUE"
    if name == _RUNS:
        return "id = :run"
    if "run_id" in table.columns:
        return " AND ".join(filter(None, ("run_id = :run", _LEFT_OUT.get(name))))
    return " OR ".join(
        f'"{column}" IN (SELECT id FROM "{to}" WHERE {_where(tables, to)})'  # noqa: S608 - our names
        for column, to in table.references
        if not tables[to].is_shared
    )


def _copy(
    db: sqlite3.Connection, made: sqlite3.Connection, table: _Table, where: str, number: int
) -> None:
    columns = ", ".join(f'"{column}"' for column in table.columns)
    rows = db.execute(
        f'SELECT {columns} FROM "{table.name}" WHERE {where} ORDER BY {columns}',  # noqa: S608
        {"run": number},
    )
    marks = ", ".join("?" * len(table.columns))
    made.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', rows)  # noqa: S608 - our names
