"""The rules by which a prepayment account moves, each a function from one state to the next.

They follow SMETS2 as far as the notes at hand go; where those are silent the rule is said here.

* Consumption is taken from the balance down to the cut-off, then from emergency credit if it was
  selected, then (a non-disablement period) the balance goes below the cut-off.
* Standing charges and debts 1 and 2 are taken at each UTC midnight. While emergency credit is in
  use, debts wait and standing charges go to the accumulated debt, if debt is suspended then. While
  the supply is off for want of credit, both go to the accumulated debt; if debt is suspended then,
  debts wait.
* A top-up pays, in this order: the share of debt 3, the accumulated debt, emergency credit that was
  used, the balance. Emergency credit paid back in full is available again.
"""

from __future__ import annotations

from labctl.meters.entries import (
    CreditAdjusted,
    DebtSet,
    EmergencySelected,
    EmergencySetUp,
    PaymentModeSet,
    ToppedUp,
)
from labctl.meters.prepayment import Account, Debt, Prepayment, TopUpResult, is_utrn

_PERCENT_PARTS = 10_000


def charge(account: Account, amount: int, declared: Prepayment) -> Account:
    """Take what was consumed."""
    return _take(account, amount, declared).but(charged=account.charged + amount)


def collect(
    account: Account, standing_charge: int, declared: Prepayment, *, supply_off: bool
) -> Account:
    """Take the standing charge and the time-based debts of one midnight."""
    emergency = account.prepayment and account.emergency_in_use
    off = account.prepayment and supply_off
    if off or (emergency and declared.suspend_debt_emergency):
        moved = account.but(accumulated_debt=account.accumulated_debt + standing_charge)
    else:
        moved = _take(account, standing_charge, declared)
    moved = moved.but(standing=account.standing + standing_charge)
    waits = (off and declared.suspend_debt_disabled) or (
        not off and emergency and declared.suspend_debt_emergency
    )
    if waits:
        return moved
    for number in (0, 1):
        debt = moved.debts[number]
        due = min(debt.amount, debt.recovery)
        if due == 0:
            continue
        moved = _with_debt(moved, number, debt.amount - due)
        moved = moved.but(time_debt=moved.time_debt + due)
        if off:
            moved = moved.but(accumulated_debt=moved.accumulated_debt + due)
        else:
            moved = _take(moved, due, declared)
    return moved


def judge(
    account: Account, entry: ToppedUp, amount: int, declared: Prepayment, seen: frozenset[str]
) -> TopUpResult:
    """Whether a top-up is accepted; `seen` are the codes that were."""
    if not is_utrn(entry.code):
        return TopUpResult.INVALID
    if entry.code in seen:
        return TopUpResult.DUPLICATE
    if not account.prepayment or amount <= 0:
        return TopUpResult.ERROR
    if amount > declared.max_top_up:
        return TopUpResult.TOO_LARGE
    if account.credit + amount > declared.max_credit:
        return TopUpResult.MAXIMUM_CREDIT
    return TopUpResult.ACCEPTED


def top_up(account: Account, amount: int, room_for_debt: int | None) -> Account:
    """Add an accepted top-up. `room_for_debt` is what may still go to debt 3 these 7 days."""
    debt = account.debts[2]
    share = min(debt.amount, amount * debt.recovery // _PERCENT_PARTS)
    if room_for_debt is not None:
        share = min(share, max(0, room_for_debt))
    left = amount - share
    accumulated = min(account.accumulated_debt, left)
    left -= accumulated
    emergency = min(account.emergency_used, left)
    left -= emergency
    used = account.emergency_used - emergency
    moved = _with_debt(account, 2, debt.amount - share)
    return moved.but(
        credit=account.credit + left,
        accumulated_debt=account.accumulated_debt - accumulated,
        emergency_used=used,
        emergency_selected=account.emergency_selected
        and (used > 0 or account.credit + left <= account.emergency_threshold),
        topped_up=account.topped_up + amount,
        paid_debt=account.paid_debt + share,
    )


def apply(
    account: Account,
    entry: EmergencySelected | EmergencySetUp | DebtSet | CreditAdjusted | PaymentModeSet,
    declared: Prepayment,
) -> Account:
    """Anything but a top-up. What may not be (selecting what is not available) changes nothing."""
    if isinstance(entry, EmergencySelected):
        if not account.emergency_available:
            return account
        return _take(account.but(emergency_selected=True), 0, declared)
    if isinstance(entry, EmergencySetUp):
        return account.but(emergency_limit=entry.limit, emergency_threshold=entry.threshold)
    if isinstance(entry, CreditAdjusted):
        credit = entry.amount if entry.absolute else account.credit + entry.amount
        adjusted = account.adjusted + credit - account.credit
        return account.but(credit=credit, adjusted=adjusted)
    if isinstance(entry, PaymentModeSet):
        return account.but(prepayment=entry.prepayment)
    debt = account.debts[entry.number - 1]
    amount = max(0, entry.amount + (debt.amount if entry.incremental else 0))
    return _with_debt(account, entry.number - 1, amount, entry.recovery)


def _take(account: Account, amount: int, declared: Prepayment) -> Account:
    """Take an amount from the balance, and from emergency credit below the cut-off."""
    credit = account.credit - amount
    below = declared.cut_off - credit
    helped = min(max(0, below), account.emergency_remaining) if account.prepayment else 0
    return account.but(credit=credit + helped, emergency_used=account.emergency_used + helped)


def _with_debt(account: Account, number: int, amount: int, recovery: int | None = None) -> Account:
    old = account.debts[number]
    new = Debt(amount, old.recovery if recovery is None else recovery, old.label, old.start_s)
    debts = tuple(new if at == number else debt for at, debt in enumerate(account.debts))
    return account.but(debts=debts)
