"""The cases on joining: a good device passes, each fault is found by the case that names it.

What a case says of labctl and not of a device is tried with a labctl that is wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from device_fault import DeviceFault
from faults_join import FAULTS
from playing import play

from labctl.errors import RigError
from labctl.events import CaseEnded, CaseOutcome
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.keys import Keys
from labctl.hub.pairing import Windows
from labctl.hub.pairings import Pairings
from labctl.hub.settings import PairingRequest
from labctl.hub.sub_ghz import SubGhz
from labctl.smart_energy import install_code

JOIN = [f"J{number:02}" for number in range(1, 11)]


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


@pytest.mark.parametrize("rig", ["virtual-znp", "virtual-868"])
def test_good_devices_pass_them_all(tmp_path: Path, rig: str) -> None:
    results = play(tmp_path, cases=JOIN, rig=rig)
    for (name, _device), ended in results.items():
        if ended.outcome is CaseOutcome.NOT_APPLICABLE:
            assert (name, rig != "virtual-868") == ("J10", True), ended.cause
        else:
            assert ended.outcome is CaseOutcome.PASS, (name, ended.cause)


def test_a_good_device_gets_in_and_one_with_another_code_does_not(tmp_path: Path) -> None:
    results = play(tmp_path, cases=["J01"], behaviour={"wrong_install_code": True})
    good, bad = results["J01", "virtual-ihd"], results["J01", "virtual-cad"]
    assert good.outcome is CaseOutcome.PASS
    assert 0 < (measured(good)["authorised_s"] or 0) < 300
    assert bad.outcome is CaseOutcome.FAIL
    assert "virtual-cad authorised: not seen within 1200 s" in bad.cause


def test_a_device_that_gave_up_in_one_case_is_ready_for_the_next(tmp_path: Path) -> None:
    results = play(
        tmp_path,
        cases=["J02", "J07"],
        devices=["virtual-cad"],
        behaviour={"gives_up_joining": True},
    )
    outcomes = {name: ended.outcome for (name, _), ended in results.items()}
    assert outcomes == {"J02": CaseOutcome.FAIL, "J07": CaseOutcome.PASS}


def test_a_device_with_both_bands_is_only_blamed_where_it_had_the_choice(tmp_path: Path) -> None:
    both = {"bands": ["2.4 GHz", "868 MHz"]}
    results = play(
        tmp_path,
        cases=["J01"],
        devices=["virtual-ihd", "sub-ghz-ihd"],
        rig="virtual-dual-band",
        device="virtual-ihd",
        entry=both,
    )
    assert measured(results["J01", "virtual-ihd"])["on_2_4_ghz"] == 1
    assert measured(results["J01", "sub-ghz-ihd"])["on_2_4_ghz"] is None


def test_the_fifth_link_is_told_of_where_there_are_five(tmp_path: Path) -> None:
    ended = play(tmp_path, cases=["J10"], rig="virtual-dual-band")["J10", None]
    assert ended.outcome is CaseOutcome.PASS, ended.cause
    assert measured(ended)["links"] == 5
    assert "there is room for 4" in next(m.text for m in ended.measurements if m.name == "links")


# -- a labctl that is wrong -----------------------------------------------------------------------


def failed(tmp_path: Path, case: str, **rig: Any) -> dict[str, float | None]:
    """What a case measured that has to fail, on the first device."""
    rig.setdefault("devices", ["virtual-cad"])
    ended = next(iter(play(tmp_path, cases=[case], **rig).values()))
    assert ended.outcome is CaseOutcome.FAIL, ended.cause
    return measured(ended)


def test_a_code_with_a_bad_crc_that_is_taken_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install_code, "_check", lambda octets: None)
    found = failed(tmp_path, "J03")
    assert found["not_refused"] == found["codes_tried"] == 24


def test_a_key_that_stays_after_the_window_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def erases_nothing(self: Keys, device: Device) -> None:
        pass

    monkeypatch.setattr(Keys, "erase", erases_nothing)
    assert failed(tmp_path, "J02")["keys_left"] == 1


@pytest.mark.parametrize("wrong_s", [-2, 3])
def test_a_window_of_another_length_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_s: int
) -> None:
    right = Windows.open

    async def opens(self: Windows, device: Device, seconds: int) -> None:
        await right(self, device, seconds + wrong_s)

    monkeypatch.setattr(Windows, "open", opens)
    found = failed(tmp_path, "J06")
    for name in ("short_error_s", "long_error_s", "short_error_on_air_s", "long_error_on_air_s"):
        assert found[name] == pytest.approx(wrong_s, abs=0.3)


def test_a_window_that_is_not_opened_again_in_time_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labctl.hub.pairing.PERMIT_AGAIN_S", 270.0)
    assert failed(tmp_path, "J06")["gaps_s"] == pytest.approx(2 * 16)


def test_a_new_code_that_replaces_a_key_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Pairings._enter

    def enters(self: Pairings, request: PairingRequest) -> Device:
        device = right(self, request)
        if request.device is not None:
            device.link_key = request.device.link_key
        return device

    monkeypatch.setattr(Pairings, "_enter", enters)
    assert failed(tmp_path, "J07")["same_code_in_log"] == 0


def test_a_historic_key_that_is_not_taken_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceLog, "historic", lambda self, eui64: None)
    assert failed(tmp_path, "J08")["archived"] == 0


def test_a_log_that_takes_one_too_many_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeviceLog, "_taken", lambda self: 0)
    found = failed(tmp_path, "J09")
    assert (found["refused"], found["armed"], found["left_behind"]) == (0, 1, 0)


def test_a_log_that_is_changed_by_a_refusal_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = DeviceLog.admit

    def admits(self: DeviceLog, device: Device) -> None:
        try:
            right(self, device)
        except RigError:
            device.listed = True
            raise

    monkeypatch.setattr(DeviceLog, "admit", admits)
    found = failed(tmp_path, "J09")
    assert (found["refused"], found["changes_of_log"]) == (1, 1)


def test_a_link_too_many_that_nobody_is_told_of_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SubGhz, "_exceeded", lambda self, device, links: None)
    assert failed(tmp_path, "J10", rig="virtual-868", device="sub-ghz-ihd")["missed"] == 1
