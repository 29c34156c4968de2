"""What a radio does by itself on 868 MHz costs airtime, and is counted where it tells of it."""

from __future__ import annotations

import asyncio
import random

import pytest
from fake_radio import CAD_EUI64, IHD_EUI64, Bench
from sub_ghz_bench import with_sub_ghz

from labctl.events import AirtimeSample, AirtimeSource, LinkSample
from labctl.hub.zdo_answers import answer_octets
from labctl.radio.coordinator import EndpointDescriptor, Incoming
from labctl.smart_energy.airtime import frame_airtime_us, psdu_octets_of, unicast_airtime_us

IHD_NWK, CAD_NWK = 0x1A2B, 0x2222
READ = bytes.fromhex("00 5a 00 0000")
ENDPOINTS = (
    EndpointDescriptor(1, 0x0508, (0x0000, 0x0025, 0x000A), (0x0702,)),
    EndpointDescriptor(2, 0x0500, (0x0000, 0x0700, 0x0702), (0x0800, 0x0801)),
)
MATCH_METERING = bytes.fromhex("11 0000 0901 01 0207 00")
MATCH_MIRROR = bytes.fromhex("11 0000 0901 00 01 0207")
MATCH_NOTHING = bytes.fromhex("11 0000 0901 01 ffff 00")


def asked(cluster_id: int, data: bytes, *, broadcast: bool = False) -> Incoming:
    return Incoming(
        nwk=IHD_NWK,
        eui64=IHD_EUI64,
        source_endpoint=0,
        destination_endpoint=0,
        profile_id=0,
        cluster_id=cluster_id,
        data=data,
        aps_encrypted=False,
        broadcast=broadcast,
        lqi=200,
        rssi_dbm=-61,
        aps_counter=1,
    )


@pytest.mark.parametrize(
    ("cluster_id", "data", "broadcast", "octets"),
    [
        (0x0000, b"\x11" + bytes(10), False, 12),
        (0x0001, b"\x11\x00\x00\x00\x00", False, 12),
        (0x0002, b"\x11\x00\x00", False, 17),
        (0x0003, b"\x11\x00\x00", False, 6),
        (0x0004, b"\x11\x00\x00\x02", False, 5 + 8 + 10),
        (0x0004, b"\x11\x00\x00\x09", False, 5),
        (0x0005, b"\x11\x00\x00", False, 7),
        (0x0006, MATCH_METERING, False, 6),
        (0x0006, MATCH_METERING, True, 6),
        (0x0006, MATCH_MIRROR, False, 6),
        (0x0006, MATCH_NOTHING, False, 5),
        (0x0006, MATCH_NOTHING, True, None),
        (0x0006, MATCH_METERING[:6], False, 2),
        (0x0000, b"\x11" + bytes(10), True, None),
        (0x0013, b"\x11" + bytes(11), True, None),
        (0x0031, b"\x11\x00", False, None),
    ],
)
def test_the_length_of_an_answer_follows_from_the_question(
    cluster_id: int, data: bytes, broadcast: bool, octets: int | None
) -> None:
    assert answer_octets(asked(cluster_id, data, broadcast=broadcast), ENDPOINTS) == octets


def test_no_question_makes_the_arithmetic_stumble() -> None:
    chance = random.Random(868)
    for _ in range(2000):
        data = chance.randbytes(chance.randrange(20))
        found = answer_octets(asked(chance.randrange(8), data), ENDPOINTS)
        assert found is None or 2 <= found <= 82


def latest(bench: Bench) -> dict[str | None, int]:
    """The newest computed airtime of each party."""
    return {
        sample.eui64: sample.airtime_us
        for sample in bench.of(AirtimeSample)
        if sample.source is AirtimeSource.COMPUTED
    }


async def began(bench: Bench) -> dict[str | None, int]:
    """The display is in, and the first minutes are over."""
    ihd = await bench.paired()
    ihd.packet(READ, cluster=0x0702, endpoint=2, secured=True)
    await asyncio.sleep(121)
    return latest(bench)


def test_what_the_radio_answers_is_counted_and_sampled_and_not_answered_again() -> None:
    async def scenario(bench: Bench) -> None:
        before = await began(bench)
        sent, samples = len(bench.radio.sent), len(bench.of(LinkSample))
        question = asked(0x0006, bytes.fromhex("11 0000 ffff 01 2500 00"))
        bench.hub.overheard(question)
        await asyncio.sleep(60)
        after = latest(bench)
        asking = unicast_airtime_us(28, len(question.data), aps_encrypted=False)
        telling = unicast_airtime_us(28, 6, aps_encrypted=False)
        assert after[None] - before[None] == asking.receiver_us + telling.sender_us
        assert after[IHD_EUI64] - before[IHD_EUI64] == asking.sender_us + telling.receiver_us
        assert len(bench.radio.sent) == sent
        heard = bench.of(LinkSample)[samples:]
        assert [(each.rssi_dbm, each.lqi) for each in heard] == [(-61, 200)]

    with_sub_ghz(scenario, sub_ghz={"poll_s": None})


def test_a_broadcast_costs_the_hub_its_repetition_and_an_acknowledgement() -> None:
    async def scenario(bench: Bench) -> None:
        before = await began(bench)
        announce = asked(0x0006, MATCH_NOTHING, broadcast=True)
        bench.hub.overheard(announce)
        await asyncio.sleep(60)
        after = latest(bench)
        octets = psdu_octets_of(len(announce.data), aps_encrypted=False)
        us = frame_airtime_us(28, octets)
        assert after[None] - before[None] == us + frame_airtime_us(28, 5)
        assert after[IHD_EUI64] - before[IHD_EUI64] == us

    with_sub_ghz(scenario, sub_ghz={"poll_s": None})


def test_a_radio_that_tells_of_polls_tells_of_all() -> None:
    async def scenario(bench: Bench) -> None:
        before = await began(bench)
        for _ in range(7):
            bench.hub.child_polled(IHD_NWK)
        bench.hub.child_polled(CAD_NWK)  # nobody known
        await asyncio.sleep(300)
        after = latest(bench)
        # Once a minute is what is reckoned with where the radio is silent of it; here it is not.
        assert after[None] - before[None] == 7 * frame_airtime_us(28, 5)
        assert after[IHD_EUI64] - before[IHD_EUI64] == 7 * frame_airtime_us(28, 12)
        assert CAD_EUI64 not in after

    with_sub_ghz(scenario)


def test_what_comes_before_the_start_and_of_strangers_is_passed_over() -> None:
    async def scenario(bench: Bench) -> None:
        before = await began(bench)
        bench.hub.overheard(
            Incoming(0x7777, None, 0, 0, 0, 0x0006, MATCH_METERING, False, False, 1, -90, 1)
        )
        await asyncio.sleep(60)
        assert latest(bench) == before

    with_sub_ghz(scenario, sub_ghz={"poll_s": None})
