"""The cases on 868 MHz."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_sub_ghz import FAULTS
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


def test_good_devices_are_silent_when_told(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["S36"], rig="virtual-dual-band", seed=2)
    of_868 = {"sub-ghz-ihd", "sub-ghz-ppmid", "sub-ghz-cad-1", "sub-ghz-cad-2", "sub-ghz-cad-3"}
    for (_, name), ended in results.items():
        if name not in of_868:
            assert ended.outcome is CaseOutcome.NOT_APPLICABLE
            continue
        assert ended.outcome is CaseOutcome.PASS, ended.cause
        assert measured(ended)["zcl_frames"] == 0
        assert measured(ended)["suspends_answered"] == 0
    assert measured(results["S36", "sub-ghz-ihd"])["asked_on_return"] == 1


def test_good_devices_follow_to_another_channel(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["S38"], devices=["sub-ghz-ihd"], rig="virtual-868", seed=2)
    (ended,) = results.values()
    assert ended.outcome is CaseOutcome.PASS, ended.cause
    assert measured(ended)["moves_followed"] == 2


def test_good_devices_wait_with_their_downloads_and_go_on(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["S37", "S36"], devices=["sub-ghz-cad-1"], rig="virtual-868")
    for ended in results.values():  # S36 after it finds nothing of the critical airtime left
        assert ended.outcome is CaseOutcome.PASS, ended.cause
    waited = measured(results["S37", "sub-ghz-cad-1"])
    assert waited["told_to_wait_s"] == 300
    assert waited["early_blocks"] == 0
