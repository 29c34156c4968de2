"""The trust centre: who gets the network key, link keys between devices, key rotation (R22 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import aps, from_air, to_air
from labctl.virtual.frames.security import KeyId
from labctl.virtual.stack.nwk import NoRoute
from labctl.virtual.stack.types import Admission, Role, Status, TrustCentreDecision

if TYPE_CHECKING:
    from labctl.virtual.node import Node


class TrustCentre:
    """Only a coordinator has one that acts."""

    def __init__(self, node: Node) -> None:
        self.node = node

    def consider(self, eui64: Eui64, short: int, kind: Admission, parent: int) -> None:
        """Ask the owner about a joiner, and do what it says."""
        node = self.node
        if node.state.role is not Role.COORDINATOR:
            return
        decision = node.listener.admission(eui64, short, kind, parent)
        if kind is Admission.LEFT:
            return
        child = node.parent.children.get(short)
        if child is None:
            return
        if decision is TrustCentreDecision.DENY:
            if kind is Admission.SECURED_REJOIN:
                node.parent.send_leave(child)
            else:
                # It has no key, so it could not read a leave: it is forgotten and times out.
                node.parent.drop(child)
        elif decision is TrustCentreDecision.SEND_KEY and kind is not Admission.SECURED_REJOIN:
            self.transport_network_key(eui64, short)

    def transport_network_key(self, eui64: Eui64, short: int) -> Status | None:
        """The active network key, under the device's link key. NO_KEY when it has none here.

        To a child that has not shown the key yet the frame has no NWK security (R22 4.4.2.2.1);
        the key itself is always protected with the key-transport key.
        """
        state = self.node.state
        return self._transport_network_key(
            eui64, short, state.network_key, state.network_key_sequence
        )

    def transport_alternate_key(self, eui64: Eui64, short: int) -> Status | None:
        """The next network key, to one device that has the present one (R22 4.4.2)."""
        state = self.node.state
        if not state.alternate_network_key:
            return Status.NO_KEY
        return self._transport_network_key(
            eui64, short, state.alternate_network_key, state.alternate_key_sequence
        )

    def _transport_network_key(
        self, eui64: Eui64, short: int, key: bytes, sequence: int
    ) -> Status | None:
        node = self.node
        command = aps.TransportKey(
            aps.KeyType.NETWORK, key, sequence, to_air(eui64), to_air(node.state.eui64)
        )
        child = node.parent.children.get(short)
        return self._send(
            short,
            eui64,
            command.encode(),
            KeyId.KEY_TRANSPORT,
            nwk_secured=child is None or child.authenticated,
        )

    def _send(
        self, short: int, eui64: Eui64, payload: bytes, key_id: KeyId, *, nwk_secured: bool = True
    ) -> Status | None:
        node = self.node
        key = node.transport_key_of(eui64)
        if key is None:
            link_key = node.state.link_keys.get(eui64)
            key = None if link_key is None else link_key.key
        if key is None:
            node.counters["aps_no_link_key"] += 1
            return Status.NO_KEY
        try:
            node.aps.send_command(
                short, payload, link_key=key, key_id=key_id, nwk_secured=nwk_secured
            )
        except NoRoute:
            node.counters["nwk_no_route"] += 1
            return Status.MAC_FAILURE
        return None

    def remove_device(self, parent: int, target: Eui64) -> Status:
        """A NWK leave to a direct child, else APS Remove-Device to `parent` (R22 4.4.5)."""
        node = self.node
        child = next(
            (each for each in node.parent.children.values() if from_air(each.eui64) == target),
            None,
        )
        if parent == node.state.nwk:
            if child is None:
                return Status.MAC_FAILURE
            node.parent.send_leave(child)
            return Status.SUCCESS
        eui64 = node.eui64_of(parent)
        if eui64 is None:
            return Status.NO_KEY
        payload = aps.remove_device(to_air(target))
        return self._send(parent, eui64, payload, KeyId.DATA) or Status.SUCCESS

    def key_requested(self, requester: Eui64, short: int, payload: bytes) -> None:
        """A Request-Key for an application link key (R22 4.4.7.3); others are refused silently."""
        node = self.node
        key_type, partner = aps.decode_request_key(payload)
        if node.state.role is not Role.COORDINATOR:
            return
        if key_type != aps.KeyType.REQUEST_APPLICATION or partner is None:
            node.counters["aps_key_request_refused"] += 1
            return
        address = from_air(partner)
        partner_short = node.state.addresses.get(address)
        if partner_short is None or not node.listener.application_key_requested(requester, address):
            node.counters["aps_key_request_refused"] += 1
            return
        key = node.rng.randbytes(16)
        for to, to_short, other, first in (
            (requester, short, address, True),
            (address, partner_short, requester, False),
        ):
            command = aps.TransportKey(
                aps.KeyType.APPLICATION, key, source=to_air(other), initiator=first
            )
            self._send(to_short, to, command.encode(), KeyId.KEY_LOAD)
