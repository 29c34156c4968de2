"""A prepayment account: what is declared of it, and what it looks like at an instant.

Money is in 10^-5 pounds. Numbers of statuses, flags and results are those of Prepayment (SE 1.4
D.7). The rules by which an account moves are in `account`.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace

from labctl.meters.entries import Originator
from labctl.meters.switching import SwitchingTable

_UTRN = re.compile("[0-9]{20}", re.ASCII)
_PERCENT_PARTS = 10_000


def is_utrn(code: str) -> bool:
    """Whether a top-up code has the form of a UTRN: 20 decimal digits.

    That is all that is checked. A real meter also checks the authentication inside the code, with
    a key that only the supplier and the meter have, and takes the amount from it; the layout of
    neither is public, so any 20 digits pass here and the amount is the account's.
    """
    return _UTRN.fullmatch(code) is not None


class CreditStatus(enum.IntFlag):
    """Attribute 0x0003."""

    OK = 0x01
    LOW = 0x02
    EMERGENCY_ENABLED = 0x04
    EMERGENCY_AVAILABLE = 0x08
    EMERGENCY_SELECTED = 0x10
    EMERGENCY_IN_USE = 0x20
    EXHAUSTED = 0x40


class AlarmStatus(enum.IntFlag):
    """Attribute 0x0400."""

    LOW_CREDIT = 0x0001
    TOP_UP_ERROR = 0x0002
    TOP_UP_USED_BEFORE = 0x0004
    TOP_UP_INVALID = 0x0008
    FRIENDLY_CREDIT_IN_USE = 0x0010
    FRIENDLY_CREDIT_ENDS = 0x0020
    EMERGENCY_AVAILABLE = 0x0040
    DISCONNECTED_FOR_CREDIT = 0x0100
    DISCONNECTED_BY_SUPPLIER = 0x0400


class TopUpResult(enum.IntEnum):
    """Result of a top-up: ConsumerTopUpResponse (D.7.2.4.4.1)."""

    ACCEPTED = 0x00
    INVALID = 0x01
    DUPLICATE = 0x02
    ERROR = 0x03
    MAXIMUM_CREDIT = 0x04
    KEYPAD_LOCKED = 0x05
    TOO_LARGE = 0x06
    ACCEPTED_SUPPLY_ON = 0x10
    ACCEPTED_SUPPLY_OFF = 0x11
    ACCEPTED_SUPPLY_ARMED = 0x12

    @property
    def accepted(self) -> bool:
        """Whether credit was added."""
        return self in (0x00, 0x10, 0x11, 0x12)


@dataclass(frozen=True, slots=True)
class Debt:
    """A debt and how it is recovered.

    Debts 1 and 2 are time-based: `recovery` (10^-5 pounds) is taken at each UTC midnight. Debt 3 is
    payment-based: `recovery` is 10^-4 of each top-up.
    """

    amount: int = 0
    recovery: int = 0
    label: str = ""
    start_s: int = 0


@dataclass(frozen=True, slots=True)
class Prepayment:
    """What is declared of a prepayment account, as it stands at the rig's very first start."""

    credit: int = 0
    """Meter balance; may be negative."""
    emergency_limit: int = 10_00000
    """How much emergency credit there is; 0 disables it."""
    emergency_threshold: int = 1_00000
    """From which balance down emergency credit may be selected."""
    accumulated_debt: int = 0
    debts: tuple[Debt, Debt, Debt] = (Debt(), Debt(), Debt())
    low_credit: int = 2_00000
    """From which balance down credit is low."""
    cut_off: int = 0
    """The balance at which the supply is switched off, without emergency credit."""
    max_credit: int = 500_00000
    """The balance that a top-up must not exceed."""
    max_top_up: int = 200_00000
    """The largest top-up."""
    top_up_worth: int = 10_00000
    """What a code is worth whose amount is not told."""
    payment_debt_cap: int | None = None
    """Most that is taken for debt 3 in 7 days; None is no limit."""
    suspend_debt_emergency: bool = True
    """No debt is taken, and standing charges accumulate, while emergency credit is in use."""
    suspend_debt_disabled: bool = True
    """No debt is taken while the supply is off for want of credit."""
    non_disablement: SwitchingTable | None = None
    """Friendly credit: while its value is 1 the supply is not switched off for want of credit."""
    friendly_warning_min: int = 10
    prepayment: bool = True
    """False: the meter is in credit mode for now."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for amounts that do not fit the air or contradict each other."""
        whole = (
            *(self.emergency_limit, self.emergency_threshold, self.low_credit),
            *(self.max_credit, self.max_top_up, self.top_up_worth, self.accumulated_debt),
            *(debt.amount for debt in self.debts),
            *(debt.recovery for debt in self.debts),
        )
        if not all(0 <= amount < 2**31 for amount in whole):
            raise ValueError("an amount of the account is negative or does not fit 31 bits")
        if not all(-(2**31) <= amount < 2**31 for amount in (self.credit, self.cut_off)):
            raise ValueError("the credit or the cut-off does not fit 32 bits")
        if self.debts[2].recovery > _PERCENT_PARTS:
            raise ValueError("debt 3 takes at most all of a top-up (10000)")
        if any(len(debt.label.encode()) > 12 for debt in self.debts):
            raise ValueError("the label of a debt is longer than 12 octets")
        if self.non_disablement and not self.non_disablement.values <= {0, 1}:
            raise ValueError("a non-disablement calendar has the values 0 and 1")

    def payment_control(self, prepayment: bool) -> int:
        """Attribute 0x0000 as GB meters have it: 0x0C94 in credit mode, 0x0497 and its variants.

        Bit 10 is set when debt is suspended while the supply is off, bit 11 when it is taken
        during emergency credit.
        """
        if not prepayment:
            return 0x0C94
        return (
            0x0097
            | (0x0400 if self.suspend_debt_disabled else 0)
            | (0 if self.suspend_debt_emergency else 0x0800)
        )


@dataclass(frozen=True, slots=True)
class TopUp:
    """A top-up that was tried, and what came of it. `amount` is 0 when it was refused."""

    at_s: int
    code: str
    amount: int
    originator: Originator
    result: TopUpResult
    credit: int
    """The balance afterwards."""


@dataclass(frozen=True, slots=True)
class DebtPayment:
    """Something that was taken for a debt (1, 2 or 3); `owed` is what is left of it."""

    at_s: int
    amount: int
    number: int
    owed: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account at an instant.

    What conserves money, whatever happens:
    `credit - emergency_used - accumulated_debt` == its start + `topped_up` - `paid_debt`
    + `adjusted` - `charged` - `standing` - `time_debt`.
    """

    prepayment: bool
    credit: int
    """Meter balance (0x0001 without the emergency credit)."""
    emergency_limit: int
    emergency_threshold: int
    emergency_selected: bool
    emergency_used: int
    accumulated_debt: int
    debts: tuple[Debt, Debt, Debt]
    topped_up: int = 0
    """All top-ups accepted (0x0020)."""
    adjusted: int = 0
    charged: int = 0
    """All consumption charged."""
    standing: int = 0
    """All standing charges."""
    time_debt: int = 0
    """All that was taken for debts 1 and 2."""
    paid_debt: int = 0
    """All that was taken from top-ups for debt 3."""

    @property
    def emergency_in_use(self) -> bool:
        """Whether some emergency credit is spent."""
        return self.emergency_used > 0

    @property
    def emergency_remaining(self) -> int:
        """What is left of the emergency credit that was selected (0x0002); 0 if it was not."""
        if not self.emergency_selected:
            return 0
        return max(0, self.emergency_limit - self.emergency_used)

    @property
    def emergency_available(self) -> bool:
        """Whether emergency credit may be selected now."""
        return (
            self.prepayment
            and not self.emergency_selected
            and self.emergency_limit > 0
            and self.credit <= self.emergency_threshold
        )

    def exhausted(self, cut_off: int) -> bool:
        """Whether there is nothing left to use energy on."""
        return self.prepayment and self.credit <= cut_off and self.emergency_remaining == 0

    def status(self, declared: Prepayment) -> CreditStatus:
        """Attribute 0x0003."""
        flags = CreditStatus(0)
        exhausted = self.exhausted(declared.cut_off)
        if self.emergency_limit > 0:
            flags |= CreditStatus.EMERGENCY_ENABLED
        if self.emergency_available:
            flags |= CreditStatus.EMERGENCY_AVAILABLE
        if self.emergency_selected:
            flags |= CreditStatus.EMERGENCY_SELECTED
        if self.emergency_in_use and not exhausted:
            flags |= CreditStatus.EMERGENCY_IN_USE
        if exhausted:
            return flags | CreditStatus.EXHAUSTED
        low = self.credit <= declared.low_credit
        return flags | (CreditStatus.LOW if low else CreditStatus.OK)

    def but(self, **changes: object) -> Account:
        """A copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def opened(declared: Prepayment) -> Account:
    """The account as it stands at the very first start."""
    return Account(
        prepayment=declared.prepayment,
        credit=declared.credit,
        emergency_limit=declared.emergency_limit,
        emergency_threshold=declared.emergency_threshold,
        emergency_selected=False,
        emergency_used=0,
        accumulated_debt=declared.accumulated_debt,
        debts=declared.debts,
    )
