"""Price, octet by octet against the layouts that GB meters use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_bench import (
    BLOCK,
    DAY_S,
    NOW,
    START_S,
    TOU,
    ask,
    electricity,
    gas,
    number,
    published,
    u,
    value,
)

from labctl.hub.services.price import PriceService
from labctl.meters import Blocks, Journal, Tariff, Tier
from labctl.meters.entries import TariffSet
from labctl.smart_energy.disagreements import DeviceSettings, PriceForm

NOT_FOUND = 0x8B
TARIFF_START = u(NOW - DAY_S, 4)
FROM_NOW = u(0, 4) + u(0xFFFFFFFF, 4)
LONG = DeviceSettings(price_form=PriceForm.LONG)


def many_tiers(count: int) -> Tariff:
    """Tier 1 all day, but the last tier at the time of the tests."""
    tiers = [Tier(f"T{n}", 1000 + n, 0, 1) for n in range(2, count)]
    return Tariff("Many", 999, 0, START_S - DAY_S, (*tiers, Tier("Last", 77, 8 * 60, 9 * 60)))


def test_a_price_has_28_octets_and_its_label() -> None:
    (price,) = published(PriceService(electricity()), 0x00, b"\x01")
    assert price == (
        u(1, 4)
        + b"\x09Day/Night"
        + u(NOW - 3600, 4)  # since 07:00, which is its event too
        + u(NOW, 4)
        + bytes.fromhex("00 3a03 51 21")
        + u(NOW - 3600, 4)
        + u(17 * 60, 2)
        + u(24_500, 4)
    )
    assert len(price) == 28 + 9


def test_the_long_form_has_19_octets_more_that_mean_nothing() -> None:
    service = PriceService(electricity())
    (short,) = published(service, 0x00, b"\x01")
    (long,) = published(service, 0x00, b"\x01", settings=LONG)
    assert long[: len(short)] == short
    assert long[len(short) :] == b"\xff" * 13 + b"\x00" + b"\xff" * 5


def test_tiers_above_14_need_the_long_form_and_get_it() -> None:
    (price,) = published(PriceService(electricity(many_tiers(20))), 0x00, b"\x01")
    assert price[4:9] == b"\x04Last"
    assert price[20:22] == b"\x5f\xff"
    assert price[-6] == 0x02, "price control says so"
    assert price[-3:] == bytes((20 - 15, 20 - 15, 20 - 15))


def test_scheduled_prices_follow_each_other() -> None:
    prices = published(PriceService(electricity()), 0x01, u(0, 4) + b"\x00")
    assert [price[5:10] for price in prices] == [
        b"Day/N",
        b"Night"[:5],
        b"Day/N",
        b"Night",
        b"Day/N",
    ]
    later = published(PriceService(electricity()), 0x01, u(NOW + 17 * 3600, 4) + b"\x01")
    assert later[0][4:10] == b"\x05Night"


def test_a_block_price_is_that_of_the_block_in_use() -> None:
    meter = electricity(BLOCK, watts=360_000)  # 1 MWh is used in less than three hours
    service = PriceService(meter)
    (price,) = published(service, 0x00, b"\x01")
    assert price[-4:] == u(12_000, 4)
    assert price[11:15] == u(NOW - DAY_S + 3, 4), "the event is of the fourth block"
    midnight = START_S + 27 * DAY_S - 8 * 3600
    (fresh,) = published(service, 0x00, b"\x01", at_s=midnight)
    assert fresh[-4:] == u(10_600, 4)


def test_tariff_information_has_35_octets_and_the_label() -> None:
    (info,) = published(PriceService(electricity()), 0x06, FROM_NOW + b"\x00")
    assert info == (
        u(1, 4)
        + TARIFF_START
        + u(1, 4)
        + TARIFF_START
        + b"\x00\x09Day/Night\x02\x00\x00\x3a\x03\x50"
        + u(54_794, 4)
        + b"\xff"
        + u(1, 3)
        + u(1000, 3)
    )
    (block,) = published(PriceService(electricity(BLOCK)), 0x06, FROM_NOW + b"\x00")
    assert len(block) == 35 + 6
    assert block[16] == 0x10, "blocks, delivered"
    assert block[24:26] == b"\x01\x03"
    assert block[-7] == 0x00


def test_an_announced_tariff_follows_the_one_in_force() -> None:
    journal = Journal()
    meter = electricity(journal=journal)
    service = PriceService(meter)
    coming = replace(TOU, name="Next", start_s=START_S + 3600, tariff_id=9)
    journal.append(TariffSet(at_us=START_S * 1_000_000, tariff=coming))
    first, second = published(service, 0x06, FROM_NOW + b"\x00")
    assert (first[8:12], second[8:12]) == (u(1, 4), u(9, 4))
    (only,) = published(service, 0x06, u(NOW + 7200, 4) + u(0, 4) + b"\x00")
    assert only[8:12] == u(9, 4)
    (one,) = published(service, 0x06, FROM_NOW + b"\x01")
    assert one[8:12] == u(1, 4)
    assert published(service, 0x07, u(9, 4))
    assert value(service, 0x0610, at_s=START_S + 3600) == b"\x04Next"
    assert value(service, 0x0610) == b"\x09Day/Night"


def test_a_price_matrix_has_19_octets_and_5_for_each_price() -> None:
    (matrix,) = published(PriceService(electricity()), 0x07, u(1, 4))
    assert len(matrix) == 19 + 2 * 5
    assert matrix[8:19] == TARIFF_START + u(1, 4) + b"\x00\x01\x01"
    assert matrix[19:] == b"\x01" + u(24_500, 4) + b"\x02" + u(12_000, 4)
    (blocks,) = published(PriceService(electricity(BLOCK)), 0x07, u(7, 4))
    assert blocks[18] == 0x00
    assert blocks[19:] == b"".join(
        bytes((n,)) + u(price, 4) for n, price in enumerate((10_600, 11_200, 11_750, 12_000))
    )


def test_the_largest_matrix_fits_one_frame() -> None:
    tiers = tuple(Tier(f"T{n}", n, 0, 1) for n in range(2, 16))
    rows = tuple(tuple(range(tier * 16, tier * 16 + 16)) for tier in range(15))
    tariff = Tariff("Big", 1, 0, START_S - DAY_S, tiers, blocks=Blocks(tuple(range(1, 16)), rows))
    service = PriceService(electricity(tariff))
    one = published(service, 0x07, u(1, 4))
    entries = b"".join(part[19:] for part in one)
    assert len(entries) == 15 * 16 * 5
    assert [part[16:18] for part in one] == [b"\x00\x01"]
    assert len(one[0]) == 19 + 1200
    (thresholds,) = published(service, 0x08, u(1, 4))
    assert thresholds[18:20] == b"\x01\x0f"


def test_three_thresholds_have_38_octets() -> None:
    (thresholds,) = published(PriceService(electricity(BLOCK)), 0x08, u(7, 4))
    assert len(thresholds) == 38
    assert thresholds[18:] == b"\x01\x03" + u(1_000_000, 6) + u(2_000_000, 6) + u(3_000_000, 6)


def test_labels_come_with_their_tiers() -> None:
    (labels,) = published(PriceService(electricity()), 0x0A, u(1, 4))
    assert labels == (
        u(1, 4) + TARIFF_START + u(1, 4) + b"\x00\x01\x02\x01\x09Day/Night\x02\x05Night"
    )


def test_a_block_period_has_19_octets() -> None:
    service = PriceService(electricity(BLOCK))
    first, second, *_ = published(service, 0x03, u(0, 4) + b"\x00\x00")
    start = NOW - 4 * DAY_S - 8 * 3600  # the first of January
    assert first == u(1, 4) + u(start, 4) + u(start, 4) + u(1, 3) + bytes.fromhex("02 23 00 01")
    assert len(first) == 19
    assert second[8:12] == u(start + 31 * DAY_S, 4)
    assert number(service, 0x0200) == start
    assert number(service, 0x0204) == 0x23


def test_gas_publishes_what_turns_volume_into_energy() -> None:
    service = PriceService(gas())
    (factor,) = published(service, 0x04, FROM_NOW + b"\x00")
    assert factor == TARIFF_START + TARIFF_START + u(1_02264, 4) + b"\x50"
    assert len(factor) == 13
    (calorific,) = published(service, 0x05, FROM_NOW + b"\x00")
    assert calorific == TARIFF_START + TARIFF_START + u(3950, 4) + b"\x01\x20"
    assert len(calorific) == 14
    assert ask(PriceService(electricity()), 0x04, FROM_NOW + b"\x00") == NOT_FOUND


def test_co2_has_19_octets_and_is_there_if_the_tariff_says_so() -> None:
    (co2,) = published(PriceService(electricity(BLOCK)), 0x09, FROM_NOW + b"\x00")
    assert co2 == u(1, 4) + TARIFF_START + TARIFF_START + b"\x00" + u(207, 4) + b"\x01\x30"
    assert len(co2) == 19
    assert ask(PriceService(electricity()), 0x09, FROM_NOW + b"\x00") == NOT_FOUND


def test_billing_period_and_bill_have_17_and_24_octets() -> None:
    service = PriceService(electricity())
    (period,) = published(service, 0x0B, FROM_NOW + b"\x00")
    start = NOW - 4 * DAY_S - 8 * 3600
    assert period == u(1, 4) + u(start, 4) + u(start, 4) + u(1, 3) + b"\x23\x00"
    assert len(period) == 17
    (bill,) = published(service, 0x0C, FROM_NOW + b"\x00")
    assert len(bill) == 24
    # 31 days of 360 W: 7 hours by night, 17 by day, and the standing charge
    cost = 31 * (360 * 7 * 12_000 + 360 * 17 * 24_500) // 1000 + 31 * 54_794
    assert bill[8:12] == u(start - 31 * DAY_S, 4)
    assert bill[17:] == u(cost, 4) + b"\x3a\x03\x50"
    year = published(service, 0x0C, u(1, 4) + u(0, 4) + b"\x00")
    assert len(year) == 12
    assert number(service, 0x0704) == cost
    assert number(service, 0x0701) == 31 * 24 * 60


def test_attributes_of_blocks_are_there_when_the_tariff_has_blocks() -> None:
    tou, block = PriceService(electricity()), PriceService(electricity(BLOCK))
    assert [number(block, 0x0400 + n) for n in range(5)] == [10_600, 11_200, 11_750, 12_000, None]
    assert [number(block, 0x0100 + n) for n in range(4)] == [1_000_000, 2_000_000, 3_000_000, None]
    assert number(block, 0x0612) == 3
    assert number(block, 0x0613) == 0
    assert [number(tou, a) for a in (0x0400, 0x0410, 0x0420, 0x0430)] == [
        None,
        24_500,
        12_000,
        None,
    ]
    assert number(tou, 0x0613) is None
    assert number(tou, 0x0612) == 0


@pytest.mark.parametrize("command", [0x00, 0x01, 0x03, 0x06, 0x07, 0x09, 0x0B, 0x0C])
def test_without_a_tariff_nothing_is_found(command: int) -> None:
    service = PriceService(electricity(None))
    assert ask(service, command, b"\x01\x00\x00\x00\x00" + bytes(5)) == NOT_FOUND
    assert number(service, 0x0300) == 0


@pytest.mark.parametrize("command", [0x0E, 0x0F, 0x10])
def test_what_gb_meters_do_not_have_is_not_found(command: int) -> None:
    assert ask(PriceService(electricity()), command, bytes(5)) == NOT_FOUND


SERVICES = [PriceService(electricity()), PriceService(electricity(BLOCK)), PriceService(gas())]


@settings(max_examples=100, deadline=None)
@given(
    service=st.sampled_from(SERVICES),
    command=st.sampled_from(sorted(PriceService.commands)),
    payload=st.binary(min_size=13, max_size=20),
    at_s=st.integers(START_S, START_S + 10**8),
)
def test_whatever_is_asked_is_answered(
    service: PriceService, command: int, payload: bytes, at_s: int
) -> None:
    outcome = ask(service, command, payload, at_s=at_s)
    if isinstance(outcome, int):
        assert outcome in (0x00, NOT_FOUND)
    else:
        assert outcome
        assert all(len(answer.payload) <= 1497 for answer in outcome)
