"""The virtual air: carries real 802.15.4 frames between the radios that hear them.

Every frame is octets on the way: the sender's layers encode, the air adds the FCS, a receiver's
layers decode. The air does what a radio chip does in hardware: clear channel assessment, address
filter, acknowledgement with the frame pending bit, repetition.
"""

from __future__ import annotations

import asyncio
import math
import random
from typing import Protocol

from labctl.virtual.exchange import ACK_PSDU_OCTETS, Done, Exchange
from labctl.virtual.frames.mac import FCS_OCTETS, MAX_PSDU, fcs
from labctl.virtual.frames.tap import TapWriter
from labctl.virtual.phy import phy_of
from labctl.virtual.propagation import (
    NOISE_DBM,
    Position,
    Propagation,
    link_quality,
    reception_probability,
)

CCA_THRESHOLD_DBM = -75.0
"""Above this a channel is busy. Radios that hear each other more faintly are hidden nodes."""


class RadioClient(Protocol):
    """What sits on a radio: the MAC."""

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        """A frame that passed the address filter, with its FCS."""

    def frame_pending(self, psdu: bytes) -> bool:
        """Whether the acknowledgement of this frame says that more is waiting."""


class Medium:
    """One channel of one page, and who is on it."""

    __slots__ = (
        "ack_airtime_s",
        "ack_wait_s",
        "air",
        "cca_s",
        "channel",
        "exchanges",
        "loop",
        "meters",
        "page",
        "phy",
        "radios",
        "turnaround_s",
        "under_way",
        "unit_backoff_s",
        "waiting",
    )

    def __init__(self, air: Air, page: int, channel: int) -> None:
        self.air = air
        self.page = page
        self.channel = channel
        self.loop = asyncio.get_running_loop()
        self.phy = phy_of(page)
        self.unit_backoff_s = self.phy.unit_backoff_s
        self.cca_s = self.phy.cca_s
        self.turnaround_s = self.phy.turnaround_s
        self.ack_wait_s = self.phy.ack_wait_s
        self.ack_airtime_s = self.phy.airtime_s(ACK_PSDU_OCTETS)
        self.radios: list[Radio] = []
        self.exchanges: list[Exchange] = []  # on the air, or still able to disturb one that is
        self.meters: dict[Radio, float] = {}  # who measures energy, and the peak so far
        self.under_way = 0  # exchanges that have begun and not ended

    # -- life of an exchange --------------------

    def finished(self, exchange: Exchange) -> None:
        """This exchange is over."""
        self.under_way -= 1
        exchange.radio.exchange = None
        self.retire(exchange)

    def retire(self, exchange: Exchange) -> None:
        """An attempt is over; forget it as soon as no attempt on the air overlaps it."""
        exchanges = self.exchanges
        if len(exchanges) == 1 and exchanges[0] is exchange and not exchange.on_air:
            exchanges.clear()
            return
        first = min((each.start for each in exchanges if each.on_air), default=math.inf)
        self.exchanges = [each for each in exchanges if each.on_air or each.ack_end > first]

    def busy(self, radio: Radio, at: float) -> bool:
        """Whether `radio` finds the channel busy in the assessment that ends `at`."""
        since = at - self.cca_s
        for each in self.exchanges:
            if each.start <= at and each.end > since and self._disturbs(each.radio, radio):
                return True
            if each.wants_ack and each.ack_start <= at and each.ack_end > since:
                each.resolve()
                if each.acker is not None and self._disturbs(each.acker[0], radio):
                    return True
        return False

    @staticmethod
    def _disturbs(sender: Radio, radio: Radio) -> bool:
        return sender is radio or sender.mean_rssi_at(radio) >= CCA_THRESHOLD_DBM

    def put_back_who_hears(self, newcomer: Exchange) -> None:
        """Whoever planned to assess the channel during `newcomer` will find it busy."""
        for each in tuple(self.exchanges):
            if (
                each is not newcomer
                and each.on_air
                and each.assess_at >= newcomer.start
                and each.assess_at - self.cca_s < newcomer.end
                and self._disturbs(newcomer.radio, each.radio)
            ):
                each.put_back()

    # -- reception --------------------

    def receivers_of(self, exchange: Exchange) -> list[tuple[Radio, float, int]]:
        """`(radio, RSSI in dBm, LQI)` of all whose filter passes the frame, and who got it."""
        psdu = exchange.psdu
        sender = exchange.radio
        alone = len(self.exchanges) == 1
        heard = []
        for radio in self.radios:
            if radio is sender or not radio.accepts(psdu) or radio.listening_since > exchange.start:
                continue
            interference = None
            if not alone:
                if self._talks(radio, exchange):
                    continue
                interference = self._interference(radio, exchange, exchange.start, exchange.end)
            received = self._received(sender, radio, psdu, interference)
            if received is not None:
                heard.append(received)
        return heard

    def _received(
        self, sender: Radio, radio: Radio, psdu: bytes, interference: float | None
    ) -> tuple[Radio, float, int] | None:
        air = self.air
        rssi = sender.mean_rssi_at(radio) + air.fading[int(air.rng.random() * 1024)]
        chance = 1.0
        if interference is not None or rssi < radio.sensitivity_dbm + 20:
            chance = reception_probability(rssi, radio.sensitivity_dbm, interference)
        if chance < 1.0 and air.rng.random() >= chance:
            return None
        if air.drop is not None and air.drop(sender, radio, psdu):
            return None
        return radio, rssi, link_quality(rssi, interference)

    def hears_ack(self, exchange: Exchange) -> bool:
        """Whether the acknowledgement gets back to the sender."""
        assert exchange.acker is not None
        acker = exchange.acker[0]
        interference = None
        if len(self.exchanges) > 1:
            interference = self._interference(
                exchange.radio, exchange, exchange.ack_start, exchange.ack_end
            )
        psdu = _ACK_SAMPLE
        return self._received(acker, exchange.radio, psdu, interference) is not None

    def _talks(self, radio: Radio, exchange: Exchange) -> bool:
        """Half duplex: whether `radio` sends something itself during the frame."""
        for each in self.exchanges:
            if each is exchange:
                continue
            if each.radio is radio and each.start < exchange.end and each.end > exchange.start:
                return True
            if each.wants_ack and each.ack_start < exchange.end and each.ack_end > exchange.start:
                each.resolve()
                if each.acker is not None and each.acker[0] is radio:
                    return True
        return False

    def _interference(
        self, radio: Radio, exchange: Exchange, start: float, end: float
    ) -> float | None:
        """Power of all other frames that overlap, at `radio`, dBm."""
        milliwatts = 0.0
        for each in self.exchanges:
            if each is exchange:
                continue
            if each.start < end and each.end > start and each.radio is not radio:
                milliwatts += 10 ** (each.radio.mean_rssi_at(radio) / 10)
            if each.wants_ack and each.ack_start < end and each.ack_end > start:
                each.resolve()
                if each.acker is not None and each.acker[0] is not radio:
                    milliwatts += 10 ** (each.acker[0].mean_rssi_at(radio) / 10)
        return 10 * math.log10(milliwatts) if milliwatts else None

    def start_energy_measurement(self, radio: Radio) -> None:
        """`radio` measures the energy on this channel from now on."""
        self.meters[radio] = NOISE_DBM + self.air.rng.uniform(-2.0, 2.0)

    def end_energy_measurement(self, radio: Radio) -> float:
        """The peak since the start, dBm."""
        for each in self.exchanges:
            if each.start < self.loop.time():
                self.measure(each)
        return max(self.meters.pop(radio), self.air.noise_dbm.get((self.page, self.channel), -999))

    def measure(self, exchange: Exchange) -> None:
        """Let those who measure know of a frame."""
        for radio, peak in self.meters.items():
            if radio is not exchange.radio:
                self.meters[radio] = max(peak, exchange.radio.mean_rssi_at(radio))

    # -- capture --------------------

    def capture(self, exchange: Exchange, ack: bytes) -> None:
        """Record the frame, and its acknowledgement if there was one."""
        now = self.loop.time()
        self._record(exchange.radio, exchange.psdu, now - exchange.start)
        if exchange.acker is not None:
            self._record(exchange.acker[0], ack, now - exchange.ack_start)

    def _record(self, sender: Radio, psdu: bytes, age_s: float) -> None:
        for writer, beside in self.air.captures:
            rss = -30.0
            if beside is not None and beside is not sender:
                rss = sender.mean_rssi_at(beside)
            writer.frame(
                psdu,
                page=self.page,
                channel=self.channel,
                rss_dbm=rss,
                lqi=link_quality(rss),
                age_s=age_s,
            )


_ACK_SAMPLE = b"\x02\x00\x00"


class Radio:
    """One radio: place, power, channel, address filter. Made by `Air.attach`."""

    __slots__ = (
        "_filter_long",
        "_filter_pan",
        "_filter_short",
        "_levels",
        "air",
        "attached",
        "client",
        "exchange",
        "listening_since",
        "medium",
        "name",
        "pan_coordinator",
        "position",
        "promiscuous",
        "sensitivity_dbm",
        "tx_power_dbm",
    )

    def __init__(
        self,
        air: Air,
        name: str,
        client: RadioClient,
        position: Position,
        tx_power_dbm: float,
    ) -> None:
        self.air = air
        self.name = name
        self.client = client
        self.position = position
        self.tx_power_dbm = tx_power_dbm
        self.sensitivity_dbm = -100.0
        self.attached = True
        self.promiscuous = False  # scanning: beacons of all PANs and nothing else
        self.pan_coordinator = False
        self.listening_since = math.inf  # when the receiver was switched on and tuned; inf: off
        self.medium: Medium | None = None
        self.exchange: Exchange | None = None
        self._levels: dict[Radio, float] = {}
        self.set_addresses(0xFFFF, 0xFFFF, bytes(8))

    # -- configuration --------------------

    def set_addresses(self, pan: int, short: int, eui64: bytes) -> None:
        """The address filter (802.15.4 5.1.6.2). 0xFFFE as short address matches nothing."""
        octets = pan.to_bytes(2, "little")
        self._filter_pan = octets
        self._filter_short = octets + short.to_bytes(2, "little") if short < 0xFFFE else b"none"
        self._filter_long = octets + eui64

    def tune(self, page: int, channel: int) -> None:
        """Change the channel. What is on the air towards this radio now is lost."""
        medium = self.air.medium(page, channel)
        if medium is self.medium:
            return
        if self.medium is not None:
            self.medium.radios.remove(self)
        medium.radios.append(self)
        self.medium = medium
        self.sensitivity_dbm = medium.phy.sensitivity_dbm
        self.forget_levels()
        if self.listening_since < math.inf:
            self.listening_since = medium.loop.time()

    def listen(self, on: bool) -> None:
        """Switch the receiver on or off."""
        if not on:
            self.listening_since = math.inf
        elif self.listening_since == math.inf:
            assert self.medium is not None
            self.listening_since = self.medium.loop.time()

    def move(self, position: Position) -> None:
        """Carry the radio somewhere else: another waypoint, another shadowing."""
        self.position = position
        self.forget_levels()

    def set_tx_power(self, dbm: float) -> None:
        """Change the transmit power, dBm."""
        self.tx_power_dbm = dbm
        self._levels.clear()

    def forget_levels(self) -> None:
        """Compute the levels of all links anew: the room, a place or a channel changed."""
        self._levels.clear()
        for other in self.air.radios:
            other._levels.pop(self, None)

    # -- use --------------------

    def mean_rssi_at(self, receiver: Radio) -> float:
        """Mean level of this radio at `receiver`, dBm, before fading."""
        level = self._levels.get(receiver)
        if level is None:
            assert self.medium is not None
            level = self._levels[receiver] = self.tx_power_dbm - self.air.propagation.mean_loss_db(
                self.air.seed,
                self.name,
                receiver.name,
                self.position,
                receiver.position,
                self.medium.phy.mhz,
            )
        return level

    def transmit(self, mpdu: bytes, done: Done) -> None:
        """Send a frame (without FCS) with CSMA-CA and, if it asks for an acknowledgement, up to
        three repetitions. One at a time: `done` says when the next may come."""
        assert self.medium is not None
        if self.exchange is not None:
            raise RuntimeError("this radio is still busy with a frame")
        if not 3 <= len(mpdu) <= MAX_PSDU - FCS_OCTETS:
            raise ValueError(f"a frame of {len(mpdu)} octets does not fit the radio")
        medium = self.medium
        psdu = mpdu + fcs(mpdu).to_bytes(2, "little")
        exchange = self.exchange = Exchange(medium, self, psdu, done)
        medium.under_way += 1
        exchange.begin(medium.loop.time())

    def accepts(self, psdu: bytes) -> bool:
        """The hardware's address filter."""
        mode = psdu[1] >> 2 & 3
        if self.promiscuous:
            return psdu[0] & 7 == 0
        if mode == 2:
            wanted = psdu[3:7]
            return (
                wanted == self._filter_short
                or wanted == b"\xff\xff\xff\xff"
                or (wanted[2:] == b"\xff\xff" and wanted[:2] == self._filter_pan)
            )
        if mode == 3:
            return psdu[3:13] == self._filter_long
        if psdu[0] & 7 == 0:
            return False  # beacons matter in scans only
        return self.pan_coordinator and psdu[3:5] == self._filter_pan

    def acknowledges(self, psdu: bytes) -> bool:
        """Whether this radio answers the frame with an acknowledgement: not to broadcasts."""
        return psdu[5:7] != b"\xff\xff"

    def pending_for(self, psdu: bytes) -> bool:
        """The frame pending bit of the acknowledgement of `psdu`."""
        return self.client.frame_pending(psdu)

    def detach(self) -> None:
        """Gone from the air at once: a frame under way is cut off, nothing is called back."""
        if not self.attached:
            return
        self.attached = False
        exchange = self.exchange
        if exchange is not None:
            exchange.dead = True
            exchange.on_air = False
            if exchange.timer is not None:
                exchange.timer.cancel()
            exchange.medium.finished(exchange)
        if self.medium is not None:
            self.medium.radios.remove(self)
            self.medium = None
        self.forget_levels()
        self.air.radios.remove(self)


class Air:
    """One room's worth of radio waves.

    Everything random comes from `rng`. `drop(sender, receiver, psdu)`, if set, loses the frames for
    which it returns True (faults, tests). `noise_dbm` has the level of a disturber for
    `(page, channel)`; it is heard in energy scans.
    """

    def __init__(self, *, rng: random.Random, propagation: Propagation | None = None) -> None:
        self.rng = rng
        self.seed = rng.getrandbits(64)
        self.propagation = propagation or Propagation()
        self.fading = self.propagation.fading_table()
        self.radios: list[Radio] = []
        self.captures: list[tuple[TapWriter, Radio | None]] = []
        self.capturing = False
        self.drop: DropHook | None = None
        self.noise_dbm: dict[tuple[int, int], float] = {}
        self._media: dict[tuple[int, int], Medium] = {}

    def medium(self, page: int, channel: int) -> Medium:
        """The channel `channel` of `page`."""
        medium = self._media.get((page, channel))
        if medium is None:
            medium = self._media[page, channel] = Medium(self, page, channel)
        return medium

    def attach(
        self,
        client: RadioClient,
        *,
        name: str,
        position: Position = (0.0, 0.0, 0.0),
        tx_power_dbm: float = 8,
    ) -> Radio:
        """A new radio, its receiver off and tuned to nothing. `name` identifies it between power
        cuts: its links keep their shadowing."""
        radio = Radio(self, name, client, position, tx_power_dbm)
        self.radios.append(radio)
        return radio

    def capture_to(self, writer: TapWriter, *, beside: Radio | None = None) -> None:
        """Write every transmission to `writer`, with the levels at `beside` (or -30 dBm)."""
        self.captures.append((writer, beside))
        self.capturing = True

    def stop_capture(self, writer: TapWriter) -> None:
        """No more to this writer."""
        self.captures = [each for each in self.captures if each[0] is not writer]
        self.capturing = bool(self.captures)


class DropHook(Protocol):
    """Decides whether a frame that would be received is lost."""

    def __call__(self, sender: Radio, receiver: Radio, psdu: bytes, /) -> bool:
        """True loses the frame. Acknowledgements come as `02 00 00`."""
