"""How an account and the supply move each other, moment by moment."""

from __future__ import annotations

from dataclasses import replace

from labctl.meters import account_rules
from labctl.meters.civil import DAY_S
from labctl.meters.entries import (
    CreditAdjusted,
    DebtSet,
    EmergencySelected,
    EmergencySetUp,
    Entry,
    PaymentModeSet,
    SupplyState,
    ToppedUp,
)
from labctl.meters.moment import Moment, SupplyReason, switched
from labctl.meters.prepayment import (
    Account,
    DebtPayment,
    Prepayment,
    TopUp,
    TopUpResult,
    opened,
)

_US = 1_000_000
_DAY_US = DAY_S * _US
_WEEK_S = 7 * DAY_S
_PAYMENTS_KEPT = 64
_WITH_SUPPLY = {
    SupplyState.ON: TopUpResult.ACCEPTED_SUPPLY_ON,
    SupplyState.OFF: TopUpResult.ACCEPTED_SUPPLY_OFF,
    SupplyState.ARMED: TopUpResult.ACCEPTED_SUPPLY_ARMED,
}


class AccountBook:
    """The account part of a timeline. Every method is a function of the moment it is given."""

    def __init__(self, declared: Prepayment) -> None:
        self.declared = declared

    def opened(self) -> Account:
        """The account at the very first start."""
        return opened(self.declared)

    def friendly(self, utc_s: int) -> bool:
        """Whether a non-disablement period holds the supply on."""
        calendar = self.declared.non_disablement
        return calendar is not None and calendar.value_at(utc_s) == 1

    def next_us(self, moment: Moment) -> int:
        """When the account next moves by itself: a midnight, or a switch of the calendar."""
        midnight = (moment.at_us // _DAY_US + 1) * _DAY_US
        if self.declared.non_disablement is None:
            return midnight
        end_s = self.declared.non_disablement.span_at(moment.at_us // _US).end_s
        return midnight if end_s is None else min(midnight, end_s * _US)

    def charged(self, account: Account, cost: int) -> Account:
        """The account after consumption of that cost."""
        return account_rules.charge(account, cost, self.declared)

    def exhausted(self, account: Account) -> bool:
        """Whether there is nothing left to use energy on."""
        return account.exhausted(self.declared.cut_off)

    def may_run_out(self, moment: Moment) -> bool:
        """Whether consumption alone can end the supply before the next moment."""
        account = moment.account
        return (
            account is not None
            and account.prepayment
            and moment.flows
            and not self.exhausted(account)
            and not self.friendly(moment.at_us // _US)
        )

    def midnight(self, moment: Moment, standing_charge: int) -> Moment:
        """Take the standing charge and the time-based debts."""
        assert moment.account is not None
        off = moment.supply is SupplyState.OFF and moment.reason is SupplyReason.CREDIT
        account = account_rules.collect(
            moment.account, standing_charge, self.declared, supply_off=off
        )
        return _with_payments(moment, account)

    def entered(self, moment: Moment, entry: Entry) -> Moment:
        """An entry that is the account's; others change nothing."""
        assert moment.account is not None
        if isinstance(entry, ToppedUp):
            return self._topped_up(moment, entry)
        if isinstance(
            entry, EmergencySelected | EmergencySetUp | DebtSet | CreditAdjusted | PaymentModeSet
        ):
            account = account_rules.apply(moment.account, entry, self.declared)
            return replace(moment, account=account)
        return moment

    def settled(self, moment: Moment) -> Moment:
        """Switch the supply off for want of credit, or arm it when there is credit again."""
        assert moment.account is not None
        exhausted = self.exhausted(moment.account)
        off_for_credit = moment.reason is SupplyReason.CREDIT and moment.supply is SupplyState.OFF
        if exhausted and moment.supply is not SupplyState.OFF:
            if self.friendly(moment.at_us // _US):
                return moment
            return switched(moment, SupplyState.OFF, SupplyReason.CREDIT)
        if not exhausted and off_for_credit:
            return switched(moment, SupplyState.ARMED, SupplyReason.CREDIT)
        return moment

    def _topped_up(self, moment: Moment, entry: ToppedUp) -> Moment:
        assert moment.account is not None
        declared = self.declared
        amount = declared.top_up_worth if entry.amount is None else entry.amount
        seen = frozenset(attempt.code for attempt in moment.tries if attempt.result.accepted)
        result = account_rules.judge(moment.account, entry, amount, declared, seen)
        if result.accepted:
            room = declared.payment_debt_cap
            if room is not None:
                since = moment.at_us // _US - _WEEK_S
                room -= sum(p.amount for p in moment.payments if p.number == 3 and p.at_s > since)
            moment = _with_payments(moment, account_rules.top_up(moment.account, amount, room))
            before = moment.supply
            moment = self.settled(moment)
            if moment.supply is not before or moment.supply is SupplyState.OFF:
                result = _WITH_SUPPLY[moment.supply]
        assert moment.account is not None
        attempt = TopUp(
            moment.at_us // _US,
            entry.code,
            amount if result.accepted else 0,
            entry.originator,
            result,
            moment.account.credit,
        )
        return replace(moment, tries=(*moment.tries, attempt))


def _with_payments(moment: Moment, account: Account) -> Moment:
    """The moment with an account whose debts have shrunk, and the debts' log."""
    assert moment.account is not None
    both = zip(moment.account.debts, account.debts, strict=True)
    paid = tuple(
        DebtPayment(moment.at_us // _US, old.amount - new.amount, number, new.amount)
        for number, (old, new) in enumerate(both, 1)
        if old.amount > new.amount
    )
    payments = (*moment.payments, *paid)[-_PAYMENTS_KEPT:]
    return replace(moment, account=account, payments=payments)
