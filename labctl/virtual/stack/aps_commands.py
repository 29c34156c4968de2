"""APS commands as they arrive: keys, removal, requests (R22 4.4.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import FrameError, aps, from_air, nwk, to_air
from labctl.virtual.frames.aps import ApsFrame
from labctl.virtual.frames.security import KeyId
from labctl.virtual.stack.state import LinkKey

if TYPE_CHECKING:
    from labctl.virtual.node import Node


class ApsCommands:
    """What a node does about each command."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self._eui64 = to_air(self.state.eui64)

    def received(
        self,
        carrier: nwk.NwkFrame,
        frame: ApsFrame,
        payload: bytes,
        source: Eui64 | None,
        nwk_secured: bool,
    ) -> None:
        """A command frame, deciphered; `source` is who secured it, None when nobody did."""
        if not payload:
            raise FrameError("an APS command frame without a command")
        node = self.node
        command = payload[0]
        if command == aps.Command.TRANSPORT_KEY and source is not None:
            key_id = frame.body[0] >> 3 & 3
            self._key_transported(aps.TransportKey.decode(payload), key_id, source, nwk_secured)
        elif not nwk_secured:
            self.node.counters["nwk_unsecured_dropped"] += 1
        elif command == aps.Command.SWITCH_KEY:
            node.nwk.security.switch_key(aps.decode_switch_key(payload))
        elif source is None:
            self.node.counters["aps_unsecured_command"] += 1
        elif command == aps.Command.REMOVE_DEVICE and source == self.state.trust_centre:
            if aps.decode_remove_device(payload) == self._eui64:
                node.told_to_leave(False)
        elif command == aps.Command.REQUEST_KEY:
            node.trust_centre.key_requested(source, carrier.source, payload)
        else:
            self.node.counters["aps_command_ignored"] += 1

    def _key_transported(
        self, command: aps.TransportKey, key_id: int, source: Eui64, nwk_secured: bool
    ) -> None:
        node = self.node
        if command.key_type == aps.KeyType.NETWORK:
            if key_id == KeyId.KEY_TRANSPORT and command.destination in (self._eui64, bytes(8)):
                node.joining.network_key_received(command, source, nwk_secured)
        elif key_id == KeyId.KEY_LOAD and source == self.state.trust_centre:
            if command.key_type == aps.KeyType.APPLICATION:
                partner = from_air(command.source)
                self.state.link_keys[partner] = LinkKey(partner, command.key)
                node.listener.network_changed()
                node.listener.key_received("application", partner)
            elif command.destination == self._eui64:
                self.state.link_keys[source] = LinkKey(source, command.key)
                node.listener.network_changed()
                node.listener.key_received("trust-centre", source)
