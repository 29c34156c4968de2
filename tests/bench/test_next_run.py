"""A hub that is held for days begins a new run each day, without its devices noticing."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from virtual_rigs import loaded_rig

from labctl.events import Event, JoinStarted, ReadServed
from labctl.record.queries import load_run
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

HOUR_S = 3600.0


def test_runs_follow_each_other_and_each_says_all_that_a_run_says(tmp_path: Path) -> None:
    loaded = loaded_rig(tmp_path)
    joins: list[Event] = []

    async def main() -> RigSession:
        async with open_rig(loaded, kind="hub", database=tmp_path / "labctl.db") as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(HOUR_S)
            session.bus.subscribe(
                lambda event: joins.append(event) if isinstance(event, JoinStarted) else None
            )
            for number in range(2):
                assert session.run_id == number + 1
                assert session.begin_next_run("the next day").devices
                await asyncio.sleep(HOUR_S)
            reads = 0

            def count(event: Event) -> None:
                nonlocal reads
                reads += isinstance(event, ReadServed)

            session.bus.subscribe(count)
            await asyncio.sleep(60)
            assert reads >= 10
        return session

    run(loaded, main())
    assert not joins, "nobody noticed"
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        kinds = db.execute("SELECT id, kind, ended_us IS NOT NULL FROM runs").fetchall()
        assert kinds == [(1, "hub", 1), (2, "hub", 1), (3, "hub", 1)]
        for number in (2, 3):
            data = load_run(db, number)
            assert len(data.radios) == 1
            assert len(data.schedules) == sum(len(each.schedules) for each in loaded.devices)
            assert data.links
            assert all(schedule.result.missed_counting == 0 for schedule in data.schedules)
