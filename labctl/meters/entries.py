"""What can be done to a meter while it runs: the entries of a journal.

Each entry says when (`at_us`, UTC microseconds), to which meter (its name in the rig; None is every
meter that it makes sense for), and what. An entry says what was *asked for*: what came of it (a
top-up refused, a supply that may not be enabled) follows from the meter's state and is worked out,
never stored. Money is in 10^-5 pounds; rates are W for electricity and ml/h for gas.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from labctl.meters.tariff import Tariff


class Originator(enum.IntEnum):
    """Who asked, numbered as Prepayment does (SE 1.4 D.7.2.3.2.1)."""

    SUPPLIER = 0
    """Through the hub."""
    METER = 1
    """At the meter's own buttons."""
    PPMID = 2
    """A prepayment device in the home."""


class SupplyState(enum.IntEnum):
    """The contactor or valve, numbered as Metering does (SE 1.4 D.3.2.2.1.20)."""

    OFF = 0
    ARMED = 1
    """Off, and the consumer may switch it on."""
    ON = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandSet:
    """A load of `rate` replaces the profile until `until_us` (None: until another entry)."""

    at_us: int
    meter: str | None = None
    rate: int | None = None
    """None goes back to the profile."""
    until_us: int | None = None
    what: Literal["demand"] = "demand"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageBegan:
    """The mains fail until `until_us` (None: until `OutageEnded`). Gas meters do not notice."""

    at_us: int
    meter: str | None = None
    until_us: int | None = None
    what: Literal["outage"] = "outage"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageEnded:
    """The mains are back."""

    at_us: int
    meter: str | None = None
    what: Literal["restored"] = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyAsked:
    """The supply is to be off, armed or on. A PPMID may switch on electricity, never gas."""

    at_us: int
    meter: str | None = None
    state: SupplyState
    originator: Originator = Originator.SUPPLIER
    what: Literal["supply"] = "supply"


@dataclass(frozen=True, slots=True, kw_only=True)
class TariffSet:
    """A tariff is announced; it comes into force at its own `start_s`, at `at_us` at the soonest.

    A tariff that starts later than one announced before it takes its place from then on.
    """

    at_us: int
    meter: str | None = None
    tariff: Tariff
    what: Literal["tariff"] = "tariff"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSet:
    """The meter's clock is `offset_s` ahead of UTC (negative: behind) from now on."""

    at_us: int
    meter: str | None = None
    offset_s: int
    what: Literal["clock"] = "clock"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenancyChanged:
    """New people live here since `since_s` (UTC seconds): what was before is no longer readable.

    `taken_back`: from `at_us` on it is as if the change of that `since_s` had not been.
    """

    at_us: int
    meter: str | None = None
    since_s: int
    taken_back: bool = False
    what: Literal["tenancy"] = "tenancy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToppedUp:
    """A top-up code was entered. `amount` None takes the account's worth of any code."""

    at_us: int
    meter: str | None = None
    code: str
    amount: int | None = None
    originator: Originator = Originator.SUPPLIER
    what: Literal["top-up"] = "top-up"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencySelected:
    """The consumer asks for emergency credit."""

    at_us: int
    meter: str | None = None
    originator: Originator = Originator.PPMID
    what: Literal["emergency-credit"] = "emergency-credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencySetUp:
    """The supplier sets how much emergency credit there is, and from which balance on."""

    at_us: int
    meter: str | None = None
    limit: int
    threshold: int
    what: Literal["emergency-setup"] = "emergency-setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtSet:
    """The supplier sets (or, `incremental`, adds to) what is owed of debt 1, 2 or 3.

    `recovery`: for debts 1 and 2 what is taken each day; for debt 3 10^-4 of each top-up. None
    leaves it as it is.
    """

    at_us: int
    meter: str | None = None
    number: Literal[1, 2, 3]
    amount: int
    incremental: bool = False
    recovery: int | None = None
    what: Literal["debt"] = "debt"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditAdjusted:
    """The supplier adds `amount` (may be negative) to the credit, or sets it (`absolute`)."""

    at_us: int
    meter: str | None = None
    amount: int
    absolute: bool = False
    what: Literal["credit"] = "credit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentModeSet:
    """The supplier switches between prepayment and credit. The balances stay."""

    at_us: int
    meter: str | None = None
    prepayment: bool
    what: Literal["payment-mode"] = "payment-mode"


AccountEntry = (
    ToppedUp
    | EmergencySelected
    | EmergencySetUp
    | DebtSet
    | CreditAdjusted
    | PaymentModeSet
    | SupplyAsked
)
"""Entries that a prepayment account takes."""

Entry = (
    DemandSet
    | OutageBegan
    | OutageEnded
    | SupplyAsked
    | TariffSet
    | ClockSet
    | TenancyChanged
    | ToppedUp
    | EmergencySelected
    | EmergencySetUp
    | DebtSet
    | CreditAdjusted
    | PaymentModeSet
)
"""Anything that a journal holds."""
