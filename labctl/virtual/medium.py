"""One channel, and who is on it: carrier sense, reception, collisions, energy, captures."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from labctl.virtual.exchange import ACK_PSDU_OCTETS, Exchange
from labctl.virtual.phy import phy_of
from labctl.virtual.propagation import NOISE_DBM, link_quality, reception_probability

if TYPE_CHECKING:
    from labctl.virtual.air import Air
    from labctl.virtual.radio import Radio

CCA_THRESHOLD_DBM = -75.0
"""Above this a channel is busy. Radios that hear each other more faintly are hidden nodes."""

_ACK_SAMPLE = b"\x02\x00\x00"


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
        return radio, rssi, link_quality(rssi, interference, noise)

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
        floor_dbm = max(NOISE_DBM, self.air.propagation.noise_dbm)
        self.meters[radio] = floor_dbm + self.air.rng.uniform(-2.0, 2.0)

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
                lqi=link_quality(rss, None, self.air.propagation.noise_dbm),
                age_s=age_s,
            )
