"""Transmitters that are none of ours: a neighbour's Wi-Fi, somebody who hogs an 868 MHz channel.

A disturber is on and off by a rule that can be asked about any moment, past or future: it costs no
event, however long the run. What it does is drawn from the air's seed and its name.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

from labctl.virtual.phy import centre_mhz
from labctl.virtual.propagation import Position

_MASK64 = (1 << 64) - 1

WIFI_BANDWIDTH_MHZ = 16.6
"""What the carriers of a 20 MHz OFDM channel occupy (IEEE 802.11-2012 clause 18)."""

_WIFI_MASK = ((9.0, 0.0), (11.0, -20.0), (20.0, -28.0), (30.0, -40.0))
"""The transmit spectrum mask of 20 MHz OFDM: MHz from the centre, dB (802.11-2012 18.3.9.3)."""

_LOWEST_DB = -60.0
"""What leaks that far below the carrier, or further, disturbs nobody here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturber:
    """A foreign transmitter.

    `duty` (above 0, up to 1) is its share of the time, in bursts of `burst_s` on average. With a
    `position` `level_dbm` is what it transmits (its loss is the room's, walls and all), without one
    what everybody hears. It is at work from `start_s` to `stop_s` after it was put into the room.
    `mask` tells how it falls off beside its centre, as (MHz, dB) with rising
    offsets: level up to the first, straight lines between, the last one's slope beyond it.

    Raises `ValueError` for a duty or a burst that makes no sense.
    """

    name: str
    mhz: float
    bandwidth_mhz: float
    duty: float
    burst_s: float
    level_dbm: float
    mask: tuple[tuple[float, float], ...]
    position: Position | None = None
    start_s: float = 0.0
    stop_s: float = math.inf

    def __post_init__(self) -> None:
        if not 0.0 < self.duty <= 1.0:
            raise ValueError("a disturber's duty is above 0 and at most 1")
        if not 0.0 < self.burst_s < math.inf:
            raise ValueError("a disturber's bursts last some time")

    def coupling_db(self, mhz: float, bandwidth_mhz: float) -> float | None:
        """How much of its power a receiver of that bandwidth takes in, dB; None: as good as none.

        What the receiver's filter cuts away of the spectrum, and where in the spectrum it sits.
        """
        offset = abs(mhz - self.mhz)
        share = min(1.0, bandwidth_mhz / self.bandwidth_mhz)
        coupling = 10 * math.log10(share) + self._mask_db(offset)
        return None if coupling < _LOWEST_DB else coupling

    def _mask_db(self, offset: float) -> float:
        mask = self.mask
        if offset <= mask[0][0]:
            return mask[0][1]
        for (near, level), (far, lower) in itertools.pairwise(mask):
            if offset <= far:
                return level + (lower - level) * (offset - near) / (far - near)
        (near, level), (far, lower) = mask[-2:]
        return lower + (lower - level) * (offset - far) / (far - near)


def wifi_neighbour(
    name: str,
    *,
    mhz: float,
    duty: float,
    level_dbm: float,
    position: Position | None = None,
    burst_s: float = 2e-3,
    start_s: float = 0.0,
    stop_s: float = math.inf,
) -> Disturber:
    """A Wi-Fi network of 20 MHz around its centre: 2412 MHz for channel 1, 2437 for 6."""
    return Disturber(
        name=name,
        mhz=mhz,
        bandwidth_mhz=WIFI_BANDWIDTH_MHZ,
        duty=duty,
        burst_s=burst_s,
        level_dbm=level_dbm,
        mask=_WIFI_MASK,
        position=position,
        start_s=start_s,
        stop_s=stop_s,
    )


def channel_hog(
    name: str,
    *,
    page: int,
    channel: int,
    duty: float,
    level_dbm: float,
    position: Position | None = None,
    burst_s: float = 1.0,
    bandwidth_mhz: float = 0.2,
    start_s: float = 0.0,
    stop_s: float = math.inf,
) -> Disturber:
    """A foreign transmitter in the middle of one of our channels, as wide as that or wider.

    A narrow one falls off by 30 dB to the next channel and by 60 dB to the one after.
    """
    half = bandwidth_mhz / 2
    return Disturber(
        name=name,
        mhz=centre_mhz(page, channel),
        bandwidth_mhz=bandwidth_mhz,
        duty=duty,
        burst_s=burst_s,
        level_dbm=level_dbm,
        mask=((half, 0.0), (half + 0.1, -30.0), (half + 0.3, -60.0)),
        position=position,
        start_s=start_s,
        stop_s=stop_s,
    )


class Bursts:
    """When a disturber transmits: once in each period, at a moment and for a time of its own."""

    __slots__ = ("_burst_s", "_from_s", "_period_s", "_seed", "_spread", "_until_s")

    def __init__(self, disturber: Disturber, seed: int, now: float) -> None:
        self._from_s = now + disturber.start_s
        self._until_s = now + disturber.stop_s
        self._seed = random.Random(f"{seed} {disturber.name}").getrandbits(64)
        self._burst_s = disturber.burst_s
        self._period_s = disturber.burst_s / disturber.duty
        # Lengths vary by up to a half either way, as far as there is room in the period.
        self._spread = min(0.5, 1 / disturber.duty - 1)

    def last_within(self, since: float, until: float) -> tuple[float, float] | None:
        """Begin and end of the last burst that overlaps the time from `since` to `until`, s."""
        since, until = max(since, self._from_s), min(until, self._until_s)
        if until < since:
            return None
        period = self._period_s
        for index in range(math.floor(until / period), math.floor(since / period) - 1, -1):
            start, end = self._burst(index)
            if start <= until and end > since:
                return start, end
        return None

    def _burst(self, index: int) -> tuple[float, float]:
        drawn = _mixed(self._seed + index)
        length = self._burst_s * (1 + self._spread * ((drawn & 0xFFFFFFFF) / 0x80000000 - 1))
        slack = self._period_s - length
        start = index * self._period_s + slack * ((drawn >> 32) / 0x100000000)
        return start, start + length


def _mixed(number: int) -> int:
    """Sixty-four bits that look drawn (the finaliser of SplitMix64)."""
    mixed = (number * 0x9E3779B97F4A7C15) & _MASK64
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _MASK64
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK64
    return mixed ^ mixed >> 31
