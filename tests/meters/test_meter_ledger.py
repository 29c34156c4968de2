"""Tiers, blocks, costs and bills: they add up, to the Wh and to the last 10^-5 pound."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_makers import (
    BLOCKS,
    DAILY_BLOCKS,
    DAY_S,
    ORIGIN_S,
    PLAIN,
    TARIFFS,
    US,
    electricity,
    gas,
    journals,
)

from labctl.meters import Cause, Journal, LoadProfile, ProfileShape, Tariff
from labctl.meters.entries import TariffSet

instants = st.integers(ORIGIN_S - 200 * DAY_S, ORIGIN_S + 14 * DAY_S)
HOUR_S = 3600


@given(st.sampled_from(TARIFFS), journals(), instants)
@settings(max_examples=25, deadline=None)
def test_tiers_and_blocks_add_up_to_the_summation(
    tariff: Tariff, journal: Journal, now_s: int
) -> None:
    for meter in (electricity(journal, tariff=tariff), gas(journal, tariff=tariff).meter):
        totals = meter.totals_at(now_s)
        assert sum(totals.amounts.values()) == meter.at(now_s * US).summation
        assert sum(totals.tier(tier) for tier in range(1, 49)) == sum(totals.amounts.values())
        assert all(amount >= 0 for amount in totals.amounts.values())


def test_a_tier_counts_what_is_used_in_its_hours() -> None:
    meter = electricity()
    before, after = meter.totals_at(ORIGIN_S), meter.totals_at(ORIGIN_S + DAY_S)
    night = meter.consumed(ORIGIN_S, ORIGIN_S + 7 * HOUR_S)
    assert after.tier(2) - before.tier(2) == night
    assert after.tier(1) - before.tier(1) == meter.history.day(ORIGIN_S + DAY_S, 1) - night  # type: ignore[operator]


def test_a_days_cost_is_energy_times_price_and_the_standing_charge() -> None:
    meter = electricity()
    night = meter.consumed(ORIGIN_S, ORIGIN_S + 7 * HOUR_S)
    rest = meter.consumed(ORIGIN_S + 7 * HOUR_S, ORIGIN_S + DAY_S)
    cost = meter.cost_history.day(ORIGIN_S + DAY_S + 60, 1)
    expected = (night * 12_000 + rest * 24_500) / 1000 + 54_794
    assert cost == pytest.approx(expected, abs=1)


def test_gas_costs_by_its_energy() -> None:
    proxy = gas()
    litres = proxy.history.day(ORIGIN_S, 1) or 0
    energy = litres * 11.220633 / 1000
    assert proxy.cost_history.day(ORIGIN_S, 1) == pytest.approx(energy * 24_500 + 54_794, abs=40)


@given(st.sampled_from(TARIFFS), instants)
@settings(max_examples=30, deadline=None)
def test_costs_of_days_add_up_to_weeks_to_the_last_digit(tariff: Tariff, now_s: int) -> None:
    costs = electricity(tariff=tariff).cost_history
    weekday = (now_s // DAY_S + 3) % 7
    days = [costs.day(now_s, weekday + back) or 0 for back in range(1, 8)]
    assert sum(days) == costs.week(now_s, 1)


def test_blocks_split_a_month_at_their_thresholds() -> None:
    flat = LoadProfile(
        ProfileShape.FLAT, base=1000, peak=0, origin_s=ORIGIN_S, seed=1, noise_percent=0
    )
    meter = electricity(tariff=BLOCKS, profile=flat)
    start_s = ORIGIN_S - 4 * DAY_S  # January 1, since when blocks count
    price = meter.price_at(start_s + 19 * HOUR_S + 1800)
    assert (price.block, price.unit_price) == (1, 10_000)  # type: ignore[union-attr]
    price = meter.price_at(start_s + 20 * HOUR_S)
    assert (price.block, price.unit_price) == (2, 20_000)  # type: ignore[union-attr]
    assert meter.price_at(start_s + 24 * HOUR_S).unit_price == 6_000  # type: ignore[union-attr]
    assert meter.price_at(start_s + 47 * HOUR_S).block == 3  # type: ignore[union-attr]
    before = meter.totals_at(start_s)
    after = meter.totals_at(start_s + 60 * HOUR_S)
    assert after.block(1) - before.block(1) == 20_000
    assert after.block(2) - before.block(2) == 25_000
    assert after.block(3) - before.block(3) == 15_000
    february_s = ORIGIN_S + 27 * DAY_S
    assert meter.price_at(february_s - 60).block == 3  # type: ignore[union-attr]
    assert meter.price_at(february_s).block == 1  # type: ignore[union-attr]


def test_tiers_may_count_blocks_for_themselves() -> None:
    flat = LoadProfile(
        ProfileShape.FLAT, base=1000, peak=0, origin_s=ORIGIN_S, seed=1, noise_percent=0
    )
    meter = electricity(tariff=DAILY_BLOCKS, profile=flat)
    blocks = [meter.price_at(ORIGIN_S + hour * HOUR_S).block for hour in (0, 4, 6, 7, 11, 13, 24)]  # type: ignore[union-attr]
    assert blocks == [1, 1, 2, 1, 1, 2, 1]
    totals, before = meter.totals_at(ORIGIN_S + DAY_S), meter.totals_at(ORIGIN_S)
    used = {key: totals.amounts[key] - before.amounts.get(key, 0) for key in totals.amounts}
    assert used == {(2, 1): 5000, (2, 2): 2000, (1, 1): 5000, (1, 2): 12_000}


def test_bills_are_the_costs_of_their_periods() -> None:
    meter = electricity(billing_day=10)
    now_s = ORIGIN_S + 20 * DAY_S + 5
    bill, before = meter.billing.bill(now_s), meter.billing.bill(now_s, 1)
    assert (bill.start_s, before.start_s) == (ORIGIN_S + 5 * DAY_S, ORIGIN_S - 26 * DAY_S)
    assert before.end_s == before.as_of_s == bill.start_s
    assert before.projected is None
    days = [meter.cost_history.day(now_s, back) or 0 for back in range(16)]
    assert bill.cost == sum(days)
    assert bill.projected is not None
    assert 1.5 < bill.projected / bill.cost < 2.5


def test_snapshots_hold_the_registers_of_their_instant() -> None:
    journal = Journal([TariffSet(at_us=(ORIGIN_S + 36_000) * US, tariff=PLAIN)])
    meter = electricity(journal)
    end_s = ORIGIN_S + DAY_S
    found = meter.snapshots(ORIGIN_S - 400 * DAY_S, end_s)
    assert [s.taken_s for s in found] == sorted((s.taken_s for s in found), reverse=True)
    assert sum(Cause.SCHEDULED in s.cause for s in found) == 30  # the 31st is taken at the end
    assert sum(Cause.END_OF_BILLING in s.cause for s in found) == 12
    assert [s.taken_s for s in found if Cause.TARIFF_CHANGE in s.cause] == [ORIGIN_S + 36_000]
    for snapshot in found:
        assert snapshot.summation == meter.at(snapshot.taken_s * US).summation
        assert sum(snapshot.totals.amounts.values()) == snapshot.summation
        if Cause.END_OF_BILLING in snapshot.cause:
            assert snapshot.bill.end_s == snapshot.taken_s
    only = meter.snapshots(0, end_s, Cause.END_OF_BILLING)
    assert {s.snapshot_id for s in only} < {s.snapshot_id for s in found}
    assert meter.snapshots(ORIGIN_S, ORIGIN_S, now_s=end_s) == ()


def test_a_meter_without_a_tariff_counts_and_costs_nothing() -> None:
    meter = electricity(tariff=None)
    assert meter.price_at(ORIGIN_S) is None
    assert meter.cost_history.day(ORIGIN_S, 1) == 0
    assert meter.totals_at(ORIGIN_S).tier(1) == meter.at(ORIGIN_S * US).summation
