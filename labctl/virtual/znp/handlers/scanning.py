"""Scans, and the change of the channel."""

from __future__ import annotations

import struct

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import zdp
from labctl.virtual.node import Beacon, Indication, Node, NodeState, Role
from labctl.virtual.znp.codec import eui64_octets
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.handlers.network import CHANNELS
from labctl.virtual.znp.handlers.zdo_requests import CHANGE_CHANNEL, CHANGE_MANAGER
from labctl.virtual.znp.status import Z

CHANNEL_CHANGE_S = 3.0
"""From the request to the new channel: the time that a broadcast takes to reach everybody."""

FLOOR_DBM, CEILING_DBM = -87, -10
"""Energies are told as 0 to 255, spread evenly between these."""

MAX_DURATION = 14
BEACONS_IN_A_FRAME = 8
_BEACON = struct.Struct("<HH9B8s")
_PROTOCOL = 2


class Scanning(Part):
    """One scan at a time."""

    def boot(self) -> None:
        """None is under way."""
        self._scanning = False

    def update_requested(self, indication: Indication, body: bytes) -> None:
        """A Mgmt_NWK_Update_req, from the air or from ourselves (R22 2.4.3.3.9)."""
        if len(body) < 6:
            self.znp.zdo.answer(indication, _notify(zdp.ZdpStatus.INV_REQUESTTYPE))
            return
        mask, duration = struct.unpack_from("<IB", body)
        channels = [each for each in CHANNELS if mask >> each & 1]
        if duration == CHANGE_CHANNEL:
            if channels:
                self.znp.later(CHANNEL_CHANGE_S, self._change, channels[0], body[5])
        elif duration == CHANGE_MANAGER:
            return  # the coordinator stays the manager
        elif duration <= 5 and body[5]:
            self.znp.spawn(self._measure(indication, mask, channels, duration, body[5]))
        else:
            self.znp.zdo.answer(indication, _notify(zdp.ZdpStatus.INV_REQUESTTYPE))

    def _change(self, channel: int, update_id: int) -> None:
        node = self.znp.network.node
        if node is not None:
            node.state.update_id = update_id
            node.set_phy_channel(0, 0, channel)

    async def _measure(
        self, indication: Indication, mask: int, channels: list[int], duration: int, count: int
    ) -> None:
        node = self.znp.network.node
        if node is None or self._scanning:
            return
        self._scanning = True
        try:
            for _ in range(count):
                energies = await self.energies(node, channels, duration)
                values = bytes(energies[channel] for channel in channels)
                self.znp.zdo.answer(indication, _notify(zdp.ZdpStatus.SUCCESS, mask, values))
        finally:
            self._scanning = False

    async def energies(self, node: Node, channels: list[int], duration: int) -> dict[int, int]:
        """Peaks, 0 to 255, by channel."""
        if not channels:
            return {}
        found = await node.energy_scan(channels, duration)
        return {channel: energy(dbm) for channel, dbm in found.items()}

    def bare_node(self) -> Node:
        """A radio that listens and belongs to no network."""
        state = NodeState(self.znp.network.eui64, Role.COORDINATOR)
        return self.znp.make_node(state, self.znp.silent_listener, max_children=0)

    def zdo_network_discovery_req(self, channels: int, duration: int) -> Answer:
        """An active scan, which a stick on a network does not do."""
        if self.znp.network.node is not None:
            return Z.NWK_INVALID_REQUEST
        if self._scanning:
            return Z.MAC_SCAN_IN_PROGRESS
        wanted = [each for each in CHANNELS if channels >> each & 1]
        if not wanted or duration > MAX_DURATION:
            return Z.INVALID_PARAMETER
        self._scanning = True
        self.znp.spawn(self._discover(wanted, duration))
        return Z.SUCCESS

    async def _discover(self, channels: list[int], duration: int) -> None:
        node = self.bare_node()
        node.power_on()
        try:
            beacons = await node.active_scan(channels, duration)
        finally:
            node.power_off()
            self._scanning = False
        for at in range(0, len(beacons), BEACONS_IN_A_FRAME):
            some = beacons[at : at + BEACONS_IN_A_FRAME]
            self.znp.notify(
                "zdo_beacon_notify_ind", count=len(some), beacons=b"".join(map(_beacon, some))
            )
        self.znp.notify("zdo_nwk_discovery_cnf", status=Z.SUCCESS)


def energy(dbm: float) -> int:
    """0 to 255."""
    share = (dbm - FLOOR_DBM) / (CEILING_DBM - FLOOR_DBM)
    return max(0, min(255, round(share * 255)))


def _notify(status: zdp.ZdpStatus, mask: int = 0, values: bytes = b"") -> bytes:
    return struct.pack("<BIHHB", status, mask, 0, 0, len(values)) + values


def _beacon(beacon: Beacon) -> bytes:
    extended: Eui64 = beacon.extended_pan_id
    return _BEACON.pack(
        beacon.source,
        beacon.pan_id,
        beacon.channel,
        beacon.permit_joining,
        beacon.router_capacity,
        beacon.end_device_capacity,
        _PROTOCOL,
        beacon.stack_profile,
        beacon.lqi,
        beacon.depth,
        beacon.update_id,
        eui64_octets(extended),
    )
