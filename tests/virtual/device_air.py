"""A coordinator on the virtual air that serves scripted hubs, for devices on real frames."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from device_bench import CODE, DEVICE, EXTENDED_PAN, HUB, NETWORK_KEY, ScriptedHub, a_hub, identity

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.devices import VirtualDevice
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
        self.gone: list[Eui64] = []
        self.announced: list[int] = []
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
        self.list_device_endpoints(hub)
        return hub

    def list_device_endpoints(self, hub: ScriptedHub) -> None:
        """Have the node tell of the endpoints that the scripted hub has now."""
        for endpoint, servers in hub.servers.items():
            self.node.endpoints[endpoint] = SimpleDescriptor(
                endpoint, 0x0109, hub.devices[endpoint], 0, tuple(servers), hub.clients[endpoint]
            )

    def push(self, endpoint: int, cluster_id: int, frame: bytes, to: Eui64 = DEVICE) -> None:
        """Send the device a frame that it did not ask for."""
        self.node.request(
            self.state.addresses[to],
            source_endpoint=endpoint,
            destination_endpoint=1,
            profile_id=0x0109,
            cluster_id=cluster_id,
            payload=frame,
            aps_secured=cluster_id != 0x0000,
            done=lambda status: None,
        )

    def child_left(self, eui64: Eui64, nwk: int) -> None:
        self.gone.append(eui64)

    def zdo_observed(self, indication: Indication) -> None:
        if indication.cluster_id == 0x0013:
            self.announced.append(indication.source)

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        self.admissions.append((eui64, kind))
        return TrustCentreDecision.SEND_KEY if eui64 in self.hubs else TrustCentreDecision.DENY

    def data_received(self, indication: Indication) -> None:
        if indication.source_eui64 is None or len(indication.payload) < 3:
            return  # what misbehaving devices send
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
        settings.setdefault("rng", random.Random(3))
        return VirtualDevice(
            kind,
            air=self.air,
            install_code=CODE,
            identities=settings.pop("identities", {2: identity(DEVICE)}),  # type: ignore[arg-type]
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
