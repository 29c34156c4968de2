"""The attributes of Prepayment: functions of an account and an instant (SE 1.4 D.7.2.2).

Money counts 10^-5 pounds. In credit mode there is the mode, the cost of consumption and its
formatting, and nothing of the account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from labctl.hub.services.base import Attribute, Value, defined
from labctl.hub.services.time import zigbee_time
from labctl.meters import Account, AccountView, Debt, Meter, TopUp
from labctl.meters.prepayment import Prepayment as Declared
from labctl.meters.tariff import CURRENCY_GBP
from labctl.smart_energy.clusters import Prepayment
from labctl.smart_energy.clusters.prepayment import DebtRecoveryFrequency, DebtRecoveryMethod

CREDIT_MODE = 0x0C94
"""Payment Control Configuration of a GB meter in credit mode."""
_KWH = 0x00
_COST_FORMATTING = 0x80 | 6 << 3 | 5
_U48_INVALID = 0xFFFF_FFFF_FFFF
_MOST_TOP_UPS = 5
_MIDNIGHT = 0
_PAYMENT_BASED = 2  # index of debt 3, which is taken from top-ups


def s32(amount: int) -> int:
    """An amount in 32 bits with a sign."""
    return min(max(amount, -(2**31)), 2**31 - 1)


def u32(amount: int) -> int:
    """An amount in 32 bits."""
    return min(max(amount, 0), 2**32 - 2)


class PrepaymentState:
    """A meter at an instant (UTC seconds), and its account if it is in prepayment mode."""

    __slots__ = ("_account", "at_s", "meter", "view")

    def __init__(self, meter: Meter, at_s: int) -> None:
        self.meter = meter
        self.at_s = at_s
        self.view = meter.prepayment
        self._account: Account | None = None

    @property
    def account(self) -> Account | None:
        """The account, None in credit mode and for a meter that has none."""
        if self._account is None and self.view is not None:
            self._account = self.view.at(self.at_s)
        account = self._account
        return account if account is not None and account.prepayment else None


def prepayment_attributes(meter: Meter) -> list[Attribute[PrepaymentState]]:
    """The attributes of one meter's account."""
    attributes = [
        Attribute(defined(Prepayment, "payment_control_configuration"), _payment_control),
        *_costs(),
    ]
    if meter.prepayment is None:
        return attributes
    declared = meter.prepayment.declared
    return [
        *attributes,
        *_balances(),
        *_limits(declared),
        *_debts(),
        *_top_ups(),
    ]


def _payment_control(state: PrepaymentState) -> int:
    return CREDIT_MODE if state.view is None else state.view.payment_control(state.at_s)


_Of = Callable[[PrepaymentState, Account, AccountView], Value | None]


def _of_account(name: str, value: _Of) -> Attribute[PrepaymentState]:
    """There in prepayment mode alone."""

    def of(state: PrepaymentState) -> Value | None:
        account = state.account
        if account is None or state.view is None:
            return None
        return value(state, account, state.view)

    return Attribute(defined(Prepayment, name), of)


def _balances() -> Iterator[Attribute[PrepaymentState]]:
    yield _of_account("credit_remaining", lambda s, a, v: s32(v.credit_remaining(s.at_s)))
    yield _of_account("emergency_credit_remaining", lambda s, a, v: s32(a.emergency_remaining))
    yield _of_account("credit_status", lambda s, a, v: v.credit_status(s.at_s))
    yield _of_account(
        "credit_remaining_time_stamp", lambda s, a, v: zigbee_time(s.meter.as_of_s(s.at_s))
    )
    yield _of_account("accumulated_debt", lambda s, a, v: s32(a.accumulated_debt))
    yield _of_account("emergency_credit_limit", lambda s, a, v: u32(a.emergency_limit))
    yield _of_account("emergency_credit_threshold", lambda s, a, v: u32(a.emergency_threshold))
    yield _of_account("total_credit_added", lambda s, a, v: max(a.topped_up, 0))
    yield _of_account("prepayment_alarm_status", lambda s, a, v: v.alarm_status(s.at_s))


def _limits(declared: Declared) -> Iterator[Attribute[PrepaymentState]]:
    """What the supplier set once."""
    for name, amount in (
        ("max_credit_limit", declared.max_credit),
        ("max_credit_per_top_up", declared.max_top_up),
        ("friendly_credit_warning", min(declared.friendly_warning_min, 0xFF)),
        ("low_credit_warning", declared.low_credit),
        ("ihd_low_credit_warning", declared.low_credit),
        ("cut_off_value", declared.cut_off),
    ):
        yield _of_account(name, lambda s, a, v, amount=amount: amount)  # type: ignore[misc]
    if declared.non_disablement is not None:
        yield _of_account("remaining_friendly_credit_time", _friendly_minutes)
        yield _of_account("next_friendly_credit_period", _next_friendly)
    if declared.payment_debt_cap is not None:
        cap = declared.payment_debt_cap
        yield _of_account("overall_debt_cap", lambda s, a, v: s32(cap))


def _friendly_minutes(state: PrepaymentState, account: Account, view: AccountView) -> int:
    """Minutes that a non-disablement period still lasts; 0 outside of one."""
    table = view.declared.non_disablement
    assert table is not None
    span = table.span_at(state.at_s)
    if span.value != 1:
        return 0
    return 0xFFFF if span.end_s is None else min((span.end_s - state.at_s) // 60, 0xFFFE)


def _next_friendly(state: PrepaymentState, account: Account, view: AccountView) -> int | None:
    """When the next non-disablement period starts, None when there is none to come."""
    table = view.declared.non_disablement
    assert table is not None
    at_s = state.at_s
    for _ in range(2):  # the rest of a period that runs, and the gap after it
        span = table.span_at(at_s)
        if span.end_s is None:
            return None
        at_s = span.end_s
        if table.value_at(at_s) == 1:
            return zigbee_time(at_s)
    return None


def _debts() -> Iterator[Attribute[PrepaymentState]]:
    """Debts 1 and 2 are taken each midnight, debt 3 from top-ups."""

    def of(index: int, name: str, value: Callable[[Debt], Value]) -> Attribute[PrepaymentState]:
        return _of_account(f"{name}{index + 1}", lambda s, a, v: value(a.debts[index]))

    for index in range(3):
        yield of(index, "debt_label", lambda debt: debt.label.encode())
        yield of(index, "debt_amount", lambda debt: u32(debt.amount))
        yield of(index, "debt_recovery_start_time", lambda debt: zigbee_time(debt.start_s))
        if index == _PAYMENT_BASED:
            yield of(index, "debt_recovery_method", lambda _: DebtRecoveryMethod.Percentage_based)
            yield of(index, "debt_recovery_top_up_percentage", lambda debt: debt.recovery)
            continue
        yield of(index, "debt_recovery_method", lambda _: DebtRecoveryMethod.Time_based)
        yield of(index, "debt_recovery_collection_time", lambda _: _MIDNIGHT)
        yield of(index, "debt_recovery_frequency", lambda _: DebtRecoveryFrequency.Per_day)
        yield of(index, "debt_recovery_amount", lambda debt: u32(debt.recovery))


def _top_ups() -> Iterator[Attribute[PrepaymentState]]:
    """The last five, the newest first."""

    def of(number: int, name: str, value: Callable[[TopUp], Value]) -> Attribute[PrepaymentState]:
        def read(state: PrepaymentState, account: Account, view: AccountView) -> Value | None:
            top_ups = view.top_ups(state.at_s, _MOST_TOP_UPS)
            return value(top_ups[number - 1]) if number <= len(top_ups) else None

        return _of_account(f"{name}{number if number > 1 else ''}", read)

    for number in range(1, _MOST_TOP_UPS + 1):
        yield of(number, "top_up_date_time", lambda top_up: zigbee_time(top_up.at_s))
        yield of(number, "top_up_amount", lambda top_up: s32(top_up.amount))
        yield of(number, "originating_device", lambda top_up: int(top_up.originator))
        yield of(number, "top_up_code", lambda top_up: top_up.code.encode("latin-1"))


def _costs() -> Iterator[Attribute[PrepaymentState]]:
    """What consumption and standing charges came to: nine days, six weeks, fourteen months."""

    def priced(name: str, value: Callable[[PrepaymentState], Value]) -> Attribute[PrepaymentState]:
        def of(state: PrepaymentState) -> Value | None:
            has_price = state.meter.tariff_at(state.at_s) is not None
            return value(state) if has_price else None

        return Attribute(defined(Prepayment, name), of)

    def cost(
        name: str, value: Callable[[PrepaymentState], int | None]
    ) -> Attribute[PrepaymentState]:
        def of(state: PrepaymentState) -> int:
            amount = value(state)
            return _U48_INVALID if amount is None else min(max(amount, 0), _U48_INVALID - 1)

        return priced(f"{name}_cost_consumption_delivered", of)

    yield priced("historical_cost_consumption_formatting", lambda s: _COST_FORMATTING)
    yield priced("consumption_unit_of_measurement", lambda s: _KWH)
    yield priced("currency", lambda s: CURRENCY_GBP)
    yield priced("historical_freeze_time", lambda s: 0)
    for back in range(9):
        yield cost(_past("day", back), lambda s, n=back: s.meter.cost_history.day(s.at_s, n))  # type: ignore[misc]
    for back in range(6):
        yield cost(_past("week", back), lambda s, n=back: s.meter.cost_history.week(s.at_s, n))  # type: ignore[misc]
    for back in range(14):
        yield cost(_past("month", back), lambda s, n=back: s.meter.cost_history.month(s.at_s, n))  # type: ignore[misc]


def _past(period: str, back: int) -> str:
    if back == 0:
        return f"current_{period}"
    return f"previous_{period}{back if back > 1 else ''}"
