"""The MAC of one node: its transmit queue, what it receives, and polling."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from labctl.virtual.air import Radio
from labctl.virtual.exchange import Done as Sent
from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import FrameError, mac, to_air
from labctl.virtual.phy import is_sub_ghz
from labctl.virtual.stack.duty_cycle import Account
from labctl.virtual.stack.indirect import Kept
from labctl.virtual.stack.types import Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node

FRAME_WAIT_S = 0.03
"""How long a sleeping device listens after an acknowledgement that promised a frame. The standard's
macMaxFrameTotalWaitTime is 19.5 ms at 2.4 GHz; parents with a queue take a little longer."""

SUB_GHZ_FRAME_WAIT_S = 0.25
"""The same with listen before talk: the parent may have to keep silent for 100 ms first, then it
listens for up to 10 ms, and the frame takes 11; and it may be at that for another frame already."""

DUPLICATE_S = 1.0
"""A frame that repeats its sender's last sequence number this soon is a copy."""


class _Once:
    """A frame that is made when its turn comes, and goes out once."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[[], bytes]) -> None:
        self._build = build

    def __call__(self) -> bytes:
        return self._build()


_Frame = bytes | Callable[[], bytes]


class Mac:
    """Between the NWK layer and a radio. `phy` counts the radios of the node."""

    def __init__(self, node: Node, phy: int, tx_power_dbm: float) -> None:
        self.node = node
        self.phy = phy
        self.radio: Radio = node.air.attach(
            self,
            name=node.state.eui64,
            position=node.position,
            tx_power_dbm=tx_power_dbm,
        )
        self.loop = asyncio.get_running_loop()
        self.account = Account(self.loop, lambda state: node.duty_cycle_changed(phy, state))
        self.listens_before_talk = False
        self._counters = node.counters
        self.sequence = node.rng.randrange(256)
        self.beacon_sequence = node.rng.randrange(256)
        self.always_on = node.rx_on_when_idle
        self.on_beacon: Callable[[mac.MacFrame, int, int], None] | None = None
        self.on_association: Callable[[bytes, int, int], None] | None = None
        self._queue: deque[tuple[_Frame, Sent]] = deque()
        self._urgent: deque[tuple[bytes, Sent]] = deque()  # of a scan
        self._held = False  # a scan has the radio: other frames wait
        self._sending: Sent | None = None
        self._busy = False
        self._idle: asyncio.Future[None] | None = None  # somebody waits for the frame to be out
        self._in_flight = b""
        self.kept = Kept(self.loop, self._send_fetched, self._counters)
        self._last: dict[int | bytes, tuple[int, float]] = {}
        self._poll_done: Callable[[Outcome, bool], None] | None = None
        self._sleep_timer: asyncio.TimerHandle | None = None
        self._pan = 0xFFFF
        self._short = 0xFFFF

    def close(self) -> None:
        """The power is gone."""
        if self._sleep_timer is not None:
            self._sleep_timer.cancel()
        self.kept.close()
        self.account.close()
        self._queue.clear()
        self._urgent.clear()
        self.radio.detach()

    def silence(self) -> None:
        """The network is gone from this radio: what waits to go out has failed, the receiver is
        off. A frame on the air is still finished."""
        self.radio.listen(False)
        self.forget_queue()

    def forget_queue(self) -> None:
        """What waits to go out has failed; it was for a network that is not here any more."""
        waiting = [*self._queue]
        self._queue.clear()
        for _, sent in waiting:
            sent(Outcome.NO_ACK, False)

    def tune(self, page: int, channel: int) -> None:
        """Change the channel; below 1 GHz the airtime is on an account."""
        radio = self.radio
        radio.tune(page, channel)
        self.listens_before_talk = is_sub_ghz(page)
        if self.listens_before_talk:
            self.account.on_page(page)
            radio.regulator = self.account
        else:
            radio.regulator = None

    def set_addresses(self, pan: int, short: int) -> None:
        """Tell the radio whose frames are ours."""
        self._pan, self._short = pan, short
        self.radio.set_addresses(pan, short, to_air(self.node.state.eui64))
        self.radio.pan_coordinator = self.node.state.role is Role.COORDINATOR

    def next_sequence(self) -> int:
        """The next data sequence number (macDSN)."""
        self.sequence = (self.sequence + 1) & 0xFF
        return self.sequence

    # -- sending --------------------

    def send(self, frame: _Frame, sent: Sent) -> None:
        """Queue a frame (without FCS); a callable makes it when its turn comes."""
        if self._busy or self._held:
            self._queue.append((frame, sent))
        else:
            self._transmit(frame, sent)

    def _send_fetched(self, build: Callable[[], bytes], sent: Sent) -> None:
        """A frame that a child has just asked for, and listens for as long as it can afford. Where
        each frame takes its tenth of a second it goes before those whose receivers are awake. It is
        not repeated: the child is asleep by then, and asks again (802.15.4 5.1.6.4.3)."""
        frame = _Once(build)
        if self.listens_before_talk and (self._busy or self._held):
            self._queue.appendleft((frame, sent))
        else:
            self.send(frame, sent)

    def hold(self) -> None:
        """A scan begins: only its own frames go out, until `release`."""
        self._held = True

    async def idle(self) -> None:
        """Wait until no frame is on its way. For a scan, after `hold` and after each request."""
        while self._busy or self._urgent:
            if self._idle is None:
                self._idle = self.loop.create_future()
            await self.node.until(self._idle)

    def release(self) -> None:
        """The scan is over."""
        self._held = False
        self._next()

    def request_beacons(self) -> None:
        """Send a beacon request on the present channel (802.15.4 5.3.7), during a scan."""
        frame = mac.MacFrame(
            mac.Kind.COMMAND,
            self.next_sequence(),
            bytes((mac.Command.BEACON_REQUEST,)),
            mac.BROADCAST,
            mac.BROADCAST,
        )
        self._urgent.append((frame.encode(), _ignore))
        self._next()

    def send_data(self, destination: int, payload: bytes, sent: Sent) -> None:
        """Queue a data frame to a short address of our PAN."""
        self.send(
            mac.encode_data(self.next_sequence(), self._pan, destination, self._short, payload),
            sent,
        )

    def send_data_indirect(
        self, destination: int, payload: Callable[[], bytes], sent: Sent
    ) -> None:
        """Keep a data frame for a sleeping child. `payload` is asked for at each attempt, so that
        the security counter is in step with what has been sent meanwhile."""

        def build(pending: bool) -> bytes:
            return mac.encode_data(
                self.next_sequence(),
                self._pan,
                destination,
                self._short,
                payload(),
                pending=pending,
            )

        self.kept.keep(destination, build, sent)

    def _transmit(self, frame: _Frame, sent: Sent) -> None:
        self._busy = True
        self._sending = sent
        self._counters["mac_tx"] += 1
        octets = frame if isinstance(frame, bytes) else frame()
        if self.listens_before_talk:
            self._in_flight = octets
        self.radio.transmit(octets, self._transmitted, repeats=not isinstance(frame, _Once))

    def _transmitted(self, outcome: Outcome, pending: bool) -> None:
        sent = self._sending
        self._busy = False
        self._sending = None
        if outcome is not Outcome.SENT:
            self._counters["mac_tx_failed"] += 1
        elif self.listens_before_talk and self._in_flight[0] & 0x20:
            self.account.acknowledged(self._in_flight)
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
            self._idle = None
        self._next()
        if sent is not None:
            sent(outcome, pending)

    def _next(self) -> None:
        if self._busy:
            return
        if self._urgent:
            self._transmit(*self._urgent.popleft())
        elif self._queue and not self._held:
            self._transmit(*self._queue.popleft())

    def frame_pending(self, psdu: bytes) -> bool:
        """RadioClient: the frame pending bit, which is meant for data requests (5.1.6.3)."""
        if psdu[0] & 7 != mac.Kind.COMMAND:
            return False
        try:
            frame = mac.decode(psdu[:-2])
        except FrameError:
            return False
        source = frame.source
        if frame.payload[0] != mac.Command.DATA_REQUEST or source is None:
            return False
        if self.kept.waiting_for(source):
            return True
        return isinstance(source, int) and self.node.nwk.owes_a_leave(source, self.phy)

    # -- polling (end devices) --------------------

    def poll(self, parent: int, done: Callable[[Outcome, bool], None]) -> None:
        """Ask the parent for a frame. `done` gets the outcome and whether a frame came."""
        if self._poll_done is not None:
            return
        self._poll_done = done
        state = self.node.state
        associated = self._short < mac.NO_SHORT_ADDRESS
        frame = mac.MacFrame(
            mac.Kind.COMMAND,
            self.next_sequence(),
            bytes((mac.Command.DATA_REQUEST,)),
            self._pan,
            parent,
            self._pan,
            self._short if associated else to_air(state.eui64),
            ack_request=True,
        )
        self.send(frame.encode(), self._poll_sent)

    def _poll_sent(self, outcome: Outcome, pending: bool) -> None:
        if outcome is Outcome.SENT and pending:
            self.radio.listen(True)
            wait_s = SUB_GHZ_FRAME_WAIT_S if self.listens_before_talk else FRAME_WAIT_S
            self._sleep_timer = self.loop.call_later(wait_s, self._poll_ends, outcome, False)
        else:
            self._poll_ends(outcome, False)

    def _poll_ends(self, outcome: Outcome, got: bool) -> None:
        if self._sleep_timer is not None:
            self._sleep_timer.cancel()
            self._sleep_timer = None
        if not self.always_on:
            self.radio.listen(False)
        done, self._poll_done = self._poll_done, None
        if done is not None:
            done(outcome, got)

    # -- receiving --------------------

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        """RadioClient: a frame for us, or for all."""
        self._counters["mac_rx"] += 1
        try:
            frame = mac.decode(mac.check_fcs(psdu))
            if self.listens_before_talk:
                self.account.heard(psdu)
            if frame.kind == mac.Kind.DATA:
                self._data(frame, rssi_dbm, lqi)
            elif frame.kind == mac.Kind.COMMAND:
                self._command(frame)
            elif frame.kind == mac.Kind.BEACON and self.on_beacon is not None:
                self.on_beacon(frame, rssi_dbm, lqi)
        except FrameError:
            self._counters["mac_rx_malformed"] += 1

    def _is_copy(self, frame: mac.MacFrame) -> bool:
        """Whether this is a repetition, sent because our acknowledgement was lost."""
        source = frame.source
        if source is None:
            return False
        now = self.loop.time()
        last = self._last.get(source)
        self._last[source] = (frame.sequence, now)
        if last is not None and last[0] == frame.sequence and now - last[1] < DUPLICATE_S:
            self._counters["mac_rx_duplicate"] += 1
            return True
        return False

    def _data(self, frame: mac.MacFrame, rssi_dbm: int, lqi: int) -> None:
        waited = self._sleep_timer is not None and frame.destination != mac.BROADCAST
        copy = self._is_copy(frame)
        if not copy and isinstance(frame.source, int):
            self.node.nwk.mac_data(frame.source, frame.payload, rssi_dbm, lqi, self.phy)
        if waited and self._sleep_timer is not None:
            self._poll_ends(Outcome.SENT, True)
            if frame.frame_pending:
                self.node.poll_again()

    def _command(self, frame: mac.MacFrame) -> None:
        command = frame.payload[0]
        source = frame.source
        if command == mac.Command.BEACON_REQUEST:
            self.node.parent.beacon_requested(self)
            return
        if source is None or self._is_copy(frame):
            return
        if command == mac.Command.DATA_REQUEST:
            if isinstance(source, int):
                self.node.nwk.heard(source, self.phy)
                if source in self.node.parent.children:
                    pending = self.kept.waiting_for(source)
                    self.node.listener.child_polled(source, self.phy, pending)
            if self.kept.waiting_for(source):
                self.kept.fetched_by(source)
            elif isinstance(source, int):
                self.node.nwk.polled_for_nothing(source, self.phy)
        elif isinstance(source, bytes):
            if command == mac.Command.ASSOCIATION_REQUEST and len(frame.payload) >= 2:
                self.node.parent.association_requested(source, frame.payload[1], self)
            elif command == mac.Command.ASSOCIATION_RESPONSE and self.on_association is not None:
                short, status = mac.decode_association_response(frame.payload)
                if self._sleep_timer is not None:
                    self._poll_ends(Outcome.SENT, True)
                self.on_association(source, short, status)


def _ignore(outcome: Outcome, pending: bool) -> None:
    """Nobody waits for this frame."""
