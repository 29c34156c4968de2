"""The journal: what is done to meters, and that the same journal gives the same values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meter_makers import DAY_S, ORIGIN_S, PLAIN, TWO_TIERS, US, at, electricity, gas, journals

from labctl.meters import Journal, JournalError, Originator, SupplyState
from labctl.meters.entries import (
    ClockSet,
    DemandSet,
    OutageBegan,
    OutageEnded,
    SupplyAsked,
    TariffSet,
)
from labctl.meters.prepayment import Prepayment

instants = st.integers(ORIGIN_S, ORIGIN_S + 14 * DAY_S)


def test_a_set_demand_is_exact_and_ends_when_it_says() -> None:
    journal = Journal()
    meter, plain = electricity(journal), electricity()
    journal.append(DemandSet(at_us=at(10), rate=2400, until_us=at(12)))
    assert meter.at(at(11)).demand_w == 2400
    assert meter.consumed(ORIGIN_S + 10 * 3600, ORIGIN_S + 12 * 3600) == pytest.approx(4800, abs=1)
    assert meter.at(at(9)) == plain.at(at(9))
    assert meter.at(at(12.5)).demand_w == plain.at(at(12.5)).demand_w


def test_a_set_demand_lasts_until_it_is_taken_back() -> None:
    journal = Journal([DemandSet(at_us=at(1), rate=0)])
    meter = electricity(journal)
    assert meter.consumed(ORIGIN_S + 7200, ORIGIN_S + 9 * DAY_S) == 0
    journal.append(DemandSet(at_us=at(24), rate=None))
    assert meter.consumed(ORIGIN_S + DAY_S, ORIGIN_S + 2 * DAY_S) > 1000


def test_an_outage_stops_the_register_and_is_listed() -> None:
    journal = Journal([OutageBegan(at_us=at(10), until_us=at(10.25)), OutageBegan(at_us=at(20))])
    meter, proxy = electricity(journal), gas(journal)
    assert meter.at(at(10.1)).demand_w == 0
    assert not meter.supply_at(at(10.1)).mains
    assert meter.consumed(ORIGIN_S + 36_000, ORIGIN_S + 36_900) == 0
    assert meter.consumed(ORIGIN_S + 36_900, ORIGIN_S + 40_000) > 0
    listed = meter.outages(at(0), at(21))
    assert [(outage.began_us, outage.ended_us) for outage in listed] == [
        (at(10), at(10.25)),
        (at(20), None),
    ]
    journal.append(OutageEnded(at_us=at(30)))
    assert meter.outages(at(11), at(40))[0].ended_us == at(30)
    assert proxy.outages(at(0), at(40)) == ()
    assert proxy.supply_at(at(20.5)).mains


@pytest.mark.parametrize("hours", [0, 7.3])
def test_an_entry_holds_from_the_instant_it_was_made(hours: float) -> None:
    journal = Journal()
    meter, plain = electricity(journal), electricity()
    before = meter.at(at(hours))
    journal.append(DemandSet(at_us=at(hours), rate=1234))
    after = meter.at(at(hours))
    assert (after.demand_w, after.summation) == (1234, before.summation)
    assert meter.at(at(hours) - 1) == plain.at(at(hours) - 1)
    assert meter.history.days(ORIGIN_S, 9) == plain.history.days(ORIGIN_S, 9)
    journal.append(OutageBegan(at_us=at(hours)))
    assert meter.at(at(hours)).demand_w == 0


def test_the_past_is_closed() -> None:
    journal = Journal([OutageBegan(at_us=at(2))])
    with pytest.raises(JournalError, match="already"):
        journal.append(OutageEnded(at_us=at(2) - 1))
    assert len(journal) == 1


@given(journals())
@settings(max_examples=50, deadline=None)
def test_a_saved_journal_reads_back_as_it_was(journal: Journal) -> None:
    assert list(Journal.from_json_lines(journal.to_json_lines())) == list(journal)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "JSON"),
        ("{}", "what"),
        ('{"what":"magic","at_us":1}', "magic"),
        ('{"what":"demand","at_us":"x"}', "at_us"),
        ('{"what":"supply","at_us":1,"state":7}', "state"),
    ],
)
def test_a_spoiled_line_is_named(line: str, said: str) -> None:
    with pytest.raises(JournalError, match=rf"^line 2: .*{said}"):
        Journal.from_json_lines('{"what":"restored","at_us":0}\n' + line + "\n")


@given(journals(), st.lists(instants, min_size=1, max_size=6), st.booleans())
@settings(max_examples=25, deadline=None)
def test_values_do_not_depend_on_when_they_were_asked_for(
    journal: Journal, times: list[int], prepay: bool
) -> None:
    account = {"prepayment": Prepayment(credit=5_00000)} if prepay else {}
    growing = Journal()
    asked = electricity(growing, **account)
    for entry in journal:  # asked all the while, far ahead too, as the journal grows
        asked.at(entry.at_us + 3 * DAY_S * US)
        asked.totals_at(entry.at_us // US + 3 * DAY_S)
        growing.append(entry)
    fresh = electricity(Journal(journal), **account)
    for time in times:
        assert asked.at(time * US) == fresh.at(time * US)
        assert asked.totals_at(time) == fresh.totals_at(time)
        assert asked.supply_at(time * US) == fresh.supply_at(time * US)
        if asked.prepayment and fresh.prepayment:
            assert asked.prepayment.at(time) == fresh.prepayment.at(time)


def test_the_clock_moves_tiers_and_not_the_register() -> None:
    journal = Journal([ClockSet(at_us=at(3), offset_s=3600)])
    meter, plain = electricity(journal), electricity()
    assert meter.clock_offset_s(ORIGIN_S + 2 * 3600) == 0
    assert meter.clock_offset_s(ORIGIN_S + 4 * 3600) == 3600
    price = meter.price_at(ORIGIN_S + 6 * 3600 + 1800)
    assert price is not None
    assert price.tier == 1, "by its clock it is half past seven"
    assert plain.price_at(ORIGIN_S + 6 * 3600 + 1800).tier == 2  # type: ignore[union-attr]
    assert meter.at(at(30)) == plain.at(at(30))
    night = meter.price_at(ORIGIN_S + 5 * 3600)
    assert night is not None
    assert night.end_s == ORIGIN_S + 6 * 3600


def test_a_tariff_is_announced_and_then_in_force() -> None:
    start_s = ORIGIN_S + 10 * DAY_S
    new = type(PLAIN)("New", 30_000, 1, start_s)
    journal = Journal([TariffSet(at_us=at(5), tariff=new, meter="electricity")])
    meter = electricity(journal)
    assert meter.announced_tariffs(ORIGIN_S) == ()
    assert meter.announced_tariffs(ORIGIN_S + DAY_S) == (new,)
    assert meter.tariff_at(start_s - 1) == TWO_TIERS
    assert meter.tariff_at(start_s) == new
    last_old = meter.prices_from(start_s - 3600, 3)
    assert [price.unit_price for price in last_old] == [24_500, 30_000]
    assert last_old[0].end_s == last_old[1].start_s == start_s
    assert gas(journal).tariff_at(start_s) == PLAIN


@pytest.mark.parametrize(
    ("who", "before", "asked", "electric", "of_gas"),
    [
        (Originator.SUPPLIER, SupplyState.ON, SupplyState.OFF, SupplyState.OFF, SupplyState.OFF),
        (Originator.SUPPLIER, SupplyState.OFF, SupplyState.ON, SupplyState.ON, SupplyState.ARMED),
        (Originator.PPMID, SupplyState.ARMED, SupplyState.ON, SupplyState.ON, SupplyState.ARMED),
        (Originator.PPMID, SupplyState.OFF, SupplyState.ON, SupplyState.OFF, SupplyState.OFF),
        (Originator.PPMID, SupplyState.ON, SupplyState.OFF, SupplyState.ON, SupplyState.ON),
        (Originator.METER, SupplyState.ARMED, SupplyState.ON, SupplyState.ON, SupplyState.ON),
    ],
)
def test_who_may_switch_the_supply(
    who: Originator,
    before: SupplyState,
    asked: SupplyState,
    electric: SupplyState,
    of_gas: SupplyState,
) -> None:
    journal = Journal(
        [
            SupplyAsked(at_us=at(1), state=before),
            SupplyAsked(at_us=at(2), state=asked, originator=who),
        ]
    )
    assert electricity(journal).supply_at(at(3)).state is electric
    assert gas(journal).supply_at(at(3)).state is of_gas


def test_a_tariff_that_begins_at_a_midnight_already_asked_for_counts_from_it() -> None:
    new = replace(PLAIN, standing_charge=PLAIN.standing_charge + 44_794)
    entries = [TariffSet(at_us=ORIGIN_S * US, tariff=new)]
    growing = Journal([ClockSet(at_us=ORIGIN_S * US, offset_s=0)])
    asked = electricity(growing)
    asked.totals_at(ORIGIN_S + 3 * DAY_S)
    for entry in entries:
        growing.append(entry)
    fresh = electricity(Journal(growing))
    assert asked.totals_at(ORIGIN_S) == fresh.totals_at(ORIGIN_S)
