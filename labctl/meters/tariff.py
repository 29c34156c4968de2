"""Tariffs: unit prices by time of day and by how much was used, and a standing charge.

Prices are integers of 10^-5 pounds (a thousandth of a penny), as GB meters publish them. Meters
switch tiers by UTC unless their switching table says otherwise.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from dataclasses import dataclass, field

from labctl.meters.civil import DAY_S, day_span, month_span, week_span
from labctl.meters.switching import Switch, SwitchingTable

CURRENCY_GBP = 826
"""ISO 4217."""
PRICE_TRAILING_DIGITS = 5
"""Prices count 10^-5 of the currency's unit."""
MOST_TIERS = 48
MOST_THRESHOLDS = 15
_LABEL_OCTETS = 12
_NAME_OCTETS = 24
_DAY_MINUTES = DAY_S // 60


def pence(value: float) -> int:
    """Pence as 10^-5 pounds."""
    return round(value * 1000)


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier's label and price, and the time of day at which it holds.

    From `start_minute` to before `end_minute`, minutes of the UTC day, 0 to 1439; an end at or
    before the start means the next day. With a switching table, that decides instead.
    """

    label: str
    unit_price: int
    start_minute: int = 0
    end_minute: int = 0

    def holds(self, minute: int) -> bool:
        """Whether the tier is in force at a minute of the day."""
        if self.start_minute < self.end_minute:
            return self.start_minute <= minute < self.end_minute
        return minute >= self.start_minute or minute < self.end_minute


class BlockPeriod(enum.IntEnum):
    """How long consumption is counted for blocks; numbered as Price does (SE 1.4 D.4.2.4.2)."""

    DAY = 1
    WEEK = 2
    MONTH = 3


@dataclass(frozen=True, slots=True)
class Blocks:
    """Prices by how much was used since the block period began (UTC).

    `thresholds` (Wh for electricity, litres for gas) rise; block 1 is up to the first, and there is
    one block more than thresholds. `prices` has a row for each tier (or one row for all tiers),
    each with a price for every block. `individual`: each tier counts for itself.
    """

    thresholds: tuple[int, ...]
    prices: tuple[tuple[int, ...], ...]
    period: BlockPeriod = BlockPeriod.MONTH
    individual: bool = False

    def block(self, used: int) -> int:
        """The block (1, 2, ...) that the next unit falls into after `used`."""
        return bisect_right(self.thresholds, used) + 1

    def span(self, utc_s: int) -> tuple[int, int]:
        """Start and end of the block period that an instant is in."""
        if self.period is BlockPeriod.DAY:
            return day_span(utc_s)
        return week_span(utc_s) if self.period is BlockPeriod.WEEK else month_span(utc_s)


@dataclass(frozen=True, slots=True)
class ActivePrice:
    """The price at an instant: from `start_s` to `end_s` (UTC), `end_s` None when it stays.

    `block` is 0 without blocks; else the price holds until `end_s` or the next threshold.
    """

    tier: int
    label: str
    unit_price: int
    start_s: int
    end_s: int | None
    block: int = 0


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a supplier charges for one fuel.

    `unit_price` (a kWh) and `standing_charge` (a day) are in 10^-5 pounds. The unit price is tier
    1; `tiers` are tiers 2, 3, ... Without `switching` tier 1 holds whenever none of `tiers` does,
    and the first that holds wins; a switching table gives the tier itself. `blocks` replaces unit
    prices. `start_s` is when the tariff comes into force (UTC seconds). `co2_g_per_kwh` is what
    CO2Value publishes, None for nothing.
    """

    name: str
    unit_price: int
    standing_charge: int
    start_s: int
    tiers: tuple[Tier, ...] = ()
    provider_id: int = 1
    tariff_id: int = 1
    switching: SwitchingTable | None = None
    blocks: Blocks | None = None
    co2_g_per_kwh: int | None = None
    table: SwitchingTable = field(init=False, repr=False, compare=False)
    """The switching table in force: the declared one, or that of the tiers' times of day."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for labels too long for the air, odd times and prices."""
        if len(self.name.encode()) > _NAME_OCTETS:
            raise ValueError(f"tariff name {self.name!r} is longer than {_NAME_OCTETS} octets")
        if len(self.tiers) >= MOST_TIERS:
            raise ValueError(f"a tariff has at most {MOST_TIERS} tiers")
        for tier in self.tiers:
            if len(tier.label.encode()) > _LABEL_OCTETS:
                raise ValueError(f"tier label {tier.label!r} is longer than {_LABEL_OCTETS} octets")
            if not (0 <= tier.start_minute < _DAY_MINUTES and 0 <= tier.end_minute < _DAY_MINUTES):
                raise ValueError(f"tier {tier.label!r} starts or ends outside the day")
        if not all(0 <= price < 2**32 for price in (self.standing_charge, *self.unit_prices)):
            raise ValueError(f"a price of {self.name!r} does not fit 32 bits")
        if self.switching and not self.switching.values <= set(range(1, len(self.tiers) + 2)):
            raise ValueError(f"the switching table of {self.name!r} names a tier that is not there")
        if self.blocks is not None:
            self._check(self.blocks)
        table = self.switching or SwitchingTable((self._one_day(),))
        object.__setattr__(self, "table", table)

    def _check(self, blocks: Blocks) -> None:
        thresholds = blocks.thresholds
        if not 1 <= len(thresholds) <= MOST_THRESHOLDS:
            raise ValueError(f"{self.name!r} has no or too many block thresholds")
        if list(thresholds) != sorted(set(thresholds)) or thresholds[0] <= 0:
            raise ValueError(f"the block thresholds of {self.name!r} do not rise")
        if thresholds[-1] >= 2**48:
            raise ValueError(f"a block threshold of {self.name!r} does not fit 48 bits")
        if len(blocks.prices) not in (1, len(self.tiers) + 1):
            raise ValueError(f"{self.name!r} needs block prices for one or for all of its tiers")
        if any(len(row) != len(thresholds) + 1 for row in blocks.prices):
            raise ValueError(f"{self.name!r} needs one block price more than thresholds")
        if not all(0 <= price < 2**32 for row in blocks.prices for price in row):
            raise ValueError(f"a block price of {self.name!r} does not fit 32 bits")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of tiers 1, 2, ..."""
        first = self.name.encode()[:_LABEL_OCTETS].decode(errors="ignore")
        return (first, *(tier.label for tier in self.tiers))

    @property
    def unit_prices(self) -> tuple[int, ...]:
        """The unit prices of tiers 1, 2, ... (of their first blocks, where there are blocks)."""
        if self.blocks is not None:
            return tuple(self.unit_price_of(tier, 1) for tier in range(1, len(self.tiers) + 2))
        return (self.unit_price, *(tier.unit_price for tier in self.tiers))

    def unit_price_of(self, tier: int, block: int = 0) -> int:
        """The price of a kWh in a tier (1, 2, ...) and, with blocks, a block (1, 2, ...)."""
        if self.blocks is not None:
            row = self.blocks.prices[tier - 1 if len(self.blocks.prices) > 1 else 0]
            return row[max(block, 1) - 1]
        return self.unit_price if tier == 1 else self.tiers[tier - 2].unit_price

    def price_at(self, utc_s: int, used: int = 0) -> ActivePrice:
        """The price in force at `utc_s`.

        `used` (Wh or litres) counts for blocks: since the block period began, in the tier alone
        where tiers count for themselves.
        """
        span = self.table.span_at(utc_s)
        tier = span.value
        start_s = self.start_s if span.start_s is None else max(span.start_s, self.start_s)
        end_s = span.end_s
        block = 0
        if self.blocks is not None:
            block = self.blocks.block(used)
            began_s, ends_s = self.blocks.span(utc_s)
            start_s = max(start_s, began_s)
            end_s = ends_s if end_s is None else min(end_s, ends_s)
        price = self.unit_price_of(tier, block)
        return ActivePrice(tier, self.labels[tier - 1], price, start_s, end_s, block)

    def _one_day(self) -> tuple[Switch, ...]:
        """The tiers' times of day as one day profile."""
        minutes = {0} | {m for tier in self.tiers for m in (tier.start_minute, tier.end_minute)}
        switches: list[Switch] = []
        for minute in sorted(minutes):
            tier = self._tier_at_minute(minute)
            if not switches or switches[-1].value != tier:
                switches.append(Switch(minute, tier))
        return tuple(switches)

    def _tier_at_minute(self, minute: int) -> int:
        for number, tier in enumerate(self.tiers, 2):
            if tier.holds(minute):
                return number
        return 1
