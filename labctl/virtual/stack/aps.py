"""The APS layer of one node: acknowledged data, fragments, link key security, APS commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import aps, nwk
from labctl.virtual.frames.aps import ApsFrame, Fragmentation, Kind
from labctl.virtual.frames.security import (
    APS_OVERHEAD,
    KeyId,
)
from labctl.virtual.stack.aps_commands import ApsCommands
from labctl.virtual.stack.aps_security import ApsSecurity
from labctl.virtual.stack.fragments import Reassembler
from labctl.virtual.stack.indirect import PERSISTENCE_S
from labctl.virtual.stack.nwk import MAX_PAYLOAD, NoRoute
from labctl.virtual.stack.polling import EXPECTANT_S
from labctl.virtual.stack.state import LinkKey
from labctl.virtual.stack.types import Indication, Status

if TYPE_CHECKING:
    from labctl.virtual.node import Node

ACK_WAIT_S = 1.6  # apscAckWaitDuration: 50 ms for each of 2 × 15 hops, and 100 ms
MAX_RETRIES = 3  # apscMaxFrameRetries
SENDING_S = 0.4
"""What a repetition may take from being due to being heard: a MAC with all its retries."""

DUPLICATE_S = MAX_RETRIES * (ACK_WAIT_S + SENDING_S)
"""How long a counter is remembered: as long as whoever sends by the rules may repeat it, also when
all repetitions but the last are lost (R22 2.2.8.4.2: frames sent by this specification and received
more than once are delivered once)."""

SLEEPER_DUPLICATE_S = MAX_RETRIES * (ACK_WAIT_S + PERSISTENCE_S)
"""The same for a sleeping receiver: before each repetition a frame may wait to be fetched."""

REMEMBERED = 128
"""Counters remembered of one sender: half of those that there are. When as many others have come
since, an equal one is a new message: a sender of 200 a second has used all 256 after 1.3 s. (The
least that R22 asks for is a table of one entry, apscMinDuplicateRejectionTableSize; real stacks
have 8 to 64 for all senders together.)"""

Confirm = Callable[[Status], None]


class Outgoing:
    """A unicast or broadcast that is under way, with its repetitions and fragments."""

    __slots__ = (
        "blocks",
        "done",
        "failure",
        "finished",
        "frame",
        "index",
        "nwk",
        "partner",
        "radius",
        "timer",
        "tries",
    )

    def __init__(
        self,
        destination: int,
        frame: ApsFrame,
        blocks: list[bytes],
        partner: Eui64 | None,
        radius: int,
        done: Confirm,
    ) -> None:
        self.nwk = destination
        self.frame = frame
        self.blocks = blocks
        self.index = 0
        self.partner = partner  # whose link key protects it
        self.radius = radius
        self.done = done
        self.tries = 0
        self.finished = False
        self.failure = Status.NO_ACK
        self.timer: asyncio.Handle | None = None


class Aps:
    """Between the endpoints and the NWK layer."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.state = node.state
        self.loop = asyncio.get_running_loop()
        self.counters = node.counters
        self.counter = node.rng.randrange(256)
        self.security = ApsSecurity(node)
        self._commands = ApsCommands(node)
        self._pending: dict[int, Outgoing] = {}
        self._others: set[Outgoing] = set()  # under way, but nobody acknowledges them
        # Of each sender its counters, the latest last, and until when each is remembered.
        self._seen: dict[int, dict[int, float]] = {}
        self._duplicate_s = DUPLICATE_S if node.rx_on_when_idle else SLEEPER_DUPLICATE_S
        self._reassembler = Reassembler(self.loop)

    def close(self) -> None:
        """The power is gone: nothing is called back."""
        for each in (*self._pending.values(), *self._others):
            each.finished = True
            if each.timer is not None:
                each.timer.cancel()
        self._pending.clear()
        self._others.clear()
        self._reassembler.close()

    def fail_all(self) -> None:
        """The network is gone: whoever waits is told."""
        waiting = [*self._pending.values(), *self._others]
        for each in waiting:
            self._finish(each, Status.NOT_JOINED)

    def withdraw(self, which: Callable[[int, int], bool]) -> None:
        """Nothing more of what `which(profile, cluster)` says yes to goes out."""
        waiting = [*self._pending.values(), *self._others]
        for each in waiting:
            if which(each.frame.profile, each.frame.cluster):
                self._finish(each, Status.NO_ACK)

    # -- sending --------------------

    def next_counter(self) -> int:
        """The next APS counter that no acknowledgement is awaited for."""
        for _ in range(256):
            self.counter = (self.counter + 1) & 0xFF
            if self.counter not in self._pending:
                break
        return self.counter

    def request(
        self,
        destination: int,
        frame: ApsFrame,
        blocks: list[bytes],
        partner: Eui64 | None,
        radius: int,
        done: Confirm,
    ) -> None:
        """Send a data frame; `done` gets the confirm, later. `partner` has it secured with the link
        key that is theirs at each attempt: key establishment may replace it in between."""
        outgoing = Outgoing(destination, frame, blocks, partner, radius, done)
        if frame.ack_request:
            replaced = self._pending.get(frame.counter)
            if replaced is not None:  # the caller uses a counter again: the earlier one is over
                self._finish(replaced, Status.NO_ACK)
            self._pending[frame.counter] = outgoing
        else:
            self._others.add(outgoing)
        self._transmit(outgoing)

    def _transmit(self, outgoing: Outgoing) -> None:
        frame = outgoing.frame
        if not self.state.joined:  # it searches, on whatever channel: nobody is there to hear
            outgoing.timer = self.loop.call_later(0, self._sent, outgoing, Outcome.NO_ACK)
            return
        count = len(outgoing.blocks)
        if count > 1:
            first = outgoing.index == 0
            frame.fragmentation = Fragmentation.FIRST if first else Fragmentation.PART
            frame.block = count if first else outgoing.index
        link_key: LinkKey | None = None
        if outgoing.partner is not None:
            link_key = self.state.link_keys.get(outgoing.partner)
            if link_key is None:
                outgoing.failure = Status.NO_KEY
                outgoing.timer = self.loop.call_later(0, self._timed_out, outgoing)
                return
        octets = self.security.encode(frame, outgoing.blocks[outgoing.index], link_key)

        def sent(outcome: Outcome) -> None:
            self._sent(outgoing, outcome)

        try:
            self.node.nwk.send_data(outgoing.nwk, octets, sent, radius=outgoing.radius)
        except NoRoute:
            self.counters["nwk_no_route"] += 1
            outgoing.timer = self.loop.call_later(0, self._sent, outgoing, Outcome.NO_ACK)

    def _sent(self, outgoing: Outgoing, outcome: Outcome) -> None:
        if outgoing.finished:
            return
        if not outgoing.frame.ack_request:
            failed = outcome is not Outcome.SENT and outgoing.frame.delivery == 0
            self._finish(outgoing, self._failure(outgoing) if failed else Status.SUCCESS)
            return
        outgoing.failure = Status.NO_ACK if outcome is Outcome.SENT else self._failure(outgoing)
        if outcome is not Outcome.SENT and not self.node.retries_after_mac_failure:
            self._finish(outgoing, outgoing.failure)
            return
        outgoing.timer = self.loop.call_later(self.node.ack_wait_s, self._timed_out, outgoing)

    def _failure(self, outgoing: Outgoing) -> Status:
        child = self.node.parent.children.get(outgoing.nwk)
        asleep = child is not None and not child.rx_on_when_idle
        return Status.EXPIRED if asleep else Status.MAC_FAILURE

    def _timed_out(self, outgoing: Outgoing) -> None:
        outgoing.timer = None
        if outgoing.tries >= MAX_RETRIES:
            self._finish(outgoing, outgoing.failure)
            return
        outgoing.tries += 1
        self.counters["aps_retries"] += 1
        self._transmit(outgoing)

    def _finish(self, outgoing: Outgoing, status: Status) -> None:
        outgoing.finished = True
        if outgoing.timer is not None:
            outgoing.timer.cancel()
            outgoing.timer = None
        if outgoing.frame.ack_request:
            self._pending.pop(outgoing.frame.counter, None)
        else:
            self._others.discard(outgoing)
        key = "aps_tx_success" if status is Status.SUCCESS else "aps_tx_failed"
        self.counters[key] += 1
        outgoing.done(status)

    def max_payload(self, *, secured: bool, fragmented: bool) -> int:
        """Octets of payload that fit in one frame."""
        room = MAX_PAYLOAD - aps.DATA_HEADER_OCTETS
        room -= APS_OVERHEAD if secured else 0
        return room - (aps.FRAGMENT_OCTETS if fragmented else 0)

    def send_command(
        self,
        destination: int,
        payload: bytes,
        *,
        link_key: bytes | None = None,
        key_id: int = KeyId.DATA,
        nwk_secured: bool = True,
    ) -> None:
        """An APS command, without APS acknowledgement. `NoRoute` when nobody leads there.

        Its auxiliary header names the source: the receiver may not know our address yet.
        """
        broadcast = nwk.is_broadcast(destination)
        frame = ApsFrame(
            Kind.COMMAND,
            self.next_counter(),
            delivery=aps.Delivery.BROADCAST if broadcast else aps.Delivery.UNICAST,
            security=link_key is not None,
        )
        octets = self.security.encode_command(frame, payload, link_key, key_id)
        self.node.nwk.send_data(destination, octets, lambda outcome: None, secured=nwk_secured)

    # -- receiving --------------------

    def received(
        self,
        carrier: nwk.NwkFrame,
        octets: bytes,
        rssi_dbm: int,
        lqi: int,
        nwk_secured: bool,
        phy: int,
    ) -> None:
        """An APS frame for us, over that PHY. Raises `FrameError` when it is malformed; the MAC
        counts that."""
        frame = aps.decode(octets)
        payload = frame.body
        source: Eui64 | None = None
        if frame.security:
            opened = self.security.open(carrier, frame)
            if opened is None:
                return
            payload, source = opened
        if frame.kind == Kind.COMMAND:
            self._commands.received(carrier, frame, payload, source, nwk_secured)
        elif source is not None and not self.node.takes_data_under_key_of(source):
            self.counters["aps_link_key_not_authorized"] += 1
        elif not nwk_secured:
            self.counters["nwk_unsecured_dropped"] += 1
        elif frame.kind == Kind.ACK:
            self._acknowledged(carrier.source, frame)
        else:
            self._data(carrier, frame, payload, rssi_dbm, lqi, phy)

    def _data(
        self,
        carrier: nwk.NwkFrame,
        frame: ApsFrame,
        payload: bytes,
        rssi_dbm: int,
        lqi: int,
        phy: int,
    ) -> None:
        node = self.node
        endpoint = frame.destination_endpoint
        if frame.delivery == aps.Delivery.GROUP or not (
            endpoint in (0, 0xFF) or endpoint in node.endpoints
        ):
            self.counters["aps_no_endpoint"] += 1
            return
        indication = Indication(
            carrier.source,
            node.eui64_of(carrier.source),
            carrier.destination,
            frame.source_endpoint,
            endpoint,
            frame.profile,
            frame.cluster,
            payload,
            frame.counter,
            frame.security,
            frame.ack_request,
            lqi,
            rssi_dbm,
            phy=phy,
        )
        key = (carrier.source, frame.counter)
        if frame.fragmentation:
            self._fragment(key, frame, indication)
            return
        if frame.ack_request:
            self._acknowledge(indication)
        if self._is_copy(key):
            self.counters["aps_rx_duplicate"] += 1
            return
        node.indicate(indication)

    def _is_copy(self, key: tuple[int, int]) -> bool:
        """Whether this sender's message has been delivered already; it is remembered anew."""
        source, counter = key
        now = self.loop.time()
        seen = self._seen.get(source)
        if seen is None:
            self._forget_silent(now)
            seen = self._seen[source] = {}
        expiry = seen.pop(counter, -1.0)
        seen[counter] = now + self._duplicate_s
        if len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        return expiry > now

    def _was_delivered(self, key: tuple[int, int]) -> bool:
        source, counter = key
        return self._seen.get(source, {}).get(counter, -1.0) > self.loop.time()

    def _forget_silent(self, now: float) -> None:
        """Forget the senders that none is remembered of any more."""
        for source in [
            each for each, seen in self._seen.items() if next(reversed(seen.values())) <= now
        ]:
            del self._seen[source]

    def _fragment(self, key: tuple[int, int], frame: ApsFrame, indication: Indication) -> None:
        first = frame.fragmentation == Fragmentation.FIRST
        index, count = (0, frame.block) if first else (frame.block, None)
        block = replace(indication, block=index, block_count=count)
        if not self.node.reassemble:
            self.node.indicate(block)
            return
        if self._was_delivered(key):  # complete; the last acknowledgement was lost
            self._is_copy(key)
            self._acknowledge(block, index)
            return
        reassembly = self._reassembler.add(key, block)
        if reassembly is None:
            self.counters["aps_fragment_refused"] += 1
            return
        self._acknowledge(block, index)
        self.node.fast_poll(EXPECTANT_S)  # the next one follows
        if reassembly.complete:
            self._reassembler.forget(key)
            self._is_copy(key)
            self.node.indicate(replace(indication, payload=reassembly.payload()))

    # -- acknowledgements --------------------

    def acknowledge(self, indication: Indication, bitmap: int) -> None:
        """Acknowledge a fragment on behalf of an owner that puts fragments together itself."""
        self._acknowledge(indication, indication.block, bitmap)

    def _acknowledge(
        self, indication: Indication, block: int | None = None, bitmap: int = 0xFF
    ) -> None:
        """Send an APS acknowledgement, secured as the frame was."""
        link_key = None
        if indication.aps_secured and indication.source_eui64 is not None:
            link_key = self.state.link_keys.get(indication.source_eui64)
        frame = ApsFrame(
            Kind.ACK,
            indication.counter,
            security=link_key is not None,
            destination_endpoint=indication.source_endpoint,
            cluster=indication.cluster_id,
            profile=indication.profile_id,
            source_endpoint=indication.destination_endpoint,
        )
        if block is not None:
            frame.fragmentation = Fragmentation.PART if block else Fragmentation.FIRST
            frame.block = block
            frame.acknowledged = bitmap
        try:
            self.node.nwk.send_data(
                indication.source, self.security.encode(frame, b"", link_key), lambda outcome: None
            )
        except NoRoute:
            self.counters["nwk_no_route"] += 1

    def _acknowledged(self, source: int, frame: ApsFrame) -> None:
        outgoing = self._pending.get(frame.counter)
        if outgoing is None or outgoing.nwk != source:
            return
        sent = outgoing.frame
        if frame.security != sent.security or frame.cluster != sent.cluster:
            return
        if sent.fragmentation:
            index = outgoing.index if len(outgoing.blocks) > 1 else self._single_block(sent)
            if not frame.fragmentation or not 0 <= index - frame.block < 8:
                return
            if not frame.acknowledged >> (index - frame.block) & 1:
                return
        if outgoing.timer is not None:
            outgoing.timer.cancel()
            outgoing.timer = None
        if outgoing.index + 1 < len(outgoing.blocks):
            outgoing.index += 1
            outgoing.tries = 0
            self._transmit(outgoing)
        else:
            self._finish(outgoing, Status.SUCCESS)

    @staticmethod
    def _single_block(frame: ApsFrame) -> int:
        return 0 if frame.fragmentation == Fragmentation.FIRST else frame.block
