"""The cases on key establishment."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_fault import DeviceFault
from faults_keys import FAULTS
from playing import play

from labctl.events import CaseOutcome
from labctl.hub.zcl import Dispatcher

CASES = ("K11", "K12", "K13", "K14", "K15", "K16", "K17", "K18")


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


def test_a_device_that_reads_too_early_is_told_apart_from_what_the_hub_answers(
    tmp_path: Path,
) -> None:
    early = {"reads_before_key_establishment": True}
    ended = play(tmp_path, cases=["K18"], devices=["virtual-cad"], behaviour=early)[
        "K18", "virtual-cad"
    ]
    assert ended.outcome is CaseOutcome.MARGINAL, ended.cause
    values = {each.name: each.value for each in ended.measurements}
    assert values == {"reads_served": 0, "other_answers": 0, "value_came": 0, "asked_too_early": 2}
    assert "application data before key establishment" in ended.cause


def test_a_hub_that_serves_a_device_without_a_key_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Dispatcher, "_demand_security", lambda *_: None)
    ended = play(tmp_path, cases=["K18"], devices=["virtual-cad"])["K18", "virtual-cad"]
    assert ended.outcome is CaseOutcome.FAIL
    assert "value_came 1" in ended.cause
    assert "reads_served" in ended.cause
