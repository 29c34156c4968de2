"""What was used in which tier and block, and what it cost: running totals, kept by the UTC day.

Amounts are those of the register (Wh or litres), so that the tiers' registers add up to the
summation. Costs are exact fractions of 10^-5 pounds inside and rounded down only when asked for, so
the costs of days add up to those of weeks and months to the last 10^-5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from labctl.meters.civil import DAY_S
from labctl.meters.plan import Plan
from labctl.meters.tariff import Blocks, Tariff

_PER_KWH = 1000


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals at an instant. Keys are (tier, block); block 0 is without blocks."""

    amounts: dict[tuple[int, int], int]
    cost: int
    """In parts of 10^-5 pounds; only differences mean something."""
    standing: int
    """Standing charges, 10^-5 pounds: each UTC day's is due at its start."""
    used: dict[int, int] = field(default_factory=dict)
    """For the block period in force: what counts, by tier (0: all tiers together)."""
    period_s: int | None = None

    def tier(self, tier: int) -> int:
        """The register of a tier, all its blocks together."""
        return sum(amount for (of, _), amount in self.amounts.items() if of == tier)

    def block(self, block: int) -> int:
        """The register of a block, all tiers together."""
        return sum(amount for (_, of), amount in self.amounts.items() if of == block)


class Ledger:
    """The running totals of one meter.

    `register` gives the summation at a UTC second; what it stood at at `epoch_s` (a UTC midnight,
    the start of the history) is put into tier 1. `wh_per_unit` turns the register's unit into Wh.
    `settled` tells up to when the register is certain: later days are worked out, not kept.
    """

    def __init__(
        self,
        register: Callable[[int], int],
        plan: Plan,
        *,
        epoch_s: int,
        settled: Callable[[], int],
        wh_per_unit: Fraction = Fraction(1),
    ) -> None:
        self._register = register
        self._plan = plan
        self._epoch_day = epoch_s // DAY_S
        self._settled = settled
        self._factor = wh_per_unit.numerator
        self._scale = wh_per_unit.denominator * _PER_KWH
        self._days: list[Totals] = []
        self._entries = 0

    def at(self, utc_s: int) -> Totals:
        """The totals at an instant, at the start of the history at the soonest."""
        self._register(utc_s)  # works the timeline out, so that more days are certain
        day = max(utc_s // DAY_S, self._epoch_day)
        start = self._day(day)
        return self._advance(start, day * DAY_S, max(utc_s, day * DAY_S))

    def cost(self, utc_s: int) -> int:
        """What was used up to an instant has cost, 10^-5 pounds. Differences are meant."""
        return self.at(utc_s).cost // self._scale

    def cost_with_standing(self, utc_s: int) -> int:
        """As `cost`, with the standing charges of the days that have begun before `utc_s`."""
        totals = self.at(utc_s - 1) if utc_s % DAY_S == 0 else self.at(utc_s)
        return self.cost(utc_s) + totals.standing

    def forget(self, from_s: int) -> None:
        """Things are otherwise from `from_s` on, a midnight included: work it out anew."""
        del self._days[max(0, -(-from_s // DAY_S) - self._epoch_day) :]

    def used_at(self, utc_s: int, tariff: Tariff, tier: int) -> int:
        """What counts for the block in force: since the block period began."""
        blocks = tariff.blocks
        if blocks is None:
            return 0
        totals = self.at(utc_s)
        if totals.period_s != blocks.span(utc_s)[0]:
            return 0
        return totals.used.get(tier if blocks.individual else 0, 0)

    def _day(self, day: int) -> Totals:
        """The totals at the midnight a day starts with, its standing charge included."""
        self._read_on()
        days = self._days
        if not days:
            first_s = self._epoch_day * DAY_S
            tariff = self._plan.tariff_at(first_s)
            block = 1 if tariff and tariff.blocks else 0
            standing = self._plan.standing_charge(first_s)
            days.append(Totals({(1, block): self._register(first_s)}, 0, standing))
        known = min(self._epoch_day + len(days) - 1, day)
        totals = days[known - self._epoch_day]
        settled = self._settled()
        for number in range(known, day):
            end_s = (number + 1) * DAY_S
            totals = self._advance(totals, number * DAY_S, end_s)
            totals = Totals(
                totals.amounts,
                totals.cost,
                totals.standing + self._plan.standing_charge(end_s),
                totals.used,
                totals.period_s,
            )
            if end_s <= settled and len(days) == number + 1 - self._epoch_day:
                days.append(totals)
        return totals

    def _read_on(self) -> None:
        """Entries that came since change what was worked out ahead of them."""
        entries = self._plan.entries()
        if entries > self._entries:
            self.forget(self._plan.entered_s(self._entries))
            self._entries = entries

    def _advance(self, totals: Totals, start_s: int, end_s: int) -> Totals:
        """The totals at `end_s`, from those at `start_s` of the same day."""
        if end_s <= start_s:
            return totals
        amounts, used = dict(totals.amounts), dict(totals.used)
        cost, period_s = totals.cost, totals.period_s
        stood = self._register(start_s)
        for _, until_s, tariff, tier in self._plan.spans(start_s, end_s):
            stands = self._register(until_s)
            amount, stood = stands - stood, stands
            if tariff is None or tariff.blocks is None:
                amounts[tier, 0] = amounts.get((tier, 0), 0) + amount
                if tariff is not None:
                    cost += amount * self._factor * tariff.unit_price_of(tier)
                continue
            began_s = tariff.blocks.span(start_s)[0]
            if period_s != began_s:
                used, period_s = {}, began_s
            counts = tier if tariff.blocks.individual else 0
            for block, part in _by_block(tariff.blocks, used.get(counts, 0), amount):
                amounts[tier, block] = amounts.get((tier, block), 0) + part
                cost += part * self._factor * tariff.unit_price_of(tier, block)
            used[counts] = used.get(counts, 0) + amount
        return Totals(amounts, cost, totals.standing, used, period_s)


def _by_block(blocks: Blocks, used: int, amount: int) -> list[tuple[int, int]]:
    """An amount on top of what was used, as (block, part)."""
    parts = []
    while amount:
        block = blocks.block(used)
        room = amount
        if block <= len(blocks.thresholds):
            room = min(amount, blocks.thresholds[block - 1] - used)
        parts.append((block, room))
        used, amount = used + room, amount - room
    return parts
