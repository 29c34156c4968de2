"""Key establishment that the hub begins, answered by virtual devices, on the air."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from labs import STICK, PairingLab, both_drivers, in_a_lab

from labctl.events import DeviceKind, JoinEnded, JoinOutcome, Note
from labctl.hub import LoggedDevice, PairingRequest
from labctl.smart_energy.disagreements import DeviceSettings
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode
from labctl.virtual.devices import Behaviour, VirtualDevice
from labctl.virtual.devices.behaviour import KeyFault, KeyFaults
from labctl.virtual.devices.observations import What

IHD = Eui64("00:00:5e:ef:10:00:00:02")
CODE = InstallCode.from_octets_without_crc(bytes([2]) * 16)
LOGGED = LoggedDevice(eui64=IHD, name="ihd", kind=DeviceKind.IHD, link_key=CODE.link_key())
KEY_CLUSTER = (0x0800).to_bytes(2, "little")


async def paired(
    lab: PairingLab, kind: str = "ihd", logged: LoggedDevice = LOGGED, **options: Any
) -> VirtualDevice:
    device = lab.device(kind, IHD, CODE, **options)
    hub = await lab.start_hub(devices=(replace(logged, kind=DeviceKind(kind)),))
    await hub.pair(PairingRequest(eui64=IHD, window_s=600))
    device.power_on()
    assert await lab.until(lambda: hub.authorised(IHD) and device.is_authorised, 600)
    await asyncio.sleep(60)
    return device


def key_of(device: VirtualDevice) -> bytes:
    assert device.node is not None
    return device.node.state.link_keys[STICK].key


async def begun(lab: PairingLab, **wanted: Any) -> tuple[JoinOutcome, str]:
    """Begin it, and return how it ended."""
    assert lab.hub is not None
    since = len(lab.of(JoinEnded))
    await lab.hub.establish_key(IHD, **wanted)
    assert await lab.until(lambda: len(lab.of(JoinEnded)) > since, 120)
    end = lab.of(JoinEnded)[-1]
    return end.outcome, end.cause


def in_force(lab: PairingLab, device: VirtualDevice) -> bool:
    """Whether both sides hold one key."""
    return lab.keys_in_the_stick()[IHD].reveal() == key_of(device)


@pytest.mark.parametrize("kind", ["cad", "ihd", "ppmid", "load-switch", "hand-held-terminal"])
@both_drivers
def test_each_kind_of_device_answers(kind: str, tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab, kind)
        before = key_of(device)
        assert await begun(lab) == (JoinOutcome.AUTHORISED, "")
        await asyncio.sleep(5)
        assert key_of(device) != before
        assert in_force(lab, device)
        established = device.observations.of(What.KEY_ESTABLISHED)
        assert [seen.detail for seen in established] == ["suite 2", "suite 2, begun by the hub"]

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_gas_meter_that_sleeps_is_not_reached_and_keeps_its_key(
    tmp_path: Path, driver: str
) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab, "gas-meter")
        before = key_of(device)
        await asyncio.sleep(600)
        outcome, cause = await begun(lab)
        assert outcome is JoinOutcome.FAILED
        assert "did not come within 10 s" in cause
        assert "not delivered" in cause
        assert key_of(device) == before
        assert in_force(lab, device)

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_the_device_reads_on_under_the_new_key_and_keeps_it_over_a_power_cut(
    tmp_path: Path,
    driver: str,
) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab)
        await begun(lab)
        await asyncio.sleep(5)
        key = key_of(device)
        await device.power_off()
        device.power_on()
        await asyncio.sleep(120)
        assert key_of(device) == key
        assert in_force(lab, device)
        reads = sum(count.ok for count in device.observations.reads.values())
        await asyncio.sleep(60)
        assert sum(count.ok for count in device.observations.reads.values()) > reads

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_with_either_suite(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab, suites=(1, 2))
        for suite in (1, 2):
            assert (await begun(lab, suite=suite))[0] is JoinOutcome.AUTHORISED
            await asyncio.sleep(5)
            assert in_force(lab, device)
        established = device.observations.of(What.KEY_ESTABLISHED)
        assert [seen.detail for seen in established[1:]] == [
            "suite 1, begun by the hub",
            "suite 2, begun by the hub",
        ]

    in_a_lab(tmp_path, scenario, driver=driver, suites=(1, 2))


@both_drivers
def test_a_device_that_has_not_the_suite_says_which_it_has(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab, suites=(1,))
        before = key_of(device)
        outcome, cause = await begun(lab, suite=2)
        assert outcome is JoinOutcome.FAILED
        assert "UNSUPPORTED_SUITE" in cause
        assert key_of(device) == before
        assert in_force(lab, device)
        said = [(n.detail["what"], n.detail["how"]) for n in lab.of(Note) if n.kind == "practice"]
        assert ("suites-supported", "1") in said

    in_a_lab(tmp_path, scenario, driver=driver, suites=(1, 2))


@both_drivers
def test_a_device_takes_the_suite_that_is_on_offer_to_it(tmp_path: Path, driver: str) -> None:
    """It begins with suite 2, is told that 1 alone is on offer, and tries that."""

    async def scenario(lab: PairingLab) -> None:
        logged = replace(LOGGED, settings=DeviceSettings(suites=(1,)))
        device = await paired(lab, logged=logged, suites=(1, 2))
        failed = device.observations.of(What.KEY_FAILED)
        assert ["UNSUPPORTED_SUITE" in seen.detail for seen in failed] == [True]
        (established,) = device.observations.of(What.KEY_ESTABLISHED)
        assert established.detail == "suite 1"

    in_a_lab(tmp_path, scenario, driver=driver, suites=(1, 2))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (KeyFault.CORRUPT_CONFIRMATION, "BAD_KEY_CONFIRM"),
        (KeyFault.CORRUPT_EPHEMERAL, "BAD_MESSAGE"),
        (KeyFault.TRUNCATED, "BAD_MESSAGE"),
        (KeyFault.REPEATED, ""),
    ],
)
@both_drivers
def test_the_faults_of_a_device_are_those_of_its_answers_too(
    fault: KeyFault, said: str, tmp_path: Path, driver: str
) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab)
        body = device._body
        device._body = replace(
            body, behaviour=replace(body.behaviour, key_establishment=KeyFaults(fault=fault))
        )
        await device.power_off()
        device.power_on()
        await asyncio.sleep(60)
        before = key_of(device)
        outcome, cause = await begun(lab)
        await asyncio.sleep(30)
        assert said in cause
        assert in_force(lab, device)
        if said:
            assert outcome is JoinOutcome.FAILED
            assert key_of(device) == before

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_device_that_establishes_no_keys_says_so_to_the_hub(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        device = lab.device(
            "ihd", IHD, CODE, behaviour=Behaviour(key_establishment=KeyFaults(never=True))
        )
        hub = await lab.start_hub(devices=(LOGGED,))
        await hub.pair(PairingRequest(eui64=IHD, window_s=600))
        device.power_on()
        await asyncio.sleep(60)
        outcome, cause = await begun(lab)
        assert outcome is JoinOutcome.FAILED
        assert "NO_RESOURCES" in cause

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_confirmation_that_is_lost_leaves_both_sides_with_one_key(
    tmp_path: Path, driver: str
) -> None:
    """The last message, from the device to the hub, never arrives, and the hub gives up."""

    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab)
        before = key_of(device)
        lossless = lab.air.drop
        seen = 0

        def drop(sender: Any, receiver: Any, psdu: bytes) -> bool:
            nonlocal seen
            confirming = device.node is not None and key_of(device) != before
            if confirming and sender.position == device._position and len(psdu) > 5:
                seen += 1
                return True
            return lossless is not None and lossless(sender, receiver, psdu)

        lab.air.drop = drop
        outcome, cause = await begun(lab)
        await asyncio.sleep(60)
        lab.air.drop = lossless
        await asyncio.sleep(60)
        assert seen > 0
        assert outcome is JoinOutcome.FAILED, cause
        assert in_force(lab, device)
        assert key_of(device) == before
        (failed,) = device.observations.of(What.KEY_FAILED)
        assert "not delivered" in failed.detail

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_device_that_does_not_know_whether_the_hub_has_the_key_finds_out(
    tmp_path: Path, driver: str
) -> None:
    """The confirmation arrives; nothing that the hub sends does, for a while."""

    async def scenario(lab: PairingLab) -> None:
        device = await paired(lab)
        before = key_of(device)
        lossless = lab.air.drop
        since_s: float | None = None
        deaf_s = 8.0

        def drop(sender: Any, receiver: Any, psdu: bytes) -> bool:
            nonlocal since_s
            if key_of(device) != before and sender.position != device._position:
                since_s = lab.loop.time() if since_s is None else since_s
                return lab.loop.time() - since_s < deaf_s
            return lossless is not None and lossless(sender, receiver, psdu)

        lab.air.drop = drop
        assert (await begun(lab))[0] is JoinOutcome.AUTHORISED
        await asyncio.sleep(60)
        assert since_s is not None
        assert key_of(device) != before
        assert in_force(lab, device)
        assert device.observations.of(What.KEY_FAILED) == []

    in_a_lab(tmp_path, scenario, driver=driver)
