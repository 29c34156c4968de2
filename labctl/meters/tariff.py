"""Tariffs: unit prices by time of day, and a standing charge.

Prices are integers of 10^-5 pounds (a thousandth of a penny), as GB meters publish them.
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


def pence(value: float) -> int:
    """Pence as 10^-5 pounds."""
    return round(value * 1000)


@dataclass(frozen=True, slots=True)
class Tier:
    """A price that holds from `from_minute` (of the UTC day, 0 to 1439) to the next tier's."""

    label: str
    unit_price: int
    from_minute: int = 0


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

    `unit_price` and `standing_charge` (a day's) are in 10^-5 pounds. Without `tiers` the unit
    price holds all day. Tiers are numbered from 1 in the order given, which must be that of the
    day. `start_s` is when the tariff came into force (UTC seconds).
    """

    name: str
    unit_price: int
    standing_charge: int
    start_s: int
    tiers: tuple[Tier, ...] = ()
    provider_id: int = 1
    tariff_id: int = 1
    _in_force: tuple[Tier, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        """Raise `ValueError` for names too long for the air and tiers out of order."""
        tiers = self.tiers or (Tier(self.name[:_LABEL_OCTETS], self.unit_price),)
        if len(self.name.encode()) > _NAME_OCTETS:
            raise ValueError(f"tariff name {self.name!r} is longer than {_NAME_OCTETS} octets")
        for tier in tiers:
            if len(tier.label.encode()) > _LABEL_OCTETS:
                raise ValueError(f"tier label {tier.label!r} is longer than {_LABEL_OCTETS} octets")
            if not 0 <= tier.from_minute < DAY_S // 60:
                raise ValueError(f"tier {tier.label!r} starts outside the day")
        starts = [tier.from_minute for tier in tiers]
        if starts != sorted(set(starts)):
            raise ValueError(f"the tiers of {self.name!r} are not in the order of the day")
        if any(not 0 <= price < 2**32 for price in (self.standing_charge, *self.prices_of(tiers))):
            raise ValueError(f"a price of {self.name!r} does not fit 32 bits")
        object.__setattr__(self, "_in_force", tiers)

    @staticmethod
    def prices_of(tiers: tuple[Tier, ...]) -> tuple[int, ...]:
        """The unit prices of tiers, in their order."""
        return tuple(tier.unit_price for tier in tiers)

    @property
    def tiers_in_use(self) -> tuple[Tier, ...]:
        """The tiers, at least one."""
        return self._in_force

    def price_at(self, utc_s: int) -> ActivePrice:
        """The price in force at `utc_s`."""
        tiers = self._in_force
        if len(tiers) == 1:
            only = tiers[0]
            return ActivePrice(1, only.label, only.unit_price, self.start_s, None)
        midnight = utc_s - utc_s % DAY_S
        starts = [
            (midnight + days * DAY_S + tier.from_minute * 60, number, tier)
            for days in (-1, 0, 1)
            for number, tier in enumerate(tiers, 1)
        ]
        current = max(i for i, (start, _, _) in enumerate(starts) if start <= utc_s)
        start, number, tier = starts[current]
        end = starts[current + 1][0]
        return ActivePrice(number, tier.label, tier.unit_price, max(start, self.start_s), end)
