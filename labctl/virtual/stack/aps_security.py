"""Link key security of APS frames (R22 4.4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import from_air, nwk, to_air
from labctl.virtual.frames.aps import ApsFrame
from labctl.virtual.frames.security import AuxiliaryHeader, KeyId, aps_key, protect, unprotect
from labctl.virtual.stack.state import CounterGuard, LinkKey

if TYPE_CHECKING:
    from labctl.virtual.node import Node


class ApsSecurity:
    """The link keys of one node at work. All keys share one outgoing counter, as in EmberZNet."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self.counters = node.counters
        self.joining_key: LinkKey | None = None  # before the trust centre's address is known
        self._eui64 = to_air(self.state.eui64)
        self._counter = CounterGuard(self.state, node.listener.network_changed, of_aps=True)

    def encode(self, frame: ApsFrame, payload: bytes, link_key: LinkKey | None) -> bytes:
        """A whole data or acknowledgement frame, secured if there is a key.

        The auxiliary header leaves the source away: the receiver knows who has the short address.
        """
        header = frame.encode_header()
        if link_key is None:
            return header + payload
        auxiliary = AuxiliaryHeader(KeyId.DATA, self._counter.next())
        return header + protect(link_key.key, header, auxiliary, self._eui64, payload)

    def encode_command(
        self, frame: ApsFrame, payload: bytes, link_key: bytes | None, key_id: int
    ) -> bytes:
        """A whole command frame, secured if there is a key. Its auxiliary header names the source:
        the receiver may not know our short address yet."""
        header = frame.encode_header()
        if link_key is None:
            return header + payload
        auxiliary = AuxiliaryHeader(key_id, self._counter.next(), self._eui64)
        key = aps_key(link_key, key_id)
        return header + protect(key, header, auxiliary, self._eui64, payload)

    def open(self, carrier: nwk.NwkFrame, frame: ApsFrame) -> tuple[bytes, Eui64] | None:
        """The content of a received frame and who secured it; None when it is not to be taken:
        no key, a counter that has been seen, or a MIC that does not fit. Each is counted."""
        auxiliary, length = AuxiliaryHeader.decode(frame.body)
        source = auxiliary.source or carrier.source_eui64
        address = from_air(source) if source is not None else self.node.eui64_of(carrier.source)
        link_key = None if address is None else self.state.link_keys.get(address)
        if link_key is None and auxiliary.key_id == KeyId.KEY_TRANSPORT:
            link_key = self.joining_key
        if address is None or link_key is None:
            self.counters["aps_decryption_failure"] += 1
            return None
        if link_key.replay_protected and auxiliary.counter < link_key.incoming_counter:
            self.counters["aps_frame_counter_failure"] += 1
            return None
        payload = unprotect(
            aps_key(link_key.key, auxiliary.key_id),
            frame.header,
            frame.body,
            auxiliary,
            length,
            to_air(address),
        )
        if payload is None:
            self.counters["aps_decryption_failure"] += 1
            return None
        link_key.incoming_counter = auxiliary.counter + 1
        return payload, address
