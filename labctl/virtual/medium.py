"""One channel, and who is on it: carrier sense, reception, collisions, energy, captures."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from labctl.virtual.exchange import ACK_PSDU_OCTETS, Exchange, SubGhzExchange
from labctl.virtual.interference import Bursts, Disturber
from labctl.virtual.phy import centre_mhz, phy_of
from labctl.virtual.propagation import NOISE_DBM, link_quality, reception_probability

if TYPE_CHECKING:
    from labctl.virtual.air import Air
    from labctl.virtual.radio import Radio

_ACK_SAMPLE = b"\x02\x00\x00"

_LISTENING_S = 0.02
"""More than any radio listens before it talks."""


class Medium:
    """One channel of one page, and who is on it."""

    __slots__ = (
        "ack_airtime_s",
        "ack_airtime_us",
        "ack_wait_s",
        "air",
        "carrier_dbm",
        "cca_s",
        "channel",
        "disturbers",
        "exchanges",
        "loop",
        "meters",
        "new_exchange",
        "page",
        "past",
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
        self.ack_airtime_us = self.phy.airtime_us(ACK_PSDU_OCTETS)
        self.ack_airtime_s = self.ack_airtime_us * 1e-6
        # Radios that hear each other more faintly than this are hidden nodes.
        self.carrier_dbm = self.phy.carrier_dbm
        self.new_exchange = Exchange if self.phy.lbt is None else SubGhzExchange
        self.radios: list[Radio] = []
        self.exchanges: list[Exchange] = []  # on the air, or still able to disturb one that is
        # Who measures energy, since when, and the peak so far.
        self.meters: dict[Radio, tuple[float, float]] = {}
        self.past: list[Exchange] = []  # over, but somebody who listens may have heard it
        self.under_way = 0  # exchanges that have begun and not ended
        self.disturbers: list[tuple[Disturber, Bursts, float]] = []
        """Who disturbs this channel, when, and by how much less than all its power, dB."""
        for disturber, bursts in air.disturbers.items():
            self.add_disturber(disturber, bursts)

    def add_disturber(self, disturber: Disturber, bursts: Bursts) -> None:
        """Hear this disturber from now on, if anything of it falls into this channel."""
        coupling = disturber.coupling_db(
            centre_mhz(self.page, self.channel), self.phy.bandwidth_mhz
        )
        if coupling is not None:
            self.disturbers.append((disturber, bursts, coupling))

    # -- life of an exchange --------------------

    def finished(self, exchange: Exchange) -> None:
        """This exchange is over."""
        self.under_way -= 1
        exchange.radio.exchange = None
        self.retire(exchange)

    def retire(self, exchange: Exchange) -> None:
        """An attempt is over; forget it as soon as no attempt on the air overlaps it, and nobody
        who listens can have heard it."""
        exchanges = self.exchanges
        if self.phy.lbt is not None and self.under_way and exchange.end > 0.0:
            self._forget_past()
            self.past.append(exchange)
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
        return bool(self.disturbers) and self._foreign(radio, since, at) is not None

    def heard_by(self, radio: Radio, since: float, at: float) -> tuple[float, float] | None:
        """What `radio` hears between `since` and `at`: begin and end of what lasts longest."""
        heard = self._foreign(radio, since, at) if self.disturbers else None
        self._forget_past()
        for each in (*self.exchanges, *self.past):
            if each.start <= at and each.end > since and self._disturbs(each.radio, radio):
                heard = _later(heard, each.start, each.end)
            if each.wants_ack and each.ack_start <= at and each.ack_end > since:
                each.resolve()
                if each.acker is not None and self._disturbs(each.acker[0], radio):
                    heard = _later(heard, each.ack_start, each.ack_end)
        return heard

    def _forget_past(self) -> None:
        if self.past:
            since = self.loop.time() - _LISTENING_S
            self.past = [each for each in self.past if each.ack_end > since]

    def _foreign(self, radio: Radio, since: float, at: float) -> tuple[float, float] | None:
        heard = None
        for disturber, bursts, coupling in self.disturbers:
            if radio.disturbance_dbm(disturber) + coupling >= self.carrier_dbm:
                burst = bursts.last_within(since, at)
                if burst is not None:
                    heard = _later(heard, *burst)
        return heard

    def _disturbs(self, sender: Radio, radio: Radio) -> bool:
        return sender is radio or sender.mean_rssi_at(radio) >= self.carrier_dbm

    def put_back_who_hears(self, newcomer: Exchange) -> None:
        """Whoever planned to assess the channel during `newcomer` will find it busy."""
        for each in tuple(self.exchanges):
            if (
                each is not newcomer
                and each.on_air
                and each.assess_at >= newcomer.start
                and each.listen_since < newcomer.end
                and self._disturbs(newcomer.radio, each.radio)
            ):
                each.put_back(newcomer)

    # -- reception --------------------

    def receivers_of(self, exchange: Exchange) -> list[tuple[Radio, float, int]]:
        """`(radio, RSSI in dBm, LQI)` of all whose filter passes the frame, and who got it."""
        psdu = exchange.psdu
        sender = exchange.radio
        alone = len(self.exchanges) == 1 and not self.disturbers
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
        noise = air.propagation.noise_dbm
        rssi = sender.mean_rssi_at(radio) + air.fading[int(air.rng.random() * 1024)]
        chance = 1.0
        certain = radio.sensitivity_dbm + 20 + max(0.0, noise - NOISE_DBM)
        if interference is not None or rssi < certain:
            chance = reception_probability(rssi, radio.sensitivity_dbm, interference, noise)
        if chance < 1.0 and air.rng.random() >= chance:
            return None
        if air.drop is not None and air.drop(sender, radio, psdu):
            return None
        return radio, rssi, link_quality(rssi, interference, noise, self.phy.noise_dbm)

    def hears_ack(self, exchange: Exchange) -> bool:
        """Whether the acknowledgement gets back to the sender."""
        assert exchange.acker is not None
        acker = exchange.acker[0]
        interference = None
        if len(self.exchanges) > 1 or self.disturbers:
            interference = self._interference(
                exchange.radio, exchange, exchange.ack_start, exchange.ack_end
            )
        psdu = _ACK_SAMPLE
        return self._received(acker, exchange.radio, psdu, interference) is not None

    def overhear_ack(self, exchange: Exchange, psdu: bytes) -> None:
        """Let the radios that take everything have the acknowledgement of a frame."""
        assert exchange.acker is not None
        acker = exchange.acker[0]
        if not acker.attached:
            return  # gone since: nobody can say any more how strong it was
        for radio in self.air.monitors:
            if radio.medium is not self or radio.listening_since > exchange.ack_start:
                continue
            interference = None
            if len(self.exchanges) > 1 or self.disturbers:
                interference = self._interference(
                    radio, exchange, exchange.ack_start, exchange.ack_end
                )
            received = self._received(acker, radio, psdu, interference)
            if received is not None:
                radio.client.frame_received(psdu, round(received[1]), received[2])

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
        for disturber, bursts, coupling in self.disturbers:
            if bursts.last_within(start, end) is not None:
                milliwatts += 10 ** ((radio.disturbance_dbm(disturber) + coupling) / 10)
        return 10 * math.log10(milliwatts) if milliwatts else None

    def start_energy_measurement(self, radio: Radio) -> None:
        """`radio` measures the energy on this channel from now on."""
        floor_dbm = self.phy.noise_dbm + max(0.0, self.air.propagation.noise_dbm - NOISE_DBM)
        peak = floor_dbm + self.air.rng.uniform(-2.0, 2.0)
        self.meters[radio] = self.loop.time(), peak

    def end_energy_measurement(self, radio: Radio) -> float:
        """The peak since the start, dBm."""
        now = self.loop.time()
        for each in self.exchanges:
            if each.start < now:
                self.measure(each)
        since, peak = self.meters.pop(radio)
        for disturber, bursts, coupling in self.disturbers:
            if bursts.last_within(since, now) is not None:
                peak = max(peak, radio.disturbance_dbm(disturber) + coupling)
        return max(peak, self.air.noise_dbm.get((self.page, self.channel), -999))

    def measure(self, exchange: Exchange) -> None:
        """Let those who measure know of a frame."""
        for radio, (since, peak) in self.meters.items():
            if radio is not exchange.radio:
                peak = max(peak, exchange.radio.mean_rssi_at(radio))
            if exchange.acker is not None and exchange.acker[0] is not radio:
                peak = max(peak, exchange.acker[0].mean_rssi_at(radio))
            self.meters[radio] = since, peak

    # -- capture --------------------

    def capture(self, exchange: Exchange, ack: bytes) -> None:
        """Record the frame, and its acknowledgement if there was one."""
        now = self.loop.time()
        for sniffer in self.air.captures:
            sniffer.record(self, exchange.radio, exchange.psdu, now - exchange.start, exchange)
            if exchange.acker is not None:
                sniffer.record(self, exchange.acker[0], ack, now - exchange.ack_start, None)


def _later(heard: tuple[float, float] | None, start: float, end: float) -> tuple[float, float]:
    """Of two things that are heard, the one that ends later."""
    return (start, end) if heard is None or end > heard[1] else heard
