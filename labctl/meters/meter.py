"""What electricity and gas meters have in common, as the hub's services see them."""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass, replace

from labctl.meters.account_view import AccountView
from labctl.meters.billing import Billing
from labctl.meters.entries import SupplyState
from labctl.meters.history import History
from labctl.meters.ledger import Totals
from labctl.meters.moment import Fuel as Fuel
from labctl.meters.moment import SupplyReason
from labctl.meters.settings import MeterSettings
from labctl.meters.snapshots import ALL_CAUSES, Cause, Snapshot, Snapshots
from labctl.meters.tariff import ActivePrice, Tariff
from labctl.meters.timeline import Outage
from labctl.meters.works import Works

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter at one instant.

    `summation` is in Wh or litres (thousandths of the register's kWh or m3) and never falls.
    `demand_w` is the summation's slope in W, negative while more is exported than imported, None
    where the meter does not tell (gas). `taken_s` is when the meter itself was last looked at (UTC
    seconds): the instant asked for, or, behind the gas proxy, the last wake-up. `received` is what
    was exported, Wh.
    """

    taken_s: int
    summation: int
    demand_w: int | None
    received: int = 0


@dataclass(frozen=True, slots=True)
class Supply:
    """The contactor or valve at an instant, and the mains before it."""

    state: SupplyState
    reason: SupplyReason
    since_s: int
    mains: bool


class Meter(abc.ABC):
    """A meter that the hub shows to devices.

    What it was set up as stays; everything else is asked for with the instant at which it is asked,
    and follows from start values and `journal` alone.

    `history`, `received_history` (export), `energy_history` (Wh by calorific value) and
    `cost_history` (10^-5 pounds, standing charges included) give half-hours, days, weeks and months
    of the same intervals. `prepayment` is None for a meter without an account.
    """

    fuel: Fuel

    def __init__(self, settings: MeterSettings, works: Works) -> None:
        self.settings = settings
        self.name = settings.name
        self.mpxn = settings.mpxn
        self.serial_number = settings.serial_number
        self.tariff = settings.tariff
        self.billing_day = settings.billing_day
        self.days = settings.days
        self.journal = settings.journal
        self.works = works
        self.history = self._history(works.delivered)
        self.received_history = self._history(works.received)
        self.energy_history = self._history(works.energy)
        self.cost_history = self._history(works.ledger.cost_with_standing)
        self.billing = Billing(self.cost_history, works.plan, self.as_of_s, self.billing_day)
        self.prepayment = (
            AccountView(works.timeline, works.plan, settings.prepayment, self.as_of_s)
            if settings.prepayment
            else None
        )
        self._snapshots = Snapshots(works, self.billing, self.as_of_s)

    @abc.abstractmethod
    def at(self, utc_us: int) -> Reading:
        """The reading that a device gets at `utc_us` (UTC microseconds)."""

    def as_of_s(self, utc_s: int) -> int:
        """The instant whose state a device is shown at `utc_s`: the same, or the last wake-up."""
        return utc_s

    def consumed(self, start_s: int, end_s: int) -> int:
        """Wh or litres between two instants (UTC seconds): a difference of summations."""
        delivered = self.works.delivered
        return delivered(self.as_of_s(end_s)) - delivered(self.as_of_s(start_s))

    def energy_wh(self, amount: int) -> int:
        """The energy of an amount of the register (Wh or litres), in Wh."""
        return self.works.energy_of(amount)

    # -- tariff -----------------------------------------------------------------------------------

    def tariff_at(self, utc_s: int) -> Tariff | None:
        """The tariff in force."""
        return self.works.plan.tariff_at(utc_s)

    def announced_tariffs(self, utc_s: int) -> tuple[Tariff, ...]:
        """Tariffs that are known at `utc_s` and start later, the next first."""
        return self.works.plan.announced(utc_s)

    def price_at(self, utc_s: int) -> ActivePrice | None:
        """The price in force: tier by the meter's clock, block by what was used."""
        plan = self.works.plan
        tariff = plan.tariff_at(utc_s)
        if tariff is None:
            return None
        ahead = plan.clock_offset_s(utc_s)
        used = 0
        if tariff.blocks is not None:
            tier = tariff.table.value_at(utc_s + ahead)
            used = self.works.ledger.used_at(self.as_of_s(utc_s), tariff, tier)
        price = tariff.price_at(utc_s + ahead, used)
        start_s = max(price.start_s - ahead, tariff.start_s)
        ends = (None if price.end_s is None else price.end_s - ahead, plan.next_change(utc_s))
        return replace(
            price,
            start_s=start_s,
            end_s=min((end for end in ends if end is not None), default=None),
        )

    def prices_from(self, utc_s: int, count: int) -> tuple[ActivePrice, ...]:
        """The price at `utc_s` and those after it, at most `count`.

        Blocks of prices to come are those of an unused block period.
        """
        found: list[ActivePrice] = []
        at_s: int | None = utc_s
        while at_s is not None and len(found) < count:
            price = self.price_at(at_s)
            if price is None:
                break
            found.append(price)
            at_s = price.end_s
        return tuple(found)

    def totals_at(self, utc_s: int) -> Totals:
        """The registers of tiers and blocks (Wh or litres); they add up to the summation."""
        return self.works.ledger.at(self.as_of_s(utc_s))

    # -- supply, clock and tenancy ----------------------------------------------------------------

    def supply_at(self, utc_us: int) -> Supply:
        """The supply that a device is shown at `utc_us` (UTC microseconds)."""
        utc_us = self._as_of_us(utc_us)
        moment = self.works.timeline.at(utc_us)
        since_s = moment.supply_since_us // MICROSECONDS
        return Supply(moment.supply, moment.reason, since_s, moment.mains)

    def outages(self, start_us: int, end_us: int) -> tuple[Outage, ...]:
        """The outages that began in [start, end) (UTC microseconds), the oldest first."""
        return self.works.timeline.outages(start_us, end_us)

    def clock_offset_s(self, utc_s: int) -> int:
        """How far the meter's clock is ahead of UTC."""
        return self.works.plan.clock_offset_s(utc_s)

    def tenancy_since(self, utc_s: int) -> int | None:
        """When the tenancy began that `utc_s` is in; None when it was never changed.

        `history.readable_part` and `history.readable_instant` say what that hides.
        """
        return self.works.plan.tenancy_since(utc_s)

    def snapshots(
        self, start_s: int, end_s: int, causes: Cause = ALL_CAUSES, *, now_s: int | None = None
    ) -> tuple[Snapshot, ...]:
        """Snapshots taken in [start, end) for any of some causes, the newest first.

        `now_s` is when they are asked for (default: `end_s`).
        """
        return self._snapshots.find(start_s, end_s, causes, end_s if now_s is None else now_s)

    # -- inside -----------------------------------------------------------------------------------

    def _as_of_us(self, utc_us: int) -> int:
        utc_s = utc_us // MICROSECONDS
        seen_s = self.as_of_s(utc_s)
        return utc_us if seen_s == utc_s else seen_s * MICROSECONDS

    def _history(self, total: Callable[[int], int]) -> History:
        return History(
            total,
            earliest_s=self.works.earliest_s,
            tenancy=self.works.plan.tenancy_since,
            seen=self.as_of_s,
            base=self.days,
        )
