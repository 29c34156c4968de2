"""What the hub answers, octet by octet."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import IHD_EUI64, START_S, Bench, FakeDevice, with_keys

from labctl.events import Note, ReadServed
from labctl.hub import HubSettings, TimeSource
from labctl.hub.services.messaging import Message, MessagingService
from labctl.hub.services.time import ZIGBEE_EPOCH_S, TimeService, summer_time
from labctl.radio.coordinator import EndpointDescriptor

ELECTRICITY, GAS = 2, 3
NOW = (START_S - ZIGBEE_EPOCH_S).to_bytes(4, "little")
NIGHT_END = (START_S - 3600 - ZIGBEE_EPOCH_S).to_bytes(4, "little")  # 07:00, now is 08:00
TARIFF_START = (START_S - 86_400 - ZIGBEE_EPOCH_S).to_bytes(4, "little")


def u(value: int, octets: int) -> bytes:
    return value.to_bytes(octets, "little")


def test_only_what_is_served_is_listed() -> None:
    async def scenario(bench: Bench) -> None:
        hub = (0x0000, 0x0003, 0x000A, 0x0019, 0x0025, 0x0704, 0x0709, 0x0800, 0x0B05)
        data = (0x0700, 0x0701, 0x0702, 0x0703, 0x0705, 0x0707, 0x0708, 0x0709)
        esi = (0x0000, 0x000A, *data, 0x0800)
        assert list(bench.radio.endpoints) == [
            EndpointDescriptor(1, 0x0508, hub, (0x0704, 0x0800)),
            EndpointDescriptor(2, 0x0500, esi, (0x0706, 0x0800)),
            EndpointDescriptor(3, 0x0500, esi, (0x0800,)),
        ]
        assert bench.hub.endpoint_of("hub") == 1
        assert bench.hub.endpoint_of("gas") == 3

    with_keys(scenario)


def test_electricity_moves_and_counts_watt_hours() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        record = bytes.fromhex("0000 00 25")
        assert await device.read(0x0702, 0x0000) == record + u(1_234_567, 6)
        await asyncio.sleep(3600)
        assert await device.read(0x0702, 0x0000, 0x0400) == (
            record + u(1_234_567 + 360, 6) + bytes.fromhex("0004 00 2a") + u(360, 3)
        )

    with_keys(scenario)


def test_electricity_explains_its_figures() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.read(0x0702, 0x0300, 0x0301, 0x0302, 0x0303, 0x0306) == bytes.fromhex(
            "0003 00 30 000103 00 22 0100000203 00 22 e803000303 00 18 b30603 00 18 00"
        )
        assert await device.read(0x0702, 0x0307, 0x0308) == (
            bytes.fromhex("0703 00 41")
            + b"\x0d1200012345678"
            + bytes.fromhex("0803 00 41")
            + b"\x04E6S1"
        )
        assert await device.read(0x0702, 0x0014, 0x0207) == bytes.fromhex(
            "1400 00 30 02 0702 00 30 00"
        )

    with_keys(scenario)


def test_gas_shows_cubic_metres_of_the_last_wake_up() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await asyncio.sleep(45 * 60)
        woke = u(START_S + 1800 - ZIGBEE_EPOCH_S, 4)
        assert await device.read(0x0702, 0x0000, 0x0007, 0x0300, 0x0306, endpoint=GAS) == (
            bytes.fromhex("0000 00 25")
            + u(4_321_030, 6)
            + bytes.fromhex("0700 00 e2")
            + woke
            + bytes.fromhex("0003 00 30 01 0603 00 18 80")
        )
        unsupported = await device.read(0x0702, 0x0400, endpoint=GAS)
        assert unsupported == bytes.fromhex("0004 86"), "gas meters tell no demand"

    with_keys(scenario)


def test_history_is_of_whole_utc_days() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        eight_hours, a_day = 8 * 360, 24 * 360
        answer = await device.read(0x0702, 0x0401, 0x0403, 0x0420, 0x0430, 0x0432)
        assert answer == (
            bytes.fromhex("0104 00 22")
            + u(eight_hours, 3)
            + bytes.fromhex("0304 00 22")
            + u(a_day, 3)
            + bytes.fromhex("2004 00 22")
            + u(a_day, 3)
            + bytes.fromhex("3004 00 22")  # it is Monday
            + u(eight_hours, 3)
            + bytes.fromhex("3204 00 22")
            + u(7 * a_day, 3)
        )
        months = await device.read(0x0702, 0x0440, 0x0442)
        assert months == (
            bytes.fromhex("4004 00 23")
            + u(4 * a_day + eight_hours, 4)
            + bytes.fromhex("4204 00 23")
            + u(31 * a_day, 4)
        )

    with_keys(scenario)


def test_gas_history_is_in_kilowatt_hours_too() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        # 60 l/h: 1440 litres a day, 16157 Wh by 39.5 MJ/m3 and 1.02264
        assert await device.read(0x0702, 0x0403, 0x0C03, 0x0312, endpoint=GAS) == (
            bytes.fromhex("0304 00 22")
            + u(1440, 3)
            + bytes.fromhex("030c 00 22")
            + u(16_157, 3)
            + bytes.fromhex("1203 00 30 00")
        )

    with_keys(scenario)


def test_unknown_attributes_are_unsupported_each_for_itself() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        answer = await device.read(0x0702, 0x1234, 0x0300)
        assert answer == bytes.fromhex("3412 86 0003 00 30 00")
        served = bench.of(ReadServed)[-1]
        assert served.status == 0x86

    with_keys(scenario)


def test_time_is_synchronised_and_gb() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        start, end = (u(s - ZIGBEE_EPOCH_S, 4) for s in summer_time(2026))
        assert await device.read(0x000A, 0x0000, 0x0001, 0x0002, endpoint=1) == (
            bytes.fromhex("0000 00 e2") + NOW + bytes.fromhex("0100 00 18 06 0200 00 2b 00000000")
        )
        assert await device.read(0x000A, 0x0003, 0x0004, 0x0005, endpoint=1) == (
            bytes.fromhex("0300 00 23")
            + start
            + bytes.fromhex("0400 00 23")
            + end
            + bytes.fromhex("0500 00 2b 100e0000")
        )
        assert await device.read(0x000A, 0x0006, 0x0007, 0x0008, 0x0009, endpoint=1) == (
            bytes.fromhex("0600 00 23")
            + NOW
            + bytes.fromhex("0700 00 23")
            + NOW
            + bytes.fromhex("0800 00 e2")
            + NOW
            + bytes.fromhex("0900 00 e2 ffffffff")
        )

    with_keys(scenario)


def test_a_hub_may_be_master_of_time() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.read(0x000A, 0x0001, endpoint=1) == bytes.fromhex("0100 00 18 05")

    with_keys(scenario, time_source=TimeSource.MASTER)


@pytest.mark.parametrize(
    ("utc_s", "ahead_s"),
    [
        (1_774_745_999, 0),  # 2026-03-29T00:59:59Z
        (1_774_746_000, 3600),
        (1_792_889_999, 3600),  # 2026-10-25T00:59:59Z
        (1_792_890_000, 0),
    ],
)
def test_local_time_follows_british_summer_time(utc_s: int, ahead_s: int) -> None:
    now = TimeService(TimeSource.MASTER, 0).state(utc_s * 1_000_000)
    assert now.local - now.time == ahead_s


def test_summer_time_of_next_year_is_told_when_this_years_is_over() -> None:
    now = TimeService(TimeSource.MASTER, 0).state(1_792_890_000 * 1_000_000)
    assert (now.dst_start, now.dst_end) == tuple(s - ZIGBEE_EPOCH_S for s in summer_time(2027))


def test_time_and_keep_alive_answer_with_the_security_they_were_asked_with() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        for cluster, attribute in ((0x000A, 0x0001), (0x0025, 0x0000)):
            for secured in (True, False):
                assert await device.read(cluster, attribute, endpoint=1, secured=secured)
                assert device.answers[-1].aps_encrypt is secured
        assert await device.read(0x0025, 0x0000, 0x0001, endpoint=1) == bytes.fromhex(
            "0000 00 20 0a 0100 00 21 2c01"
        )

    with_keys(scenario)


def test_basic_says_who_the_hub_is() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        answer = await device.read(0x0000, 0x0004, 0x0005, endpoint=1, secured=False)
        assert answer == (
            bytes.fromhex("0400 00 42")
            + b"\x06labctl"
            + bytes.fromhex("0500 00 42")
            + b"\x12Communications hub"
        )

    with_keys(scenario)


# -- price ------------------------------------------------------------------------------------


def published(label: bytes, tier: int, price: int, start: bytes, minutes: int) -> bytes:
    return (
        bytes.fromhex("19 77 00 01000000")
        + bytes([len(label)])
        + label
        + start
        + NOW
        + bytes.fromhex("00 3a03")
        + bytes([0x50 | tier, 0x20 | tier])
        + start
        + u(minutes, 2)
        + u(price, 4)
    )


def test_the_current_price_is_published_in_the_short_form() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        (answer,) = await device.get(0x0700, 0x00, b"\x01")
        assert answer == published(b"Day/Night", 1, 24_500, NIGHT_END, 17 * 60)
        assert len(answer) == 3 + 28 + 9

    with_keys(scenario)


def test_the_gas_price_stays_until_it_is_changed() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        (answer,) = await device.get(0x0700, 0x00, b"\x01", endpoint=GAS)
        assert answer[-6:] == b"\xff\xff" + u(6_000, 4)

    with_keys(scenario)


def test_scheduled_prices_come_in_frames_of_one_sequence_and_five_at_most() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        two = await device.get(0x0700, 0x01, u(0, 4) + b"\x02")
        midnight = u(START_S + 16 * 3600 - ZIGBEE_EPOCH_S, 4)
        assert two == [
            published(b"Day/Night", 1, 24_500, NIGHT_END, 17 * 60),
            published(b"Night", 2, 12_000, midnight, 7 * 60),
        ]
        assert len(await device.get(0x0700, 0x01, u(0, 4) + b"\x00")) == 5
        assert len(await device.get(0x0700, 0x01, u(0, 4) + b"\x05", endpoint=GAS)) == 1
        (later,) = await device.get(0x0700, 0x01, midnight + b"\x01")
        assert later == two[1]

    with_keys(scenario)


def test_tariff_information_matrix_and_labels_agree() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        anything = u(0, 4) + u(0xFFFFFFFF, 4) + b"\x01\x00"
        (tariff,) = await device.get(0x0700, 0x06, anything)
        assert tariff == (
            bytes.fromhex("19 77 04 01000000")
            + TARIFF_START
            + bytes.fromhex("01000000")
            + TARIFF_START
            + b"\x00\x09Day/Night\x02\x00\x00"
            + bytes.fromhex("3a03 50")
            + u(54_794, 4)
            + bytes.fromhex("ff 010000 e80300")
        )
        assert len(tariff) == 3 + 35 + 9
        (matrix,) = await device.get(0x0700, 0x07, u(1, 4))
        assert matrix == (
            bytes.fromhex("19 77 05 01000000")
            + TARIFF_START
            + TARIFF_START
            + bytes.fromhex("01000000 00 01 01 01")
            + u(24_500, 4)
            + b"\x02"
            + u(12_000, 4)
        )
        (labels,) = await device.get(0x0700, 0x0A, u(1, 4))
        assert labels == (
            bytes.fromhex("19 77 08 01000000")
            + TARIFF_START
            + bytes.fromhex("01000000 00 01 02")
            + b"\x01\x09Day/Night\x02\x05Night"
        )

    with_keys(scenario)


def test_gas_energy_factors_are_published_for_gas_alone() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        query = u(0, 4) + u(0xFFFFFFFF, 4) + b"\x01"
        (factor,) = await device.get(0x0700, 0x04, query, endpoint=GAS)
        assert factor == bytes.fromhex("19 77 02") + TARIFF_START * 2 + u(102_264, 4) + b"\x50"
        (calorific,) = await device.get(0x0700, 0x05, query, endpoint=GAS)
        assert calorific == bytes.fromhex("19 77 03") + TARIFF_START * 2 + u(3950, 4) + b"\x01\x20"
        assert await device.get(0x0700, 0x04, query) == [b"\x18\x77\x0b\x04\x8b"]
        assert await device.get(0x0700, 0x05, query) == [b"\x18\x77\x0b\x05\x8b"]

    with_keys(scenario)


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (0x03, u(0, 4) + b"\x00"),  # block periods
        (0x07, u(99, 4)),  # another tariff's prices
        (0x08, u(1, 4)),  # block thresholds
        (0x09, u(0, 4) + u(0, 4) + b"\x00\x00"),  # CO2
        (0x0A, u(99, 4)),
        (0x0B, u(0, 4) + u(0, 4) + b"\x00\x01"),  # billing period of what is received
        (0x0C, u(0, 4) + u(0, 4) + b"\x00\x01"),  # bill
        (0x06, u(0, 4) + u(0, 4) + b"\x01\x01"),  # tariff of what is received
        (0x06, u(0, 4) + u(0xFFFFFFF0, 4) + b"\x01\x00"),  # a later event than there is
    ],
)
def test_what_the_tariff_does_not_have_is_not_found(command: int, payload: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0700, command, payload) == [
            bytes([0x18, 0x77, 0x0B, command, 0x8B])
        ]

    with_keys(scenario)


def test_price_attributes_agree_with_the_tariff() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.read(0x0700, 0x0301, 0x0616, 0x0617, 0x0611) == bytes.fromhex(
            "0103 00 23 0ad60000  1606 00 21 3a03  1706 00 18 50  1106 00 20 02"
        )
        assert await device.read(0x0700, 0x0001, 0x0420) == (
            bytes.fromhex("0100 00 41") + b"\x05Night" + bytes.fromhex("2004 00 23") + u(12_000, 4)
        )
        assert await device.read(0x0700, 0x0304, endpoint=GAS) == bytes.fromhex(
            "0403 00 23 6e0f0000"
        )
        assert await device.read(0x0700, 0x0304) == bytes.fromhex("0403 86")

    with_keys(scenario)


def test_a_price_acknowledgement_gets_what_it_asks_for() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        ack = bytes(13)
        assert await device.get(0x0700, 0x02, ack) == [b"\x18\x77\x0b\x02\x00"]
        silent = await device.ask(
            b"\x11\x77\x02" + ack, cluster=0x0700, endpoint=ELECTRICITY, secured=True
        )
        assert silent == []

    with_keys(scenario)


# -- DRLC, messaging --------------------------------------------------------------------------


def test_drlc_has_no_events_and_says_so() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        for endpoint in (ELECTRICITY, GAS):
            answer = await device.get(0x0701, 0x01, u(0, 4) + b"\x00", endpoint=endpoint)
            assert answer == [b"\x18\x77\x0b\x01\x8b"]

    with_keys(scenario)


def messaging(bench: Bench) -> MessagingService:
    service = bench.hub._endpoints[ELECTRICITY].services[0x0703]
    assert isinstance(service, MessagingService)
    return service


async def confirm(device: FakeDevice, message_id: int) -> list[bytes]:
    return await device.get(0x0703, 0x01, u(message_id, 4) + NOW)


def test_there_is_no_message_until_there_is_one() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0703, 0x00) == [b"\x18\x77\x0b\x00\x8b"]
        assert await confirm(device, 7) == [b"\x18\x77\x0b\x01\x8b"]
        messaging(bench).last = Message(message_id=7, text="Hello", confirm=True)
        assert await device.get(0x0703, 0x00) == [
            bytes.fromhex("09 77 00 07000000 80 00000000 ffff") + b"\x05Hello"
        ]
        assert await confirm(device, 7) == [b"\x18\x77\x0b\x01\x00"]
        confirmed = [note for note in bench.of(Note) if note.kind == "message-confirmed"]
        assert [(n.eui64, n.detail) for n in confirmed][-1] == (
            IHD_EUI64,
            {"message_id": 7, "confirmed_at": START_S - ZIGBEE_EPOCH_S},
        )

    with_keys(scenario)


def test_a_message_too_long_for_gb_displays_is_refused() -> None:
    with pytest.raises(ValueError, match="116"):
        Message(message_id=1, text="x" * 117)


# -- discovery --------------------------------------------------------------------------------


def test_attributes_and_commands_can_be_discovered() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        where = {"cluster": 0x0025, "endpoint": 1, "secured": True}
        assert await device.ask(bytes.fromhex("00 01 0c 0000 05"), **where) == [
            bytes.fromhex("18 01 0d 01 0000 20 0100 21")
        ]
        assert await device.ask(bytes.fromhex("00 01 0c 0000 01"), **where) == [
            bytes.fromhex("18 01 0d 00 0000 20")
        ]
        assert await device.ask(bytes.fromhex("00 01 15 0100 05"), **where) == [
            bytes.fromhex("18 01 16 01 0100 21 01")
        ]
        where = {"cluster": 0x0701, "endpoint": 2, "secured": True}
        assert await device.ask(bytes.fromhex("00 01 11 00 05"), **where) == [
            bytes.fromhex("18 01 12 01 00 01")
        ]
        assert await device.ask(bytes.fromhex("00 01 13 00 02"), **where) == [
            bytes.fromhex("18 01 14 01")  # there never are load control events
        ]

    with_keys(scenario)


def test_settings_have_the_defaults_of_the_zcl() -> None:
    defaults = {
        f: HubSettings.__dataclass_fields__[f].default
        for f in ("keep_alive_base_min", "keep_alive_jitter_s")
    }
    assert defaults == {"keep_alive_base_min": 10, "keep_alive_jitter_s": 300}
