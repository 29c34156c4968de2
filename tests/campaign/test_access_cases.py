"""The cases on access and robustness: good devices pass, each fault is found by its case.

What a case says of labctl and not of a device is tried with a labctl that is wrong.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from device_fault import DeviceFault
from faults_access import FAULTS
from playing import play

from labctl.events import CaseEnded, CaseOutcome
from labctl.hub import zcl
from labctl.hub.access import Access
from labctl.hub.device_log import Device
from labctl.hub.hub import Hub
from labctl.hub.inbox import Inbox, Work
from labctl.hub.services.base import SUCCESS, Service

ACCESS = ["A26", "A27", "A28", "A29"]


def measured(ended: CaseEnded) -> dict[str, float | None]:
    return {each.name: each.value for each in ended.measurements}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_its_case(fault: DeviceFault, tmp_path: Path) -> None:
    results = play(tmp_path, cases=[fault.caught_by], devices=[fault.device], **fault.given)
    ended = results[fault.caught_by, fault.device]
    assert ended.outcome is CaseOutcome.FAIL, ended


@pytest.mark.parametrize("rig", ["virtual-znp", "virtual-868"])
def test_good_devices_pass_them_all(tmp_path: Path, rig: str) -> None:
    results = play(tmp_path, cases=ACCESS, rig=rig)
    for (name, device), ended in results.items():
        if ended.outcome is CaseOutcome.NOT_APPLICABLE:
            assert device == "sub-ghz-gas-meter", (name, ended.cause)
        else:
            assert ended.outcome is CaseOutcome.PASS, (name, device, ended.cause)


def test_a_ppmid_may_do_what_only_a_ppmid_may(tmp_path: Path) -> None:
    def ppmid(inventory: dict[str, Any]) -> None:
        inventory["devices"]["virtual-cad"]["kind"] = "ppmid"

    results = play(tmp_path, cases=["A26", "A27"], change_inventory=ppmid, devices=["virtual-cad"])
    assert results["A26", "virtual-cad"].outcome is CaseOutcome.PASS
    assert results["A27", "virtual-cad"].outcome is CaseOutcome.NOT_APPLICABLE


def test_the_statuses_are_those_of_the_rig_file(tmp_path: Path) -> None:
    def change(rig: dict[str, Any]) -> None:
        rig["hub"] |= {"write_status": 0x7E, "refusal_status": 0x01}

    results = play(tmp_path, cases=["A26", "A27"], change_rig=change, devices=["virtual-cad"])
    for name, status in (("A26", 0x7E), ("A27", 0x01)):
        ended = results[name, "virtual-cad"]
        assert ended.outcome is CaseOutcome.PASS, ended.cause
        assert measured(ended)["status"] == status


def test_a_hub_that_takes_writes_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zcl.Dispatcher, "_objection_to_write", lambda *_: SUCCESS)
    monkeypatch.setattr(Service, "write", lambda *_: SUCCESS)
    ended = play(tmp_path, cases=["A26"], devices=["virtual-cad"])["A26", "virtual-cad"]
    assert ended.outcome is CaseOutcome.FAIL
    assert measured(ended)["status"] == SUCCESS
    assert measured(ended)["recorded"] == 0


def test_a_hub_that_lets_everybody_command_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Access, "may_command", lambda *_: True)
    ended = play(tmp_path, cases=["A27"], devices=["virtual-cad"])["A27", "virtual-cad"]
    assert ended.outcome is CaseOutcome.FAIL
    assert measured(ended)["status"] != 0x7E


def test_a_hub_with_one_queue_for_all_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = Hub._handle
    queues: list[Inbox] = []

    async def slowly(hub: Hub, *asked: Any) -> None:
        await asyncio.sleep(0.2)
        await served(hub, *asked)

    def behind_all_others(hub: Hub, _device: Device, work: Work, *, droppable: bool = True) -> None:
        if not queues:
            queues.append(Inbox(hub._chores, 10_000, lambda _count: None))
        queues[0].put(work, droppable=droppable)

    monkeypatch.setattr(Hub, "_handle", slowly)
    monkeypatch.setattr(Hub, "_enqueue", behind_all_others)
    ended = play(tmp_path, cases=["A28"], devices=["virtual-cad"])["A28", "virtual-cad"]
    assert ended.outcome is CaseOutcome.FAIL, ended
    assert (measured(ended)["others_fall"] or 0) > 1


def test_a_hub_that_stumbles_over_a_frame_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = zcl.zcl.parse

    def stumbling(data: bytes) -> Any:
        if len(data) == 1:
            raise IndexError("no sequence number")
        return parse(data)

    monkeypatch.setattr(zcl.zcl, "parse", stumbling)
    ended = play(tmp_path, cases=["A29"], devices=["virtual-cad"])["A29", "virtual-cad"]
    assert ended.outcome is CaseOutcome.FAIL
    assert (measured(ended)["hub_errors"] or 0) > 0
    assert measured(ended)["reads_of_due"] == pytest.approx(100, abs=10)
