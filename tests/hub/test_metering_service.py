"""Metering, octet by octet against the layouts that GB meters use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from service_bench import (
    BLOCK,
    DAY_S,
    EPOCH_S,
    HALF_HOUR_S,
    NOW,
    START_S,
    TOU,
    account,
    ask,
    electricity,
    gas,
    number,
    published,
    u,
    value,
)

from labctl.hub.services.metering import MeteringService
from labctl.meters import Blocks, Journal, SupplyState
from labctl.meters.entries import OutageBegan, SupplyAsked, TenancyChanged
from labctl.smart_energy.disagreements import DeviceSettings, SnapshotWindow

NOT_FOUND, NOT_AUTHORIZED, INVALID_FIELD = 0x8B, 0x7E, 0x85
US = 1_000_000
WH_HALF_HOUR, WH_DAY = 180, 8640


# -- registers ------------------------------------------------------------------------------------


def test_the_device_type_is_a_bitmap_on_the_air() -> None:
    records, _ = MeteringService(electricity()).read((0x0306,), START_S * US)
    assert records == bytes.fromhex("0603 00 18 00")
    records, _ = MeteringService(gas()).read((0x0306,), START_S * US)
    assert records == bytes.fromhex("0603 00 18 80")


def test_tiers_add_up_to_the_summation_and_four_are_always_there() -> None:
    service = MeteringService(electricity())
    tiers = [number(service, 0x0100 + 2 * n) for n in range(5)]
    assert tiers[2:] == [0, 0, None]
    assert (tiers[0] or 0) + (tiers[1] or 0) == number(service, 0x0000)
    assert number(service, 0x0020) == 1, "the tier in force"


def test_blocks_add_up_to_the_summation() -> None:
    service = MeteringService(electricity(BLOCK, watts=36_000))
    blocks = [number(service, 0x0700 + n) or 0 for n in range(4)]
    assert sum(blocks) == number(service, 0x0000)
    assert blocks[0] > 0
    assert number(service, 0x0704) is None
    assert number(service, 0x0710) is None, "a tariff without tiers has no blocks of tiers"
    mixed = replace(TOU, blocks=Blocks((1000,), ((1, 2), (3, 4)), individual=True))
    service = MeteringService(electricity(mixed))
    parts = [number(service, a) or 0 for a in (0x0710, 0x0711, 0x0720, 0x0721)]
    assert sum(parts) == number(service, 0x0000)
    assert number(service, 0x0712) is None


def test_history_is_the_same_from_hour_to_month() -> None:
    service = MeteringService(electricity())
    assert number(service, 0x0401) == 8 * 360
    assert [number(service, 0x0403)] + [number(service, a) for a in range(0x0420, 0x042E, 2)] == [
        WH_DAY
    ] * 8
    assert [number(service, a) for a in range(0x0432, 0x043C, 2)] == [7 * WH_DAY] * 5
    assert number(service, 0x0440) == 4 * WH_DAY + 8 * 360
    assert number(service, 0x045A) == 31 * WH_DAY, "December, 13 months ago"
    assert value(service, 0x0421) is None, "nothing is received"


def test_what_is_exported_has_registers_of_its_own() -> None:
    service = MeteringService(electricity(export_w=720))
    assert number(service, 0x0404) == 2 * WH_DAY
    assert number(service, 0x0421) == 2 * WH_DAY
    assert number(service, 0x0443) == 31 * 2 * WH_DAY
    demand = value(service, 0x0400)
    assert demand is not None
    assert int.from_bytes(demand, "little", signed=True) == -360


def test_gas_has_its_history_in_kilowatt_hours_too() -> None:
    service = MeteringService(gas())
    assert number(service, 0x0403) == 1440
    assert number(service, 0x0312) == 0x00
    assert number(service, 0x0C03) in (16_157, 16_158)  # 39.5 MJ/m3 and 1.02264
    assert number(service, 0x0C42) in range(31 * 16_157, 31 * 16_158 + 1)
    assert value(service, 0x0400) is None
    assert value(service, 0x0207) is None


def test_a_bill_is_there_in_credit_mode_alone() -> None:
    assert number(MeteringService(electricity()), 0x0A04) == 0x50
    assert number(MeteringService(electricity()), 0x0A01) == NOW
    prepaid = MeteringService(electricity(prepayment=account()))
    assert [value(prepaid, a) for a in range(0x0A00, 0x0A05)] == [None] * 5


def test_what_was_before_the_tenancy_is_invalid() -> None:
    journal = Journal()
    service = MeteringService(electricity(journal=journal))
    moved_in = START_S - 3 * DAY_S
    journal.append(TenancyChanged(at_us=START_S * US, since_s=moved_in))
    assert number(service, 0x0403) == WH_DAY
    assert number(service, 0x042C) == 0xFFFFFF
    assert number(service, 0x0442) == 0xFFFFFFFF
    (sampled,) = published(service, 0x08, u(0, 2) + u(0, 4) + b"\x00" + u(1000, 2))
    assert sampled[2:6] == u(moved_in - EPOCH_S, 4)
    (profile,) = published(service, 0x00, b"\x00" + u(NOW - 5 * DAY_S, 4) + b"\x02")
    assert profile == u(NOW - 5 * DAY_S, 4) + b"\x05\x02\x00"
    snapshots = ask(service, 0x06, u(1, 4) + u(NOW - 4 * DAY_S, 4) + b"\x00" + u(0xFFFFFFFF, 4))
    assert snapshots == NOT_FOUND


def test_an_outage_shows_in_the_status_and_stops_the_register() -> None:
    journal = Journal()
    service = MeteringService(electricity(journal=journal))
    before = number(service, 0x0000)
    journal.append(OutageBegan(at_us=START_S * US, until_us=(START_S + 3600) * US))
    assert number(service, 0x0200, at_s=START_S + 60) == 0x08
    assert number(service, 0x0000, at_s=START_S + 3600) == before
    assert number(service, 0x0200, at_s=START_S + 3600) == 0x00


# -- Get Profile ----------------------------------------------------------------------------------


def test_a_profile_is_newest_first() -> None:
    service = MeteringService(electricity())
    (profile,) = published(service, 0x00, b"\x00" + u(0, 4) + b"\x03", at_s=START_S + 60)
    assert profile == u(NOW, 4) + b"\x00\x02\x03" + u(WH_HALF_HOUR, 3) * 3
    (older,) = published(service, 0x00, b"\x00" + u(NOW - 100, 4) + b"\x01")
    assert older[:7] == u(NOW - HALF_HOUR_S, 4) + b"\x00\x02\x01"


@pytest.mark.parametrize(
    ("payload", "status", "count"),
    [
        (b"\x00" + u(0, 4) + b"\x18", 0x00, 24),
        (b"\x02" + u(0, 4) + b"\x01", 0x01, 0),
        (b"\x01" + u(0, 4) + b"\x01", 0x02, 0),
        (b"\x00" + u(NOW + 1, 4) + b"\x01", 0x03, 0),
        (b"\x00" + u(0, 4) + b"\xff", 0x04, 24),
        (b"\x00" + u(1, 4) + b"\x01", 0x05, 0),
        (b"\x00" + u(0, 4) + b"\x00", 0x00, 0),
    ],
)
def test_a_profile_says_why_it_is_short(payload: bytes, status: int, count: int) -> None:
    (profile,) = published(MeteringService(electricity()), 0x00, payload)
    assert profile[4:7] == bytes((status, 0x02, count))
    assert len(profile) == 7 + 3 * count


# -- Get Sampled Data -----------------------------------------------------------------------------


def test_samples_are_oldest_first_from_the_time_asked_for() -> None:
    since = NOW - DAY_S + 1
    (data,) = published(
        MeteringService(electricity()), 0x08, u(0, 2) + u(since, 4) + b"\x00" + u(4, 2)
    )
    assert (
        data
        == (u(0, 2) + u(NOW - DAY_S + HALF_HOUR_S, 4) + b"\x00" + u(1800, 2) + u(4, 2))
        + u(WH_HALF_HOUR, 3) * 4
    )


def test_as_many_samples_as_fit_a_frame() -> None:
    service = MeteringService(electricity())
    (data,) = published(service, 0x08, u(0, 2) + u(0, 4) + b"\x00" + u(0xFFFF, 2))
    assert len(data) == 1496
    assert data[9:11] == u(495, 2)
    oldest = START_S - 397 * DAY_S - EPOCH_S
    assert data[2:6] == u(oldest, 4)


def test_the_daily_log_has_whole_days() -> None:
    since = NOW - 8 * 3600 - 3 * DAY_S
    (data,) = published(
        MeteringService(electricity()), 0x08, u(1, 2) + u(since, 4) + b"\x00" + u(100, 2)
    )
    assert data == u(1, 2) + u(since, 4) + b"\x00\xff\xff" + u(3, 2) + u(WH_DAY, 3) * 3


@pytest.mark.parametrize(
    "payload",
    [
        u(2, 2) + u(0, 4) + b"\x00" + u(1, 2),  # the gas network log
        u(0, 2) + u(0, 4) + b"\x01" + u(1, 2),  # nothing is received
        u(0, 2) + u(0, 4) + b"\x04" + u(1, 2),  # demand
        u(0, 2) + u(NOW + 1, 4) + b"\x00" + u(1, 2),  # to come
        u(1, 2) + u(NOW - 3600, 4) + b"\x00" + u(1, 2),  # today is not over
    ],
)
def test_samples_that_there_are_none_of(payload: bytes) -> None:
    assert ask(MeteringService(electricity()), 0x08, payload) == NOT_FOUND


def test_gas_samples_reach_to_the_last_wake_up() -> None:
    service = MeteringService(gas())
    (data,) = published(
        service, 0x08, u(0, 2) + u(NOW - 3600, 4) + b"\x00" + u(9, 2), at_s=START_S + 1799
    )
    assert data[9:] == u(2, 2) + u(30, 3) * 2


# -- snapshots ------------------------------------------------------------------------------------


def test_a_daily_snapshot_has_four_tiers() -> None:
    service = MeteringService(electricity())
    midnight = NOW - 8 * 3600
    (snapshot,) = published(service, 0x06, u(midnight, 4) + u(NOW, 4) + b"\x00" + u(1 << 16, 4))
    assert snapshot[:16] == u(midnight, 4) * 2 + b"\x01\x00\x01" + u(1 << 16, 4) + b"\x04"
    assert len(snapshot) == 16 + 31
    summation = number(service, 0x0000, at_s=START_S - 8 * 3600)
    assert int.from_bytes(snapshot[16:22], "little") == summation
    tiers = [int.from_bytes(snapshot[23 + 6 * n : 29 + 6 * n], "little") for n in range(4)]
    assert snapshot[22] == 4
    assert sum(tiers) == summation


def test_a_snapshot_of_a_billing_period_has_the_bill() -> None:
    service = MeteringService(electricity())
    (snapshot,) = published(service, 0x06, u(0, 4) + u(0, 4) + b"\x00" + u(0x02, 4))
    assert snapshot[15] == 0x00
    assert len(snapshot) == 16 + 48
    block = MeteringService(electricity(BLOCK))
    (snapshot,) = published(block, 0x06, u(0, 4) + u(0, 4) + b"\x00" + u(0x02, 4))
    assert snapshot[15] == 0x02
    assert len(snapshot) == 16 + 73
    assert snapshot[16 + 6 + 17 + 1 + 24] == 0x03


def test_a_daily_snapshot_of_blocks_has_56_octets() -> None:
    service = MeteringService(electricity(BLOCK))
    (snapshot,) = published(service, 0x06, u(NOW - DAY_S, 4) + u(NOW, 4) + b"\x00" + u(1 << 16, 4))
    assert snapshot[15] == 0x06
    assert len(snapshot) == 16 + 56


def test_a_meter_of_both_directions_publishes_in_two_commands() -> None:
    service = MeteringService(electricity(export_w=720))
    two = published(service, 0x06, u(NOW - DAY_S, 4) + u(NOW, 4) + b"\x00" + u(1 << 16, 4))
    assert [(part[9], part[10], part[15]) for part in two] == [(0, 2, 4), (1, 2, 5)]


def test_offset_goes_through_the_snapshots_from_the_oldest() -> None:
    service = MeteringService(electricity())
    ask_for = u(NOW - 3 * DAY_S, 4) + u(NOW, 4)
    found = [published(service, 0x06, ask_for + bytes((n,)) + u(1 << 16, 4))[0] for n in range(3)]
    assert [part[8] for part in found] == [3, 3, 3]
    times = [int.from_bytes(part[4:8], "little") for part in found]
    assert times == [NOW - 8 * 3600 - back * DAY_S for back in (2, 1, 0)]
    assert ask(service, 0x06, ask_for + b"\x03" + u(1 << 16, 4)) == NOT_FOUND
    assert ask(service, 0x06, ask_for + b"\x00" + u(0, 4)) == NOT_FOUND, "for no cause"


def test_whether_the_end_of_the_window_counts_is_a_setting() -> None:
    service = MeteringService(electricity())
    midnight = NOW - 8 * 3600
    payload = u(midnight - 10, 4) + u(midnight, 4) + b"\x00" + u(1 << 16, 4)
    assert ask(service, 0x06, payload) == NOT_FOUND
    closed = DeviceSettings(snapshot_window=SnapshotWindow.CLOSED)
    assert len(published(service, 0x06, payload, settings=closed)) == 1


# -- fast polling and supply ----------------------------------------------------------------------


def test_fast_polling_is_not_faster_than_the_meter_and_never_prolonged() -> None:
    service = MeteringService(electricity())
    assert published(service, 0x03, b"\x02\x0a") == [b"\x05" + u(NOW + 600, 4)]
    again = published(service, 0x03, b"\x14\x0f", at_s=START_S + 60)
    assert again == [b"\x05" + u(NOW + 600, 4)]
    later = published(service, 0x03, b"\x14\xff", at_s=START_S + 600)
    assert later == [b"\x14" + u(NOW + 600 + 900, 4)]


def test_a_ppmid_switches_on_a_supply_that_is_armed() -> None:
    journal = Journal()
    service = MeteringService(electricity(journal=journal))
    journal.append(SupplyAsked(at_us=START_S * US, state=SupplyState.ARMED))
    assert number(service, 0x0014, at_s=START_S + 1) == 1
    assert number(service, 0x0200, at_s=START_S + 1) == 0x40
    (answer,) = published(service, 0x0C, b"\x02", at_s=START_S + 2)
    assert answer == u(1, 4) + u(NOW + 2, 4) * 2 + b"\x02"
    assert len(answer) == 13
    assert number(service, 0x0014, at_s=START_S + 3) == 2
    assert len(journal) == 2


def test_a_supply_that_is_off_stays_off_and_the_answer_says_so() -> None:
    journal = Journal([SupplyAsked(at_us=START_S * US, state=SupplyState.OFF)])
    service = MeteringService(electricity(journal=journal))
    (answer,) = published(service, 0x0C, b"\x02", at_s=START_S + 2)
    assert answer[-1] == 0x00


def test_gas_is_never_switched_on_from_afar() -> None:
    meter = gas()
    service = MeteringService(meter)
    assert ask(service, 0x0C, b"\x02") == NOT_AUTHORIZED
    assert len(meter.journal) == 0
    assert ask(MeteringService(electricity()), 0x0C, b"\x00") == INVALID_FIELD


def test_an_entry_dated_ahead_does_not_keep_devices_from_the_meter() -> None:
    journal = Journal([SupplyAsked(at_us=(START_S + 60) * US, state=SupplyState.ARMED)])
    service = MeteringService(electricity(journal=journal))
    assert len(published(service, 0x0C, b"\x02")) == 1


SERVICES = [
    MeteringService(electricity()),
    MeteringService(electricity(BLOCK, export_w=720)),
    MeteringService(gas()),
]
PAYLOADS = st.one_of(
    st.binary(min_size=13, max_size=16),
    st.builds(
        lambda a, b, c, d: u(a, 4) + u(b, 4) + u(c, 1) + u(d, 4),
        *(st.sampled_from((0, 1, NOW, NOW - DAY_S, 0xFFFFFFFF)),) * 2,
        st.integers(0, 255),
        st.sampled_from((0, 1, 2, 1 << 16, 0xFFFFFFFF)),
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    service=st.sampled_from(SERVICES),
    command=st.sampled_from(sorted(MeteringService.commands - {0x0C})),
    payload=PAYLOADS,
    at_s=st.integers(START_S, START_S + 10**7),
)
def test_whatever_is_asked_is_answered(
    service: MeteringService, command: int, payload: bytes, at_s: int
) -> None:
    outcome = ask(service, command, payload, at_s=at_s)
    if isinstance(outcome, int):
        assert outcome == NOT_FOUND
    else:
        assert all(len(answer.payload) <= 1497 for answer in outcome)
