"""The parent's side: beacons, associations, rejoins, and the children (R22 3.6.1)."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import from_air, mac, nwk, to_air
from labctl.virtual.stack.nwk import NoRoute
from labctl.virtual.stack.types import Admission, Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node
    from labctl.virtual.stack.mac import Mac

DEFAULT_TIMEOUT = 8  # nwkEndDeviceTimeoutDefault: 256 minutes
UNAUTHENTICATED_S = 10.0
"""A child that has shown no network key by then is dropped (apsSecurityTimeOutPeriod)."""

LEAVE_WAIT_S = 2.0
"""How long a child that was told to go may take to say that it does."""

_REFUSED_PAYLOAD_SHORT = 0xFFFF


class Child:
    """A device whose parent we are, on the PHY that it joined or rejoined on."""

    __slots__ = (
        "authenticated",
        "capability",
        "eui64",
        "last_heard",
        "lqi",
        "nwk",
        "phy",
        "rx_on_when_idle",
        "timeout",
        "timer",
    )

    def __init__(self, eui64: bytes, short: int, capability: int, now: float, phy: int) -> None:
        self.eui64 = eui64
        self.nwk = short
        self.phy = phy
        self.capability = capability
        self.rx_on_when_idle = bool(capability & 0x08)
        self.timeout = DEFAULT_TIMEOUT
        self.authenticated = False
        self.last_heard = now
        self.lqi = 255
        self.timer: asyncio.TimerHandle | None = None


class Parent:
    """Children of this node. `children` is keyed by short address."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.loop = asyncio.get_running_loop()
        self.children: dict[int, Child] = {}
        self._permit_until = 0.0
        for eui64, stored in node.state.children.items():
            child = Child(
                to_air(eui64),
                int(stored["nwk"]),
                int(stored["capability"]),
                self.loop.time(),
                int(stored.get("phy", 0)),  # older states know of one PHY
            )
            child.timeout = int(stored["timeout"])
            child.authenticated = True
            self.children[child.nwk] = child

    def close(self) -> None:
        """The power is gone, or the network is."""
        for child in self.children.values():
            if child.timer is not None:
                child.timer.cancel()
        self.children.clear()

    # -- permission --------------------

    def permit_joining(self, seconds: int) -> None:
        """0 closes, 255 opens for good, else for so many seconds."""
        now = self.loop.time()
        self._permit_until = math.inf if seconds == 255 else now + seconds if seconds else 0.0

    @property
    def permits_joining(self) -> bool:
        """Whether associations are accepted now."""
        return self.loop.time() < self._permit_until

    def _up(self) -> bool:
        return self.node.state.joined and self.node.state.role is Role.COORDINATOR

    def beacon_requested(self, layer: Mac) -> None:
        """Somebody scans, on the channel of that PHY."""
        if not self._up():
            return
        state = self.node.state
        beacon = mac.ZigbeeBeacon(
            to_air(state.extended_pan_id),
            self.permits_joining,
            end_device_capacity=len(self.children) < self.node.max_children,
            update_id=state.update_id,
        )
        layer.beacon_sequence = (layer.beacon_sequence + 1) & 0xFF
        frame = mac.MacFrame(
            mac.Kind.BEACON,
            layer.beacon_sequence,
            beacon.encode(),
            source_pan=state.pan_id,
            source=state.nwk,
        )
        layer.send(frame.encode(), _ignore)

    # -- association --------------------

    def association_requested(self, eui64: bytes, capability: int, layer: Mac) -> None:
        """A MAC association request (R22 3.6.1.4.1.2). The answer waits there to be fetched."""
        if not self._up():
            return
        known = self._by_eui64(eui64)
        status = mac.AssociationStatus.SUCCESS
        short = _REFUSED_PAYLOAD_SHORT
        if not self.permits_joining:
            status = mac.AssociationStatus.ACCESS_DENIED
        elif capability & 0x02 or (known is None and len(self.children) >= self.node.max_children):
            # There are no routers in a star: a device that insists on being one finds no room.
            status = mac.AssociationStatus.AT_CAPACITY
        else:
            short = known.nwk if known is not None else self._free_address()
        state = self.node.state

        def build(pending: bool) -> bytes:
            return mac.MacFrame(
                mac.Kind.COMMAND,
                layer.next_sequence(),
                mac.association_response(short, status),
                state.pan_id,
                eui64,
                state.pan_id,
                to_air(state.eui64),
                ack_request=True,
                frame_pending=pending,
            ).encode()

        def sent(outcome: Outcome, pending: bool) -> None:
            if outcome is Outcome.SENT and status == mac.AssociationStatus.SUCCESS:
                self.node.nwk.security.forget_neighbour(eui64)
                self._adopt(eui64, short, capability, Admission.UNSECURED_JOIN, layer.phy)

        layer.kept.drop(eui64)
        layer.kept.keep(eui64, build, sent)

    def _by_eui64(self, eui64: bytes) -> Child | None:
        return next((each for each in self.children.values() if each.eui64 == eui64), None)

    def _free_address(self) -> int:
        """A random address that nobody known has (R22 3.6.1.6.2, stochastic assignment)."""
        taken = set(self.node.state.addresses.values()) | set(self.children)
        while True:
            short = self.node.rng.randrange(0x0001, 0xFFF8)
            if short not in taken:
                return short

    def _adopt(self, eui64: bytes, short: int, capability: int, kind: Admission, phy: int) -> None:
        old = self._by_eui64(eui64)
        if old is not None:
            self._forget(old)
        child = Child(eui64, short, capability, self.loop.time(), phy)
        if old is not None:
            child.timeout = old.timeout
        self.children[short] = child
        address = from_air(eui64)
        self.node.learn(eui64, short)
        if kind is Admission.SECURED_REJOIN:
            child.authenticated = True
        else:
            child.timer = self.loop.call_later(UNAUTHENTICATED_S, self._stayed_a_stranger, child)
        self._store(child)
        rejoin = kind is not Admission.UNSECURED_JOIN
        self.node.listener.child_joined(address, short, child.rx_on_when_idle, rejoin)
        self.node.trust_centre.consider(address, short, kind, self.node.state.nwk)

    def _store(self, child: Child) -> None:
        self.node.state.children[from_air(child.eui64)] = {
            "nwk": child.nwk,
            "capability": child.capability,
            "rx_on_when_idle": child.rx_on_when_idle,
            "timeout": child.timeout,
            "phy": child.phy,
        }
        self.node.listener.network_changed()

    def authenticated(self, child: Child) -> None:
        """A child has sent a frame under the network key."""
        child.authenticated = True
        if child.timer is not None:
            child.timer.cancel()
            child.timer = None

    def _stayed_a_stranger(self, child: Child) -> None:
        child.timer = None
        self.drop(child)

    # -- rejoin --------------------

    def rejoin_requested(
        self,
        frame: nwk.NwkFrame,
        capability: int,
        mac_source: int,
        secured: bool,
        way: Mac,
    ) -> None:
        """A NWK rejoin request (R22 3.6.1.4.2.2). A child of another PHY moves to this one."""
        if not self._up() or frame.source_eui64 is None:
            return
        eui64 = frame.source_eui64
        holder = self.children.get(frame.source)
        known = self._by_eui64(eui64)
        status, short = mac.AssociationStatus.SUCCESS, frame.source
        if capability & 0x02 or (known is None and len(self.children) >= self.node.max_children):
            status = mac.AssociationStatus.AT_CAPACITY
        elif (holder is not None and holder.eui64 != eui64) or short >= nwk.FIRST_BROADCAST:
            short = self._free_address()
        kind = Admission.SECURED_REJOIN if secured else Admission.UNSECURED_REJOIN

        def sent(outcome: Outcome, pending: bool) -> None:
            if outcome is Outcome.SENT and status == mac.AssociationStatus.SUCCESS:
                if not secured:
                    self.node.nwk.security.forget_neighbour(eui64)
                self._adopt(eui64, short, capability, kind, way.phy)

        layer = self.node.nwk
        response = nwk.NwkFrame(
            frame.source,
            self.node.state.nwk,
            1,
            layer.next_sequence(),
            kind=nwk.Kind.COMMAND,
            security=secured,
            destination_eui64=eui64,
            source_eui64=to_air(self.node.state.eui64),
        )
        header = response.encode_header()
        payload = nwk.rejoin_response(short, status)

        def build() -> bytes:
            return layer.security.seal(header, payload) if secured else header + payload

        if capability & 0x08:
            way.send_data(mac_source, build(), sent)
        else:
            way.kept.drop(mac_source)
            way.send_data_indirect(mac_source, build, sent)

    # -- keeping and losing children --------------------

    def timeout_requested(self, frame: nwk.NwkFrame, timeout: int) -> None:
        """An End Device Timeout request (R22 3.6.10.1)."""
        child = self.children.get(frame.source)
        if child is None:
            return
        valid = timeout < len(nwk.END_DEVICE_TIMEOUTS_S)
        if valid:
            child.timeout = timeout
            self._store(child)
        # Status 1 is INCORRECT_VALUE. Parent information: polls and requests both keep alive.
        payload = nwk.end_device_timeout_response(0 if valid else 1, 0x03)
        self.node.nwk.send_command(
            frame.source, payload, destination_eui64=child.eui64, with_source=True
        )

    def drop_silent_children(self) -> None:
        """Forget the children that have not been heard within their timeout (R22 3.6.10.2)."""
        now = self.loop.time()
        for child in list(self.children.values()):
            if now - child.last_heard > nwk.END_DEVICE_TIMEOUTS_S[child.timeout]:
                self.drop(child)

    def drop(self, child: Child) -> None:
        """Forget a child; its owner is told. It may still believe in us until it polls."""
        self._forget(child)
        address = from_air(child.eui64)
        self.node.state.children.pop(address, None)
        self.node.listener.child_left(address, child.nwk)
        self.node.listener.network_changed()

    def _forget(self, child: Child) -> None:
        if child.timer is not None:
            child.timer.cancel()
            child.timer = None
        self.children.pop(child.nwk, None)
        way = self.node.macs.get(child.phy)
        if way is not None:
            way.kept.drop(child.nwk)

    def child_gone(self, short: int, *, rejoin: bool) -> None:
        """A child says that it leaves."""
        child = self.children.get(short)
        if child is None or rejoin:
            return
        self.drop(child)
        self.node.trust_centre.consider(
            from_air(child.eui64), short, Admission.LEFT, self.node.state.nwk
        )

    def send_leave(self, child: Child, *, rejoin: bool = False) -> None:
        """Tell a child to go, and forget it once it has said so, or will not be heard again."""

        def sent(outcome: Outcome) -> None:
            if self.children.get(child.nwk) is not child:
                return
            if outcome is not Outcome.SENT or rejoin:
                self.drop(child)
                return
            # Its own leave follows, by which the trust centre is told that it is gone.
            if child.timer is not None:
                child.timer.cancel()
            child.timer = self.loop.call_later(LEAVE_WAIT_S, self.drop, child)

        try:
            self.node.nwk.send_command(
                child.nwk,
                nwk.leave(request=True, rejoin=rejoin),
                sent,
                destination_eui64=child.eui64,
            )
        except NoRoute:
            self.node.counters["nwk_no_route"] += 1


def _ignore(outcome: Outcome, pending: bool) -> None:
    """Nobody waits for a beacon."""
