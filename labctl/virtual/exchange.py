"""One frame's way over the air: waiting for a free channel, the frame, its acknowledgement, its
repetitions. At 2.4 GHz CSMA-CA, below it listen before talk.

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
    SUSPENDED = 3  # the radio's regulator forbids it: nothing went out


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
        "airtime_us",
        "assess_at",
        "attempts",
        "backoffs",
        "dead",
        "done",
        "end",
        "exponent",
        "listen_since",
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
        self.airtime_us = self.phy.airtime_us(len(psdu))
        self.wants_ack = bool(psdu[0] & 0x20)
        self.done = done
        self.attempts = 0
        self.backoffs = 0
        self.exponent = MIN_BE
        self.on_air = False
        self.dead = False
        self.resolved = False
        self.start = self.end = self.ack_start = self.ack_end = 0.0
        self.listen_since = self.assess_at = 0.0  # when the channel has to be free
        self.receivers: list[tuple[Radio, float, int]] = []
        self.acker: tuple[Radio, float, int] | None = None
        self.ack_pending = False
        self.timer: asyncio.Handle | None = None

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
        self.listen_since = now + slots * medium.unit_backoff_s + latency
        self.assess_at = self.listen_since + medium.cca_s
        if medium.under_way == 1 and not medium.exchanges and not medium.disturbers:
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

    def put_back(self, newcomer: Exchange) -> None:
        """The channel will not be clear after all when this one, sent in advance, assesses it:
        `newcomer` is there first."""
        if self.timer is not None:
            self.timer.cancel()
        self.on_air = False
        self.medium.exchanges.remove(self)
        self._heard(newcomer.start, newcomer.end)

    def _heard(self, start: float, end: float) -> None:
        """What was to be silence will be broken from `start` to `end`."""
        self._found_busy()

    # -- on the air --------------------

    def _take_off(self) -> None:
        medium = self.medium
        self.on_air = True
        self.start = self.assess_at + medium.turnaround_s
        self.end = self.start + self.airtime_us * 1e-6
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
        radio.has_sent(self.airtime_us, self.psdu)
        acked = False
        if self.acker is not None:
            self.acker[0].has_acknowledged(medium.ack_airtime_us, self.psdu)
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
        if self.acker is not None and medium.air.monitors:
            medium.overhear_ack(self, _ACKS[self.ack_pending][self.psdu[2]])
        if not radio.attached or self.dead:
            return
        if not repeat:
            failed = self.wants_ack and not acked
            self.done(Outcome.NO_ACK if failed else Outcome.SENT, acked and self.ack_pending)
            return
        radio.repetitions += 1
        # What this attempt still disturbs is kept with it, so the next one is an object of its own.
        again = radio.exchange = type(self)(medium, radio, self.psdu, self.done)
        again.attempts = self.attempts + 1
        medium.retire(self)
        again.begin(self.end + medium.ack_wait_s)


class SubGhzExchange(Exchange):
    """One attempt with listen before talk (R22 D.11.2), by a radio whose airtime is regulated.

    The channel has to be silent for a fixed and then for a random time. Whoever is heard in the
    random part costs one of the retries; a channel without any silence ends the attempt after a
    while. Here too one timer carries the whole of it while nobody else is on the channel.
    """

    __slots__ = ("_deadline", "_lbt")

    def begin(self, now: float) -> None:
        """Start at `now`, or when the radio may transmit again."""
        lbt = self.phy.lbt
        assert lbt is not None
        self._lbt = lbt
        regulator = self.radio.regulator
        if regulator is not None and not regulator.permits(self.airtime_us):
            self.timer = self.medium.loop.call_soon(self._give_up, Outcome.SUSPENDED)
            return
        since = max(now, self.radio.off_until)
        self._deadline = since + lbt.timeout_s
        self._listen(since)

    def _listen(self, since: float) -> None:
        medium = self.medium
        lbt = self._lbt
        drawn = medium.air.rng.random() * (lbt.max_random_s / lbt.granularity_s + 1)
        steps = int(drawn)
        self.listen_since = since
        self.assess_at = since + lbt.min_free_s + steps * lbt.granularity_s
        self.assess_at += (drawn - steps) * LATENCY_S
        if medium.under_way == 1 and not medium.exchanges and not medium.disturbers:
            self._take_off()
        else:
            self.timer = medium.loop.call_at(self.assess_at, self._assess)

    def _assess(self) -> None:
        heard = self.medium.heard_by(self.radio, self.listen_since, self.assess_at)
        if heard is None:
            self._take_off()
            self.medium.put_back_who_hears(self)
        else:
            self._heard(*heard)

    def _heard(self, start: float, end: float) -> None:
        lbt = self._lbt
        if start >= self.listen_since + lbt.min_free_s:
            self.backoffs += 1
        if self.backoffs > lbt.retries:
            at = self.assess_at
        elif end + lbt.min_free_s > self._deadline:
            at = self._deadline
        else:
            self._listen(end)
            return
        self.timer = self.medium.loop.call_at(at, self._give_up, Outcome.CHANNEL_BUSY)

    def _give_up(self, outcome: Outcome) -> None:
        self.medium.finished(self)
        self.done(outcome, False)

    def _land(self) -> None:
        self.radio.off_until = self.end + self._lbt.off_s
        super()._land()
