"""ZDO: requests that the host has the firmware send, and what it asks of the coordinator."""

from __future__ import annotations

import struct

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import nwk
from labctl.virtual.node import Status
from labctl.virtual.znp.codec import BROADCAST, eui64_octets
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.status import Z, as_octet
from labctl.virtual.znp.structures import NOBODY

CHANGE_CHANNEL, CHANGE_MANAGER = 0xFE, 0xFF
"""Scan durations that mean something else."""

BROADCAST_RX_ON, BROADCAST_ROUTERS = 0xFFFD, 0xFFFC
NO_ENTRY = 4
_ENERGY_SCAN = range(0x06)


class ZdoRequests(Part):
    """Each answers SUCCESS once the request is on its way; the response is heard later."""

    def send(
        self, destination: int, cluster_id: int, body: bytes, *, sequence: int | None = None
    ) -> Z:
        """A ZDO frame from endpoint 0; to ourselves it takes the short way."""
        node = self.znp.network.node
        if node is None:
            return Z.NWK_INVALID_REQUEST
        if sequence is None:
            sequence = node.objects.client.next_sequence()
        refused = node.request(
            destination,
            source_endpoint=0,
            destination_endpoint=0,
            profile_id=0,
            cluster_id=cluster_id,
            payload=bytes((sequence,)) + body,
            ack=not nwk.is_broadcast(destination),
            done=_nobody_waits,
        )
        return Z.SUCCESS if refused is None else as_octet(refused)

    # -- questions to devices ----------------------------------------------------------------------

    def zdo_nwk_addr_req(self, eui64: Eui64, kind: int, start: int) -> Answer:
        """Broadcast; what the coordinator knows it asks itself."""
        node = self.znp.network.node
        known = node is not None and (eui64 == node.state.eui64 or eui64 in node.state.children)
        body = eui64_octets(eui64) + bytes((kind, start))
        return self.send(0x0000 if known else BROADCAST_RX_ON, 0x0000, body)

    def zdo_ieee_addr_req(self, short: int, kind: int, start: int) -> Answer:
        """Of one device."""
        return self.send(short, 0x0001, struct.pack("<HBB", short, kind, start))

    def zdo_node_desc_req(self, destination: int, interest: int) -> Answer:
        """Of one device."""
        return self.send(destination, 0x0002, struct.pack("<H", interest))

    def zdo_power_desc_req(self, destination: int, interest: int) -> Answer:
        """Of one device."""
        return self.send(destination, 0x0003, struct.pack("<H", interest))

    def zdo_simple_desc_req(self, destination: int, interest: int, endpoint: int) -> Answer:
        """Of one endpoint."""
        return self.send(destination, 0x0004, struct.pack("<HB", interest, endpoint))

    def zdo_active_ep_req(self, destination: int, interest: int) -> Answer:
        """Of one device."""
        return self.send(destination, 0x0005, struct.pack("<H", interest))

    def zdo_match_desc_req(
        self,
        destination: int,
        interest: int,
        profile_id: int,
        input_clusters: tuple[int, ...],
        output_clusters: tuple[int, ...],
    ) -> Answer:
        """Of one device or of all."""
        body = struct.pack("<HH", interest, profile_id)
        for clusters in (input_clusters, output_clusters):
            body += struct.pack(f"<B{len(clusters)}H", len(clusters), *clusters)
        return self.send(destination, 0x0006, body)

    def zdo_end_device_annce(self, short: int, eui64: Eui64, capability: int) -> Answer:
        """Broadcast."""
        body = struct.pack("<H8sB", short, eui64_octets(eui64), capability)
        return self.send(BROADCAST_RX_ON, 0x0013, body)

    def zdo_bind_req(
        self, destination: int, source: Eui64, source_endpoint: int, cluster_id: int, target: bytes
    ) -> Answer:
        """Have a device report to somebody."""
        return self._bind(0x0021, destination, source, source_endpoint, cluster_id, target)

    def zdo_unbind_req(
        self, destination: int, source: Eui64, source_endpoint: int, cluster_id: int, target: bytes
    ) -> Answer:
        """And no longer so."""
        return self._bind(0x0022, destination, source, source_endpoint, cluster_id, target)

    def _bind(
        self,
        request: int,
        destination: int,
        source: Eui64,
        source_endpoint: int,
        cluster_id: int,
        target: bytes,
    ) -> Z:
        if not target or (target[0] == 0x03 and len(target) < 10):
            return Z.INVALID_PARAMETER
        # On the line an address always has eight octets; on the air a group has two.
        target = target[:10] if target[0] == 0x03 else target[:3]
        head = struct.pack("<8sBH", eui64_octets(source), source_endpoint, cluster_id)
        return self.send(destination, request, head + target)

    def zdo_mgmt_lqi_req(self, destination: int, start: int) -> Answer:
        """Neighbours of one device."""
        return self.send(destination, 0x0031, bytes((start,)))

    def zdo_mgmt_rtg_req(self, destination: int, start: int) -> Answer:
        """Routes of one device."""
        return self.send(destination, 0x0032, bytes((start,)))

    def zdo_mgmt_bind_req(self, destination: int, start: int) -> Answer:
        """Bindings of one device."""
        return self.send(destination, 0x0033, bytes((start,)))

    def zdo_mgmt_leave_req(self, destination: int, eui64: Eui64, options: int) -> Answer:
        """Have a device leave. On the line rejoining is bit 0, on the air bit 7."""
        body = eui64_octets(eui64) + bytes(((options & 1) << 7 | (options & 2) << 5,))
        return self.send(destination, 0x0034, body)

    def zdo_mgmt_permit_join_req(
        self, mode: int, destination: int, duration: int, significance: int
    ) -> Answer:
        """The only way to have the key given out: the coordinator opens as well, unless it is
        another device that is asked. As a broadcast the other routers hear of it too."""
        body = bytes((duration, significance))
        to_all = nwk.is_broadcast(destination)
        if not to_all:
            return self.send(destination, 0x0036, body)
        if mode == BROADCAST:
            self.send(destination, 0x0036, body)
        return self.send(0x0000, 0x0036, body)

    def zdo_mgmt_nwk_update_req(
        self,
        destination: int,
        mode: int,
        channels: int,
        duration: int,
        count: int,
        manager: int,
    ) -> Answer:
        """A scan of somebody, or another channel for everybody."""
        node = self.znp.network.node
        if node is None:
            return Z.NWK_INVALID_REQUEST
        body = struct.pack("<IB", channels, duration)
        if duration in _ENERGY_SCAN:
            body += bytes((count,))
        elif duration == CHANGE_CHANNEL:
            body += bytes(((node.state.update_id + 1) & 0xFF,))
        elif duration == CHANGE_MANAGER:
            body += struct.pack("<BH", (node.state.update_id + 1) & 0xFF, manager)
        else:
            return Z.INVALID_PARAMETER
        if nwk.is_broadcast(destination):
            self.send(destination, 0x0038, body)
            destination = 0x0000  # a coordinator does not hear its own broadcasts
        return self.send(destination, 0x0038, body)

    def zdo_send_data(
        self, destination: int, transaction: int, cluster_id: int, data: bytes
    ) -> Answer:
        """Any ZDO frame; a length is before its body."""
        body = data[1 : 1 + data[0]] if data else b""
        return self.send(destination, cluster_id, body, sequence=transaction)

    # -- the coordinator itself --------------------------------------------------------------------

    def zdo_ext_route_disc(self, destination: int, options: int, radius: int) -> Answer:
        """With every device one hop away there is nothing to discover."""
        return Z.SUCCESS

    def zdo_ext_route_chk(self, destination: int, wanted: int, options: int) -> Answer:
        """SUCCESS, or 4 when no way is known."""
        return {"status": Z.SUCCESS if self.znp.zdo.known(destination) else NO_ENTRY}

    def zdo_ext_nwk_info(self) -> Answer:
        """Of the network."""
        nib = self.znp.network.nib
        return {
            "short": nib.short,
            "state": self.znp.network.device_state,
            "pan_id": nib.pan_id,
            "parent": 0x0000,
            "extended_pan_id": nib.extended_pan_id,
            "parent_eui64": NOBODY,
            "channel": nib.channel,
        }


def _nobody_waits(status: Status) -> None:
    """The response, if one comes, is all that matters."""
