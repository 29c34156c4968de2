"""One radio on the air: what its hardware does by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from labctl.virtual.exchange import Done, Exchange
from labctl.virtual.frames.mac import FCS_OCTETS, MAX_PSDU, fcs
from labctl.virtual.phy import MAX_RETRIES
from labctl.virtual.propagation import Position

if TYPE_CHECKING:
    from labctl.virtual.air import Air
    from labctl.virtual.interference import Disturber
    from labctl.virtual.medium import Medium


class RadioClient(Protocol):
    """What sits on a radio: the MAC."""

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        """A frame that passed the address filter, with its FCS."""

    def frame_pending(self, psdu: bytes) -> bool:
        """Whether the acknowledgement of this frame says that more is waiting."""


class Regulator(Protocol):
    """What watches over the airtime of a radio where the law limits it."""

    def permits(self, us: int) -> bool:
        """Whether a frame or an acknowledgement of so many microseconds may go out now."""

    def spent(self, us: int, psdu: bytes, *, ack: bool) -> None:
        """So many microseconds went out: `psdu` itself, or with `ack` the acknowledgement of it."""


class Radio:
    """One radio: place, power, channel, address filter. Made by `Air.attach`.

    `airtime_us` counts all that it has transmitted, repetitions and acknowledgements included, in
    exact microseconds; `on_airtime`, if set, is called with each piece. `regulator` may forbid.
    """

    __slots__ = (
        "_filter_long",
        "_filter_pan",
        "_filter_short",
        "_levels",
        "air",
        "airtime_us",
        "attached",
        "client",
        "exchange",
        "listening_since",
        "medium",
        "monitor",
        "name",
        "off_until",
        "on_airtime",
        "pan_coordinator",
        "position",
        "promiscuous",
        "regulator",
        "repetitions",
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
        self.monitor = False  # takes every frame of its channel, and acknowledges none
        self.pan_coordinator = False
        self.listening_since = math.inf  # when the receiver was switched on and tuned; inf: off
        self.medium: Medium | None = None
        self.exchange: Exchange | None = None
        self.airtime_us = 0
        self.repetitions = 0  # of frames that nobody acknowledged
        self.on_airtime: Callable[[int], None] | None = None
        self.regulator: Regulator | None = None
        self.off_until = 0.0  # with listen before talk: when it may transmit again
        self._levels: dict[object, float] = {}
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

    def overhear(self) -> None:
        """Take every frame and acknowledgement of the channel from now on, whoever it is for."""
        self.promiscuous = self.monitor = True
        self.air.monitors.append(self)

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
            # A radio that is gone may have been heard by one that listens before it talks.
            medium = self.medium or receiver.medium
            assert medium is not None
            level = self._levels[receiver] = self.tx_power_dbm - self.air.propagation.mean_loss_db(
                self.air.seed,
                self.name,
                receiver.name,
                self.position,
                receiver.position,
                medium.phy.mhz,
            )
        return level

    def disturbance_dbm(self, disturber: Disturber) -> float:
        """How strongly a disturber arrives here, over its whole bandwidth."""
        level = self._levels.get(disturber)
        if level is None:
            level = disturber.level_dbm
            if disturber.position is not None:
                level -= self.air.propagation.mean_loss_db(
                    self.air.seed,
                    disturber.name,
                    self.name,
                    disturber.position,
                    self.position,
                    disturber.mhz,
                )
            self._levels[disturber] = level
        return level

    def transmit(self, mpdu: bytes, done: Done, *, repeats: bool = True) -> None:
        """Send a frame (without FCS) when the channel is free and, if it asks for an
        acknowledgement and `repeats`, up to three repetitions. One at a time: `done` says when the
        next may come."""
        assert self.medium is not None
        if self.exchange is not None:
            raise RuntimeError("this radio is still busy with a frame")
        if not 3 <= len(mpdu) <= MAX_PSDU - FCS_OCTETS:
            raise ValueError(f"a frame of {len(mpdu)} octets does not fit the radio")
        medium = self.medium
        psdu = mpdu + fcs(mpdu).to_bytes(2, "little")
        exchange = self.exchange = medium.new_exchange(medium, self, psdu, done)
        if not repeats:
            exchange.attempts = MAX_RETRIES
        medium.under_way += 1
        exchange.begin(medium.loop.time())

    def accepts(self, psdu: bytes) -> bool:
        """The hardware's address filter."""
        mode = psdu[1] >> 2 & 3
        if self.promiscuous:
            return self.monitor or psdu[0] & 7 == 0
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
        """Whether this radio answers the frame with an acknowledgement: not to broadcasts, and not
        when it may not transmit at all."""
        if psdu[5:7] == b"\xff\xff" or self.monitor:
            return False
        if self.regulator is None:
            return True
        assert self.medium is not None
        return self.regulator.permits(self.medium.ack_airtime_us)

    def has_sent(self, us: int, psdu: bytes) -> None:
        """A frame of this radio has gone out."""
        self.airtime_us += us
        if self.on_airtime is not None:
            self.on_airtime(us)
        if self.regulator is not None:
            self.regulator.spent(us, psdu, ack=False)

    def has_acknowledged(self, us: int, psdu: bytes) -> None:
        """The acknowledgement of `psdu` has gone out."""
        self.airtime_us += us
        if self.on_airtime is not None:
            self.on_airtime(us)
        if self.regulator is not None:
            self.regulator.spent(us, psdu, ack=True)

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
        if self.monitor:
            self.air.monitors.remove(self)
