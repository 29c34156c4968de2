"""AF: endpoints, data both ways, and messages that are too long for one frame of the line."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labctl.virtual.frames import nwk
from labctl.virtual.node import Indication, SimpleDescriptor, Status
from labctl.virtual.znp.codec import BROADCAST, EXTENDED, SHORT, Address
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.status import Z, as_octet
from labctl.virtual.znp.structures import NOBODY

WILDCARD_PROFILE, ACK, SECURITY = 0x02, 0x10, 0x40
"""Transmit options that make a difference here; the others are about routes."""

MAX_INLINE_SENT = 230
MAX_INLINE_RECEIVED = 220
"""Octets of payload in one frame of the line; longer messages go in pieces."""

HUGE_S = 15.0
"""How long a message may lie about in pieces."""

HEAP = 12_000
"""Octets of received messages that wait to be fetched; more are lost without a word."""

MAX_RETRIEVE = 248
DEFAULT_RADIUS = 30
ANY_PROFILE = 0xFFFF
OPEN_PROFILES = range(0x0100, 0xFC02)
"""Profiles that this build hands up at any registered endpoint, whatever is registered there."""

MAX_WINDOW = 8
TICK_S = 0.00032
"""Of timestamps."""


@dataclass(slots=True)
class Outgoing:
    """A message to send, as a request describes it."""

    destination: Address
    destination_endpoint: int
    source_endpoint: int
    cluster_id: int
    transaction: int
    options: int
    radius: int
    data: bytearray


class Af(Part):
    """Endpoints and messages."""

    def boot(self) -> None:
        """No endpoints, no messages."""
        self.descriptors: dict[int, SimpleDescriptor] = {}
        self._outgoing: Outgoing | None = None
        self._outgoing_timer: asyncio.TimerHandle | None = None
        self._received: dict[int, bytes] = {}  # by timestamp, the newest last

    # -- endpoints ---------------------------------------------------------------------------------

    def af_register(
        self,
        endpoint: int,
        profile_id: int,
        device_id: int,
        device_version: int,
        latency: int,
        input_clusters: tuple[int, ...],
        output_clusters: tuple[int, ...],
    ) -> Answer:
        """Until the next reset."""
        if not 1 <= endpoint <= 254:
            return Z.INVALID_PARAMETER
        if endpoint in self.descriptors:
            return Z.APS_DUPLICATE_ENTRY
        self.descriptors[endpoint] = SimpleDescriptor(
            endpoint, profile_id, device_id, device_version & 0x0F, input_clusters, output_clusters
        )
        return Z.SUCCESS

    def af_delete(self, endpoint: int) -> Answer:
        """INVALID_PARAMETER when it is not there."""
        found = self.descriptors.pop(endpoint, None)
        return Z.INVALID_PARAMETER if found is None else Z.SUCCESS

    def af_apsf_config_set(self, endpoint: int, frame_delay: int, window: int) -> Answer:
        """Accepted for an endpoint that is there; fragments go one by one all the same."""
        if endpoint not in self.descriptors or not 1 <= window <= MAX_WINDOW:
            return Z.INVALID_PARAMETER
        return Z.SUCCESS

    # -- sending -----------------------------------------------------------------------------------

    def af_data_request(
        self,
        destination: int,
        destination_endpoint: int,
        source_endpoint: int,
        cluster_id: int,
        transaction: int,
        options: int,
        radius: int,
        data: bytes,
    ) -> Answer:
        """To a short address or as a broadcast."""
        return self._send(
            Outgoing(
                Address(SHORT, destination, NOBODY),
                destination_endpoint,
                source_endpoint,
                cluster_id,
                transaction,
                options,
                radius,
                bytearray(data),
            )
        )

    def af_data_request_src_rtg(self, relays: tuple[int, ...], **request: int) -> Answer:
        """The same along a route: with every device one hop away only an empty one leads there."""
        if relays:
            return Z.NWK_NO_ROUTE
        return self.af_data_request(**request)  # type: ignore[arg-type]  # bytes among the ints

    def af_data_request_ext(
        self,
        destination: Address,
        destination_endpoint: int,
        pan_id: int,
        source_endpoint: int,
        cluster_id: int,
        transaction: int,
        options: int,
        radius: int,
        length: int,
        data: bytes,
    ) -> Answer:
        """To any kind of address. A long message begins with this and no data."""
        if pan_id:
            return Z.UNSUPPORTED_MODE  # another network
        huge = length > MAX_INLINE_SENT
        if not huge and len(data) < length:
            return Z.INVALID_PARAMETER
        message = Outgoing(
            destination,
            destination_endpoint,
            source_endpoint,
            cluster_id,
            transaction,
            options,
            radius,
            bytearray(length) if huge else bytearray(data[:length]),
        )
        if not huge:
            return self._send(message)
        if self._outgoing is not None:
            return Z.INVALID_PARAMETER
        self._outgoing = message
        self._outgoing_timer = self.znp.later(HUGE_S, self._forget_outgoing)
        return Z.SUCCESS

    def _forget_outgoing(self) -> None:
        if self._outgoing_timer is not None:
            self._outgoing_timer.cancel()
        self._outgoing = self._outgoing_timer = None

    def af_data_store(self, index: int, data: bytes) -> Answer:
        """A piece of the long message; no octets at all send it."""
        message = self._outgoing
        if message is None:
            return Z.MEM_ERROR
        if not data:
            self._forget_outgoing()
            return self._send(message)
        if index + len(data) > len(message.data):
            return Z.MEM_ERROR
        message.data[index : index + len(data)] = data
        return Z.SUCCESS

    def _send(self, message: Outgoing) -> Z:
        node = self.znp.network.node
        source = message.source_endpoint
        descriptor = self.descriptors.get(source)
        if descriptor is None and source != 0:
            return Z.INVALID_PARAMETER
        if node is None:
            return Z.NWK_INVALID_REQUEST
        short = self._short(message.destination)
        if isinstance(short, Z):
            return short
        broadcast = nwk.is_broadcast(short)
        secured = bool(message.options & SECURITY) and not broadcast
        if secured and short != node.state.nwk:
            partner = node.eui64_of(short)
            if partner is None:
                return Z.SEC_NO_KEY
            self.znp.trust.needs_a_key(partner)
        profile_id = 0 if descriptor is None else descriptor.profile_id
        if message.options & WILDCARD_PROFILE:
            profile_id = ANY_PROFILE
        silent = broadcast or source == 0 or message.destination_endpoint == 0

        def done(status: Status) -> None:
            if not silent:
                octet = as_octet(status)
                if status is Status.MAC_FAILURE and short not in node.parent.children:
                    octet = Z.NWK_NO_ROUTE
                self.znp.notify(
                    "af_data_confirm",
                    status=octet,
                    endpoint=source,
                    transaction=message.transaction,
                )

        refused = node.request(
            short,
            source_endpoint=source,
            destination_endpoint=message.destination_endpoint,
            profile_id=profile_id,
            cluster_id=message.cluster_id,
            payload=bytes(message.data),
            aps_secured=secured,
            ack=bool(message.options & ACK),
            radius=message.radius or DEFAULT_RADIUS,
            done=done,
        )
        return Z.SUCCESS if refused is None else as_octet(refused)

    def _short(self, address: Address) -> int | Z:
        node = self.znp.network.node
        assert node is not None
        if address.mode in (SHORT, BROADCAST):
            return address.short
        if address.mode == EXTENDED:
            if address.eui64 == node.state.eui64:
                return node.state.nwk
            return node.state.addresses.get(address.eui64, Z.NWK_UNKNOWN_DEVICE)
        return Z.UNSUPPORTED_MODE  # groups and bindings: neither is on this air

    # -- receiving ---------------------------------------------------------------------------------

    def data_received(self, indication: Indication) -> None:
        """For a registered endpoint; anything else is dropped without a word."""
        descriptor = self.descriptors.get(indication.destination_endpoint)
        profile_id = indication.profile_id
        if descriptor is None:
            return
        is_open = self.znp.identity.any_profile and profile_id in OPEN_PROFILES
        if not is_open and ANY_PROFILE != descriptor.profile_id != profile_id:
            return
        timestamp = int(self.znp.now / TICK_S) & 0xFFFFFFFF
        common = {
            "group": 0,
            "cluster_id": indication.cluster_id,
            "source_endpoint": indication.source_endpoint,
            "destination_endpoint": indication.destination_endpoint,
            "was_broadcast": int(nwk.is_broadcast(indication.destination)),
            "lqi": indication.lqi,
            "security_use": int(indication.aps_secured),
            "timestamp": timestamp,
            "transaction": 0,
            "mac_source": indication.source,
            "radius": DEFAULT_RADIUS,
        }
        payload = indication.payload
        if len(payload) <= MAX_INLINE_RECEIVED:
            self.znp.notify("af_incoming_msg", source=indication.source, data=payload, **common)
            return
        if sum(map(len, self._received.values())) + len(payload) > HEAP:
            return
        self._received.pop(timestamp, None)
        self._received[timestamp] = payload
        self.znp.later(HUGE_S, self._forget_received, timestamp, payload)
        self.znp.notify(
            "af_incoming_msg_ext",
            source=Address(SHORT, indication.source, NOBODY),
            source_pan=self.znp.network.nib.pan_id,
            length=len(payload),
            **common,
        )

    def _forget_received(self, timestamp: int, payload: bytes) -> None:
        if self._received.get(timestamp) is payload:
            del self._received[timestamp]

    def af_data_retrieve(self, timestamp: int, index: int, length: int) -> Answer:
        """A piece of a long message that has come; length 0 frees it."""
        payload = self._received.get(timestamp)
        if payload is None:
            return {"status": Z.FAILURE, "data": b""}
        if not length:
            del self._received[timestamp]
            return {"status": Z.SUCCESS, "data": b""}
        if index + length > len(payload) or length > MAX_RETRIEVE:
            return {"status": Z.INVALID_PARAMETER, "data": b""}
        return {"status": Z.SUCCESS, "data": payload[index : index + length]}
