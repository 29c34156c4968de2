"""The cases on access and robustness."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_access import FAULTS
from playing import play

from labctl.events import CaseOutcome


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_found_by_its_case(fault: DeviceFault, tmp_path: Path) -> None:
    results = play(
        tmp_path,
        cases=[fault.caught_by],
        device=fault.device,
        rig=fault.rig,
        behaviour=fault.behaviour,
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended
    others = {key: each for key, each in results.items() if key[1] != fault.device}
    assert all(each.outcome is CaseOutcome.PASS for each in others.values()), others
