"""Tariffs: unit prices by time of day, and a standing charge.

Prices are integers of 10^-5 pounds (a thousandth of a penny), as GB meters publish them. Meters
switch tiers by UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.meters.profile import DAY_S

CURRENCY_GBP = 826
"""ISO 4217."""
PRICE_TRAILING_DIGITS = 5
"""Prices count 10^-5 of the currency's unit."""
_LABEL_OCTETS = 12
_NAME_OCTETS = 24
_DAY_MINUTES = DAY_S // 60


def pence(value: float) -> int:
    """Pence as 10^-5 pounds."""
    return round(value * 1000)


@dataclass(frozen=True, slots=True)
class Tier:
    """A time of day with a price of its own, from `start_minute` to before `end_minute`.

    Minutes of the UTC day, 0 to 1439. An end at or before the start means the next day.
    """

    label: str
    unit_price: int
    start_minute: int
    end_minute: int

    def holds(self, minute: int) -> bool:
        """Whether the tier is in force at a minute of the day."""
        if self.start_minute < self.end_minute:
            return self.start_minute <= minute < self.end_minute
        return minute >= self.start_minute or minute < self.end_minute


@dataclass(frozen=True, slots=True)
class ActivePrice:
    """The price at an instant: from `start_s` to `end_s` (UTC), `end_s` None when it stays."""

    tier: int
    label: str
    unit_price: int
    start_s: int
    end_s: int | None


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a supplier charges for one fuel.

    `unit_price` (a kWh) and `standing_charge` (a day) are in 10^-5 pounds. The unit price is tier
    1 and holds whenever none of `tiers` does; those are tiers 2, 3, ... and the first that holds
    wins. `start_s` is when the tariff came into force (UTC seconds).
    """

    name: str
    unit_price: int
    standing_charge: int
    start_s: int
    tiers: tuple[Tier, ...] = ()
    provider_id: int = 1
    tariff_id: int = 1
    _switches: tuple[tuple[int, int], ...] = field(
        init=False, repr=False, compare=False, default=()
    )

    def __post_init__(self) -> None:
        """Raise `ValueError` for labels too long for the air, odd times and prices."""
        if len(self.name.encode()) > _NAME_OCTETS:
            raise ValueError(f"tariff name {self.name!r} is longer than {_NAME_OCTETS} octets")
        for tier in self.tiers:
            if len(tier.label.encode()) > _LABEL_OCTETS:
                raise ValueError(f"tier label {tier.label!r} is longer than {_LABEL_OCTETS} octets")
            if not (0 <= tier.start_minute < _DAY_MINUTES and 0 <= tier.end_minute < _DAY_MINUTES):
                raise ValueError(f"tier {tier.label!r} starts or ends outside the day")
        if not all(0 <= price < 2**32 for price in (self.standing_charge, *self.unit_prices)):
            raise ValueError(f"a price of {self.name!r} does not fit 32 bits")
        object.__setattr__(self, "_switches", self._find_switches())

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of tiers 1, 2, ..."""
        return (self.name[:_LABEL_OCTETS], *(tier.label for tier in self.tiers))

    @property
    def unit_prices(self) -> tuple[int, ...]:
        """The unit prices of tiers 1, 2, ..."""
        return (self.unit_price, *(tier.unit_price for tier in self.tiers))

    def price_at(self, utc_s: int) -> ActivePrice:
        """The price in force at `utc_s`."""
        if not self._switches:
            return self._price(self._tier_at_minute(0), self.start_s, None)
        midnight = utc_s - utc_s % DAY_S
        minute = (utc_s - midnight) // 60
        passed = [switch for switch in self._switches if switch[0] <= minute]
        ahead = [switch for switch in self._switches if switch[0] > minute]
        start, tier = passed[-1] if passed else self._switches[-1]
        start_s = midnight + start * 60 - (0 if passed else DAY_S)
        end = ahead[0][0] if ahead else self._switches[0][0] + _DAY_MINUTES
        return self._price(tier, max(start_s, self.start_s), midnight + end * 60)

    def _price(self, tier: int, start_s: int, end_s: int | None) -> ActivePrice:
        return ActivePrice(tier, self.labels[tier - 1], self.unit_prices[tier - 1], start_s, end_s)

    def _tier_at_minute(self, minute: int) -> int:
        for number, tier in enumerate(self.tiers, 2):
            if tier.holds(minute):
                return number
        return 1

    def _find_switches(self) -> tuple[tuple[int, int], ...]:
        """The minutes of the day at which the tier changes, and to which tier."""
        edges = sorted({m for tier in self.tiers for m in (tier.start_minute, tier.end_minute)})
        return tuple(
            (minute, self._tier_at_minute(minute))
            for minute in edges
            if self._tier_at_minute(minute) != self._tier_at_minute((minute - 1) % _DAY_MINUTES)
        )
