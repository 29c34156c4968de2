"""The ids of rows that later rows refer to, kept while a run goes on."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field


@dataclass(slots=True)
class Known:
    """What was written so far in this run. All of it is void when the transaction is."""

    run_id: int | None = None
    devices: dict[str, int] = field(default_factory=dict)
    radios: dict[str, int] = field(default_factory=dict)
    joins: dict[int, int] = field(default_factory=dict)
    schedules: dict[tuple[str, str], int] = field(default_factory=dict)
    identities: dict[str, dict[str, object]] = field(default_factory=dict)
    links: dict[tuple[int, int | None, str, int, int], int] = field(default_factory=dict)
    bearers: dict[int, int | None] = field(default_factory=dict)
    """The radio (its row) that each device was last heard on."""

    def copy(self) -> Known:
        """A copy that later changes do not reach (what `identities` holds is never changed)."""
        return Known(
            run_id=self.run_id,
            devices=dict(self.devices),
            radios=dict(self.radios),
            joins=dict(self.joins),
            schedules=dict(self.schedules),
            identities=dict(self.identities),
            links=dict(self.links),
            bearers=dict(self.bearers),
        )

    def next_run(self, run_id: int) -> None:
        """Devices stay the same; all else is numbered anew in each run."""
        self.run_id = run_id
        for numbered in (
            self.radios,
            self.joins,
            self.schedules,
            self.identities,
            self.links,
            self.bearers,
        ):
            numbered.clear()


class Rows:
    """Inserts rows and finds the ids of devices, inside somebody's transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.db = connection
        self.known = Known()

    def insert(self, table: str, **values: object) -> int:
        """Insert one row and return its id."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self.db.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - our own names
            tuple(values.values()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def known_device(self, eui64: str) -> int | None:
        """The id of a device in `devices`, or None: a stranger at the door makes no device."""
        device_id = self.known.devices.get(eui64)
        if device_id is None:
            row = self.db.execute("SELECT id FROM devices WHERE eui64 = ?", (eui64,)).fetchone()
            if row is None:
                return None
            device_id = self.known.devices[eui64] = int(row[0])
        return device_id

    def device(self, eui64: str, at_us: int) -> int:
        """The id of a device, which is made when it is new."""
        device_id = self.known.devices.get(eui64)
        if device_id is None:
            self.db.execute(
                "INSERT INTO devices (eui64, first_seen_us, last_seen_us) VALUES (?, ?, ?)"
                " ON CONFLICT (eui64) DO NOTHING",
                (eui64, at_us, at_us),
            )
            device_id = self.known_device(eui64)
            assert device_id is not None
        return device_id
