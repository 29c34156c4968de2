"""What a sniffer writes down: every transmission, as it arrives beside a radio of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.capture.tap import FrameWriter
from labctl.virtual.propagation import Position, link_quality

if TYPE_CHECKING:
    from labctl.virtual.air import Air
    from labctl.virtual.exchange import Exchange
    from labctl.virtual.medium import Medium
    from labctl.virtual.radio import Radio

BESIDE_DBM = -30.0
"""How strongly a sniffer hears the radio that it lies beside."""


class Sniffer:
    """Writes all channels of an air to one capture.

    `beside` has the names of the radios that it lies beside, one in each band at most: what such a
    radio receives is written with the very level and quality that it saw, fading and all; anything
    else on its channel with its mean level there, and what is on no channel of theirs with the mean
    level `at` a place. Without either everything is written as if it came from right beside.
    """

    __slots__ = ("_air", "_at", "_beside", "writer")

    def __init__(
        self, air: Air, writer: FrameWriter, beside: frozenset[str], at: Position | None
    ) -> None:
        self._air = air
        self._beside = beside
        self._at = at
        self.writer = writer

    def record(
        self, medium: Medium, sender: Radio, psdu: bytes, age_s: float, exchange: Exchange | None
    ) -> None:
        """A frame of `sender` that began `age_s` ago. `exchange`: whose receivers are known."""
        received = None
        if exchange is not None and self._beside:
            received = next(
                (each for each in exchange.receivers if each[0].name in self._beside), None
            )
        if received is not None:
            _, rss, lqi = received
        else:
            rss = self._mean_dbm(medium, sender)
            room_dbm = self._air.propagation.noise_dbm
            lqi = link_quality(rss, None, room_dbm, medium.phy.noise_dbm)
        self.writer.frame(
            psdu,
            page=medium.page,
            channel=medium.channel,
            rss_dbm=rss,
            lqi=lqi,
            age_s=age_s,
        )

    def _mean_dbm(self, medium: Medium, sender: Radio) -> float:
        if sender.name in self._beside:
            return BESIDE_DBM
        for radio in medium.radios if self._beside else ():
            if radio.name in self._beside:
                return sender.mean_rssi_at(radio)
        if self._at is None:
            return BESIDE_DBM
        return sender.tx_power_dbm - self._air.propagation.mean_loss_db(
            self._air.seed, sender.name, "sniffer", sender.position, self._at, medium.phy.mhz
        )
