"""The cases on a device's life cycle."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_life import FAULTS
from playing import play

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
