"""Load profiles: how much flows in any stretch of time, deterministic by (seed, half-hour).

A profile is a rate (watts for electricity, millilitres per hour for gas) over time. Amounts are
integers of rate x seconds, so sums are exact.

How a modelled profile stays cheap: each half-hour's total follows from the seed by a hash; running
sums of half-hours are kept by the day, so the amount between any two instants is a difference of
two look-ups. Inside a half-hour the total is laid out over its 30 minutes by weights that follow
from the same seed, and only the half-hour being looked at is laid out. A minute's rate is constant,
so the instantaneous rate is exactly the slope of the sum.
"""

from __future__ import annotations

import abc
import math
import struct
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from labctl.meters.civil import DAY_S, HALF_HOUR_S
from labctl.meters.recent import keep
from labctl.meters.shapes import HEATING_SHARES, LOAD_SHARES

SLOTS = DAY_S // HALF_HOUR_S
"""Half-hours of a UTC day."""
_MINUTES = HALF_HOUR_S // 60
_MOST_DAYS = 1000  # that are kept as worked out: the 24 months that devices can ask for, and more
_UNIT = 1 << 16  # fixed point of shapes and noise
_US = 1_000_000


class ProfileShape(StrEnum):
    """The shape of a day."""

    FLAT = "flat"
    DOMESTIC = "domestic"
    HEATING = "heating"


# Share of the peak in each half-hour from midnight UTC, in per cent.
_SHAPES: dict[ProfileShape, tuple[int, ...]] = {
    ProfileShape.FLAT: (100,) * SLOTS,
    ProfileShape.DOMESTIC: LOAD_SHARES,
    ProfileShape.HEATING: HEATING_SHARES,
}


@dataclass(frozen=True, slots=True)
class Flow:
    """How much has flowed since the profile's origin (rate x s), and the rate at that instant."""

    amount: int
    rate: int


class Profile(abc.ABC):
    """A rate over time, never negative, as amounts that count from the profile's origin."""

    origin_s: int
    """UTC seconds."""
    known_from_s: int | None = None
    """Before this half-hour (UTC seconds) nothing is known; None when all of it is."""

    @abc.abstractmethod
    def at(self, utc_us: int) -> Flow:
        """The amount since the origin, and the rate, at an instant (UTC microseconds)."""

    def amount_at(self, utc_s: int) -> int:
        """The amount (rate x s) since the origin at a whole second; negative before the origin."""
        return self.at(utc_s * _US).amount


class HalfHourProfile(Profile):
    """A profile that is known by its half-hours.

    A subclass says what flows in the 48 half-hours of a UTC day, and how a half-hour is laid out.
    """

    def __init__(self, origin_s: int) -> None:
        """Amounts count from `origin_s` (UTC seconds)."""
        self._origin_day = origin_s // DAY_S
        self._days: dict[int, tuple[int, ...]] = {}
        self._day_starts: dict[int, int] = {self._origin_day: 0}
        self._first_day = self._last_day = self._origin_day
        self._laid_out_slot: int | None = None
        self._laid_out: tuple[int, ...] = ()
        self.origin_s = origin_s
        self._origin_amount: int | None = None

    @abc.abstractmethod
    def half_hours_of(self, day: int) -> list[int]:
        """The amounts (rate x s) of the 48 half-hours of a day, counted from 1970."""

    @abc.abstractmethod
    def weights(self, slot: int) -> list[int]:
        """The shares of the 30 minutes of a half-hour, counted from 1970; at least one above 0."""

    def at(self, utc_us: int) -> Flow:
        """The amount since the origin, and the rate."""
        slot, within_us = divmod(utc_us, HALF_HOUR_S * _US)
        if slot != self._laid_out_slot:
            self._lay_out(slot)
        minute, into_us = divmod(within_us, 60 * _US)
        start = self._laid_out[minute]
        of_minute = self._laid_out[minute + 1] - start
        amount = start + of_minute * into_us // (60 * _US) - self._zero()
        return Flow(amount, of_minute // 60)

    def amount_at(self, utc_s: int) -> int:
        """The amount at a whole second; on a half-hour's edge nothing needs to be laid out."""
        slot, within = divmod(utc_s, HALF_HOUR_S)
        return self.at(utc_s * _US).amount if within else self.edge(slot) - self._zero()

    def edge(self, slot: int) -> int:
        """The sum at the start of a half-hour, from the midnight before the origin."""
        day, of_day = divmod(slot, SLOTS)
        return self._day_start(day) + self._sums(day)[of_day]

    def _zero(self) -> int:
        if self._origin_amount is None:
            self._origin_amount = 0
            self._origin_amount = self.at(self.origin_s * _US).amount
        return self._origin_amount

    def _lay_out(self, slot: int) -> None:
        """Fill in the running sums at the minutes of one half-hour."""
        start = self.edge(slot)
        total = self.edge(slot + 1) - start
        running = [0]
        for weight in self.weights(slot):
            running.append(running[-1] + weight)
        whole = running[-1]
        self._laid_out = tuple([start + total * upto // whole for upto in running])
        self._laid_out_slot = slot

    def _sums(self, day: int) -> tuple[int, ...]:
        """Running sums at the 49 half-hour edges of a day."""
        sums = self._days.get(day)
        if sums is None:
            running = [0]
            total = 0
            for amount in self.half_hours_of(day):
                total += amount
                running.append(total)
            sums = keep(self._days, day, tuple(running), _MOST_DAYS)
        return sums

    def _day_start(self, day: int) -> int:
        """The sum from the midnight of the origin's day to that of `day`."""
        while self._last_day < day:
            grown = self._day_starts[self._last_day] + self._sums(self._last_day)[-1]
            self._last_day += 1
            self._day_starts[self._last_day] = grown
        while self._first_day > day:
            shrunk = self._day_starts[self._first_day] - self._sums(self._first_day - 1)[-1]
            self._first_day -= 1
            self._day_starts[self._first_day] = shrunk
        return self._day_starts[day]


class Chance:
    """Random numbers by (seed, number): the same in any order and in any process."""

    def __init__(self, seed: int, purpose: bytes) -> None:
        """`purpose` (up to 16 octets) tells independent uses of one seed apart."""
        self._key = struct.pack("<Q", seed & 0xFFFF_FFFF_FFFF_FFFF)
        self._purpose = purpose.ljust(16, b"\0")

    def draw(self, number: int) -> tuple[int, ...]:
        """32 numbers of 16 bits."""
        packed = struct.pack("<q", number)
        digest = blake2b(packed, digest_size=64, key=self._key, person=self._purpose).digest()
        return struct.unpack("<32H", digest)


class LoadProfile(HalfHourProfile):
    """A rate that varies with the time of day, the season and chance.

    `base` flows always; `peak` is added by the shape's share. `noise_percent` (0 to 100) is how
    far a half-hour may be off its expectation, either way. `season_percent` (0 to 100) is how far
    the shape shrinks in midsummer. Amounts count from `origin_s` (UTC seconds) and are negative
    before it. Rates are never negative, so amounts never fall.
    """

    def __init__(
        self,
        shape: ProfileShape,
        *,
        base: int,
        peak: int,
        origin_s: int,
        seed: int,
        noise_percent: int = 30,
        season_percent: int = 0,
    ) -> None:
        """Raise `ValueError` for negative rates and percentages outside 0 to 100."""
        if base < 0 or peak < 0:
            raise ValueError("a load profile's base and peak are 0 or more")
        if not (0 <= noise_percent <= 100 and 0 <= season_percent <= 100):
            raise ValueError("percentages of a load profile are 0 to 100")
        self.shape = shape
        self._base = base
        self._peak = peak
        self._noise = noise_percent
        self._season = season_percent
        self._half_hours = Chance(seed, b"half-hours")
        self._in_minutes = Chance(seed, b"minutes")
        super().__init__(origin_s)

    def half_hours_of(self, day: int) -> list[int]:
        """Base and shape, in season, off by the noise."""
        season = self._seasonal(day)
        base = self._base * _UNIT
        peak = self._peak * season
        expected = [base + peak * share // 100 for share in _SHAPES[self.shape]]
        if self._noise == 0:
            return [rate // _UNIT * HALF_HOUR_S for rate in expected]
        chances = self._half_hours.draw(2 * day) + self._half_hours.draw(2 * day + 1)[:16]
        noise = self._noise
        return [
            rate * (0xFFFF + (bits * 2 - 0xFFFF) * noise // 100) // (0xFFFF * _UNIT) * HALF_HOUR_S
            for rate, bits in zip(expected, chances, strict=True)
        ]

    def weights(self, slot: int) -> list[int]:
        """Some humming, now and then a kettle."""
        noise = self._noise
        if noise == 0:
            return [1] * _MINUTES
        return [
            100 + (bits & 0xFF) * noise // 255 + (6 * noise if (bits >> 8) % 23 == 0 else 0)
            for bits in self._in_minutes.draw(slot)[:_MINUTES]
        ]

    def _seasonal(self, day: int) -> int:
        """The season's factor in 1/65536: 1 in mid-January, less in mid-July."""
        if self._season == 0:
            return _UNIT
        of_year = math.cos(2 * math.pi * ((day - 14) % 365.2425) / 365.2425)
        return round(_UNIT * (1 - self._season / 100 * (1 - of_year) / 2))
