"""The cases on recovery: what comes back by itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_recovery import FAULTS
from playing import play, rig_in

from labctl.events import CaseEnded, CaseOutcome


def measured(ended: CaseEnded) -> dict[str, float | None]:
    return {each.name: each.value for each in ended.measurements}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_its_case(tmp_path: Path, fault: DeviceFault) -> None:
    results = play(
        tmp_path,
        cases=[*fault.with_cases, fault.caught_by],
        devices=[fault.device],
        behaviour=fault.behaviour,
        device=fault.device,
        rig=fault.rig,
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended.cause


def test_good_devices_recover_from_whatever_the_hub_goes_through(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["R30", "R32", "R34", "R35"], seed=3)
    assert len(results) == 8
    for ended in results.values():
        assert ended.outcome is CaseOutcome.PASS, ended.cause
    lost = measured(results["R32", "virtual-cad"])
    assert lost["keep_alives_lost"] == 3
    assert measured(results["R35", "virtual-ihd"])["moves_followed"] == 2
    assert (measured(results["R30", "virtual-ihd"])["hub_out_s"] or 0) >= 300


@pytest.mark.parametrize("rig", ["virtual", "virtual-868"])
def test_a_good_device_comes_back_after_a_power_cut(tmp_path: Path, rig: str) -> None:
    results = play(tmp_path, cases=["R31"], rig=rig)
    tried = [each for each in results.values() if each.outcome is not CaseOutcome.NOT_APPLICABLE]
    assert len(tried) == 2  # a gas meter reads nothing
    for ended in tried:
        assert ended.outcome is CaseOutcome.PASS, ended.cause
        assert measured(ended)["second_pairings"] == 0
        assert 0 < (measured(ended)["back_s"] or 0) < 120


@pytest.mark.parametrize("rig", ["virtual", "virtual-znp"])
def test_good_devices_follow_a_swapped_hub_and_back(tmp_path: Path, rig: str) -> None:
    loaded = rig_in(tmp_path, rig=rig)
    results = play(tmp_path, cases=["R33", "R34"], devices=["virtual-cad"], loaded=loaded)
    for ended in results.values():
        assert ended.outcome is CaseOutcome.PASS, ended.cause
    swapped = measured(results["R33", "virtual-cad"])
    assert swapped["key_established"] == 1
    assert swapped["second_pairings"] == 0
    # A later run finds all as it was.
    again = play(tmp_path, cases=["R31"], devices=["virtual-cad"], loaded=loaded)
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        (last,) = db.execute("SELECT max(id) FROM runs").fetchone()
        assert not db.execute("SELECT * FROM pairings WHERE run_id = ?", (last,)).fetchall()
    assert {each.outcome for each in again.values()} == {CaseOutcome.PASS}
