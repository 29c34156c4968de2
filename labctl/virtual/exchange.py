"""One frame's way over the air: CSMA-CA, the frame, its acknowledgement, its repetitions.

One loop timer carries a whole attempt as long as nobody else is on the channel: the moment of the
clear channel assessment is drawn in advance, and the timer fires when the acknowledgement has
ended. As soon as a second exchange is under way on the channel, the newcomers assess the channel
by a timer of their own, and whoever had been scheduled in advance is put back when it turns out
that it would have heard somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING

from labctl.virtual.frames import mac
from labctl.virtual.phy import MAX_BACKOFFS, MAX_BE, MAX_RETRIES, MIN_BE, Phy

if TYPE_CHECKING:
    from labctl.virtual.medium import Medium
    from labctl.virtual.radio import Radio


class Outcome(IntEnum):
    """How a transmission ended."""

    SENT = 0  # acknowledged, or no acknowledgement was asked for
    NO_ACK = 1
    CHANNEL_BUSY = 2


Done = Callable[[Outcome, bool], None]
"""Called at the end with the outcome, and whether the acknowledgement had frame pending set."""

ACK_PSDU_OCTETS = 5
LATENCY_S = 150e-6
"""What a MAC's processor needs at most before it counts its backoff."""

_ACKS = tuple(
    tuple(mac.with_fcs(mac.ack(sequence, pending=pending)) for sequence in range(256))
    for pending in (False, True)
)


class Exchange:
    """One attempt to send a frame; each repetition is another. Times: the loop's clock, s."""

    __slots__ = (
        "ack_end",
        "ack_pending",
        "ack_start",
        "acker",
        "assess_at",
        "attempts",
        "backoffs",
        "dead",
        "done",
        "end",
        "exponent",
        "medium",
        "on_air",
        "phy",
        "psdu",
        "radio",
        "receivers",
        "resolved",
        "start",
        "timer",
        "wants_ack",
    )

    def __init__(self, medium: Medium, radio: Radio, psdu: bytes, done: Done) -> None:
        self.medium = medium
        self.phy: Phy = medium.phy
        self.radio = radio
        self.psdu = psdu
        self.wants_ack = bool(psdu[0] & 0x20)
        self.done = done
        self.attempts = 0
        self.backoffs = 0
        self.exponent = MIN_BE
        self.on_air = False
        self.dead = False
        self.resolved = False
        self.start = self.end = self.ack_start = self.ack_end = self.assess_at = 0.0
        self.receivers: list[tuple[Radio, float, int]] = []
        self.acker: tuple[Radio, float, int] | None = None
        self.ack_pending = False
        self.timer: asyncio.TimerHandle | None = None

    # -- CSMA-CA, unslotted (802.15.4 5.1.1.4) --------------------

    def begin(self, now: float) -> None:
        """Start at `now`."""
        self._back_off(now)

    def _back_off(self, now: float) -> None:
        medium = self.medium
        drawn = medium.air.rng.random() * (1 << self.exponent)
        slots = int(drawn)
        # No two processors need the same time for the same thing: without that, radios that were
        # woken by one event would count their slots in step for ever.
        latency = (drawn - slots) * LATENCY_S
        self.assess_at = now + slots * medium.unit_backoff_s + latency + medium.cca_s
        if medium.under_way == 1 and not medium.exchanges:
            self._take_off()
        else:
            self.timer = medium.loop.call_at(self.assess_at, self._assess)

    def _assess(self) -> None:
        if self.medium.busy(self.radio, self.assess_at):
            self._found_busy()
            return
        self._take_off()
        self.medium.put_back_who_hears(self)

    def _found_busy(self) -> None:
        self.backoffs += 1
        self.exponent = min(self.exponent + 1, MAX_BE)
        if self.backoffs > MAX_BACKOFFS:
            self.medium.finished(self)
            self.done(Outcome.CHANNEL_BUSY, False)
        else:
            self._back_off(self.assess_at)

    def put_back(self) -> None:
        """The channel will not be clear after all when this one, sent in advance, assesses it."""
        if self.timer is not None:
            self.timer.cancel()
        self.on_air = False
        self.medium.exchanges.remove(self)
        self._found_busy()

    # -- on the air --------------------

    def _take_off(self) -> None:
        medium = self.medium
        phy = self.phy
        self.on_air = True
        self.start = self.assess_at + medium.turnaround_s
        self.end = self.start + phy.airtime_s(len(self.psdu))
        if self.wants_ack:
            self.ack_start = self.end + medium.turnaround_s
            self.ack_end = self.ack_start + medium.ack_airtime_s
        else:
            self.ack_start = self.ack_end = self.end
        medium.exchanges.append(self)
        self.timer = medium.loop.call_at(self.ack_end, self._land)

    def resolve(self) -> None:
        """Settle who receives the frame, and so whether an acknowledgement is on the air.

        Only after `end`. Others that overlap may ask before this exchange's own timer fires; the
        recursion this can cause runs back in time only.
        """
        if not self.resolved:
            self.resolved = True
            self.receivers = [] if self.dead else self.medium.receivers_of(self)
            if self.wants_ack:
                for receiver in self.receivers:
                    if receiver[0].acknowledges(self.psdu):
                        self.acker = receiver
                        self.ack_pending = receiver[0].pending_for(self.psdu)
                        break

    def _land(self) -> None:
        medium = self.medium
        radio = self.radio
        self.resolve()
        acked = False
        if self.acker is not None:
            acked = medium.hears_ack(self)
        if medium.meters:
            medium.measure(self)
        if medium.air.capturing:
            medium.capture(self, _ACKS[self.ack_pending][self.psdu[2]])
        self.on_air = False
        repeat = self.wants_ack and not acked and self.attempts < MAX_RETRIES
        if not repeat:
            medium.finished(self)
        for receiver, rssi, lqi in self.receivers:
            if receiver.attached:
                receiver.client.frame_received(self.psdu, round(rssi), lqi)
        if not radio.attached or self.dead:
            return
        if not repeat:
            failed = self.wants_ack and not acked
            self.done(Outcome.NO_ACK if failed else Outcome.SENT, acked and self.ack_pending)
            return
        # What this attempt still disturbs is kept with it, so the next one is an object of its own.
        again = radio.exchange = Exchange(medium, radio, self.psdu, self.done)
        again.attempts = self.attempts + 1
        medium.retire(self)
        again.begin(self.end + medium.ack_wait_s)
