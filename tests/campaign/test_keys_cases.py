"""The cases on key establishment."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_keys import FAULTS
from playing import play

from labctl.events import CaseOutcome

CASES = ("K11", "K12", "K13", "K14", "K15", "K16", "K17")


def test_a_good_device_says_what_is_wrong_with_its_hub(tmp_path: Path) -> None:
    results = play(tmp_path, cases=CASES, devices=["virtual-cad"])
    for name in CASES:
        ended = results[name, "virtual-cad"]
        assert ended.outcome is CaseOutcome.PASS, (name, ended.cause)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_found_by_its_case(fault: DeviceFault, tmp_path: Path) -> None:
    results = play(
        tmp_path,
        cases=(*fault.with_cases, fault.caught_by),
        devices=[fault.device],
        rig=fault.rig,
        device=fault.device,
        behaviour=fault.behaviour,
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended.cause
