"""The state of a meter from one instant to the next, and who may change its supply."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from labctl.meters.entries import (
    DemandSet,
    Entry,
    Originator,
    OutageBegan,
    OutageEnded,
    SupplyAsked,
    SupplyState,
)
from labctl.meters.prepayment import Account, DebtPayment, TopUp


class Fuel(enum.StrEnum):
    """What a meter measures."""

    ELECTRICITY = "electricity"
    GAS = "gas"


class SupplyReason(enum.StrEnum):
    """Why the supply is as it is."""

    START = "start"
    CREDIT = "credit"
    """Off for want of credit, or armed because there is credit again."""
    SUPPLIER = "supplier"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class Moment:
    """A meter from `at_us` on, until the next moment. Amounts are those of `at_us`."""

    at_us: int
    entries: int = 0
    """How many entries of the journal are in it."""
    mains: bool = True
    mains_back_us: int | None = None
    rate: int | None = None
    """A load that replaces the profile."""
    rate_until_us: int | None = None
    supply: SupplyState = SupplyState.ON
    reason: SupplyReason = SupplyReason.START
    supply_since_us: int = 0
    delivered: int = 0
    received: int = 0
    profile: int = 0
    """What the load profile's amount is at `at_us`, whether it flows or not."""
    export: int = 0
    """The same of the export profile."""
    cost: int | None = None
    """The running cost at `at_us` where it is kept: for a meter with an account."""
    account: Account | None = None
    tries: tuple[TopUp, ...] = ()
    payments: tuple[DebtPayment, ...] = ()

    @property
    def flows(self) -> bool:
        """Whether anything passes the meter."""
        return self.mains and self.supply is SupplyState.ON


def concerns(entry: Entry, name: str, fuel: Fuel) -> bool:
    """Whether an entry is for a meter of this name and fuel."""
    if entry.meter is None:
        only_electricity = isinstance(entry, DemandSet | OutageBegan | OutageEnded)
        return fuel is Fuel.ELECTRICITY or not only_electricity
    return entry.meter == name and not (
        fuel is Fuel.GAS and isinstance(entry, OutageBegan | OutageEnded)
    )


def asked_for(entry: SupplyAsked, supply: SupplyState, fuel: Fuel) -> SupplyState | None:
    """The supply state that a request leads to, None when it is not for this originator.

    The supplier may do anything, but gas it can only arm: a valve opens by hand. At the meter and,
    for electricity alone, from a PPMID an armed supply is switched on.
    """
    if entry.originator is Originator.SUPPLIER:
        if fuel is Fuel.GAS and entry.state is SupplyState.ON:
            return supply if supply is SupplyState.ON else SupplyState.ARMED
        return entry.state
    if entry.state is not SupplyState.ON or supply is SupplyState.OFF:
        return None
    if entry.originator is Originator.PPMID and fuel is Fuel.GAS:
        return None
    return SupplyState.ON


def switched(moment: Moment, state: SupplyState, reason: SupplyReason) -> Moment:
    """The moment with the supply in a state, and since when."""
    if state is moment.supply and reason is moment.reason:
        return moment
    since = moment.supply_since_us if state is moment.supply else moment.at_us
    return replace(moment, supply=state, reason=reason, supply_since_us=since)
