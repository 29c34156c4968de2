"""The cases on data: good devices pass, each fault is found by the case that names it."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from device_fault import DeviceFault
from faults_data import FAULTS
from playing import play, rig_in

from labctl.campaign.kept import Kept
from labctl.campaign.observation import metering_schedule, observe
from labctl.campaign.stage import Stage, StageOptions
from labctl.campaign.watch import Watch
from labctl.events import CaseOutcome
from labctl.hub.pretence import BEGAN, OVER

DATA = [f"D{number}" for number in range(19, 26)]
OBSERVE_S = {"D19": 1500.0, "D20": 3700.0}
"""How long tests watch, where the campaign watches for a day."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_its_case(fault: DeviceFault, tmp_path: Path) -> None:
    results = play(
        tmp_path,
        cases=[fault.caught_by],
        devices=[fault.device],
        observe_s=OBSERVE_S.get(fault.caught_by),
        **fault.given,
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended


@pytest.mark.parametrize("rig", ["virtual-znp", "virtual-868"])
def test_good_devices_pass_them_all(tmp_path: Path, rig: str) -> None:
    results = play(tmp_path, cases=DATA, rig=rig, observe_s=3700)
    for (name, device), ended in results.items():
        if ended.outcome is CaseOutcome.NOT_APPLICABLE:
            assert device == "sub-ghz-gas-meter", (name, ended.cause)
        else:
            assert ended.outcome is CaseOutcome.PASS, (name, device, ended.cause)


def test_a_case_leaves_no_pretence_and_no_tariff_behind(tmp_path: Path) -> None:
    loaded = rig_in(tmp_path)
    play(tmp_path, cases=["D21", "D23", "D24", "D25"], devices=["virtual-ihd"], loaded=loaded)
    database = sqlite3.connect(tmp_path / "labctl.db")
    begun, over = (
        database.execute("SELECT count(*) FROM events WHERE kind = ?", (kind,)).fetchone()[0]
        for kind in (BEGAN, OVER)
    )
    assert begun == over == 3 + 2 + 1
    journal = (tmp_path / ".labctl" / "virtual" / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["tariff"]["unit_price"] for line in journal] == [46_800, 24_500]


def test_outages_of_the_rig_and_suspensions_are_not_held_against_a_device(tmp_path: Path) -> None:
    loaded = rig_in(tmp_path, rig="virtual-868")
    stage = Stage(loaded, StageOptions(database=tmp_path / "labctl.db", seed=1))
    declared = next(each for each in loaded.devices if each.name == "sub-ghz-cad-1")

    async def disturb() -> None:
        session = stage.session
        assert session.bench is not None
        await asyncio.sleep(1200)
        session.hub.care.of_sub_ghz.suspend(declared.eui64, 5, "test")
        await asyncio.sleep(1200)
        await session.bench.unplug(0)
        await asyncio.sleep(120)
        await session.bench.plug(0)

    async def watched() -> tuple[Kept, float]:
        with Watch(stage.session.bus, stage.session.clock) as watch:
            subject = stage.subject(declared, watch)
            await subject.pair()
            found, _ = await asyncio.gather(observe(stage, 4800), disturb())
            schedule = metering_schedule(subject, "electricity")
            times_us = found.read_times_us(subject, schedule.name)
            gap_us = max(b - a for a, b in itertools.pairwise(times_us))
            return found.kept(subject, schedule), gap_us / 1_000_000

    try:
        kept, gap_s = stage.run(watched())
    finally:
        stage.close()
    assert gap_s > 290, "it was silent for the five minutes that it was told to"
    assert kept.longest_s < 30
    assert 5 * 60e6 < kept.excused_us < 45 * 60e6
    assert kept.share_of(10_000_000) > 95


def test_a_rig_whose_devices_read_less_often_is_judged_by_its_own_period(tmp_path: Path) -> None:
    def slow(rig: dict[str, Any]) -> None:
        for device in rig["devices"]:
            device["reads"][0] |= {"every": "30s", "tolerance": "5s"}

    results = play(
        tmp_path,
        cases=["D19", "D25"],
        change_rig=slow,
        behaviour={"read_periods": {"electricity": "10s"}},
        observe_s=1800,
    )
    good, eager = (results["D19", f"virtual-{kind}"] for kind in ("ihd", "cad"))
    assert good.outcome is CaseOutcome.PASS, good.cause
    limits = {measured.name: measured for measured in good.measurements}
    assert limits["longest_gap_s"].most == 180
    assert limits["interval_p95_s"].least == pytest.approx(29.97)
    assert eager.outcome is CaseOutcome.FAIL
    assert results["D25", "virtual-ihd"].outcome is CaseOutcome.PASS


def test_what_the_rig_file_does_not_expect_is_not_asked_for(tmp_path: Path) -> None:
    def no_reads(rig: dict[str, Any]) -> None:
        del rig["devices"][1]["reads"]

    results = play(tmp_path, cases=["D19", "D20"], change_rig=no_reads, observe_s=600)
    for case in ("D19", "D20"):
        ended = results[case, "virtual-cad"]
        assert ended.outcome is CaseOutcome.NOT_APPLICABLE
        assert "the rig file has no reads of" in ended.cause
