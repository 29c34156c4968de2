"""A whole run whose radio is lost in the middle: what the record says, and of whom."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from virtual_rigs import PROJECT, Change, loaded_rig

from labctl.errors import ExitCode, RigError
from labctl.events import Note, PairingArmed, RadioLost, RadioUp, ReadServed, Verdict
from labctl.record.compliance import GapCause
from labctl.record.queries import load_run
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

MINUTE = 60.0
ERRORS = ("radio-error", "internal-error")


def as_shipped(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """No change."""


def with_rig(
    folder: Path,
    scenario: Callable[[RigSession], Coroutine[Any, Any, None]],
    change: Change = as_shipped,
) -> RigSession:
    loaded = loaded_rig(folder, change)

    async def main() -> RigSession:
        async with open_rig(loaded, kind="bench", database=folder / "labctl.db") as session:
            await session.pair_all()
            session.power_on()
            await scenario(session)
        return session

    return run(loaded, main())


@pytest.mark.parametrize("fault", ["unplug", "hang", "reset"])
def test_a_run_survives_and_the_gap_is_the_rigs(tmp_path: Path, fault: str) -> None:
    async def scenario(session: RigSession) -> None:
        assert session.bench is not None
        (stick,) = session.bench.sticks
        await asyncio.sleep(20 * MINUTE)
        joins = joined(tmp_path)
        if fault == "unplug":
            await stick.pull()
            await asyncio.sleep(2 * MINUTE)
            await stick.plug()
        elif fault == "hang":
            stick.hang()
            await asyncio.sleep(2 * MINUTE)
            stick.restart()
        else:
            stick.crash()
        await asyncio.sleep(40 * MINUTE)
        assert not session.broken.done()
        assert joined(tmp_path) == joins, "nobody had to be paired again"

    session = with_rig(tmp_path, scenario)
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        data = load_run(db, session.run_id)
    assert session.assessment is not None
    assert session.assessment.verdict is not Verdict.FAIL
    assert session.assessment.verdict is not Verdict.INFRASTRUCTURE_ERROR
    (outage,) = data.infrastructure
    assert outage.end_us - outage.start_us < 150e6
    for schedule in data.schedules:
        gaps = schedule.result.gaps
        assert all(gap.cause is GapCause.INFRASTRUCTURE for gap in gaps), gaps
        assert schedule.result.missed_counting == 0


def joined(folder: Path) -> int:
    with sqlite3.connect(folder / "labctl.db") as db:
        (count,) = db.execute("SELECT count(*) FROM joins WHERE kind = 'join'").fetchone()
    return int(count)


def test_without_a_time_to_wait_the_run_ends_at_once(tmp_path: Path) -> None:
    def at_once(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        rig["hub"]["reconnect"] = "0s"

    async def scenario(session: RigSession) -> None:
        await asyncio.sleep(MINUTE)
        assert session.bench is not None
        await session.bench.unplug()
        cause = await asyncio.wait_for(session.broken, 5)
        assert isinstance(cause, RigError)
        assert cause.exit_code is ExitCode.RIG_UNAVAILABLE

    session = with_rig(tmp_path, scenario, at_once)
    assert session.assessment is not None
    assert session.assessment.verdict is Verdict.INFRASTRUCTURE_ERROR


def test_a_radio_that_is_lost_while_a_device_joins_lets_it_in_later(tmp_path: Path) -> None:
    async def scenario(session: RigSession) -> None:
        assert session.bench is not None
        for _ in range(4):
            await asyncio.sleep(3)
            await session.bench.unplug()
            await asyncio.sleep(20)
            await session.bench.plug()
        await asyncio.sleep(30 * MINUTE)
        assert all(session.hub.authorised(device.eui64) for device in session.loaded.devices)

    with_rig(tmp_path, scenario)


@pytest.mark.usefixtures("either_stick")
@pytest.mark.parametrize("fault", ["unplug", "hang", "reset"])
@pytest.mark.parametrize("when", ["key", "window"])
def test_a_radio_that_is_lost_while_windows_are_opened_does_not_end_the_run(
    tmp_path: Path, fault: str, when: str
) -> None:
    """At the key of the first device, and when its window opens."""
    loaded = loaded_rig(tmp_path)
    told: list[object] = []

    async def main() -> RigSession:
        async with open_rig(
            loaded, kind="bench", database=tmp_path / "labctl.db", subscribers=[told.append]
        ) as session:
            assert session.bench is not None
            (stick,) = session.bench.sticks
            faults: list[asyncio.Task[None]] = []

            async def suffer() -> None:
                if fault == "unplug":
                    await stick.pull()
                    await asyncio.sleep(20)
                    await stick.plug()
                elif fault == "hang":
                    stick.hang()
                    await asyncio.sleep(50)
                    stick.restart()
                else:
                    stick.crash()

            def once(event: object) -> None:
                armed = isinstance(event, PairingArmed)
                if armed and not faults:
                    faults.append(asyncio.create_task(suffer()))

            session.bus.subscribe(once)
            if when == "key":
                faults.append(asyncio.create_task(suffer()))
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(12 * MINUTE)
            await asyncio.gather(*faults)
            assert not session.broken.done()
            assert all(session.hub.authorised(device.eui64) for device in session.loaded.devices)
        return session

    run(loaded, main())
    radios = [type(event) for event in told if isinstance(event, RadioLost | RadioUp)]
    assert radios == [RadioUp, RadioLost, RadioUp]


def test_each_loss_has_its_return(tmp_path: Path) -> None:
    told: list[object] = []

    async def scenario(session: RigSession) -> None:
        session.bus.subscribe(told.append)
        assert session.bench is not None
        await asyncio.sleep(MINUTE)
        for _ in range(10):
            session.bench.sticks[0].crash()
            await asyncio.sleep(MINUTE)

    with_rig(tmp_path, scenario)
    order = [type(event) for event in told if isinstance(event, RadioLost | RadioUp)]
    assert order == [RadioLost, RadioUp] * 10


def two_coordinators(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """2.4 GHz and 868 MHz on sticks of their own; the CAD is heard on 868 MHz alone."""
    yaml = YAML(typ="safe")
    other = yaml.load((PROJECT / "rigs" / "virtual-two-coordinators.yaml").read_text())
    rig["hub"] = other["hub"]
    rig["devices"] = other["devices"]
    inventory["devices"]["virtual-cad"]["bands"] = ["868 MHz"]
    inventory["devices"]["virtual-ihd"]["bands"] = ["2.4 GHz"]


def test_of_two_radios_only_the_lost_one_is_started_again(tmp_path: Path) -> None:
    told: list[object] = []

    async def scenario(session: RigSession) -> None:
        assert session.bench is not None
        await asyncio.sleep(20 * MINUTE)
        assert all(session.hub.authorised(device.eui64) for device in session.loaded.devices)
        session.bus.subscribe(told.append)
        await session.bench.unplug(1)
        await asyncio.sleep(2 * MINUTE)
        served = [event for event in told if isinstance(event, ReadServed)]
        assert len(served) >= 10, "the other radio's device is served on"
        await session.bench.plug(1)
        await asyncio.sleep(10)
        radios = [event for event in told if isinstance(event, RadioLost | RadioUp)]
        assert [type(event) for event in radios] == [RadioLost, RadioUp]
        assert len({event.name for event in radios}) == 1
        await session.bench.unplug(0)
        await session.bench.unplug(1)
        await asyncio.sleep(MINUTE)
        await session.bench.plug(1)
        await asyncio.sleep(MINUTE)
        await session.bench.plug(0)
        await asyncio.sleep(20 * MINUTE)
        radios = [event for event in told if isinstance(event, RadioLost | RadioUp)]
        assert len(radios) == 6
        heard = {event.eui64 for event in told[-200:] if isinstance(event, ReadServed)}
        readers = {device.eui64 for device in session.loaded.devices if device.schedules}
        assert heard >= readers
        assert not [event for event in told if isinstance(event, Note) and event.kind in ERRORS]

    with_rig(tmp_path, scenario, two_coordinators)
