"""A prepayment account as Prepayment shows it: at an instant, with its logs."""

from __future__ import annotations

from collections.abc import Callable

from labctl.meters.entries import SupplyState
from labctl.meters.history import readable_instant
from labctl.meters.moment import Moment, SupplyReason
from labctl.meters.plan import Plan
from labctl.meters.prepayment import (
    Account,
    AlarmStatus,
    CreditStatus,
    DebtPayment,
    Prepayment,
    TopUp,
    TopUpResult,
)
from labctl.meters.timeline import Timeline

_US = 1_000_000
_ALARMS = {
    TopUpResult.INVALID: AlarmStatus.TOP_UP_INVALID,
    TopUpResult.DUPLICATE: AlarmStatus.TOP_UP_USED_BEFORE,
    TopUpResult.ERROR: AlarmStatus.TOP_UP_ERROR,
    TopUpResult.MAXIMUM_CREDIT: AlarmStatus.TOP_UP_ERROR,
    TopUpResult.TOO_LARGE: AlarmStatus.TOP_UP_ERROR,
}


class AccountView:
    """The account of one meter. All instants are UTC seconds; money is in 10^-5 pounds."""

    def __init__(
        self,
        timeline: Timeline,
        plan: Plan,
        declared: Prepayment,
        as_of_s: Callable[[int], int],
    ) -> None:
        self._timeline = timeline
        self._plan = plan
        self._as_of_s = as_of_s
        self.declared = declared
        """Limits and settings that do not change."""

    def at(self, utc_s: int) -> Account:
        """The account that a device is shown."""
        account = self._timeline.account_at(self._as_of_s(utc_s) * _US)
        assert account is not None
        return account

    def payment_control(self, utc_s: int) -> int:
        """Attribute 0x0000."""
        return self.declared.payment_control(self.at(utc_s).prepayment)

    def credit_status(self, utc_s: int) -> CreditStatus:
        """Attribute 0x0003."""
        return self.at(utc_s).status(self.declared)

    def credit_remaining(self, utc_s: int) -> int:
        """Attribute 0x0001: the meter balance. What is left of emergency credit is apart."""
        return self.at(utc_s).credit

    def alarm_status(self, utc_s: int) -> AlarmStatus:
        """Attribute 0x0400. A refused top-up alarms until one is accepted."""
        seen_s = self._as_of_s(utc_s)
        account, moment = self.at(utc_s), self._moment(utc_s)
        status = account.status(self.declared)
        alarms = AlarmStatus(0)
        if status & (CreditStatus.LOW | CreditStatus.EXHAUSTED) and account.prepayment:
            alarms |= AlarmStatus.LOW_CREDIT
        if status & CreditStatus.EMERGENCY_AVAILABLE:
            alarms |= AlarmStatus.EMERGENCY_AVAILABLE
        if moment.tries:
            alarms |= _ALARMS.get(moment.tries[-1].result, AlarmStatus(0))
        if moment.supply is SupplyState.OFF and moment.reason is SupplyReason.CREDIT:
            alarms |= AlarmStatus.DISCONNECTED_FOR_CREDIT
        if moment.supply is SupplyState.OFF and moment.reason is SupplyReason.SUPPLIER:
            alarms |= AlarmStatus.DISCONNECTED_BY_SUPPLIER
        return alarms | self._friendly(account, seen_s)

    def _friendly(self, account: Account, utc_s: int) -> AlarmStatus:
        calendar = self.declared.non_disablement
        if calendar is None or not account.prepayment or calendar.value_at(utc_s) != 1:
            return AlarmStatus(0)
        if not account.exhausted(self.declared.cut_off):
            return AlarmStatus(0)
        end_s = calendar.span_at(utc_s).end_s
        ends = end_s is not None and end_s - utc_s <= self.declared.friendly_warning_min * 60
        return AlarmStatus.FRIENDLY_CREDIT_IN_USE | (
            AlarmStatus.FRIENDLY_CREDIT_ENDS if ends else AlarmStatus(0)
        )

    def top_ups(self, utc_s: int, count: int = 5) -> tuple[TopUp, ...]:
        """The last accepted top-ups up to `utc_s`, the newest first (PublishTopUpLog)."""
        return tuple(attempt for attempt in self.attempts(utc_s) if attempt.result.accepted)[:count]

    def attempts(self, utc_s: int) -> tuple[TopUp, ...]:
        """All top-ups tried up to `utc_s` in this tenancy, the newest first, with their results."""
        since = self._plan.tenancy_since(utc_s)
        tries = reversed(self._moment(utc_s).tries)
        return tuple(attempt for attempt in tries if readable_instant(attempt.at_s, since))

    def result_of(self, at_us: int, code: str) -> TopUp | None:
        """What came of a top-up at the meter itself, straight after its entry was appended."""
        for attempt in reversed(self._timeline.at(at_us).tries):
            if attempt.code == code:
                return attempt
        return None

    def debt_payments(
        self, utc_s: int, count: int = 10, number: int | None = None
    ) -> tuple[DebtPayment, ...]:
        """What was last taken for debts (of one number, or all), the newest first."""
        since = self._plan.tenancy_since(utc_s)
        return tuple(
            payment
            for payment in reversed(self._moment(utc_s).payments)
            if number in (None, payment.number) and readable_instant(payment.at_s, since)
        )[:count]

    def _moment(self, utc_s: int) -> Moment:
        return self._timeline.at(self._as_of_s(utc_s) * _US)
