"""Trials of virtual sticks: what they show, what they leave behind, what the report tells."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from labctl.config.inventory import Driver
from labctl.errors import BusyError, RigError
from labctl.lab.selftest.run import report_names, try_out
from labctl.lab.selftest.steps import Outcome, Step
from labctl.lab.selftest.trial import ENDPOINTS, PARTNER, Trial, _Listener
from labctl.lab.survey import Look, Row, State
from labctl.leases import Kind, Leases, LockFolder, Thing
from labctl.radio.coordinator import NetworkSettings, PhySettings
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.held import Held, held_network
from labctl.radio.ports import Port
from labctl.radio.probe import Attempt
from labctl.radio.sticks import Line
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.ncp import (
    RETAIL,
    SUB_GHZ_KIT,
    SWITCH_COORDINATOR,
    Flash,
    Hardware,
    Identity,
    VirtualEzspNcp,
)
from labctl.virtual.znp import Memory, VirtualZnpNcp

STICK = Eui64("00:0d:6f:00:0a:90:69:e7")
KEY = Secret(bytes(range(0x40, 0x50)))
OF_A_NETWORK = ["start", "key-table", "permit-joining", "counters", "resume", "steady"]


@asynccontextmanager
async def stick(
    driver: Driver = Driver.EZSP, version: int = 13, hardware: Hardware = RETAIL
) -> AsyncIterator[tuple[str, Any]]:
    rng = random.Random(version)
    made: Any
    if driver is Driver.EZSP:
        made = VirtualEzspNcp(
            air=Air(rng=rng),
            eui64=STICK,
            flash=Flash(None),
            rng=rng,
            identity=Identity.speaking(version),
            hardware=hardware,
        )
    else:
        made = VirtualZnpNcp(air=Air(rng=rng), eui64=STICK, memory=Memory(None), rng=rng)
    try:
        yield f"socket://127.0.0.1:{await made.listen('127.0.0.1', 0)}", made
    finally:
        await made.close()


def trial(path: str, driver: Driver = Driver.EZSP, **more: Any) -> Trial:
    return Trial(path=path, attempts=[Attempt(driver=driver, line=Line())], **more)


def outcomes(steps: Sequence[Step]) -> dict[str, Outcome]:
    return {step.id: step.outcome for step in steps}


async def form(path: str, driver: Driver) -> Held:
    """A network of labctl's, with one key in it."""
    coordinator: Any = (
        EzspCoordinator(EzspPort("s", path))
        if driver is Driver.EZSP
        else ZnpCoordinator(ZnpPort("s", path))
    )
    coordinator.listen(_Listener())
    settings = NetworkSettings((PhySettings(Channel(0, 24), 3),), max_devices=16)
    await coordinator.start(settings, ENDPOINTS)
    await coordinator.install_link_key(Eui64("00:00:5e:ef:10:00:00:02"), KEY)
    await coordinator.stop()
    held = await held_network(path, driver, Line())
    assert held is not None
    return held


async def keys(path: str, driver: Driver) -> dict[Eui64, Secret]:
    coordinator: Any = (
        EzspCoordinator(EzspPort("s", path))
        if driver is Driver.EZSP
        else ZnpCoordinator(ZnpPort("s", path))
    )
    coordinator.listen(_Listener())
    settings = NetworkSettings((PhySettings(Channel(0, 24), 3),), max_devices=16)
    await coordinator.start(settings, ENDPOINTS)
    found: dict[Eui64, Secret] = await coordinator.link_keys()
    await coordinator.stop()
    return found


@pytest.mark.parametrize(
    ("driver", "version", "hardware", "bands"),
    [
        (Driver.EZSP, 8, RETAIL, ["2.4 GHz"]),
        (Driver.EZSP, 13, RETAIL, ["2.4 GHz"]),
        (Driver.EZSP, 14, RETAIL, ["2.4 GHz"]),
        (Driver.EZSP, 13, SUB_GHZ_KIT, ["868 MHz"]),
        (Driver.EZSP, 13, SWITCH_COORDINATOR, ["2.4 GHz", "868 MHz"]),
        (Driver.ZNP, 0, RETAIL, ["2.4 GHz"]),
    ],
)
def test_a_sound_stick_passes_on_a_scratch_network_and_is_empty_afterwards(
    driver: Driver, version: int, hardware: Hardware, bands: list[str]
) -> None:
    async def scenario() -> None:
        async with stick(driver, version, hardware) as (path, _):
            on_trial = trial(path, driver, form=True)
            await on_trial.run()
            found = outcomes(on_trial.steps)
            assert on_trial.passed, on_trial.steps
            assert [id_ for id_ in found if id_.startswith("energy")] == [
                f"energy-scan:{band}" for band in bands
            ]
            assert set(OF_A_NETWORK) <= set(found)
            silent = [id_ for id_, outcome in found.items() if outcome is not Outcome.PASS]
            assert silent == ([] if driver is Driver.EZSP else ["counters"])
            assert found["forget"] is Outcome.PASS
            assert await held_network(path, driver, Line()) is None

    run(scenario(), fast=True)


@pytest.mark.parametrize("driver", list(Driver))
def test_unasked_no_network_is_formed(driver: Driver) -> None:
    async def scenario() -> None:
        async with stick(driver) as (path, _):
            on_trial = trial(path, driver)
            await on_trial.run()
            assert on_trial.passed
            assert outcomes(on_trial.steps)["start"] is Outcome.SKIPPED
            assert await held_network(path, driver, Line()) is None

    run(scenario(), fast=True)


@pytest.mark.parametrize("driver", list(Driver))
@pytest.mark.parametrize("form_too", [False, True])
def test_a_network_that_is_there_is_resumed_and_left_as_it_was(
    driver: Driver, form_too: bool
) -> None:
    async def scenario() -> None:
        async with stick(driver) as (path, _):
            before = await form(path, driver)
            on_trial = trial(path, driver, form=form_too)
            await on_trial.run()
            assert on_trial.passed, on_trial.steps
            assert set(OF_A_NETWORK) <= set(outcomes(on_trial.steps))
            assert "forget" not in outcomes(on_trial.steps)
            assert await held_network(path, driver, Line()) == before
            assert await keys(path, driver) == {Eui64("00:00:5e:ef:10:00:00:02"): KEY}

    run(scenario(), fast=True)


@pytest.mark.parametrize("driver", list(Driver))
def test_a_network_is_given_up_only_when_both_are_asked_for(driver: Driver) -> None:
    async def scenario() -> None:
        async with stick(driver) as (path, _):
            await form(path, driver)
            on_trial = trial(path, driver, form=True, give_up=True)
            await on_trial.run()
            assert on_trial.passed, on_trial.steps
            assert await held_network(path, driver, Line()) is None

    run(scenario(), fast=True)


def test_somebody_elses_network_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def foreign(*_: Any) -> Held:
        return Held(channel=Channel(0, 11), pan_id=1, extended_pan_id=STICK, ours=False)

    monkeypatch.setattr("labctl.lab.selftest.trial.held_network", foreign)

    async def scenario() -> None:
        async with stick() as (path, _):
            on_trial = trial(path, form=True)
            await on_trial.run()
            found = outcomes(on_trial.steps)
            assert found["network"] is Outcome.SKIPPED
            assert "start" not in found
            assert "--give-up-network" in on_trial.steps[-1].mend
            assert on_trial.passed

    run(scenario(), fast=True)


def test_a_key_that_a_broken_off_trial_left_is_no_trouble() -> None:
    async def scenario() -> None:
        async with stick() as (path, _):
            await form(path, Driver.EZSP)
            coordinator = EzspCoordinator(EzspPort("s", path))
            coordinator.listen(_Listener())
            settings = NetworkSettings((PhySettings(Channel(0, 24), 3),), max_devices=16)
            await coordinator.start(settings, ENDPOINTS)
            await coordinator.install_link_key(PARTNER, KEY)
            await coordinator.stop()
            on_trial = trial(path)
            await on_trial.run()
            assert outcomes(on_trial.steps)["resume"] is Outcome.PASS
            assert PARTNER not in await keys(path, Driver.EZSP)

    run(scenario(), fast=True)


def test_a_stick_that_goes_away_in_the_middle_fails_and_raises_nothing() -> None:
    async def scenario() -> None:
        async with stick() as (path, made):

            def told(step: Step) -> None:
                if step.id == "start":
                    task = asyncio.get_running_loop().create_task(made.close())
                    closing.append(task)

            closing: list[asyncio.Task[None]] = []
            on_trial = trial(path, form=True, told=told)
            await on_trial.run()
            found = outcomes(on_trial.steps)
            assert found["start"] is Outcome.PASS
            assert not on_trial.passed
            assert found["steady"] is Outcome.FAIL
            assert closing

    run(scenario(), fast=True)


def test_a_key_that_does_not_survive_a_restart_fails_the_trial(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        async with stick() as (path, _):
            on_trial = trial(path, form=True)
            start = on_trial._started
            starts = 0

            async def forgetful() -> Any:
                nonlocal starts
                states = await start()
                starts += 1
                if starts == 2:
                    await on_trial._running.erase_link_key(PARTNER)
                return states

            monkeypatch.setattr(Trial, "_started", lambda _self: forgetful())
            await on_trial.run()
            step = next(step for step in on_trial.steps if step.id == "resume")
            assert step.outcome is Outcome.FAIL
            assert "none is" in step.evidence

    run(scenario(), fast=True)


# -- the report -----------------------------------------------------------------------------------


def row(path: str, **more: Any) -> Row:
    port = Port(device=path, serial_number="SERIAL-4711", vid=0x10C4, pid=0xEA60, product="a|b")
    attempts = (Attempt(driver=Driver.EZSP, line=Line()),)
    return Row(port=port, path=path, state=State.NOT_ASKED, attempts=attempts, **more)


def test_the_report_tells_the_kind_of_stick_and_not_which_one(tmp_path: Path) -> None:
    leases = Leases(LockFolder(tmp_path / "locks"))
    look = Look(leases=lambda: leases)
    held: list[int] = []

    async def scenario() -> None:
        async with stick() as (path, _):
            report = await try_out(
                row(path), form=True, look=look, told=lambda _: held.append(len(leases.states()))
            )
        assert report.passed
        markdown, data = report.write(tmp_path / "out", "selftest-stick")
        text, said = markdown.read_text(), json.loads(data.read_text())
        assert said["format"] == "labctl.selftest/1"
        assert said["stick"]["protocol"] == "EZSP 13"
        assert said["stick"]["has_serial_number"] is True
        assert [step["id"] for step in said["steps"]][:2] == ["open", "firmware"]
        assert "| speaks | EZSP 13" in text
        assert r"a\|b" in text
        for secret in ("SERIAL-4711", str(STICK), str(STICK).replace(":", ""), str(tmp_path)):
            assert secret not in text + data.read_text()

    run(scenario(), fast=True)
    assert set(held) == {1}, "leased all the time"
    assert leases.states() == [], "and given back"


def test_a_stick_that_somebody_has_is_not_tried(tmp_path: Path) -> None:
    leases = Leases(LockFolder(tmp_path / "locks"))
    look = Look(leases=lambda: leases)
    path = "socket://192.0.2.1:6638"
    thing = Thing(Kind.RADIO, "socket:192.0.2.1:6638")
    with leases.take([thing], purpose="nightly"), pytest.raises(BusyError, match="nightly"):
        asyncio.run(try_out(row(path), look=look))
    with pytest.raises(BusyError, match="minicom"):
        asyncio.run(try_out(row(path, held_by=("minicom (process 4)",)), look=look))


def test_a_stick_that_is_not_there_is_told() -> None:
    gone = Row(
        port=Port(device="usb"),
        path="usb",
        state=State.MISSING,
        names=("hub",),
        trouble=RigError("it is not plugged in"),
    )
    with pytest.raises(RigError, match="not plugged in"):
        asyncio.run(try_out(gone))


def test_reports_have_names_of_their_own() -> None:
    rows = [row("/dev/a", names=("hub",)), row("/dev/b"), row("/dev/c"), row("/dev/d")]
    assert report_names(rows) == [
        "selftest-hub",
        "selftest-stick",
        "selftest-stick-2",
        "selftest-stick-3",
    ]
