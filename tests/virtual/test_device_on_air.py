"""The virtual devices on real frames: the scripted hub behind a coordinator on the virtual air."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from device_air import Coordinator, on_air
from device_bench import (
    DEVICE,
)

from labctl.virtual.devices import Behaviour, Fuel, What
from labctl.virtual.node import (
    Admission,
)


def test_an_ihd_joins_is_authorised_and_reads_over_real_frames() -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device("ihd")
        device.power_on()
        await asyncio.sleep(1860)
        counts = device.observations.counts
        assert counts[What.JOINED] == counts[What.KEY_ESTABLISHED] == counts[What.REGISTERED] == 1
        assert counts[What.BIND_REFUSED] == 0
        assert counts[What.GARBAGE] == counts[What.UNSECURED_ANSWER] == 0
        electricity, gas = (device.screen.meter(fuel) for fuel in Fuel)
        assert electricity is not None
        assert gas is not None
        assert electricity.summation_raw == 1_234_567
        assert gas.site_id == "9800012345"
        assert device.screen.message is not None
        reads = {name: count.ok for name, count in device.observations.reads.items()}
        assert reads == {"electricity": pytest.approx(182, abs=3), "price": 2, "gas": 2, "time": 1}
        assert hub.reads(2, 0x0000, 0x0400)[-1].aps_secured
        await device.power_off()

    on_air(main)


def test_a_power_cycle_rejoins_with_the_network_key_and_reads_on(tmp_path: Path) -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device(flash=tmp_path / "cad.json")
        device.power_on()
        await asyncio.sleep(120)
        await device.power_off()
        await asyncio.sleep(60)
        coordinator.node.permit_joining(0)
        again = coordinator.device(flash=tmp_path / "cad.json")
        again.power_on()
        await asyncio.sleep(120)
        assert [kind for _, kind in coordinator.admissions] == [
            Admission.UNSECURED_JOIN,
            Admission.SECURED_REJOIN,
        ]
        assert again.observations.counts[What.REJOINED] == 1
        assert again.observations.reads["electricity"].ok > 7
        assert again.observations.reads["electricity"].failed == 0
        assert hub.key_machines == 1
        await again.power_off()

    on_air(main)


@pytest.mark.parametrize(
    ("behaviour", "listed", "open_for_all", "outcome"),
    [
        (Behaviour(wrong_install_code=True), True, True, "no-network-key"),
        (Behaviour(), False, True, None),
        (Behaviour(), True, False, "not-permitted"),
        (Behaviour(ignore_permit_bit=True), True, False, None),
    ],
    ids=["wrong code", "unlisted", "closed", "closed, ignored"],
)
def test_who_may_not_join_does_not(
    behaviour: Behaviour, listed: bool, open_for_all: bool, outcome: str | None
) -> None:
    async def main(coordinator: Coordinator) -> None:
        if listed:
            coordinator.list_device()
        if not open_for_all:
            coordinator.node.permit_joining(0)
        device = coordinator.device(behaviour=behaviour)
        device.power_on()
        await asyncio.sleep(40)
        assert device.observations.counts[What.JOINED] == 0
        failures = {seen.detail for seen in device.observations.of(What.JOIN_FAILED)}
        if outcome is not None:
            assert failures == {outcome}
        else:
            assert failures <= {"association-refused", "association-timeout", "no-network-key"}
            assert failures
        await device.power_off()

    on_air(main)


def test_a_hub_that_was_off_is_found_again() -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device()
        device.power_on()
        await asyncio.sleep(300)
        coordinator.node.power_off()
        await asyncio.sleep(1800)
        coordinator.node.power_on()
        await asyncio.sleep(900)
        assert device.observations.counts[What.NETWORK_LOST] >= 1
        assert device.observations.counts[What.REJOINED] >= 1
        last = hub.reads(2, 0x0000, 0x0400)[-1].at_s
        assert last > asyncio.get_running_loop().time() - 11
        assert hub.key_machines == 1
        await device.power_off()

    on_air(main)


def test_power_may_be_cut_at_any_instant_of_a_join_on_air() -> None:
    async def main(coordinator: Coordinator) -> None:
        coordinator.list_device()
        device = coordinator.device()
        moments = random.Random(8)
        for _ in range(25):
            device.power_on()
            await asyncio.sleep(moments.uniform(0, 12))
            await device.power_off()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [task for task in others if "virtual cad" in task.get_name()]
            await asyncio.sleep(moments.uniform(0, 3))
        device.power_on()
        await asyncio.sleep(300)
        assert device.observations.reads["electricity"].ok > 5
        await device.power_off()

    on_air(main)


def test_a_device_removed_by_its_trust_centre_is_gone() -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        device = coordinator.device()
        device.power_on()
        await asyncio.sleep(120)
        coordinator.node.permit_joining(0)
        del coordinator.hubs[DEVICE]
        coordinator.node.remove_device(0x0000, DEVICE)
        await asyncio.sleep(5)
        coordinator.hubs[DEVICE] = hub
        assert device.observations.counts[What.LEFT] == 1
        assert not device.is_authorised
        before = len(hub.requests)
        await asyncio.sleep(200)
        assert len(hub.requests) == before
        assert {s.detail for s in device.observations.of(What.JOIN_FAILED)} == {"not-permitted"}
        await device.power_off()

    on_air(main)
