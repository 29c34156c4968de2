"""The cases on key establishment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from device_fault import DeviceFault
from faults_keys import FAULTS
from playing import Change, play

from labctl.campaign.hands import Hands
from labctl.events import CaseOutcome
from labctl.hub.zcl import Dispatcher
from labctl.virtual.devices.keys import KeyDriver

CASES = ("K11", "K12", "K13", "K14", "K15", "K16", "K17", "K18")


def alone(name: str) -> Change:
    """A rig with that device and no other: there is less to calculate."""

    def change(rig: dict[str, Any]) -> None:
        rig["devices"] = [entry for entry in rig["devices"] if entry["device"] == name]

    return change


def suites_of_devices(*suites: int) -> Change:
    def change(inventory: dict[str, Any]) -> None:
        for device in inventory["devices"].values():
            device.setdefault("virtual", {})["suites"] = list(suites)

    return change


def hub_is(**settings: Any) -> Change:
    def change(rig: dict[str, Any]) -> None:
        alone("virtual-cad")(rig)
        rig["hub"].update(settings)

    return change


def engine_of_the_stick(*suites: int) -> Change:
    def change(inventory: dict[str, Any]) -> None:
        inventory["radios"]["virtual-ezsp"]["key_establishment"] = list(suites)

    return change


@pytest.mark.parametrize(
    ("given", "without"),
    [
        pytest.param({"rig": "virtual-znp", "seed": 2}, "", id="znp"),
        pytest.param(
            {
                "change_rig": hub_is(generation="smets1"),
                "change_inventory": suites_of_devices(1),
                "seed": 3,
            },
            "K15",
            id="suite-1",
        ),
        pytest.param(
            {
                "change_rig": hub_is(suites=[1, 2]),
                "change_inventory": suites_of_devices(1),
                "seed": 4,
            },
            "K15",
            id="suite-1-of-two-on-offer",
        ),
        pytest.param(
            {
                "change_rig": hub_is(key_engine="radio"),
                "change_inventory": engine_of_the_stick(2),
                "seed": 5,
            },
            "",
            id="the-sticks-own-arithmetic",
        ),
        pytest.param({}, "", id="ezsp"),
    ],
)
def test_a_good_device_says_what_is_wrong_with_its_hub(
    given: dict[str, Any], without: str, tmp_path: Path
) -> None:
    given = {"change_rig": alone("virtual-cad"), **given}
    results = play(tmp_path, cases=CASES, devices=["virtual-cad"], **given)
    for name in CASES:
        ended = results[name, "virtual-cad"]
        expected = CaseOutcome.NOT_APPLICABLE if name == without else CaseOutcome.PASS
        assert ended.outcome is expected, (name, ended.cause)
        assert ended.cause or expected is CaseOutcome.PASS


def test_a_display_below_1_ghz_says_it_too(tmp_path: Path) -> None:
    results = play(
        tmp_path,
        rig="virtual-868",
        change_rig=alone("sub-ghz-ihd"),
        cases=CASES,
        devices=["sub-ghz-ihd"],
    )
    for name in CASES:
        ended = results[name, "sub-ghz-ihd"]
        assert ended.outcome is CaseOutcome.PASS, (name, ended.cause)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_is_found_by_its_case(fault: DeviceFault, tmp_path: Path) -> None:
    results = play(
        tmp_path,
        cases=(*fault.with_cases, fault.caught_by),
        devices=[fault.device],
        **fault.given,
        change_rig=alone(fault.device),
    )
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended.cause


def test_where_nobody_can_reset_the_device_the_hub_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hands, "can_reset", False)
    results = play(
        tmp_path,
        cases=["K11", "K13", "K17"],
        devices=["virtual-cad"],
        change_rig=alone("virtual-cad"),
    )
    assert {ended.outcome for ended in results.values()} == {CaseOutcome.PASS}
    outcomes = {each.name: each.outcome for each in results["K13", "virtual-cad"].measurements}
    assert outcomes["status_to_hub"] is CaseOutcome.PASS
    assert outcomes["status_joining"] is CaseOutcome.NOT_APPLICABLE


@pytest.mark.parametrize("times", [1, 9])
def test_a_device_that_is_busy_is_asked_again(
    times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter(range(times))
    monkeypatch.setattr(KeyDriver, "is_busy", property(lambda _: next(busy, None) is not None))
    ended = play(tmp_path, cases=["K11"], devices=["virtual-cad"], change_rig=alone("virtual-cad"))[
        "K11", "virtual-cad"
    ]
    if times == 1:
        assert ended.outcome is CaseOutcome.PASS
    else:
        assert ended.outcome is CaseOutcome.NOT_APPLICABLE
        assert "does not take part" in ended.cause


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
