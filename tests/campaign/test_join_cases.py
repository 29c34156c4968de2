"""The cases on joining: a good device passes, each fault is found by the case that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_join import FAULTS
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
        **fault.given,
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended.cause
    for before in fault.with_cases:
        assert results[before, fault.device].outcome is not CaseOutcome.FAIL


def test_a_good_device_gets_in_and_one_with_another_code_does_not(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["J01"], behaviour={"wrong_install_code": True})
    good, bad = results["J01", "virtual-ihd"], results["J01", "virtual-cad"]
    assert good.outcome is CaseOutcome.PASS
    assert 0 < (measured(good)["authorised_s"] or 0) < 300
    assert bad.outcome is CaseOutcome.FAIL
    assert "virtual-cad authorised: not seen within 1200 s" in bad.cause
