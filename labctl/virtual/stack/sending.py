"""APSDE-DATA.request: what can be sent, in how many frames, under which key (R22 2.2.4.1.1)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import nwk
from labctl.virtual.frames.aps import ApsFrame, Delivery, Fragmentation
from labctl.virtual.stack.aps import Confirm
from labctl.virtual.stack.types import Indication, Status

if TYPE_CHECKING:
    from labctl.virtual.node import Node

MAX_BLOCKS = 255


class Sender:
    """Turns requests into frames for the APS layer, or refuses them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._loopbacks: set[asyncio.Handle] = set()

    def close(self) -> None:
        """The power is gone."""
        for handle in self._loopbacks:
            handle.cancel()
        self._loopbacks.clear()

    def request(
        self,
        destination: int,
        frame: ApsFrame,
        payload: bytes,
        done: Confirm,
        *,
        secured: bool,
        counter: int | None,
        block: int | None,
        block_count: int | None,
        radius: int,
    ) -> Status | None:
        """`frame` has addresses and the wish for an acknowledgement; the rest is decided here.

        None: under way. A status: refused on the spot.
        """
        node = self.node
        state = node.state
        if not state.joined:
            return Status.NOT_JOINED
        broadcast = nwk.is_broadcast(destination)
        to_self = destination == state.nwk
        partner: Eui64 | None = None
        if secured and not to_self:
            partner = None if broadcast else node.eui64_of(destination)
            if partner is None or partner not in state.link_keys:
                return Status.NO_KEY
        blocks = self._blocks(payload, secured, block, broadcast)
        if blocks is None:
            return Status.TOO_LONG
        fragmented = block is not None or len(blocks) > 1
        frame.counter = node.aps.next_counter() if counter is None else counter
        frame.delivery = Delivery.BROADCAST if broadcast else Delivery.UNICAST
        frame.security = partner is not None
        frame.ack_request = (frame.ack_request or fragmented) and not broadcast
        if block is not None:
            frame.fragmentation = Fragmentation.PART if block else Fragmentation.FIRST
            frame.block = block if block else block_count or 1
        node.last_counter = frame.counter
        if to_self:
            self._loop_back(frame, payload, secured, done)
        else:
            node.expect_answer()
            node.aps.request(destination, frame, blocks, partner, radius, done)
        return None

    def _blocks(
        self, payload: bytes, secured: bool, block: int | None, broadcast: bool
    ) -> list[bytes] | None:
        """What goes into one frame each; None when it cannot be done."""
        layer = self.node.aps
        if len(payload) <= layer.max_payload(secured=secured, fragmented=block is not None):
            return [payload]
        if block is not None or broadcast or not self.node.reassemble:
            return None
        size = layer.max_payload(secured=secured, fragmented=True)
        blocks = [payload[at : at + size] for at in range(0, len(payload), size)]
        return blocks if len(blocks) <= MAX_BLOCKS else None

    def _loop_back(self, frame: ApsFrame, payload: bytes, secured: bool, done: Confirm) -> None:
        """To ourselves: nothing goes out."""
        node = self.node
        own = node.state.nwk
        indication = Indication(
            own,
            node.state.eui64,
            own,
            frame.source_endpoint,
            frame.destination_endpoint,
            frame.profile,
            frame.cluster,
            payload,
            frame.counter,
            secured,
            frame.ack_request,
            255,
            0,
        )

        def deliver() -> None:
            self._loopbacks.discard(handle)
            node.indicate(indication)
            done(Status.SUCCESS)

        handle = asyncio.get_running_loop().call_soon(deliver)
        self._loopbacks.add(handle)
