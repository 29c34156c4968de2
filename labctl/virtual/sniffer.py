"""What a sniffer writes down: every transmission, as strong as it arrives beside one of the radios."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.virtual.frames.tap import TapWriter
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

    `beside` names the radio that it lies beside, in whichever band that has one: what this radio
    receives is written with the very level and quality that it saw, fading and all; anything else
    with its mean level there. `at` is where it lies while there is no such radio. Without either
    everything is written as if it came from right beside.
    """

    __slots__ = ("_air", "_at", "_beside", "writer")

    def __init__(
        self, air: Air, writer: TapWriter, beside: str | None, at: Position | None
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
        if exchange is not None and self._beside is not None:
            received = next(
                (each for each in exchange.receivers if each[0].name == self._beside), None
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
        beside = self._beside
        if beside is None or sender.name == beside:
            return BESIDE_DBM
        radio = next((each for each in self._air.radios if each.name == beside), None)
        at = self._at if radio is None else radio.position
        if at is None:
            return BESIDE_DBM
        return sender.tx_power_dbm - self._air.propagation.mean_loss_db(
            self._air.seed, sender.name, beside, sender.position, at, medium.phy.mhz
        )
