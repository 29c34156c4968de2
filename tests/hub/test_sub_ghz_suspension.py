"""Airtime on 868 MHz: counted, told, and who is silenced when it runs short."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import CAD, IHD, NETWORK, Bench, FakeDevice
from hypothesis import given, settings
from hypothesis import strategies as st
from sub_ghz_bench import (
    METERING,
    OCTETS,
    OTA,
    SUB_GHZ_CLUSTER,
    SubGhzRadio,
    alerts,
    details,
    suspensions,
    tight,
    with_sub_ghz,
)
from test_hub_ota import KIND, block, image, serving

from labctl.errors import RigError
from labctl.events import (
    AirtimeSample,
    AirtimeSource,
    AirtimeState,
    CapacityExceeded,
    DutyCycleChanged,
    Note,
    Refused,
    Resumed,
    Severity,
    Suspended,
)
from labctl.hub.airtime import AirtimeBook
from labctl.hub.capacity import HighBandwidthLinks
from labctl.radio.coordinator import DutyCycle, Outgoing
from labctl.smart_energy.airtime import DutyCycleState, Limits, unicast_airtime_us

IHD_NWK, CAD_NWK = 0x1A2B, 0x2222
READ = bytes.fromhex("00 5a 00 0000")
QUERY = b"\x00" + KIND + (1).to_bytes(4, "little")


async def known(bench: Bench, device: FakeDevice, *, times: int = 1) -> None:
    """The hub has asked the device for its Basic cluster; after three times it does not again."""
    for _ in range(times):
        device.packet(READ, cluster=METERING, endpoint=2, secured=True)
        await asyncio.sleep(30)


def latest(bench: Bench) -> dict[str | None, AirtimeSample]:
    return {sample.eui64: sample for sample in bench.of(AirtimeSample)}


def test_airtime_of_hub_and_device_is_that_of_their_frames() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await known(bench, ihd, times=3)
        await asyncio.sleep(60)
        before = latest(bench)
        for _ in range(10):
            await ihd.read(METERING, 0x0000)
            await asyncio.sleep(1)
        await asyncio.sleep(60)
        after = latest(bench)
        question = unicast_airtime_us(28, 5, aps_encrypted=True)
        answer = unicast_airtime_us(28, 13, aps_encrypted=True)
        hub = 10 * (question.receiver_us + answer.sender_us)
        device = 10 * (question.sender_us + answer.receiver_us)
        assert after[None].airtime_us - before[None].airtime_us == hub
        assert after[IHD.eui64].airtime_us - before[IHD.eui64].airtime_us == device
        assert after[None].state is AirtimeState.NORMAL
        assert after[None].limited_us == 54_000_000
        assert after[None].source is AirtimeSource.COMPUTED

    with_sub_ghz(scenario, sub_ghz={"poll_s": None})


def test_polls_that_nobody_sees_are_reckoned_with() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await known(bench, ihd)
        await asyncio.sleep(60)
        before = latest(bench)
        await asyncio.sleep(600)
        after = latest(bench)
        # Twenty of them, of 12 octets, each acknowledged.
        assert after[None].airtime_us - before[None].airtime_us == 20 * 1360
        assert after[IHD.eui64].airtime_us - before[IHD.eui64].airtime_us == 20 * 1920

    with_sub_ghz(scenario, sub_ghz={"poll_s": 30.0})


def test_a_forecast_says_when_the_hub_will_be_limited() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await known(bench, ihd)
        for _ in range(900):
            await ihd.read(METERING, 0x0000)
            await asyncio.sleep(1)
        last = latest(bench)[None]
        assert last.next_state is AirtimeState.LIMITED
        assert last.next_state_in_s is not None
        # 14.3 ms a second to acknowledge and to answer: 54 s take 3771 s, of which 900 are gone.
        assert 2800 < last.next_state_in_s < 2950

    with_sub_ghz(scenario)


def test_a_hub_on_2_4_ghz_counts_nothing_and_serves_no_sub_ghz_cluster() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        await asyncio.sleep(120)
        assert bench.of(AirtimeSample) == []
        assert all(SUB_GHZ_CLUSTER not in e.server_clusters for e in bench.radio.endpoints)
        with pytest.raises(RigError, match="868"):
            _ = bench.hub.care.of_sub_ghz

    with_sub_ghz(scenario, network=NETWORK)


def test_the_cluster_tells_the_usable_channels() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        for endpoint in (1, 3):
            answer = await ihd.read(SUB_GHZ_CLUSTER, 0, 1, 2, 3, 4, endpoint=endpoint)
            assert answer == bytes.fromhex(
                "0000 00 1b 00000000 0100 00 1b ffffffe7 0200 00 1b ff0000e8"
                "0300 00 1b ff3f00f0 0400 00 1b ff1f00f8"
            )
        assert await ihd.get(SUB_GHZ_CLUSTER, 0x00, endpoint=1) == [b"\x19\x77\x00\x00"]

    with_sub_ghz(scenario)


async def limited(bench: Bench, until: int = 1) -> None:
    """The IHD reads until the hub's airtime crosses so many limits."""
    ihd, cad = await bench.paired(), await bench.paired(CAD, CAD_NWK)
    await known(bench, ihd)
    await known(bench, cad)
    for _ in range(200):
        if len(bench.of(DutyCycleChanged)) >= until:
            break
        ihd.packet(READ, cluster=METERING, endpoint=2, secured=True)
        await bench.settle()
        await asyncio.sleep(1)
    await bench.settle()


def test_limited_silences_the_one_that_costs_most_and_nobody_else() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench)
        (change,) = bench.of(DutyCycleChanged)
        assert (change.before, change.state) == (AirtimeState.NORMAL, AirtimeState.LIMITED)
        (suspended,) = bench.of(Suspended)
        assert (suspended.eui64, suspended.minutes) == (IHD.eui64, 5)
        assert "costs most" in suspended.cause
        assert suspensions(bench.radio.sent) == [(IHD_NWK, 5)]
        ihd, cad = bench.device(IHD, IHD_NWK), bench.device(CAD, CAD_NWK)
        before = len(bench.radio.sent)
        assert await ihd.ask(READ, cluster=METERING, endpoint=2, secured=True) == []
        assert len(bench.radio.sent) == before  # it was told a moment ago
        refusal = bench.of(Refused)[-1]
        assert (refusal.layer, refusal.status) == ("application", None)
        assert await cad.read(METERING, 0x0000) is not None
        await asyncio.sleep(61)
        assert await ihd.get(SUB_GHZ_CLUSTER, 0x00, endpoint=1) == [b"\x19\x77\x00\x04"]
        await asyncio.sleep(240)
        (resumed,) = bench.of(Resumed)
        assert resumed.at_us - suspended.at_us == 300_000_000
        assert alerts(bench) == ["limited-duty-cycle-action-taken", "message-discarded"]

    with_sub_ghz(scenario, limits=tight(1000, 900_000))


def test_one_that_talks_on_is_reminded_and_silenced_anew_when_its_time_is_over() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench)
        ihd = bench.device(IHD, IHD_NWK)
        for _ in range(30):
            await asyncio.sleep(1)
            assert await ihd.ask(READ, cluster=METERING, endpoint=2, secured=True) in (
                [],
                [bench.radio.sent[-1].data],
            )
        # At once, and every ten seconds.
        assert suspensions(bench.radio.sent) == [(IHD_NWK, 5)] * 4
        await asyncio.sleep(275)
        assert len(bench.of(Resumed)) == 1
        (talked,) = details(bench, "talked-while-suspended")
        assert talked == {"discarded": 30, "told": True}
        assert await ihd.ask(READ, cluster=METERING, endpoint=2, secured=True) == [
            bench.radio.sent[-1].data
        ]
        again = bench.of(Suspended)
        assert len(again) == 2
        assert "still limited" in again[1].cause

    with_sub_ghz(scenario, limits=tight(1000, 900_000))


def test_a_default_response_to_suspend_is_never_answered() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench)
        await asyncio.sleep(20)
        ihd = bench.device(IHD, IHD_NWK)
        before = len(bench.radio.sent)
        for cluster in (SUB_GHZ_CLUSTER, METERING):
            for _ in range(20):
                data = bytes.fromhex("00 01 0b 00 00")
                await ihd.ask(data, cluster=cluster, endpoint=1, secured=True)
        assert len(bench.radio.sent) == before
        suspend = next(p for p in bench.radio.sent if p.cluster_id == SUB_GHZ_CLUSTER)
        assert suspend.data[0] & 0x10, "it asks for no Default Response"
        assert suspend.aps_encrypt

    with_sub_ghz(scenario, limits=tight(1000, 900_000))


def test_images_are_served_while_limited() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench)
        ihd = bench.device(IHD, IHD_NWK)
        (offer,) = await ihd.get(OTA, 0x01, QUERY, endpoint=1)
        assert offer[2:4] == b"\x02\x00"
        (answer,) = await ihd.get(OTA, 0x03, block(0), endpoint=1)
        assert answer[2:4] == b"\x05\x00"
        assert bench.of(Suspended)[0].eui64 == IHD.eui64

    with_sub_ghz(scenario, limits=tight(1000, 900_000), **serving(image(2)))


def test_critical_silences_every_talker_and_an_image_has_to_wait() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench, until=2)
        assert [c.state for c in bench.of(DutyCycleChanged)] == [
            AirtimeState.LIMITED,
            AirtimeState.CRITICAL,
        ]
        assert {s.eui64 for s in bench.of(Suspended)} == {IHD.eui64, CAD.eui64}
        cad = bench.device(CAD, CAD_NWK)
        before = len(bench.radio.sent)
        assert await cad.ask(READ, cluster=METERING, endpoint=2, secured=True) == []
        (answer,) = await cad.get(OTA, 0x03, block(0), endpoint=1)
        assert answer[2:4] == b"\x05\x97", "WAIT_FOR_DATA"
        now, until = (int.from_bytes(answer[i : i + 4], "little") for i in (4, 8))
        assert 290 <= until - now <= 300
        page = block(0) + b"\x00\x02\x64\x00"
        (answer,) = await cad.get(OTA, 0x04, page, endpoint=1)
        assert answer[2:4] == b"\x05\x97", "a page waits too"
        bench.hub.publisher.message("Hello", meter="electricity")
        assert not await bench.hub.publisher.notify_image(CAD.eui64)
        assert len(bench.radio.sent) == before + 2
        (held,) = details(bench, "command-not-delivered")
        assert held["status"] == "SUSPENDED"
        before = suspensions(bench.radio.sent)
        answers = await cad.get(OTA, 0x01, QUERY, endpoint=1)
        assert len(answers) == len(suspensions(bench.radio.sent)) - len(before)

    # The first limit silences the IHD; what it sends all the same costs acknowledgements.
    with_sub_ghz(scenario, limits=tight(1000, 1200), **serving(image(2)))


def test_at_the_regulated_limit_the_hub_sends_nothing() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench, until=3)
        assert bench.of(DutyCycleChanged)[-1].state is AirtimeState.SUSPENDED
        before = len(bench.radio.sent)
        cad = bench.device(CAD, CAD_NWK)
        assert await cad.ask(READ, cluster=METERING, endpoint=2, secured=True) == []
        assert await cad.get(SUB_GHZ_CLUSTER, 0x00, endpoint=1) == []
        await cad.ask(bytes.fromhex("01 00 00"), cluster=0x0021, endpoint=0, profile=0, source=0)
        assert len(bench.radio.sent) == before
        assert "regulated-duty-cycle-action-taken" in alerts(bench)

    with_sub_ghz(scenario, limits=tight(1000, 1200, 1400))


def test_the_hour_passes_and_everybody_may_talk_again() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench, until=2)
        await asyncio.sleep(4000)
        states = [c.state for c in bench.of(DutyCycleChanged)]
        assert states[-1] is AirtimeState.NORMAL
        assert await bench.device(IHD, IHD_NWK).read(METERING, 0x0000) is not None
        assert alerts(bench)[-1] == "duty-cycle-below-normal-limited"

    with_sub_ghz(scenario, limits=tight(1000, 1200))


def test_a_suspension_that_did_not_arrive_is_said_again_when_the_device_talks() -> None:
    async def scenario(bench: Bench) -> None:
        deaf = True
        bench.radio.delivers = lambda packet: not (deaf and packet.cluster_id == SUB_GHZ_CLUSTER)
        await limited(bench)
        assert bench.of(Suspended) == []
        deaf = False
        ihd = bench.device(IHD, IHD_NWK)
        assert await ihd.ask(READ, cluster=METERING, endpoint=2, secured=True) == [
            bench.radio.sent[-1].data
        ]
        (suspended,) = bench.of(Suspended)
        assert suspended.eui64 == IHD.eui64

    with_sub_ghz(scenario, limits=tight(1000, 900_000))


def test_the_firmwares_state_leads_where_it_counts() -> None:
    async def scenario(bench: Bench) -> None:
        radio = bench.radio
        assert isinstance(radio, SubGhzRadio)
        await bench.settle()
        assert radio.limits == Limits.of_page(28)
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        bench.listener.duty_cycle_changed(0, DutyCycleState.CRITICAL)
        await bench.settle()
        assert bench.of(DutyCycleChanged)[-1].state is AirtimeState.CRITICAL
        assert suspensions(radio.sent) == [(IHD_NWK, 5)]
        radio.counted = DutyCycle(DutyCycleState.CRITICAL, 76_000_000, {IHD_NWK: 12_000_000})
        await asyncio.sleep(61)
        told = {s.eui64: s for s in bench.of(AirtimeSample) if s.source is AirtimeSource.FIRMWARE}
        assert told[None].airtime_us == 76_000_000
        assert told[IHD.eui64].airtime_us == 12_000_000
        # A change that the firmware forgot to tell is found by asking.
        radio.counted = DutyCycle(DutyCycleState.NORMAL, 10_000_000, {})
        await asyncio.sleep(61)
        assert bench.of(DutyCycleChanged)[-1].state is AirtimeState.NORMAL

    radio = SubGhzRadio()
    radio.counted = DutyCycle(DutyCycleState.NORMAL, 0, {})
    with_sub_ghz(scenario, radio=radio)


def test_a_device_that_sleeps_is_silenced_when_it_talks() -> None:
    async def scenario(bench: Bench) -> None:
        cad = await bench.paired(CAD, CAD_NWK)
        await known(bench, cad)
        announce = b"\x01" + CAD_NWK.to_bytes(2, "little") + CAD.eui64.little_endian + b"\x80"
        cad.packet(announce, profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True)
        bench.listener.duty_cycle_changed(0, DutyCycleState.CRITICAL)
        await asyncio.sleep(5)
        assert bench.of(Suspended) == []
        await cad.ask(READ, cluster=METERING, endpoint=2, secured=True)
        assert suspensions(bench.radio.sent) == [(CAD_NWK, 5)]

    with_sub_ghz(scenario)


def test_the_time_begins_when_the_device_has_heard_of_it() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await known(bench, ihd)
        bench.radio.delay_s = 7.0
        started = bench.clock.now_us()
        bench.hub.care.of_sub_ghz.suspend(IHD.eui64, 5, "a test of it")
        await asyncio.sleep(400)
        (resumed,) = bench.of(Resumed)
        assert resumed.at_us - started == 307_000_000

    with_sub_ghz(scenario)


def test_a_burst_a_minute_is_no_high_bandwidth_link() -> None:
    links = HighBandwidthLinks()
    for minute in range(60):
        for frame in range(12):
            links.read(IHD.eui64, minute * 60_000_000 + frame * 50_000)
    assert len(links) == 0


def test_a_link_that_falls_silent_is_none() -> None:
    links = HighBandwidthLinks()
    for read in range(20):
        links.read(IHD.eui64, read * 10_000_000)
    assert links.place(IHD.eui64) == 1
    assert links.look(20 * 10_000_000) == []
    assert links.look(40 * 10_000_000) == [IHD.eui64]
    assert links.place(IHD.eui64) == 0


def test_what_nobody_acknowledged_was_sent_three_times() -> None:
    book = AirtimeBook(28, Limits())
    packet = Outgoing(IHD_NWK, 1, 1, METERING, bytes(10), aps_encrypt=True)
    book.sent(IHD.eui64, packet, 0, delivered=False)
    once = unicast_airtime_us(28, 10, aps_encrypted=True)
    assert book.used_us(0) == 3 * once.sender_us
    assert IHD.eui64 not in book.devices, "it acknowledged nothing"


def test_a_person_suspends_and_resumes() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        sub_ghz = bench.hub.care.of_sub_ghz
        sub_ghz.suspend(IHD.eui64, 90, "a test of it")
        await bench.settle()
        assert bench.of(Suspended)[0].minutes == 90
        assert sub_ghz.suspensions.minutes_left(IHD.eui64) == 90
        sub_ghz.resume(IHD.eui64, "enough")
        await bench.settle()
        assert suspensions(bench.radio.sent) == [(IHD_NWK, 90), (IHD_NWK, 0)]
        assert await ihd.read(METERING, 0x0000) is not None
        with pytest.raises(ValueError, match="255"):
            sub_ghz.suspend(IHD.eui64, 256, "too long")
        with pytest.raises(RigError, match="868"):
            sub_ghz.suspend(CAD.eui64, 5, "not there")

    with_sub_ghz(scenario)


def test_a_link_more_than_there_is_room_for_is_recorded_and_served() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = await bench.paired(), await bench.paired(CAD, CAD_NWK)
        for _ in range(20):
            assert await ihd.read(METERING, 0x0000) is not None
            await asyncio.sleep(0.2)
            assert await ihd.read(METERING, 0x0300) is not None  # the same moment
            await asyncio.sleep(4.8)
            assert await cad.read(METERING, 0x0000) is not None
            await asyncio.sleep(5)
        (exceeded,) = bench.of(CapacityExceeded)
        assert (exceeded.eui64, exceeded.links, exceeded.limit) == (CAD.eui64, 2, 1)
        assert alerts(bench) == ["no-more-capacity"]

    with_sub_ghz(scenario, sub_ghz={"high_bandwidth_links": 1})


def test_links_can_be_counted_anew_with_room_for_fewer() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, sub_ghz = await bench.paired(), bench.hub.care.of_sub_ghz

        async def reads() -> None:
            for _ in range(14):
                assert await ihd.read(METERING, 0x0000) is not None
                await asyncio.sleep(10)

        await reads()
        assert (len(sub_ghz.links), bench.of(CapacityExceeded)) == (1, [])
        sub_ghz.count_links_anew(0)
        assert len(sub_ghz.links) == 0
        await reads()
        (exceeded,) = bench.of(CapacityExceeded)
        assert (exceeded.links, exceeded.limit) == (1, 0)
        sub_ghz.count_links_anew()
        await reads()
        assert len(bench.of(CapacityExceeded)) == 1

    with_sub_ghz(scenario, sub_ghz={"high_bandwidth_links": 2})


def test_a_link_more_than_there_is_room_for_can_be_refused() -> None:
    async def scenario(bench: Bench) -> None:
        cad = await bench.paired(CAD, CAD_NWK)
        answers = []
        for _ in range(20):
            answers.append(await cad.read(METERING, 0x0000) is not None)
            await asyncio.sleep(10)
        assert answers == [True] * 12 + [False] * 8
        assert "10 s" in bench.of(Refused)[-1].cause
        for _ in range(14):
            await asyncio.sleep(30)
            await cad.read(METERING, 0x0000)
        assert await cad.read(METERING, 0x0300) is not None

    with_sub_ghz(scenario, sub_ghz={"high_bandwidth_links": 0, "refuse_over_capacity": True})


@pytest.mark.parametrize(("period_s", "counts"), [(10, True), (7, True), (12, False), (30, False)])
def test_what_is_measured_counts(period_s: float, counts: bool) -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        for _ in range(30):
            await ihd.read(METERING, 0x0000)
            await asyncio.sleep(period_s)
        assert len(bench.hub.care.of_sub_ghz.links) == counts

    with_sub_ghz(scenario)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([SUB_GHZ_CLUSTER, OTA, METERING, 0x0800, 0x803B]), OCTETS),
        max_size=12,
    ),
    st.sampled_from(DutyCycleState),
)
def test_nothing_that_a_device_says_makes_the_hub_stumble(
    frames: list[tuple[int, bytes]], state: DutyCycleState
) -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        bench.listener.duty_cycle_changed(0, state)
        await bench.settle()
        for cluster, data in frames:
            profile = 0 if cluster == 0x803B else 0x0109
            ihd.packet(data, cluster=cluster, endpoint=1, secured=True, profile=profile)
            await bench.settle()
        sent = [p for p in bench.radio.sent if p.profile_id and p.cluster_id != 0]
        if state >= DutyCycleState.CRITICAL:
            allowed = {SUB_GHZ_CLUSTER, OTA, 0x0800}
            after = sent[1:]  # the answer to the read before
            assert {p.cluster_id for p in after} <= allowed
        assert not [n for n in bench.of(Refused) if n.layer == "internal"]
        assert not details(bench, "internal-error")

    with_sub_ghz(scenario)


def test_severities_of_alerts() -> None:
    async def scenario(bench: Bench) -> None:
        await limited(bench)
        alert = next(n for n in bench.of(Note) if n.kind == "alert")
        assert alert.severity is Severity.WARNING
        assert alert.detail["code"] == 0x8F20

    with_sub_ghz(scenario, limits=tight(1000, 900_000))
