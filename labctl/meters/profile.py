"""Load profiles: how much flows in any stretch of time, deterministic by (seed, half-hour).

A profile is a rate (watts for electricity, millilitres per hour for gas) with a base, a shape of
the day, a season and noise. Amounts are integers of rate x seconds, so sums are exact.

How it stays cheap: each half-hour's total follows from the seed by one integer hash; running sums
of half-hours are kept by the day, so the amount between any two instants is a difference of two
look-ups. Inside a half-hour the total is laid out over its 30 minutes by weights that follow from
the same seed, and only the half-hour being looked at is laid out. A minute's rate is constant, so
the instantaneous rate is exactly the slope of the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

HALF_HOUR_S = 1800
DAY_S = 86_400
_SLOTS = DAY_S // HALF_HOUR_S
_MINUTES = HALF_HOUR_S // 60
_MASK = (1 << 64) - 1
_UNIT = 1 << 16  # fixed point of shapes and noise


class ProfileShape(StrEnum):
    """The shape of a day."""

    FLAT = "flat"
    DOMESTIC = "domestic"
    HEATING = "heating"


# Share of the peak in each half-hour from midnight UTC, in per cent.
_SHAPES: dict[ProfileShape, tuple[int, ...]] = {
    ProfileShape.FLAT: (100,) * _SLOTS,
    # Night, breakfast, working day, tea and evening.
    ProfileShape.DOMESTIC: (
        *(6, 5, 4, 3, 3, 3, 3, 3, 4, 6, 10, 18),
        *(32, 45, 52, 48, 40, 34, 30, 28, 27, 28, 30, 34),
        *(38, 36, 32, 30, 29, 30, 33, 40, 52, 68, 84, 96),
        *(100, 98, 92, 86, 80, 74, 66, 56, 44, 32, 20, 11),
    ),
    # A boiler with two periods on the timer, and hot water.
    ProfileShape.HEATING: (
        *(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 30),
        *(88, 100, 92, 74, 50, 30, 18, 12, 8, 8, 8, 10),
        *(12, 10, 8, 8, 8, 10, 16, 32, 58, 80, 92, 96),
        *(90, 84, 78, 72, 66, 58, 48, 34, 18, 8, 2, 0),
    ),
}


def _hash(seed: int, number: int) -> int:
    """64 well mixed bits for (seed, number): the finaliser of SplitMix64."""
    z = (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@dataclass(frozen=True, slots=True)
class Flow:
    """How much has flowed since the profile's origin (rate x s), and the rate at that instant."""

    amount: int
    rate: int


class LoadProfile:
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
        self._seed = seed
        self._noise = noise_percent
        self._season = season_percent
        self._origin_day = origin_s // DAY_S
        self._days: dict[int, tuple[int, ...]] = {}
        self._day_starts: dict[int, int] = {self._origin_day: 0}
        self._first_day = self._last_day = self._origin_day
        self._laid_out_slot: int | None = None
        self._laid_out: tuple[int, ...] = ()
        self._origin_amount = 0
        self._origin_amount = self.amount_at(origin_s)
        self._laid_out_slot = None  # that one was laid out from the midnight before

    def amount_at(self, utc_s: int) -> int:
        """The amount (rate x s) since the origin at a whole second."""
        return self.at(utc_s * 1_000_000).amount

    def at(self, utc_us: int) -> Flow:
        """The amount since the origin, and the rate, at an instant (UTC microseconds)."""
        slot, within_us = divmod(utc_us, HALF_HOUR_S * 1_000_000)
        if slot != self._laid_out_slot:
            self._lay_out(slot)
        minute, into_us = divmod(within_us, 60_000_000)
        start = self._laid_out[minute]
        of_minute = self._laid_out[minute + 1] - start
        return Flow(start + of_minute * into_us // 60_000_000, of_minute // 60)

    def _lay_out(self, slot: int) -> None:
        """Fill in the running sums at the minutes of one half-hour."""
        day, of_day = divmod(slot, _SLOTS)
        sums = self._sums(day)
        start = self._day_start(day) + sums[of_day] - self._origin_amount
        total = sums[of_day + 1] - sums[of_day]
        weights = [0]
        for minute in range(_MINUTES):
            weights.append(weights[-1] + self._weight(slot, minute))
        self._laid_out = tuple(start + total * weight // weights[-1] for weight in weights)
        self._laid_out_slot = slot

    def _weight(self, slot: int, minute: int) -> int:
        """A minute's share: some humming, now and then a kettle."""
        if self._noise == 0:
            return 1
        bits = _hash(self._seed ^ 0x5DEECE66D, slot * _MINUTES + minute)
        hum = 100 + (bits & 0xFF) * self._noise // 255
        kettle = 6 * self._noise if (bits >> 32) % 23 == 0 else 0
        return hum + kettle

    def _sums(self, day: int) -> tuple[int, ...]:
        """Running sums at the 49 half-hour edges of a day."""
        sums = self._days.get(day)
        if sums is None:
            running = [0]
            season = self._seasonal(day)
            for of_day, share in enumerate(_SHAPES[self.shape]):
                expected = self._base * _UNIT + self._peak * share * season // 100
                bits = _hash(self._seed, day * _SLOTS + of_day) & 0xFFFF
                swing = (bits * 2 - 0xFFFF) * self._noise // 100  # +-noise of 65535
                rate = expected * (0xFFFF + swing) // (0xFFFF * _UNIT)
                running.append(running[-1] + rate * HALF_HOUR_S)
            sums = self._days[day] = tuple(running)
        return sums

    def _seasonal(self, day: int) -> int:
        """The season's factor in 1/65536: 1 in mid-January, less in mid-July."""
        if self._season == 0:
            return _UNIT
        of_year = math.cos(2 * math.pi * ((day - 14) % 365.2425) / 365.2425)
        return round(_UNIT * (1 - self._season / 100 * (1 - of_year) / 2))

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
