"""The trust centre inside the NCP: it decides alone, and the host hears of it afterwards."""

from __future__ import annotations

from labctl.smart_energy.aes_mmo import hmac_mmo
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import PolicyId
from labctl.virtual.ncp.handlers.network import END_DEVICE, SLEEPY_END_DEVICE
from labctl.virtual.ncp.handlers.security import GLOBAL_LINK_KEY, HASHED_LINK_KEY, NO_KEY
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Admission, LinkKey, Status, TrustCentreDecision

# EzspDecisionBitmask, the trust-centre policy from EZSP 8
ALLOW_JOINS = 0x01
ALLOW_UNSECURED_REJOINS = 0x02
SEND_KEY_IN_CLEAR = 0x04
IGNORE_UNSECURED_REJOINS = 0x08
JOINS_USE_INSTALL_CODE_KEY = 0x10
DEFER_JOINS = 0x20

TELL_OF_POLLS = 0x31  # EzspDecisionId
ALLOW_APP_KEY_REQUESTS = 0x61

# EmberJoinDecision
USE_PRECONFIGURED_KEY = 0x00
DENY_JOIN = 0x02
NO_ACTION = 0x03

_UPDATES = {
    Admission.SECURED_REJOIN: 0x00,
    Admission.UNSECURED_JOIN: 0x01,
    Admission.LEFT: 0x02,
    Admission.UNSECURED_REJOIN: 0x03,
}
_VERDICTS = {
    USE_PRECONFIGURED_KEY: TrustCentreDecision.SEND_KEY,
    DENY_JOIN: TrustCentreDecision.DENY,
    NO_ACTION: TrustCentreDecision.NO_ACTION,
}


NO_CHILD = 0xFF
NOBODY = Eui64("00" * 8)

# EmberKeyStatus
_APP_KEY_SENT = 0x07
_APP_KEY_REJECTED = 0x11

BROADCAST_TIMEOUT_S = 9.0
"""A key switch waits at least so long after the last key went out."""


class Joining(Part):
    """Admission of joiners, sending devices away, and changing the network key."""

    def reset(self) -> None:
        """No key on its way."""
        self._key_sent_s: float | None = None
        self._sleepy: dict[Eui64, bool] = {}  # of children that joined since the reset

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """Decide, and report the decision with trustCenterJoinHandler."""
        decision = self._decide(eui64, kind)
        self.ezsp.callback(
            "trust_center_join_handler",
            node=nwk,
            eui64=eui64,
            update=_UPDATES[kind],
            decision=decision,
            parent=parent,
        )
        return _VERDICTS[decision]

    def _decide(self, eui64: Eui64, kind: Admission) -> int:
        policy = self.ezsp.configuration.policy(PolicyId.TRUST_CENTER)
        if kind is Admission.UNSECURED_JOIN:
            if policy & DEFER_JOINS:
                return NO_ACTION
            if not policy & ALLOW_JOINS:
                return DENY_JOIN
            return self._with_key(eui64, self._joiners_key(eui64, policy))
        if kind is Admission.UNSECURED_REJOIN:
            if policy & IGNORE_UNSECURED_REJOINS:
                return NO_ACTION
            if not policy & ALLOW_UNSECURED_REJOINS:
                return DENY_JOIN
            return self._with_key(eui64, self._table_or_common_key(eui64))
        return NO_ACTION

    def _joiners_key(self, eui64: Eui64, policy: int) -> bytes | None:
        security = self.ezsp.security
        if policy & JOINS_USE_INSTALL_CODE_KEY:
            # Looks for the device itself in the transient table and nowhere else.
            return security.transient_key(eui64, wildcard=False)
        key = security.table_key(eui64)
        if key is None:
            key = security.transient_key(eui64, wildcard=True)
        return self._table_or_common_key(eui64) if key is None else key

    def _table_or_common_key(self, eui64: Eui64) -> bytes | None:
        contents = self.ezsp.contents
        key = self.ezsp.security.table_key(eui64)
        if key is not None or contents.preconfigured_key == NO_KEY:
            return key
        bitmask = contents.security_bitmask or 0
        if bitmask & HASHED_LINK_KEY == HASHED_LINK_KEY:
            return hmac_mmo(contents.preconfigured_key, eui64.little_endian)
        return contents.preconfigured_key if bitmask & GLOBAL_LINK_KEY else None

    def _with_key(self, eui64: Eui64, key: bytes | None) -> int:
        """Have the node use `key` for this device. SEND_KEY_IN_CLEAR does not help without one:
        networks here require encrypted keys."""
        if key is None:
            return DENY_JOIN
        keys = self.ezsp.contents.node.link_keys
        if eui64 not in keys or keys[eui64].key != key:
            keys[eui64] = LinkKey(eui64, key)
        return USE_PRECONFIGURED_KEY

    # -- children -------------------------------------------------------------------------------

    def child_joined(self, eui64: Eui64, nwk: int, rx_on_when_idle: bool, rejoin: bool) -> None:
        """A direct child associated or rejoined."""
        self._sleepy[eui64] = not rx_on_when_idle
        self._child_changed(self.ezsp.network.child_index(eui64), eui64, nwk, joining=True)

    def child_left(self, eui64: Eui64, nwk: int) -> None:
        """A direct child is one no longer. Its slot is looked up before it is freed."""
        slots = self.ezsp.contents.child_slots
        index = next((index for index, child in slots.items() if child == eui64), NO_CHILD)
        self._child_changed(index, eui64, nwk, joining=False)
        self._sleepy.pop(eui64, None)

    def child_polled(self, nwk: int, pending: bool) -> None:
        """pollHandler, if POLL_HANDLER_POLICY asks for it."""
        if self.ezsp.configuration.policy(PolicyId.POLL_HANDLER) == TELL_OF_POLLS:
            self.ezsp.callback("poll_handler", child=nwk, transmit_expected=int(pending))

    def _child_changed(self, index: int, eui64: Eui64, nwk: int, *, joining: bool) -> None:
        self.ezsp.callback(
            "child_join_handler",
            index=index,
            joining=int(joining),
            child=nwk,
            eui64=eui64,
            child_type=SLEEPY_END_DEVICE if self._sleepy.get(eui64) else END_DEVICE,
        )

    def application_key_requested(self, requester: Eui64, partner: Eui64) -> bool:
        """APP_KEY_REQUEST_POLICY decides; both need keys of their own in the table.

        zigbeeKeyEstablishmentHandler tells the host: who asked, or nobody when there was no key.
        """
        security = self.ezsp.security
        allowed = (
            self.ezsp.configuration.policy(PolicyId.APP_KEY_REQUEST) == ALLOW_APP_KEY_REQUESTS
            and security.table_key(requester) is not None
            and security.table_key(partner) is not None
        )
        self.ezsp.callback(
            "zigbee_key_establishment_handler",
            partner=requester if allowed else NOBODY,
            key_status=_APP_KEY_SENT if allowed else _APP_KEY_REJECTED,
        )
        return allowed

    # -- handlers -------------------------------------------------------------------------------

    def remove_device(self, node: int, eui64: Eui64, target: Eui64) -> Answer:
        """Tell `node` to let `target` go: APS Remove-Device, or a NWK leave to our own child."""
        network = self.ezsp.network
        if not network.up or network.node is None:
            return {"status": Ember.NETWORK_DOWN}
        parent = network.node_id if target in network.state.children else node
        status = network.node.remove_device(parent, target)
        if status is Status.SUCCESS:
            return {"status": Ember.SUCCESS}
        no_key = status is Status.NO_KEY
        return {"status": Ember.APS_ENCRYPTION_ERROR if no_key else Ember.DELIVERY_FAILED}

    def unicast_nwk_key_update(self, node: int, eui64: Eui64, key: bytes) -> Answer:
        """Give one device the next network key; broadcastNetworkKeySwitch makes it count."""
        network = self.ezsp.network
        if not network.up or network.node is None:
            return {"status": Ember.NETWORK_DOWN}
        if self.ezsp.security.table_key(eui64) is None:
            return {"status": Ember.APS_ENCRYPTION_ERROR}
        state = network.state
        if state.alternate_network_key != key:
            state.alternate_network_key = key
            state.alternate_key_sequence = (state.network_key_sequence + 1) & 0xFF
        failed = network.node.trust_centre.transport_alternate_key(eui64, node)
        if failed is not None:
            return {"status": Ember.DELIVERY_FAILED}
        self._key_sent_s = self.ezsp.now
        self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def broadcast_network_key_switch(self) -> Answer:
        """Everybody uses the next key from now on."""
        network = self.ezsp.network
        if not network.up or network.node is None:
            return {"status": Ember.NETWORK_DOWN}
        if not network.state.alternate_network_key:
            return {"status": Ember.INVALID_CALL}
        sent = self._key_sent_s
        if sent is not None and self.ezsp.now < sent + BROADCAST_TIMEOUT_S:
            return {"status": Ember.TOO_SOON_FOR_SWITCH_KEY}
        network.node.switch_network_key()
        self.ezsp.flash.save(durable=True)
        self.ezsp.callback(
            "switch_network_key_handler", sequence=network.state.network_key_sequence
        )
        return {"status": Ember.SUCCESS}
