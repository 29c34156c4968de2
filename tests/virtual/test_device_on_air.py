"""The virtual devices on real frames: the scripted hub behind a coordinator on the virtual air."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from device_bench import (
    CODE,
    DEVICE,
    EXTENDED_PAN,
    HUB,
    NETWORK_KEY,
    ScriptedHub,
    a_hub,
    identity,
)

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.devices import Behaviour, Fuel, VirtualDevice, What
from labctl.virtual.node import (
    Admission,
    Indication,
    LinkKey,
    Node,
    NodeListener,
    NodeState,
    Role,
    SimpleDescriptor,
    TrustCentreDecision,
)
from labctl.virtual.propagation import Propagation


class Coordinator(NodeListener):
    """A coordinator that serves one scripted hub for each listed device."""

    def __init__(self, propagation: Propagation | None = None) -> None:
        self.air = Air(rng=random.Random(1), propagation=propagation or Propagation())
        self.hubs: dict[Eui64, ScriptedHub] = {}
        self.admissions: list[tuple[Eui64, Admission]] = []
        self.state = NodeState(HUB, Role.COORDINATOR)
        self.node = Node(self.air, self.state, self, rng=random.Random(2))

    def start(self) -> None:
        self.node.power_on()
        self.node.form(
            page=0,
            channel=20,
            pan_id=0x1234,
            extended_pan_id=EXTENDED_PAN,
            network_key=NETWORK_KEY,
        )
        self.node.permit_joining(255)

    def list_device(self, eui64: Eui64 = DEVICE) -> ScriptedHub:
        hub = self.hubs[eui64] = a_hub()
        self.state.link_keys[eui64] = LinkKey(eui64, hub.install_key)
        for endpoint, servers in hub.servers.items():
            self.node.endpoints[endpoint] = SimpleDescriptor(
                endpoint, 0x0109, hub.devices[endpoint], 0, tuple(servers), (0x0800,)
            )
        return hub

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        self.admissions.append((eui64, kind))
        return TrustCentreDecision.SEND_KEY if eui64 in self.hubs else TrustCentreDecision.DENY

    def data_received(self, indication: Indication) -> None:
        assert indication.source_eui64 is not None
        hub = self.hubs[indication.source_eui64]
        answers = hub.zcl(
            indication.destination_endpoint,
            indication.cluster_id,
            indication.payload,
            indication.aps_secured,
        )
        if hub.pending_key is not None:
            key, hub.pending_key = hub.pending_key, None
            self.state.link_keys[indication.source_eui64] = LinkKey(indication.source_eui64, key)
        for answer in answers:
            self.node.request(
                indication.source,
                source_endpoint=indication.destination_endpoint,
                destination_endpoint=indication.source_endpoint,
                profile_id=0x0109,
                cluster_id=indication.cluster_id,
                payload=answer,
                aps_secured=indication.aps_secured,
                done=lambda status: None,
            )

    def device(self, kind: str = "cad", **settings: object) -> VirtualDevice:
        settings.setdefault("position", (6.0, 3.0, 0.0))
        settings.setdefault("eui64", DEVICE)
        return VirtualDevice(
            kind,
            air=self.air,
            install_code=CODE,
            identities={2: identity(DEVICE)},
            rng=random.Random(3),
            **settings,  # type: ignore[arg-type]
        )


def on_air(main: Callable[[Coordinator], Awaitable[None]]) -> None:
    async def wrapped() -> None:
        coordinator = Coordinator()
        coordinator.start()
        try:
            await main(coordinator)
        finally:
            coordinator.node.power_off()

    run(wrapped(), fast=True)


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
