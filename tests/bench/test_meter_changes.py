"""What is done to a meter while the rig runs: devices that are bound hear of it within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import loaded_rig

from labctl.config.resolved import LoadedRig
from labctl.events import Event, Note
from labctl.rig.journal_file import LOOK_EVERY_S
from labctl.rig.loop import run
from labctl.rig.meter_commands import What, set_meter
from labctl.rig.session import RigSession, open_rig

TARIFF = "{name: Summer, standing_charge_p_per_day: 40, unit_p_per_kwh: 20}\n"


def while_it_runs(
    folder: Path, scenario: Callable[[RigSession, list[Note]], Coroutine[Any, Any, None]]
) -> None:
    """A rig whose devices are registered, and the notes of it."""
    loaded: LoadedRig = loaded_rig(folder)
    notes: list[Note] = []

    def keep(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event)

    async def main() -> None:
        async with open_rig(
            loaded, kind="bench", database=folder / "labctl.db", subscribers=[keep]
        ) as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(600)
            # At the middle of a minute, so that what the hub looks for each minute is far away.
            await asyncio.sleep((90 - session.clock.now_us() / 1_000_000) % 60)
            await scenario(session, notes)

    run(loaded, main())


@pytest.mark.usefixtures("either_stick")
def test_a_tariff_that_is_set_is_pushed_to_who_is_bound(tmp_path: Path) -> None:
    (tmp_path / "summer.yaml").write_text(TARIFF)

    async def scenario(session: RigSession, notes: list[Note]) -> None:
        since = len(notes)
        set_meter(session.loaded, What.TARIFF, str(tmp_path / "summer.yaml"), meter="electricity")
        await asyncio.sleep(LOOK_EVERY_S + 5)
        pushed = [
            (note.eui64, note.detail["endpoint"], note.detail["command_id"])
            for note in notes[since:]
            if note.kind == "pushed" and note.detail["cluster_id"] == 0x0700
        ]
        for device in session.loaded.devices:
            assert {(device.eui64, 2, 0x00), (device.eui64, 2, 0x04)} <= set(pushed)

    while_it_runs(tmp_path, scenario)


def test_nothing_is_pushed_when_nothing_was_set(tmp_path: Path) -> None:
    async def scenario(session: RigSession, notes: list[Note]) -> None:
        since = len(notes)
        await asyncio.sleep(600)
        assert "pushed" not in [note.kind for note in notes[since:]]

    while_it_runs(tmp_path, scenario)


def supply(notes: list[Note]) -> list[str]:
    return [note.kind for note in notes if note.kind.startswith("supply-")]


def test_an_outage_that_is_set_and_ended_is_recorded(tmp_path: Path) -> None:
    async def scenario(session: RigSession, notes: list[Note]) -> None:
        since = len(notes)
        set_meter(session.loaded, What.OUTAGE, "5min")
        await asyncio.sleep(LOOK_EVERY_S + 2)
        assert supply(notes[since:]) == ["supply-lost"]
        set_meter(session.loaded, What.OUTAGE, "over")
        await asyncio.sleep(LOOK_EVERY_S + 2)
        assert supply(notes[since:]) == ["supply-lost", "supply-restored"]

    while_it_runs(tmp_path, scenario)


@pytest.mark.usefixtures("either_stick")
def test_a_tenancy_that_begins_is_pushed_for_each_meter(tmp_path: Path) -> None:
    async def scenario(session: RigSession, notes: list[Note]) -> None:
        since = len(notes)
        set_meter(session.loaded, What.TENANCY, "now")
        await asyncio.sleep(LOOK_EVERY_S + 5)
        told = [n.detail["cluster_id"] for n in notes[since:] if n.kind == "pushed"]
        assert told.count(0x0708) == 2 * len(session.loaded.devices)

    while_it_runs(tmp_path, scenario)
