"""The cases on a device's life cycle."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_life import FAULTS
from playing import play, rig_in

from labctl.events import CaseEnded, CaseOutcome
from labctl.record.digest import digest
from labctl.record.matrix import matrix


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


@pytest.mark.parametrize("rig", ["virtual", "virtual-znp", "virtual-868"])
def test_a_good_device_that_is_unpaired_is_gone_and_gets_in_again(tmp_path: Path, rig: str) -> None:
    results = play(tmp_path, cases=["L39", "R31"], rig=rig, seed=5)
    tried = [each for each in results.values() if each.outcome is not CaseOutcome.NOT_APPLICABLE]
    assert len(tried) == 4
    for ended in tried:
        assert ended.outcome is CaseOutcome.PASS, ended.cause


def test_a_change_of_tenancy_hides_the_past_and_is_taken_back(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["L40"])
    for ended in results.values():  # the second device finds the past of the meters again
        assert ended.outcome is CaseOutcome.PASS, ended.cause
        assert measured(ended)["logs_before"] == 4  # half-hours and days, electricity and gas
        assert (measured(ended)["half_hours_known"] or 0) > 40
        assert measured(ended)["half_hours_kept"] == 0


def test_what_was_shown_of_an_earlier_firmware_is_due_again(tmp_path: Path) -> None:
    loaded = rig_in(tmp_path)
    first = play(tmp_path, cases=["R31", "L41"], devices=["virtual-cad"], loaded=loaded)
    assert all(each.outcome is CaseOutcome.PASS for each in first.values())
    (memory,) = (tmp_path / ".labctl").rglob("virtual-cad.json")
    stored = json.loads(memory.read_text())
    stored["firmware"] = 2
    memory.write_text(json.dumps(stored))
    second = play(tmp_path, cases=["L41"], devices=["virtual-cad"], loaded=loaded)[
        "L41", "virtual-cad"
    ]
    assert second.outcome is CaseOutcome.MARGINAL
    said = {each.name: (each.value, each.text) for each in second.measurements}
    assert said["version_told"] == (1, "2.0")
    assert said["stale_results"] == (1, "")
    assert said["cases_due"] == (1, "1: R31")
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        rows = {row.firmware: row.stale for row in matrix(db)}
    assert rows["1.0"]
    play(tmp_path, cases=["R31"], devices=["virtual-cad"], loaded=loaded)
    again = play(tmp_path, cases=["L41"], devices=["virtual-cad"], loaded=loaded)
    assert measured(again["L41", "virtual-cad"])["cases_due"] == 0


def test_what_the_report_needs_is_recorded_and_its_hash_can_be_worked_out_again(
    tmp_path: Path,
) -> None:
    results = play(tmp_path, cases=["R31", "L42"], devices=["virtual-ihd"])
    ended = results["L42", "virtual-ihd"]
    assert ended.outcome is CaseOutcome.PASS, ended.cause
    texts = {each.name: each.text for each in ended.measurements}
    assert texts["mac"] == "00:00:5e:ef:10:00:00:02"
    assert texts["firmware"] == "1.0"
    assert texts["suite"].startswith("2, issued by ")
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        (device_id,) = db.execute("SELECT id FROM devices WHERE name = 'virtual-ihd'").fetchone()
        (run_id,) = db.execute("SELECT id FROM runs").fetchone()
        assert texts["evidence_hash"] == f"SHA-256 {digest(db, run_id, device_id, ended.at_us)}"
        db.execute("UPDATE measurements SET value = value + 1 WHERE name = 'back_s'")
        assert digest(db, run_id, device_id, ended.at_us) not in texts["evidence_hash"]
        db.rollback()
