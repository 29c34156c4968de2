"""A coordinator and devices on one air, for the tests of the node."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual import clock
from labctl.virtual.air import Air
from labctl.virtual.node import (
    Admission,
    Indication,
    JoinFailure,
    LinkKey,
    Node,
    NodeListener,
    NodeState,
    Role,
    SimpleDescriptor,
    TrustCentreDecision,
)
from labctl.virtual.propagation import Propagation

HUB = Eui64("00:0d:6f:00:00:00:00:01")
CAD = Eui64("00:12:4b:00:00:00:00:aa")
NETWORK_KEY = bytes(range(0x20, 0x30))
LINK_KEY = bytes(range(0x40, 0x50))
EXTENDED_PAN = Eui64("de:ad:be:ef:00:00:00:01")
CLEAN = Propagation(shadowing_db=0.0, asymmetry_db=0.0)
SE = 0x0109

_T = TypeVar("_T")


class Listener(NodeListener):
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.decision = TrustCentreDecision.SEND_KEY
        self.data: list[Indication] = []
        self.observed: list[Indication] = []
        self.joined: list[tuple[Eui64, int, bool, bool]] = []
        self.admissions: list[Admission] = []
        self.children_left: list[Eui64] = []
        self.keys: list[tuple[str, Eui64 | None]] = []
        self.lefts: list[bool] = []
        self.changes = 0
        self.parents_lost = 0
        self.broker = False
        self.on_data: Callable[[Indication], None] | None = None
        self.on_change: Callable[[], None] | None = None

    def data_received(self, indication: Indication) -> None:
        self.data.append(indication)
        if self.on_data is not None:
            self.on_data(indication)

    def zdo_observed(self, indication: Indication) -> None:
        self.observed.append(indication)

    def child_joined(self, eui64: Eui64, nwk: int, rx_on_when_idle: bool, rejoin: bool) -> None:
        self.joined.append((eui64, nwk, rx_on_when_idle, rejoin))

    def child_left(self, eui64: Eui64, nwk: int) -> None:
        self.children_left.append(eui64)

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        self.admissions.append(kind)
        return self.decision

    def application_key_requested(self, requester: Eui64, partner: Eui64) -> bool:
        return self.broker

    def key_received(self, kind: str, partner: Eui64 | None) -> None:
        self.keys.append((kind, partner))

    def left(self, rejoin: bool) -> None:
        self.lefts.append(rejoin)

    def parent_lost(self) -> None:
        self.parents_lost += 1

    def network_changed(self) -> None:
        self.changes += 1
        if self.on_change is not None:
            self.on_change()


class Room:
    """An air with a coordinator that has formed, and room for devices."""

    def __init__(self, seed: int = 1, propagation: Propagation | None = None) -> None:
        self.seed = seed
        self.air = Air(rng=random.Random(seed), propagation=propagation or CLEAN)
        self.hub_heard = Listener()
        self.hub = Node(
            self.air,
            NodeState(HUB, Role.COORDINATOR),
            self.hub_heard,
            rng=random.Random(seed + 1),
            tx_power_dbm=8,
        )
        self.hub.endpoints[1] = SimpleDescriptor(1, SE, 0x0500, 0, (0x000A, 0x0701, 0x0702), ())
        self.hub.power_on()
        self.hub.form(
            page=0,
            channel=15,
            pan_id=0x1A62,
            extended_pan_id=EXTENDED_PAN,
            network_key=NETWORK_KEY,
        )
        self.heard: dict[Eui64, Listener] = {}

    def device(
        self,
        eui64: Eui64 = CAD,
        *,
        link_key: bytes = LINK_KEY,
        known: bool = True,
        rx_on: bool = True,
        position: tuple[float, float, float] = (3.0, 0.0, 0.0),
        reassemble: bool = True,
    ) -> Node:
        """A device with its power on, whose link key the hub has if it is `known`."""
        if known:
            self.hub.state.link_keys[eui64] = LinkKey(eui64, link_key)
        listener = self.heard[eui64] = Listener()
        node = Node(
            self.air,
            NodeState(eui64, Role.END_DEVICE),
            listener,
            rng=random.Random(f"{self.seed} {eui64}"),
            position=position,
            rx_on_when_idle=rx_on,
            mains_powered=rx_on,
            reassemble=reassemble,
        )
        node.endpoints[2] = SimpleDescriptor(2, SE, 0x0502, 0, (), (0x000A, 0x0702))
        node.power_on()
        return node

    async def join(self, node: Node, *, link_key: bytes = LINK_KEY) -> JoinFailure | None:
        """Scan and join."""
        self.hub.permit_joining(60)
        beacons = await node.active_scan([11, 15])
        assert len(beacons) == 1, beacons
        return await node.join(beacons[0], link_key=link_key)

    async def joined(self, eui64: Eui64 = CAD, **options: Any) -> Node:
        """A device that is on the network, with its announcement heard."""
        node = self.device(eui64, **options)
        assert await self.join(node) is None
        await node.sleep(0.5)
        return node


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """On the clock that jumps. What raises in a callback fails the test too."""
    raised: list[object] = []

    async def watched() -> _T:
        handler: Callable[..., None] = lambda loop, context: raised.append(context)  # noqa: E731
        asyncio.get_running_loop().set_exception_handler(handler)
        return await main

    result = clock.run(watched(), fast=True)
    assert not raised
    return result


async def send(node: Node, to: int, payload: bytes, **options: Any) -> Any:
    """A Smart Energy frame from the node's first endpoint to endpoint 1 or 2 of the other."""
    source = min(node.endpoints)
    return await node.send(
        to,
        source_endpoint=source,
        destination_endpoint=3 - source,
        profile_id=SE,
        cluster_id=0x0702,
        payload=payload,
        **options,
    )
