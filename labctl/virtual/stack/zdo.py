"""Zigbee Device Objects: answers to discovery and management requests (R22 2.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from labctl.smart_energy.channels import channels_of_mask
from labctl.virtual.frames import FrameError, mac, nwk, to_air, zdp
from labctl.virtual.frames.zdp import Cluster, Fields, ZdpStatus
from labctl.virtual.phy import is_sub_ghz
from labctl.virtual.stack.types import Indication, Role, SimpleDescriptor
from labctl.virtual.stack.zdo_client import ZdoClient

if TYPE_CHECKING:
    from labctl.virtual.node import Node

STACK_REVISION = 22
PRIMARY_TRUST_CENTRE = 0x0001  # server mask, R22 table 2.32
LQI_ENTRIES = 3  # of 22 octets each in one frame
MAX_BINDINGS = 32

CHANGE_CHANNEL = 0xFE
"""The scan duration of a Mgmt_NWK_Update_req that means "go to this channel" (R22 2.4.3.3.9)."""

_SUCCESS = bytes((ZdpStatus.SUCCESS,))


class Zdo:
    """Endpoint 0."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self.client = ZdoClient(node, self._send)
        self._servers: dict[int, Callable[[Indication, bytes], bytes | None]] = {
            Cluster.NWK_ADDR: self._nwk_addr,
            Cluster.IEEE_ADDR: self._ieee_addr,
            Cluster.NODE_DESC: self._node_desc,
            Cluster.POWER_DESC: self._power_desc,
            Cluster.SIMPLE_DESC: self._simple_desc,
            Cluster.ACTIVE_EP: self._active_ep,
            Cluster.MATCH_DESC: self._match_desc,
            Cluster.PARENT_ANNCE: self._parent_announce,
            Cluster.BIND: self._bind,
            Cluster.UNBIND: self._unbind,
            Cluster.MGMT_LQI: self._mgmt_lqi,
            Cluster.MGMT_BIND: self._mgmt_bind,
            Cluster.MGMT_LEAVE: self._mgmt_leave,
            Cluster.MGMT_PERMIT_JOINING: self._mgmt_permit,
            Cluster.MGMT_NWK_UPDATE: self._mgmt_nwk_update,
        }

    def announce(self) -> None:
        """Device_annce (R22 2.4.3.1.11), to all that listen."""
        body = zdp.device_announce(self.state.nwk, to_air(self.state.eui64), self.node.capability)
        self._send(nwk.BROADCAST_RX_ON, Cluster.DEVICE_ANNCE, self.client.next_sequence(), body)

    # -- server --------------------

    def received(self, indication: Indication) -> None:
        """A ZDO frame."""
        node = self.node
        if not indication.payload:
            raise FrameError("a ZDP frame without a sequence number")
        node.listener.zdo_observed(indication)
        sequence, body = indication.payload[0], indication.payload[1:]
        cluster = indication.cluster_id
        if cluster & zdp.RESPONSE:
            self.client.answered(indication.source, cluster, sequence, body)
            return
        if cluster == Cluster.DEVICE_ANNCE:
            self._device_announce(indication, body)
        if node.listener.zdo_request(indication) or cluster == Cluster.DEVICE_ANNCE:
            return
        server = self._servers.get(cluster)
        broadcast = nwk.is_broadcast(indication.destination)
        if server is None:
            answer = None if broadcast else bytes((ZdpStatus.NOT_SUPPORTED,))
        else:
            try:
                answer = server(indication, body)
            except FrameError:
                node.counters["zdo_malformed"] += 1
                answer = None if broadcast else bytes((ZdpStatus.INV_REQUESTTYPE,))
        if answer is not None:
            self._send(indication.source, cluster | zdp.RESPONSE, sequence, answer)

    def _send(self, destination: int, cluster: int, sequence: int, body: bytes) -> None:
        self.node.request(
            destination,
            source_endpoint=0,
            destination_endpoint=0,
            profile_id=0,
            cluster_id=cluster,
            payload=bytes((sequence,)) + body,
            ack=not nwk.is_broadcast(destination),
            done=lambda status: None,
        )

    def _is_us(self, short: int) -> bool:
        return short == self.state.nwk

    def _of_interest(self, indication: Indication, short: int) -> bool:
        return self._is_us(short) or (
            nwk.is_broadcast(short) and nwk.is_broadcast(indication.destination)
        )

    def _nwk_addr(self, indication: Indication, body: bytes) -> bytes | None:
        fields = Fields(body)
        wanted, kind, start = fields.take(8), fields.u8(), fields.u8()
        short = self.state.nwk if wanted == to_air(self.state.eui64) else None
        if short is None:
            short = next(
                (c.nwk for c in self.node.parent.children.values() if c.eui64 == wanted), None
            )
        return self._address_response(indication, wanted, short, kind, start)

    def _ieee_addr(self, indication: Indication, body: bytes) -> bytes | None:
        fields = Fields(body)
        short, kind, start = fields.u16(), fields.u8(), fields.u8()
        if self._is_us(short):
            return self._address_response(indication, to_air(self.state.eui64), short, kind, start)
        child = self.node.parent.children.get(short)
        eui64 = bytes(8) if child is None else child.eui64
        known = None if child is None else short
        return self._address_response(indication, eui64, known, kind, start, asked=short)

    def _address_response(
        self,
        indication: Indication,
        eui64: bytes,
        short: int | None,
        kind: int,
        start: int,
        asked: int = 0xFFFF,
    ) -> bytes | None:
        """NWK_addr_rsp, IEEE_addr_rsp (R22 2.4.4.2.1): a broadcast for others gets silence."""
        if short is None:
            if nwk.is_broadcast(indication.destination):
                return None
            return bytes((ZdpStatus.DEVICE_NOT_FOUND,)) + eui64 + zdp.u16(asked)
        head = _SUCCESS + eui64 + zdp.u16(short)
        if kind == 0:
            return head
        if kind != 1:
            return bytes((ZdpStatus.INV_REQUESTTYPE,)) + eui64 + zdp.u16(short)
        children = sorted(self.node.parent.children) if self._is_us(short) else []
        return head + bytes((len(children), start)) + zdp.u16(*children[start : start + 20])

    def _node_desc(self, indication: Indication, body: bytes) -> bytes:
        short = Fields(body).u16()
        if not self._is_us(short):
            return self._not_here(short) + zdp.u16(short)
        node = self.node
        coordinator = self.state.role is Role.COORDINATOR
        mask = STACK_REVISION << 9 | (PRIMARY_TRUST_CENTRE if coordinator else 0)
        descriptor = zdp.NodeDescriptor(
            logical_type=0 if coordinator else 2,
            capability=node.capability,
            manufacturer_code=node.manufacturer_code,
            max_buffer=82,
            max_incoming=node.max_transfer,
            max_outgoing=node.max_transfer,
            server_mask=mask,
            frequency_bands=_frequency_bands(node),
        )
        return _SUCCESS + zdp.u16(short) + descriptor.encode()

    def _not_here(self, short: int) -> bytes:
        """DEVICE_NOT_FOUND, or NO_DESCRIPTOR for a child whose descriptors are its own business."""
        child = short in self.node.parent.children
        return bytes((ZdpStatus.NO_DESCRIPTOR if child else ZdpStatus.DEVICE_NOT_FOUND,))

    def _power_desc(self, indication: Indication, body: bytes) -> bytes:
        short = Fields(body).u16()
        if not self._is_us(short):
            return self._not_here(short) + zdp.u16(short)
        # R22 2.3.2.4: mode 0 follows rxOnWhenIdle; source mains or disposable battery; level 100 %.
        source = 0x1 if self.node.mains_powered else 0x4
        return _SUCCESS + zdp.u16(short, source << 4 | source << 8 | 0xC << 12)

    def _simple_desc(self, indication: Indication, body: bytes) -> bytes:
        fields = Fields(body)
        short, endpoint = fields.u16(), fields.u8()
        if not self._is_us(short):
            return self._not_here(short) + zdp.u16(short) + b"\x00"
        if not 1 <= endpoint <= 254:
            return bytes((ZdpStatus.INVALID_EP,)) + zdp.u16(short) + b"\x00"
        found = self.node.endpoints.get(endpoint)
        if found is None:
            return bytes((ZdpStatus.NOT_ACTIVE,)) + zdp.u16(short) + b"\x00"
        octets = zdp.encode_simple_descriptor(
            found.endpoint,
            found.profile_id,
            found.device_id,
            found.device_version,
            found.input_clusters,
            found.output_clusters,
        )
        return _SUCCESS + zdp.u16(short) + bytes((len(octets),)) + octets

    def _active_ep(self, indication: Indication, body: bytes) -> bytes:
        short = Fields(body).u16()
        if not self._is_us(short):
            return self._not_here(short) + zdp.u16(short) + b"\x00"
        endpoints = sorted(self.node.endpoints)
        return _SUCCESS + zdp.u16(short) + bytes((len(endpoints), *endpoints))

    def _match_desc(self, indication: Indication, body: bytes) -> bytes | None:
        """Match_Desc (R22 2.4.3.1.7, 2.4.4.2.7).

        A broadcast is answered on a match only. A unicast is always answered: without a match with
        SUCCESS and an empty list, as EmberZNet does and displays expect.
        """
        request = zdp.MatchRequest.decode(body)
        broadcast = nwk.is_broadcast(indication.destination)
        if not self._of_interest(indication, request.address):
            if broadcast:
                return None
            return self._not_here(request.address) + zdp.u16(request.address) + b"\x00"
        matching = sorted(
            each.endpoint for each in self.node.endpoints.values() if _matches(each, request)
        )
        if broadcast and not matching:
            return None
        return _SUCCESS + zdp.u16(self.state.nwk) + bytes((len(matching), *matching))

    def _device_announce(self, indication: Indication, body: bytes) -> None:
        short, eui64, _ = zdp.decode_device_announce(body)
        if short < nwk.FIRST_BROADCAST:
            self.node.learn(eui64, short)

    def _parent_announce(self, indication: Indication, body: bytes) -> bytes | None:
        """Only routers have children that might have moved to another parent: none here."""
        return None

    def _bind(self, indication: Indication, body: bytes) -> bytes:
        binding = zdp.Binding.decode(body)
        status = self._binding_status(binding)
        if status is ZdpStatus.SUCCESS:
            entry = binding.encode().hex()
            if entry not in self.state.bindings:
                if len(self.state.bindings) >= MAX_BINDINGS:
                    return bytes((ZdpStatus.TABLE_FULL,))
                self.state.bindings.append(entry)
                self.node.listener.network_changed()
        return bytes((status,))

    def _binding_status(self, binding: zdp.Binding) -> ZdpStatus:
        if binding.source != to_air(self.state.eui64):
            return ZdpStatus.NOT_SUPPORTED
        if binding.endpoint not in self.node.endpoints:
            return ZdpStatus.INVALID_EP
        return ZdpStatus.SUCCESS

    def _unbind(self, indication: Indication, body: bytes) -> bytes:
        binding = zdp.Binding.decode(body)
        status = self._binding_status(binding)
        if status is ZdpStatus.SUCCESS:
            entry = binding.encode().hex()
            if entry not in self.state.bindings:
                return bytes((ZdpStatus.NO_ENTRY,))
            self.state.bindings.remove(entry)
            self.node.listener.network_changed()
        return bytes((status,))

    def _mgmt_bind(self, indication: Indication, body: bytes) -> bytes:
        start = Fields(body).u8()
        bindings = [bytes.fromhex(each) for each in self.state.bindings]
        shown = bindings[start : start + 3]
        return _SUCCESS + bytes((len(bindings), start, len(shown))) + b"".join(shown)

    def _mgmt_lqi(self, indication: Indication, body: bytes) -> bytes:
        start = Fields(body).u8()
        network = to_air(self.state.extended_pan_id)
        entries = []
        if self.state.role is Role.END_DEVICE and self.state.parent_eui64 is not None:
            # Coordinator, receiver on, relationship parent; permission unknown, depth 0.
            head = network + to_air(self.state.parent_eui64) + zdp.u16(self.state.parent)
            heard = self.node.parent_heard
            entries.append(head + bytes((0x04, 0x02, 0x00, 0xFF if heard is None else heard.lqi)))
        for _, child in sorted(self.node.parent.children.items()):
            awake = 0x04 if child.rx_on_when_idle else 0x00
            head = network + child.eui64 + zdp.u16(child.nwk)
            # End device, relationship child; permission 0, depth 1.
            entries.append(head + bytes((0x02 | awake | 0x10, 0x00, 0x01, child.lqi)))
        shown = entries[start : start + LQI_ENTRIES]
        return _SUCCESS + bytes((len(entries), start, len(shown))) + b"".join(shown)

    def _mgmt_leave(self, indication: Indication, body: bytes) -> bytes:
        """Mgmt_Leave_req (R22 2.4.3.3.5): ourselves, or a child of ours."""
        fields = Fields(body)
        wanted, options = fields.take(8), fields.u8()
        rejoin = bool(options & 0x80)
        if wanted in (bytes(8), to_air(self.state.eui64)):
            if self.state.role is not Role.END_DEVICE:
                return bytes((ZdpStatus.NOT_SUPPORTED,))
            # Answer first: afterwards there is no key to answer with.
            self.node.leave_soon(rejoin)
            return _SUCCESS
        for child in self.node.parent.children.values():
            if child.eui64 == wanted:
                self.node.parent.send_leave(child, rejoin=rejoin)
                return _SUCCESS
        return bytes((ZdpStatus.DEVICE_NOT_FOUND,))

    def _mgmt_permit(self, indication: Indication, body: bytes) -> bytes | None:
        fields = Fields(body)
        # R22 2.4.3.3.7.2: 0xFF counts as 0xFE, nobody opens for good over the air.
        self.node.permit_joining(min(fields.u8(), 254))
        return None if nwk.is_broadcast(indication.destination) else _SUCCESS

    def _mgmt_nwk_update(self, indication: Indication, body: bytes) -> bytes | None:
        """Mgmt_NWK_Update_req (R22 2.4.3.3.9): of all that it may ask, an end device follows its
        network to another channel, when the coordinator says so. That has no answer."""
        fields = Fields(body)
        mask, duration = fields.u32(), fields.u8()
        if duration != CHANGE_CHANNEL:
            broadcast = nwk.is_broadcast(indication.destination)
            return None if broadcast else bytes((ZdpStatus.NOT_SUPPORTED,))
        update_id = fields.u8()
        try:
            (channel,) = channels_of_mask(mask)
        except ValueError as error:
            raise FrameError("a change to no channel, or to several") from error
        if self.state.role is Role.END_DEVICE and indication.source == 0x0000:
            self.node.told_of_channel(channel, update_id)
        return None


def _matches(descriptor: SimpleDescriptor, request: zdp.MatchRequest) -> bool:
    """Same profile (0xFFFF: any), and one cluster at least in either list (R22 2.4.3.1.7.2.1)."""
    if request.profile not in (0xFFFF, descriptor.profile_id):
        return False
    return not set(request.input_clusters).isdisjoint(descriptor.input_clusters) or not set(
        request.output_clusters
    ).isdisjoint(descriptor.output_clusters)


def _frequency_bands(node: Node) -> int:
    """The bands at work (R22 table 2.27): bit 3 for 2.4 GHz, bit 4 for GB sub-GHz."""
    bands = 0
    for settings in node.phys.values():
        bands |= 0x10 if is_sub_ghz(settings.page) else 0x08
    return bands


def capability_of(node: Node) -> int:
    """The capability information of a node (R22 table 3.62)."""
    coordinator = node.state.role is Role.COORDINATOR
    return mac.capability(
        router=coordinator,
        mains_powered=node.mains_powered,
        rx_on_when_idle=node.rx_on_when_idle,
    ) | (0x01 if coordinator else 0)
