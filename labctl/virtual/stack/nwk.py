"""The NWK layer of one node in a star: sending, broadcasts, and forwarding between children.

A coordinator and its end devices, one hop apart. There are no routers yet: nothing here discovers
routes, and frames for an address that is no child of the coordinator end as "no route". A router
role would add route discovery beside `_next_hop` and its own entry in `Parent`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import FrameError, mac, nwk, to_air
from labctl.virtual.frames.security import NWK_OVERHEAD
from labctl.virtual.stack.mac import Mac
from labctl.virtual.stack.nwk_security import NwkSecurity
from labctl.virtual.stack.types import Level, Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node

LINK_STATUS_S = 15.0  # nwkLinkStatusPeriod
BROADCAST_DELIVERY_S = 9.0  # nwkBroadcastDeliveryTime
MAX_PAYLOAD = mac.MAX_PSDU - mac.FCS_OCTETS - mac.DATA_HEADER_OCTETS - 8 - NWK_OVERHEAD
"""Octets for the APS frame in a secured NWK frame without long addresses: 90."""


class NoRoute(Exception):
    """The destination is no child of ours, and there are no routers to ask."""


class Nwk:
    """Between the APS layer and the MAC."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self.mac: Mac = node.mac
        self.loop = asyncio.get_running_loop()
        self.sequence = node.rng.randrange(256)
        self.counters = node.counters
        self.security = NwkSecurity(node)
        self._eui64 = to_air(self.state.eui64)
        self._broadcasts: dict[tuple[int, int], float] = {}
        self._broadcast_order: deque[tuple[float, tuple[int, int]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_end_device = self.state.role is Role.END_DEVICE
        self.on_rejoin_response: Callable[[nwk.NwkFrame, int, int, bool], None] | None = None

    def start(self) -> None:
        """The network is up."""
        if not self._is_end_device and self._timer is None:
            self._schedule_link_status()

    def stop(self) -> None:
        """The network is down, or the power is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def next_sequence(self) -> int:
        """The next NWK sequence number."""
        self.sequence = (self.sequence + 1) & 0xFF
        return self.sequence

    # -- sending --------------------

    def send_data(
        self,
        destination: int,
        payload: bytes,
        sent: Callable[[Outcome], None],
        *,
        radius: int = 30,
        secured: bool = True,
    ) -> None:
        """NLDE-DATA.request. `NoRoute` when nobody here leads to `destination`."""
        broadcast = nwk.is_broadcast(destination)
        control = 0x0008 if broadcast else 0x0048  # PRO; unicasts would enable route discovery
        if secured:
            control |= 0x0200
        if self._is_end_device:
            control |= 0x2000
        sequence = self.next_sequence()
        header = (
            (control | destination << 16).to_bytes(4, "little")
            + self.state.nwk.to_bytes(2, "little")
            + bytes((radius, sequence))
        )
        if broadcast:
            self._remember_broadcast((self.state.nwk, sequence))
        self._send(destination, header, payload, secured, sent)

    def send_command(
        self,
        destination: int,
        payload: bytes,
        sent: Callable[[Outcome], None] | None = None,
        *,
        radius: int = 1,
        secured: bool = True,
        destination_eui64: bytes | None = None,
        with_source: bool = True,
        source: int | None = None,
    ) -> None:
        """A NWK command. `NoRoute` as for data."""
        frame = nwk.NwkFrame(
            destination,
            self.state.nwk if source is None else source,
            radius,
            self.next_sequence(),
            kind=nwk.Kind.COMMAND,
            security=secured,
            destination_eui64=destination_eui64,
            source_eui64=self._eui64 if with_source else None,
        )
        self._send(destination, frame.encode_header(), payload, secured, sent or _ignore)

    def _send(
        self,
        destination: int,
        header: bytes,
        payload: bytes,
        secured: bool,
        sent: Callable[[Outcome], None],
    ) -> None:
        if self._is_end_device:
            layer, hop, sleeping = self.mac, self.state.parent, False  # broadcasts too (R22 3.6.5)
        elif nwk.is_broadcast(destination):
            self._send_broadcast(destination, header, payload, secured, sent)
            return
        else:
            hop = destination
            layer, sleeping = self._way_to_child(destination)

        def mac_sent(outcome: Outcome, pending: bool) -> None:
            sent(outcome)

        if sleeping:
            layer.send_data_indirect(
                hop,
                lambda: self.security.seal(header, payload) if secured else header + payload,
                mac_sent,
            )
        else:
            octets = self.security.seal(header, payload) if secured else header + payload
            layer.send_data(hop, octets, mac_sent)

    def _way_to_child(self, short: int) -> tuple[Mac, bool]:
        """The radio that it is to be reached by, and whether it has to fetch the frame."""
        child = self.node.parent.children.get(short)
        layer = None if child is None else self.node.macs.get(child.phy)
        if child is None or layer is None:
            raise NoRoute
        return layer, not child.rx_on_when_idle

    def _send_broadcast(
        self,
        destination: int,
        header: bytes,
        payload: bytes,
        secured: bool,
        sent: Callable[[Outcome], None],
    ) -> None:
        """On every PHY, with one security counter; to sleeping children one by one."""
        octets = self.security.seal(header, payload) if secured else header + payload
        layers = list(self.node.macs.values())
        outcomes: list[Outcome] = []

        def mac_sent(outcome: Outcome, pending: bool) -> None:
            outcomes.append(outcome)
            if len(outcomes) == len(layers):
                sent(min(outcomes))  # sent, if it went out anywhere

        for layer in layers:
            layer.send_data(mac.BROADCAST, octets, mac_sent)
        if destination == nwk.BROADCAST_ALL:
            for child in self.node.parent.children.values():
                way = self.node.macs.get(child.phy)
                if not child.rx_on_when_idle and way is not None:
                    way.send_data_indirect(
                        child.nwk, lambda: self.security.seal(header, payload), _ignore_mac
                    )

    # -- receiving --------------------

    def mac_data(
        self, mac_source: int, octets: bytes, rssi_dbm: int, lqi: int, phy: int = 0
    ) -> None:
        """A MAC data frame that came over that PHY. Raises `FrameError` when it is malformed; the
        MAC counts that."""
        frame = nwk.decode(octets)
        if frame.source == self.state.nwk and mac_source != frame.source:
            return  # our own broadcast, repeated by the parent
        secured = frame.security
        if secured:
            payload = self.security.open(frame)
            if payload is None:
                return
            if mac_source == frame.source:  # then whoever secured this hop is the originator
                self.node.learn(frame.body[5:13], mac_source)
            elif frame.source_eui64 is not None:
                self.node.learn(frame.source_eui64, frame.source)
        else:
            payload = frame.body
        self.heard(mac_source, phy, secured, lqi)
        if self._is_end_device and mac_source == self.state.parent:
            self.node.parent_heard = Level(lqi, rssi_dbm)
        if frame.destination == self.state.nwk:
            self._deliver(frame, payload, mac_source, rssi_dbm, lqi, secured, phy)
        elif not secured:
            self.counters["nwk_unsecured_dropped"] += 1
        elif nwk.is_broadcast(frame.destination):
            self._broadcast(frame, payload, mac_source, rssi_dbm, lqi, phy)
        elif not self._is_end_device:
            self._forward(frame, payload)

    def _deliver(
        self,
        frame: nwk.NwkFrame,
        payload: bytes,
        mac_source: int,
        rssi_dbm: int,
        lqi: int,
        secured: bool,
        phy: int,
    ) -> None:
        if frame.kind == nwk.Kind.DATA:
            if secured or self.node.joining.waits_for_key:
                self.node.aps.received(frame, payload, rssi_dbm, lqi, secured, phy)
            else:
                self.counters["nwk_unsecured_dropped"] += 1
            return
        self._command(frame, payload, mac_source, secured, phy)

    def _broadcast(
        self,
        frame: nwk.NwkFrame,
        payload: bytes,
        mac_source: int,
        rssi_dbm: int,
        lqi: int,
        phy: int,
    ) -> None:
        key = (frame.source, frame.sequence)
        if not self._remember_broadcast(key):
            return
        if frame.kind == nwk.Kind.COMMAND:
            self._command(frame, payload, mac_source, True, phy)
            return
        to_all = frame.destination == nwk.BROADCAST_ALL
        to_awake = frame.destination == nwk.BROADCAST_RX_ON and self.node.rx_on_when_idle
        to_routers = frame.destination == nwk.BROADCAST_ROUTERS and not self._is_end_device
        if not self._is_end_device and frame.radius > 1:
            # The children hear it from here. Nobody else repeats broadcasts in a star, so there
            # is no passive acknowledgement to wait for (R22 3.6.5).
            self._send(frame.destination, _one_hop_less(frame), payload, True, _ignore)
        if to_all or to_awake or to_routers:
            self.node.aps.received(frame, payload, rssi_dbm, lqi, True, phy)

    def _remember_broadcast(self, key: tuple[int, int]) -> bool:
        """The broadcast transaction table; False when this one is in it already."""
        now = self.loop.time()
        order = self._broadcast_order
        while order and order[0][0] <= now:
            expiry, old = order.popleft()
            if self._broadcasts.get(old) == expiry:
                del self._broadcasts[old]
        if key in self._broadcasts:
            return False
        expiry = now + BROADCAST_DELIVERY_S
        self._broadcasts[key] = expiry
        order.append((expiry, key))
        return True

    def _forward(self, frame: nwk.NwkFrame, payload: bytes) -> None:
        if frame.radius <= 1:
            return
        try:
            self._send(frame.destination, _one_hop_less(frame), payload, True, _ignore)
            self.counters["nwk_forwarded"] += 1
        except NoRoute:
            self.counters["nwk_no_route"] += 1
            # R22 3.6.3.3: tell the originator, 0x00 "no route available".
            self._try_command(frame.source, nwk.network_status(0x00, frame.destination))

    def _try_command(self, destination: int, payload: bytes) -> None:
        try:
            self.send_command(destination, payload)
        except NoRoute:
            self.counters["nwk_no_route"] += 1

    # -- commands --------------------

    def _command(
        self, frame: nwk.NwkFrame, payload: bytes, mac_source: int, secured: bool, phy: int
    ) -> None:
        if not payload:
            raise FrameError("a NWK command frame without a command")
        command = payload[0]
        if command == nwk.Command.REJOIN_REQUEST:
            self.node.parent.rejoin_requested(
                frame, nwk.decode_rejoin_request(payload), mac_source, secured, self.node.macs[phy]
            )
        elif command == nwk.Command.REJOIN_RESPONSE:
            short, status = nwk.decode_rejoin_response(payload)
            if self.on_rejoin_response is not None:
                self.on_rejoin_response(frame, short, status, secured)
        elif not secured:
            self.counters["nwk_unsecured_dropped"] += 1
        elif command == nwk.Command.LEAVE:
            self._leave_received(frame, payload, mac_source)
        elif command == nwk.Command.END_DEVICE_TIMEOUT_REQUEST:
            self.node.parent.timeout_requested(
                frame, nwk.decode_end_device_timeout_request(payload)
            )
        elif command == nwk.Command.NETWORK_STATUS:
            nwk.decode_network_status(payload)
            self.counters["nwk_status_received"] += 1

    def _leave_received(self, frame: nwk.NwkFrame, payload: bytes, mac_source: int) -> None:
        request, rejoin, _ = nwk.decode_leave(payload)
        eui64 = self.node.eui64_of(frame.source)
        if eui64 is not None:
            self.node.listener.leave_heard(eui64, frame.source, request=request, rejoin=rejoin)
        if not request:
            self.node.parent.child_gone(frame.source, rejoin=rejoin)
        elif self._is_end_device and mac_source == frame.source == self.state.parent:
            # R22 3.6.1.10.3: an end device obeys its parent and nobody else.
            self.node.told_to_leave(rejoin)

    def heard(self, short: int, phy: int, secured: bool = False, lqi: int = 255) -> None:
        """A sign of life from a neighbour."""
        child = self.node.parent.children.get(short)
        if child is not None and child.phy == phy:
            child.last_heard = self.loop.time()
            child.lqi = lqi
            if secured and not child.authenticated:
                self.node.parent.authenticated(child)

    def owes_a_leave(self, short: int, phy: int) -> bool:
        """Whether a poll from this address deserves a leave with rejoin: it takes us for its
        parent, and we do not know it there (R22 3.6.10.4)."""
        if self._is_end_device or not self.state.joined:
            return False
        child = self.node.parent.children.get(short)
        return child is None or child.phy != phy

    def polled_for_nothing(self, short: int, phy: int) -> None:
        """A poll found nothing waiting."""
        if self.owes_a_leave(short, phy):
            self.send_leave_to_stranger(short, phy)

    def send_leave_to_stranger(self, short: int, phy: int) -> None:
        """Tell a device that is no child (any more) on that PHY to rejoin."""
        frame = nwk.NwkFrame(
            short,
            self.state.nwk,
            1,
            self.next_sequence(),
            kind=nwk.Kind.COMMAND,
            source_eui64=self._eui64,
        )
        payload = nwk.leave(request=True, rejoin=True)
        octets = self.security.seal(frame.encode_header(), payload)
        self.node.macs[phy].send_data(short, octets, _ignore_mac)

    # -- link status --------------------

    def _schedule_link_status(self) -> None:
        delay = LINK_STATUS_S * self.node.rng.uniform(0.9, 1.1)
        self._timer = self.loop.call_later(delay, self._link_status)

    def _link_status(self) -> None:
        # No neighbour is a router, so the list is empty; Zigbee routers send it all the same, but
        # not where there can be no routers (nwkMacInterfaceTable, R22 3.6.3.4.1): below 1 GHz.
        if not self.mac.listens_before_talk:
            header, payload = self._link_status_frame()
            self.mac.send_data(mac.BROADCAST, self.security.seal(header, payload), _ignore_mac)
        self.node.parent.drop_silent_children()
        self._schedule_link_status()

    def _link_status_frame(self) -> tuple[bytes, bytes]:
        frame = nwk.NwkFrame(
            nwk.BROADCAST_ROUTERS,
            self.state.nwk,
            1,
            self.next_sequence(),
            kind=nwk.Kind.COMMAND,
            security=True,
            source_eui64=self._eui64,
        )
        return frame.encode_header(), nwk.link_status([])


def _ignore(outcome: Outcome) -> None:
    """Nobody waits for this frame."""


def _ignore_mac(outcome: Outcome, pending: bool) -> None:
    """Nobody waits for this frame."""


def _one_hop_less(frame: nwk.NwkFrame) -> bytes:
    """The header to forward a frame with: all as received but the radius, octet 6."""
    header = frame.header
    return header[:6] + bytes((frame.radius - 1,)) + header[7:]
