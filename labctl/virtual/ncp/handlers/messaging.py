"""Sending and receiving APS frames on behalf of the host."""

from __future__ import annotations

from collections import OrderedDict

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import ApsFrame
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import ConfigId, PolicyId
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Indication, Status

# EmberApsOption
ENCRYPT_WITH_TRANSIENT_KEY = 0x0001
ENCRYPTION = 0x0020
RETRY = 0x0040
ENABLE_ROUTE_DISCOVERY = 0x0100
FRAGMENT = 0x8000
ZDO_RESPONSE_REQUIRED = 0x4000

# EmberOutgoingMessageType, EmberIncomingMessageType
_OUTGOING_MULTICAST = 0x03
_OUTGOING_BROADCAST = 0x06
_INCOMING_UNICAST = 0x00
_INCOMING_BROADCAST = 0x04

_HOST_WILL_SUPPLY_REPLY = 0x21
_CONTENTS_TOO = 0x41
_BROADCAST_FROM = 0xFFF8
_NOBODY_ELSE = 0xFFFF
_BROADCASTS = (0xFFFC, 0xFFFD, 0xFFFF)
_MAX_BLOCKS_KEPT = 64
_UNKNOWN_EUI64 = Eui64("ff" * 8)

_SENT = {
    Status.SUCCESS: Ember.SUCCESS,
    Status.NO_KEY: Ember.APS_ENCRYPTION_ERROR,
    Status.TOO_LONG: Ember.MESSAGE_TOO_LONG,
    Status.NOT_JOINED: Ember.NETWORK_DOWN,
}
"""What messageSentHandler says; anything else is DELIVERY_FAILED."""


class Messaging(Part):
    """Unicasts are counted while they are in flight; each ends in a messageSentHandler."""

    def reset(self) -> None:
        """Nothing in flight."""
        self._in_flight: dict[int, int] = {}  # destination to number
        self._in_flight_total = 0
        self._blocks: OrderedDict[tuple[int, int, int], Indication] = OrderedDict()
        self.received_unicasts = 0
        self.received_broadcasts = 0

    # -- for other parts ------------------------------------------------------------------------

    def is_sending_to(self, node: int) -> bool:
        """Whether a unicast to this short address is still unacknowledged."""
        return self._in_flight.get(node, 0) > 0

    def peek(self) -> int:
        """The APS counter that the next frame will have."""
        node = self.ezsp.network.node
        return 0 if node is None else (node.newest_counter + 1) & 0xFF

    # -- receiving ------------------------------------------------------------------------------

    def data_received(self, indication: Indication) -> None:
        """Hand a frame for one of the host's endpoints up."""
        endpoint = indication.destination_endpoint
        endpoints = self.ezsp.configuration.endpoints
        if endpoint not in endpoints and not (endpoint == 0xFF and endpoints):
            return
        if not self.ezsp.configuration.endpoint_flags.get(endpoint, 1) & 0x0001:
            return  # disabled by the host
        self.hand_up(indication)

    def hand_up(self, indication: Indication, options: int = 0) -> None:
        """incomingMessageHandler, with `options` beside those that the frame itself has."""
        options |= ENABLE_ROUTE_DISCOVERY
        if indication.aps_secured:
            options |= ENCRYPTION
        if indication.ack_requested:
            options |= RETRY
        group = 0
        if indication.block is not None:
            options |= FRAGMENT
            group = (indication.block_count or 0) << 8 | indication.block
            self._keep_block(indication)
        source = indication.source
        if indication.destination < _BROADCAST_FROM:
            kind = _INCOMING_UNICAST
            self.received_unicasts += 1
        else:
            kind = _INCOMING_BROADCAST
            self.received_broadcasts += 1
        self.ezsp.callback(
            "incoming_message_handler",
            kind=kind,
            aps=ApsFrame(
                indication.profile_id,
                indication.cluster_id,
                indication.source_endpoint,
                indication.destination_endpoint,
                options,
                group,
                indication.counter,
            ),
            lqi=indication.lqi,
            rssi=max(-128, min(127, indication.rssi_dbm)),
            sender=source,
            sender_eui64=self.ezsp.addresses.eui64_of(source) or _UNKNOWN_EUI64,
            timestamp=int(self.ezsp.now * 1e6) & 0xFFFFFFFF,
            binding_index=0xFF,
            address_index=self.ezsp.addresses.index_of(source),
            contents=indication.payload,
        )

    def _keep_block(self, indication: Indication) -> None:
        """The host acknowledges fragments itself, by sender, sequence and block."""
        assert indication.block is not None
        self._blocks[indication.source, indication.counter, indication.block] = indication
        if len(self._blocks) > _MAX_BLOCKS_KEPT:
            self._blocks.popitem(last=False)

    # -- sending --------------------------------------------------------------------------------

    def _refusal(self, destination: int | None, aps: ApsFrame, contents: bytes) -> Ember | None:
        """Why a frame is not even taken, or None. These come back at once (UG100 sendUnicast)."""
        node = self.ezsp.network.node
        if not self.ezsp.network.up or node is None:
            return Ember.NETWORK_DOWN
        if destination is None:
            return Ember.ADDRESS_TABLE_INDEX_OUT_OF_RANGE
        limit = node.max_payload(
            aps_secured=bool(aps.options & ENCRYPTION), fragmented=bool(aps.options & FRAGMENT)
        )
        if len(contents) > limit:
            return Ember.MESSAGE_TOO_LONG
        return None

    def _has_key(self, destination: int, options: int) -> bool:
        eui64 = self.ezsp.addresses.eui64_of(destination)
        if eui64 is None:
            return False
        security = self.ezsp.security
        if security.table_key(eui64) is not None:
            return True
        transient = bool(options & ENCRYPT_WITH_TRANSIENT_KEY)
        return transient and security.transient_key(eui64, wildcard=False) is not None

    def send_unicast(
        self, kind: int, destination: int, aps: ApsFrame, tag: int, contents: bytes
    ) -> Answer:
        """Take a frame; messageSentHandler tells how it went."""
        if kind > 0x02:
            return {"status": Ember.BAD_ARGUMENT, "sequence": 0}
        target = self.ezsp.addresses.destination(kind, destination)
        refusal = self._refusal(target, aps, contents)
        if refusal is None:
            assert target is not None
            refusal = self._unicast_refusal(target, aps)
        if refusal is not None:
            return {"status": refusal, "sequence": 0}
        assert target is not None
        node = self.ezsp.network.node
        assert node is not None
        fragment = bool(aps.options & FRAGMENT)
        block = aps.group_id & 0xFF if fragment else None

        def confirmed(status: Status) -> None:
            self._unicast_done(target)
            verdict = _SENT.get(status, Ember.DELIVERY_FAILED)
            sent = aps._replace(sequence=sequence)
            self._message_sent(kind, destination, sent, tag, contents, verdict)

        refused = node.request(
            target,
            source_endpoint=aps.source_endpoint,
            destination_endpoint=aps.destination_endpoint,
            profile_id=aps.profile_id,
            cluster_id=aps.cluster_id,
            payload=contents,
            aps_secured=bool(aps.options & ENCRYPTION),
            ack=bool(aps.options & RETRY),
            # The host copies block 0's sequence into the blocks after it.
            counter=aps.sequence if block else None,
            block=block,
            block_count=aps.group_id >> 8 if fragment else None,
            done=confirmed,
        )
        if refused is not None:
            return {"status": _SENT.get(refused, Ember.DELIVERY_FAILED), "sequence": 0}
        sequence = node.last_counter
        self._in_flight[target] = self._in_flight.get(target, 0) + 1
        self._in_flight_total += 1
        return {"status": Ember.SUCCESS, "sequence": sequence}

    def _unicast_refusal(self, target: int, aps: ApsFrame) -> Ember | None:
        if target >= _BROADCAST_FROM:
            return Ember.BAD_ARGUMENT
        limit = self.ezsp.configuration[ConfigId.APS_UNICAST_MESSAGE_COUNT]
        if self._in_flight_total >= limit:
            return Ember.MAX_MESSAGE_LIMIT_REACHED
        if aps.options & ENCRYPTION and not self._has_key(target, aps.options):
            return Ember.APS_ENCRYPTION_ERROR
        eui64 = self.ezsp.addresses.eui64_of(target) if aps.options & ENCRYPTION else None
        if eui64 is not None and not self.ezsp.security.may_protect_data(eui64):
            return Ember.KEY_NOT_AUTHORIZED
        return None

    def _unicast_done(self, target: int) -> None:
        self._in_flight_total -= 1
        left = self._in_flight[target] - 1
        if left:
            self._in_flight[target] = left
        else:
            del self._in_flight[target]

    def _message_sent(
        self, kind: int, destination: int, aps: ApsFrame, tag: int, contents: bytes, status: Ember
    ) -> None:
        policy = self.ezsp.configuration.policy(PolicyId.MESSAGE_CONTENTS_IN_CALLBACK)
        self.ezsp.callback(
            "message_sent_handler",
            kind=kind,
            destination=destination,
            aps=aps,
            tag=tag,
            status=status,
            contents=contents if policy == _CONTENTS_TOO else b"",
        )

    def send_broadcast(
        self,
        destination: int,
        aps: ApsFrame,
        radius: int,
        tag: int,
        contents: bytes,
        alias: int = _NOBODY_ELSE,
        nwk_sequence: int = 0,
    ) -> Answer:
        """To 0xFFFC, 0xFFFD or 0xFFFF. Not as somebody else, which is for Green Power proxies."""
        if alias != _NOBODY_ELSE:
            return {"status": Ember.INVALID_CALL, "sequence": 0}
        if destination not in _BROADCASTS:
            return {"status": Ember.BAD_ARGUMENT, "sequence": 0}
        refusal = self._refusal(destination, aps._replace(options=0), contents)
        if refusal is not None:
            return {"status": refusal, "sequence": 0}
        node = self.ezsp.network.node
        assert node is not None

        def confirmed(status: Status) -> None:
            verdict = _SENT.get(status, Ember.DELIVERY_FAILED)
            sent = aps._replace(sequence=sequence)
            self._message_sent(_OUTGOING_BROADCAST, destination, sent, tag, contents, verdict)

        refused = node.request(
            destination,
            source_endpoint=aps.source_endpoint,
            destination_endpoint=aps.destination_endpoint,
            profile_id=aps.profile_id,
            cluster_id=aps.cluster_id,
            payload=contents,
            ack=False,
            radius=radius or 30,
            done=confirmed,
        )
        if refused is not None:
            return {"status": _SENT.get(refused, Ember.DELIVERY_FAILED), "sequence": 0}
        sequence = node.last_counter
        return {"status": Ember.SUCCESS, "sequence": sequence}

    def proxy_broadcast(self, **_: object) -> Answer:
        """Broadcasting as somebody else is for Green Power proxies."""
        return {"status": Ember.INVALID_CALL, "sequence": 0}

    def send_multicast(self, **_: object) -> Answer:
        """Groups are not carried on the virtual air: Smart Energy has no use for them."""
        return {"status": Ember.INVALID_CALL, "sequence": 0}

    def send_reply(self, sender: int, aps: ApsFrame, contents: bytes) -> Answer:
        """The acknowledgement of a fragment, at all times; a reply with data by policy only."""
        node = self.ezsp.network.node
        if not self.ezsp.network.up or node is None:
            return {"status": Ember.NETWORK_DOWN}
        if aps.options & FRAGMENT:
            block = self._blocks.get((sender, aps.sequence, aps.group_id & 0xFF))
            if block is None:
                return {"status": Ember.INVALID_CALL}
            node.acknowledge_block(block, aps.group_id >> 8)
            return {"status": Ember.SUCCESS}
        if self.ezsp.configuration.policy(PolicyId.UNICAST_REPLIES) != _HOST_WILL_SUPPLY_REPLY:
            return {"status": Ember.INVALID_CALL}
        options = aps.options & ~RETRY
        answer = self.send_unicast(0x00, sender, aps._replace(options=options), 0, contents)
        return {"status": answer["status"]}

    def maximum_payload_length(self) -> Answer:
        """Without APS security and fragmentation; the host takes their overhead off."""
        node = self.ezsp.network.node
        return {"length": 82 if node is None else node.max_payload(aps_secured=False)}
