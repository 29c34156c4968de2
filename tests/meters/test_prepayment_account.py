"""Prepayment: money is conserved, and supply follows credit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_makers import DAY_S, HOUR_S, ORIGIN_S, US, at, electricity, gas, journals

from labctl.meters import (
    Debt,
    ElectricityMeter,
    GasProxy,
    Journal,
    LoadProfile,
    Originator,
    Prepayment,
    ProfileShape,
    SupplyReason,
    SupplyState,
    Switch,
    SwitchingTable,
    Tariff,
    TopUpResult,
)
from labctl.meters.entries import (
    CreditAdjusted,
    DebtSet,
    EmergencySelected,
    PaymentModeSet,
    SupplyAsked,
    TenancyChanged,
    ToppedUp,
)
from labctl.meters.prepayment import AlarmStatus, CreditStatus, is_utrn

CODE = "12345678901234567890"
OTHER = "09876543210987654321"
HOURLY = Tariff("Flat", 100_000, 0, ORIGIN_S)  # 1 kW costs 1 pound an hour


def steady(journal: Journal | None = None, *, tariff: Tariff = HOURLY, **declared: Any) -> Any:
    """A meter with a load of 1 kW and an account."""
    profile = LoadProfile(
        ProfileShape.FLAT, base=1000, peak=0, origin_s=ORIGIN_S, seed=1, noise_percent=0
    )
    account = Prepayment(**{"credit": 5_00000, **declared})
    return electricity(journal, tariff=tariff, profile=profile, prepayment=account)


def hour(hours: float) -> int:
    return ORIGIN_S + round(hours * HOUR_S)


accounts = st.builds(
    Prepayment,
    credit=st.integers(-2_00000, 20_00000),
    emergency_limit=st.sampled_from([0, 3_00000, 10_00000]),
    accumulated_debt=st.sampled_from([0, 1_50000]),
    debts=st.tuples(
        st.builds(Debt, st.integers(0, 5_00000), st.integers(0, 1_00000)),
        st.builds(Debt, st.integers(0, 5_00000), st.integers(0, 1_00000)),
        st.builds(Debt, st.integers(0, 5_00000), st.integers(0, 10_000)),
    ),
    payment_debt_cap=st.none() | st.just(1_00000),
    suspend_debt_emergency=st.booleans(),
    suspend_debt_disabled=st.booleans(),
)


@given(accounts, journals(), st.lists(st.integers(0, 12 * DAY_S), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_money_is_conserved_whatever_is_done(
    declared: Prepayment, journal: Journal, offsets: list[int]
) -> None:
    meters: list[ElectricityMeter | GasProxy] = [
        electricity(journal, prepayment=declared),
        gas(journal, prepayment=declared),
    ]
    for meter in meters:
        view = meter.prepayment
        assert view is not None
        start = declared.credit - declared.accumulated_debt
        for offset in offsets:
            now_s = ORIGIN_S + offset
            account = view.at(now_s)
            assert account.credit - account.emergency_used - account.accumulated_debt == (
                start
                + account.topped_up
                - account.paid_debt
                + account.adjusted
                - account.charged
                - account.standing
                - account.time_debt
            )
            ledger, seen_s = meter.works.ledger, meter.as_of_s(now_s)
            assert account.charged == ledger.cost(seen_s) - ledger.cost(ORIGIN_S)
            accepted = [a.amount for a in view.attempts(now_s) if a.result.accepted]
            assert account.topped_up == sum(accepted)
            assert account.emergency_used >= 0
            assert account.accumulated_debt >= 0
            assert all(debt.amount >= 0 for debt in account.debts)


def test_credit_runs_out_to_the_second_and_the_supply_goes_off() -> None:
    meter = steady()
    assert meter.prepayment.at(hour(2)).credit == 3_00000
    assert meter.supply_at(at(5) - US).state is SupplyState.ON
    supply = meter.supply_at(at(5))
    assert (supply.state, supply.reason) == (SupplyState.OFF, SupplyReason.CREDIT)
    assert supply.since_s == hour(5)
    assert meter.at(at(5)).demand_w == 0
    assert meter.consumed(hour(5), hour(50)) == 0
    assert meter.consumed(hour(0), hour(50)) == 5000
    account = meter.prepayment.at(hour(50))
    assert account.credit == 0
    assert CreditStatus.EXHAUSTED in meter.prepayment.credit_status(hour(50))
    assert AlarmStatus.DISCONNECTED_FOR_CREDIT in meter.prepayment.alarm_status(hour(50))


def test_credit_status_goes_from_ok_to_low_to_available() -> None:
    view = steady().prepayment
    enabled = CreditStatus.EMERGENCY_ENABLED
    assert view.credit_status(hour(2)) == CreditStatus.OK | enabled
    assert view.credit_status(hour(3)) == CreditStatus.LOW | enabled
    assert view.credit_status(hour(4)) == (
        CreditStatus.LOW | enabled | CreditStatus.EMERGENCY_AVAILABLE
    )
    assert view.alarm_status(hour(4)) == AlarmStatus.LOW_CREDIT | AlarmStatus.EMERGENCY_AVAILABLE


def test_emergency_credit_is_selected_used_and_paid_back() -> None:
    journal = Journal(
        [EmergencySelected(at_us=at(1)), EmergencySelected(at_us=at(4.5))]  # the first is too soon
    )
    meter = steady(journal, emergency_limit=3_00000)
    view = meter.prepayment
    assert not view.at(hour(2)).emergency_selected
    account = view.at(hour(4.75))
    assert account.emergency_selected
    assert not account.emergency_in_use
    assert account.emergency_remaining == 3_00000
    account = view.at(hour(6))
    assert (account.credit, account.emergency_used) == (0, 1_00000)
    assert CreditStatus.EMERGENCY_IN_USE in view.credit_status(hour(6))
    assert meter.supply_at(at(8) - US).state is SupplyState.ON
    assert meter.supply_at(at(8)).state is SupplyState.OFF
    journal.append(ToppedUp(at_us=at(9), code=CODE, amount=10_00000))
    account = view.at(hour(9))
    assert (account.credit, account.emergency_used) == (7_00000, 0)
    assert not account.emergency_selected
    assert view.top_ups(hour(9))[0].result is TopUpResult.ACCEPTED_SUPPLY_ARMED


@pytest.mark.parametrize("who", [Originator.PPMID, Originator.METER])
def test_an_armed_supply_comes_on_by_the_consumer(who: Originator) -> None:
    journal = Journal([ToppedUp(at_us=at(6), code=CODE, amount=2_00000)])
    meter = steady(journal)
    assert meter.supply_at(at(6)).state is SupplyState.ARMED
    assert meter.prepayment.at(hour(7)).credit == 2_00000
    journal.append(SupplyAsked(at_us=at(8), state=SupplyState.ON, originator=who))
    assert meter.supply_at(at(8)).state is SupplyState.ON
    assert meter.supply_at(at(10)).state is SupplyState.OFF, "and the two pounds are used"


def test_without_credit_nobody_switches_on() -> None:
    journal = Journal(
        [SupplyAsked(at_us=at(6), state=SupplyState.ON, originator=who) for who in Originator]
    )
    assert steady(journal).supply_at(at(7)).state is SupplyState.OFF


@pytest.mark.parametrize(
    ("code", "amount", "result"),
    [
        (CODE, 1_00000, TopUpResult.ACCEPTED),
        ("1234567890123456789", 1_00000, TopUpResult.INVALID),
        ("1234567890123456789x", 1_00000, TopUpResult.INVALID),
        ("１" * 20, 1_00000, TopUpResult.INVALID),
        (CODE, 200_00001, TopUpResult.TOO_LARGE),
        (CODE, 197_00000, TopUpResult.MAXIMUM_CREDIT),
        (CODE, 0, TopUpResult.ERROR),
    ],
)
def test_what_comes_of_a_top_up(code: str, amount: int, result: TopUpResult) -> None:
    journal = Journal([ToppedUp(at_us=at(1), code=code, amount=amount)])
    view = steady(journal, max_credit=200_00000).prepayment
    attempt = view.result_of(at(1), code)
    assert attempt.result is result
    expected = 4_00000 + (amount if result.accepted else 0)
    assert view.at(hour(1)).credit == attempt.credit == expected
    assert len(view.top_ups(hour(1))) == int(result.accepted)


def test_a_code_counts_once_and_the_log_holds_five() -> None:
    codes = [CODE, CODE, *(f"{n:020}" for n in range(6))]
    journal = Journal(
        [ToppedUp(at_us=at(1) + n, code=code, amount=1_00000) for n, code in enumerate(codes)]
    )
    view = steady(journal).prepayment
    assert [a.result for a in reversed(view.attempts(hour(1) + 1))][:3] == [
        TopUpResult.ACCEPTED,
        TopUpResult.DUPLICATE,
        TopUpResult.ACCEPTED,
    ]
    assert [a.code for a in view.top_ups(hour(1) + 1)] == [f"{n:020}" for n in (5, 4, 3, 2, 1)]
    assert view.at(hour(1) + 1).topped_up == 7_00000


def test_a_refused_top_up_alarms_until_one_is_accepted() -> None:
    journal = Journal([ToppedUp(at_us=at(1), code="1")])
    view = steady(journal).prepayment
    assert view.alarm_status(hour(1)) == AlarmStatus.TOP_UP_INVALID
    journal.append(ToppedUp(at_us=at(2), code=CODE))
    assert view.alarm_status(hour(2)) == 0
    assert view.top_ups(hour(2))[0].amount == view.declared.top_up_worth


def test_only_the_form_of_a_code_is_checked() -> None:
    assert is_utrn(CODE)
    assert is_utrn("0" * 20)
    assert not is_utrn("0" * 21)
    assert not is_utrn("0" * 20 + "\n")


def test_midnights_take_the_standing_charge_and_the_debts() -> None:
    tariff = Tariff("Free", 0, 50_000, ORIGIN_S)
    debts = (Debt(1_00000, 30_000, "Old"), Debt(5_00000, 1_00000), Debt())
    view = steady(tariff=tariff, debts=debts, credit=10_00000).prepayment
    assert view.at(ORIGIN_S + DAY_S - 1).credit == 10_00000
    account = view.at(ORIGIN_S + DAY_S)
    assert account.credit == 10_00000 - 50_000 - 30_000 - 1_00000
    assert [debt.amount for debt in account.debts] == [70_000, 4_00000, 0]
    account = view.at(ORIGIN_S + 4 * DAY_S)
    assert account.debts[0].amount == 0, "the last payment is what was left"
    payments = view.debt_payments(ORIGIN_S + 4 * DAY_S, 2, number=1)
    assert [(p.amount, p.owed) for p in payments] == [(10_000, 0), (30_000, 10_000)]


@pytest.mark.parametrize("suspended", [True, False])
def test_while_the_supply_is_off_charges_gather_as_debt(suspended: bool) -> None:
    tariff = Tariff("T", 100_000, 50_000, ORIGIN_S)
    debts = (Debt(10_00000, 20_000), Debt(), Debt())
    view = steady(tariff=tariff, debts=debts, suspend_debt_disabled=suspended).prepayment
    account = view.at(ORIGIN_S + 2 * DAY_S)
    assert account.credit == 0
    assert account.accumulated_debt == 2 * (50_000 + (0 if suspended else 20_000))
    assert account.debts[0].amount == 10_00000 - (0 if suspended else 40_000)


def test_a_top_up_pays_debt_before_credit() -> None:
    debts = (Debt(), Debt(), Debt(10_00000, 2500))
    journal = Journal([ToppedUp(at_us=at(1), code=CODE, amount=8_00000)])
    view = steady(journal, debts=debts, accumulated_debt=1_50000).prepayment
    account = view.at(hour(1))
    assert account.debts[2].amount == 8_00000
    assert account.accumulated_debt == 0
    assert account.credit == 4_00000 + 8_00000 - 2_00000 - 1_50000
    journal.append(DebtSet(at_us=at(1.5), number=3, amount=1_00000, incremental=True))
    assert view.at(hour(1.5)).debts[2].amount == 9_00000


def test_payment_debt_is_capped_by_the_week() -> None:
    codes = [CODE, OTHER, "0" * 20]
    times = [at(1), at(2), at(24 * 7 + 1.5)]
    journal = Journal(
        [
            ToppedUp(at_us=when, code=code, amount=20_00000)
            for when, code in zip(times, codes, strict=True)
        ]
    )
    debts = (Debt(), Debt(), Debt(100_00000, 5000))
    view = steady(journal, debts=debts, payment_debt_cap=12_00000).prepayment
    assert view.at(hour(1)).paid_debt == 10_00000
    assert view.at(hour(2)).paid_debt == 12_00000
    assert view.at(hour(24 * 7 + 2)).paid_debt == 22_00000


def test_friendly_credit_keeps_the_supply_on_until_it_ends() -> None:
    calendar = SwitchingTable(((Switch(0, 0), Switch(4 * 60, 1), Switch(10 * 60, 0)),))
    meter = steady(non_disablement=calendar)
    view = meter.prepayment
    assert meter.supply_at(at(9)).state is SupplyState.ON
    assert view.at(hour(9)).credit == -4_00000
    assert AlarmStatus.FRIENDLY_CREDIT_IN_USE in view.alarm_status(hour(9))
    assert AlarmStatus.FRIENDLY_CREDIT_ENDS not in view.alarm_status(hour(9))
    assert AlarmStatus.FRIENDLY_CREDIT_ENDS in view.alarm_status(hour(10) - 300)
    assert meter.supply_at(at(10)).state is SupplyState.OFF
    assert view.at(hour(20)).credit == -5_00000


def test_in_credit_mode_nothing_is_switched_off() -> None:
    journal = Journal([PaymentModeSet(at_us=at(10), prepayment=True)])
    meter = steady(journal, prepayment=False)
    assert meter.prepayment.payment_control(hour(9)) == 0x0C94
    assert meter.supply_at(at(9)).state is SupplyState.ON
    assert meter.prepayment.at(hour(9)).credit == -4_00000
    assert meter.supply_at(at(10)).state is SupplyState.OFF


@pytest.mark.parametrize(
    ("emergency", "disabled", "word"),
    [(True, True, 0x0497), (True, False, 0x0097), (False, True, 0x0C97), (False, False, 0x0897)],
)
def test_payment_control_has_the_values_of_gb(emergency: bool, disabled: bool, word: int) -> None:
    declared = Prepayment(suspend_debt_emergency=emergency, suspend_debt_disabled=disabled)
    assert declared.payment_control(True) == word


def test_the_supplier_adjusts_credit() -> None:
    journal = Journal(
        [
            CreditAdjusted(at_us=at(1), amount=-1_00000),
            CreditAdjusted(at_us=at(2), amount=9_00000, absolute=True),
        ]
    )
    view = steady(journal).prepayment
    assert view.at(hour(1)).credit == 3_00000
    assert view.at(hour(2)).credit == 9_00000


def test_the_proxy_learns_of_a_top_up_when_the_meter_wakes() -> None:
    journal = Journal([ToppedUp(at_us=at(1.25), code=CODE, amount=3_00000)])
    proxy = gas(journal, prepayment=Prepayment(credit=50_00000))
    view = proxy.prepayment
    assert view is not None
    assert view.at(hour(1.4)).topped_up == 0
    assert view.top_ups(hour(1.4)) == ()
    assert view.at(hour(1.5)).topped_up == 3_00000
    assert view.result_of(at(1.25), CODE) is not None, "the meter itself answers at once"


def test_new_tenants_do_not_see_old_top_ups() -> None:
    journal = Journal(
        [
            ToppedUp(at_us=at(1), code=CODE, amount=3_00000),
            TenancyChanged(at_us=at(2), since_s=hour(2)),
            ToppedUp(at_us=at(3), code=OTHER, amount=3_00000),
        ]
    )
    view = steady(journal).prepayment
    assert [attempt.code for attempt in view.top_ups(hour(4))] == [OTHER]


@pytest.mark.parametrize(
    "bad",
    [
        {"max_credit": -1},
        {"credit": 2**31},
        {"debts": (Debt(), Debt(), Debt(1, 10_001))},
        {"debts": (Debt(label="x" * 13), Debt(), Debt())},
        {"non_disablement": SwitchingTable(((Switch(0, 2),),))},
    ],
)
def test_an_account_that_does_not_fit_the_air_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"fit|10000|octets|0 and 1"):
        Prepayment(**bad)
