"""From a bad channel to a better one: the scan, the sleepy gas meter, the move, who followed."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import pytest
from fake_radio import CAD, CAD_EUI64, CAD_KEY, IHD, Bench, FakeDevice
from hypothesis import given
from hypothesis import strategies as st
from sub_ghz_bench import (
    DUAL,
    HERE,
    METERING,
    SUB_GHZ_CLUSTER,
    SubGhzRadio,
    alerts,
    details,
    with_sub_ghz,
)

from labctl.errors import RigError
from labctl.events import Band, ChannelMoved, DeviceKind, LinkSample, NoiseSample
from labctl.hub import LoggedDevice
from labctl.hub.agility import quietest
from labctl.hub.bearer_settings import AgilitySettings, LinkSettings
from labctl.hub.services.mirror import CHANNEL_CHANGE_PENDING, ENERGY_SCAN_PENDING
from labctl.smart_energy.channels import Channel, channels_of_mask, channels_of_page

METER = LoggedDevice(eui64=CAD_EUI64, name="meter", kind=DeviceKind.GAS_METER, link_key=CAD_KEY)
THERE = Channel(28, 20)
MIRROR = 4
WAKE_UP_S = 1800.0


def radio_of(bench: Bench) -> SubGhzRadio:
    assert isinstance(bench.radio, SubGhzRadio)
    return bench.radio


def test_without_a_gas_meter_the_quietest_channel_is_gone_to_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        radio = radio_of(bench)
        radio.levels = dict.fromkeys(channels_of_page(28), -80)
        radio.levels[HERE], radio.levels[THERE] = -60, -99
        state = await bench.hub.change_channel(cause="a test of it")
        assert state is not None
        assert state.at == THERE
        assert radio.scans == [(channels_of_mask(0xE7FFFFFF), 4)]
        assert radio.moves == [(0, THERE)]
        assert set(radio.announced) == set(radio.moves), "it is told before, and more than once"
        (moved,) = bench.of(ChannelMoved)
        assert (moved.from_channel, moved.to_channel, moved.cause) == (5, 20, "a test of it")
        assert len(bench.of(NoiseSample)) == 27
        assert alerts(bench) == ["channel-scan-initiated", "channel-changed"]
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        assert bench.of(LinkSample)[-1].channel == 20

    with_sub_ghz(scenario)


def test_a_channel_that_is_hardly_better_is_not_worth_the_move() -> None:
    async def scenario(bench: Bench) -> None:
        radio_of(bench).levels = {HERE: -96}
        assert await bench.hub.change_channel() is None
        assert radio_of(bench).moves == []
        assert alerts(bench) == ["channel-scan-initiated", "channel-not-changed"]

    with_sub_ghz(scenario)


def test_a_person_names_the_channel() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.change_channel(THERE)
        assert radio_of(bench).scans == []
        assert radio_of(bench).moves == [(0, THERE)]
        await bench.hub.change_channel(THERE)  # it is there
        assert len(radio_of(bench).moves) == 1
        with pytest.raises(ValueError, match="band"):
            await bench.hub.change_channel(Channel(0, 11))
        with pytest.raises(ValueError, match="bearer 3"):
            await bench.hub.change_channel(THERE, bearer=3)

    with_sub_ghz(scenario)


def test_a_radio_that_cannot_move_stays_and_says_so() -> None:
    async def scenario(bench: Bench) -> None:
        radio_of(bench).cannot = {"move"}
        with pytest.raises(RigError, match="no move"):
            await bench.hub.change_channel(THERE)
        radio_of(bench).cannot = {"broadcast"}
        await bench.hub.change_channel(THERE)
        assert details(bench, "channel-not-broadcast")

    with_sub_ghz(scenario)


def test_a_channel_of_2_4_ghz_is_changed_the_same_way() -> None:
    async def scenario(bench: Bench) -> None:
        radio_of(bench).levels = {Channel(0, 20): -50}
        state = await bench.hub.change_channel(bearer=0)
        assert state is not None
        assert state.band is Band.GHZ_2_4
        assert state.at == Channel(0, 19), "the nearest of those that are as quiet"
        assert [c.number for c in radio_of(bench).scans[0][0]] == list(range(11, 27))

    with_sub_ghz(scenario, network=DUAL)


# -- the gas meter --------------------------------------------------------------------------------


async def report(meter: FakeDevice) -> int:
    """The meter's half-hourly push; the functional flags that it gets for it."""
    answers = await meter.ask(
        bytes.fromhex("18 42 0a feff 30 01"), cluster=METERING, endpoint=MIRROR, secured=True
    )
    frames = [a for a in answers if a[0] == 0x11]
    return int.from_bytes(frames[0][4:8], "little")


async def with_mirror(bench: Bench) -> FakeDevice:
    meter = await bench.paired(METER, 0x2222)
    await meter.ask(b"\x19\x41\x01", cluster=METERING, endpoint=MIRROR, secured=True)
    await asyncio.sleep(30)
    return meter


def gas(scenario: Any, **more: Any) -> None:
    with_sub_ghz(scenario, devices=(IHD, METER), **more)


def test_the_gas_meter_is_told_of_the_scan_and_of_the_channel_before_the_move() -> None:
    async def scenario(bench: Bench) -> None:
        meter = await with_mirror(bench)
        radio_of(bench).levels = {HERE: -60}
        change = asyncio.ensure_future(bench.hub.change_channel())
        await asyncio.sleep(600)
        assert radio_of(bench).scans == []
        assert await report(meter) == 1 << ENERGY_SCAN_PENDING
        await asyncio.sleep(1)
        assert len(radio_of(bench).scans) == 1
        assert radio_of(bench).moves == []
        await asyncio.sleep(1799)
        assert await report(meter) == 1 << CHANNEL_CHANGE_PENDING
        mask = await meter.read(SUB_GHZ_CLUSTER, 0x0000, endpoint=1)
        assert mask is not None
        goal = channels_of_mask(int.from_bytes(mask[4:8], "little"))
        await asyncio.sleep(29)
        assert radio_of(bench).moves == [], "it is given time to go back to sleep"
        await asyncio.sleep(2)
        assert set(radio_of(bench).announced) == {(0, goal[0])}
        assert radio_of(bench).moves == [], "the broadcast takes its time"
        await asyncio.sleep(12)
        assert radio_of(bench).moves == [(0, goal[0])]
        await change
        after = await meter.read(SUB_GHZ_CLUSTER, 0x0000, endpoint=1)
        assert after == bytes.fromhex("0000 00 1b 00000000")
        assert [d["read"] for d in details(bench, "scan-announced")] == [True]
        assert [d["read"] for d in details(bench, "channel-change-announced")] == [True]

    gas(scenario)


def test_a_gas_meter_that_reads_nothing_is_waited_for_one_wake_up_and_then_two() -> None:
    async def scenario(bench: Bench) -> None:
        meter = await with_mirror(bench)
        radio_of(bench).levels = {HERE: -60}
        started = bench.clock.now_us()
        await bench.hub.change_channel()
        told_s = 3.2  # from the first word of the move to the last
        assert bench.clock.now_us() - started == (3 * WAKE_UP_S + told_s + 9) * 1_000_000
        assert [d["read"] for d in details(bench, "channel-change-announced")] == [False]
        assert await report(meter) == 0, "what was not read in time is not said later"

    gas(scenario)


def test_one_change_at_a_time() -> None:
    async def scenario(bench: Bench) -> None:
        await with_mirror(bench)
        change = asyncio.ensure_future(bench.hub.change_channel(THERE))
        await asyncio.sleep(1)
        with pytest.raises(RigError, match="under way"):
            await bench.hub.change_channel(HERE)
        await change

    gas(scenario)


def test_who_followed_and_who_did_not() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = await bench.paired(), await bench.paired(CAD, 0x2222)
        await ihd.read(METERING, 0x0000)
        await cad.read(METERING, 0x0000)
        await bench.hub.change_channel(THERE)
        await asyncio.sleep(7)
        ihd.packet(bytes.fromhex("00 5a 00 0000"), cluster=METERING, endpoint=2, secured=True)
        await asyncio.sleep(4000)
        assert details(bench, "followed-channel") == [{"s": 7.0}]
        assert details(bench, "channel-not-followed") == [{"within_s": 3900.0}]
        assert details(bench, "channel-change-over") == [{"missing": 1, "longest_s": 7.0}]

    with_sub_ghz(scenario)


def test_everybody_followed_and_nobody_is_waited_for_longer() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        cad = await bench.paired(CAD, 0x2222)
        for device in (ihd, cad):
            await device.read(METERING, 0x0000)
        await bench.hub.change_channel(THERE)
        for device in (ihd, cad):
            device.packet(b"\x00\x5b\x00\x00\x00", cluster=METERING, endpoint=2, secured=True)
        await asyncio.sleep(1)
        assert details(bench, "channel-change-over") == [{"missing": 0, "longest_s": 0.0}]

    with_sub_ghz(scenario)


def test_a_radio_that_moves_by_itself_is_recorded() -> None:
    async def scenario(bench: Bench) -> None:
        bench.listener.channel_changed(0, THERE)
        (moved,) = bench.of(ChannelMoved)
        assert moved.cause == "the radio moved by itself"
        assert bench.hub.radio.at == THERE

    with_sub_ghz(scenario)


# -- reasons of the hub's own ---------------------------------------------------------------------


def notify(device: FakeDevice, total: int, failed: int, channel: Channel = HERE) -> None:
    data = struct.pack("<BBIHHHB", 1, 0, channel.mask, total, failed, 3, 30)
    assert len(data) == 13
    device.packet(data, cluster=0x803B, endpoint=0, profile=0, source=0)


def test_a_device_that_loses_frames_sets_it_going() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        radio_of(bench).levels = {HERE: -60}
        notify(ihd, 19, 19)
        notify(ihd, 100, 24)
        notify(ihd, 100, 50, THERE)
        ihd.packet(bytes(12), cluster=0x803B, endpoint=0, profile=0, source=0)
        await asyncio.sleep(1)
        assert radio_of(bench).moves == []
        notify(ihd, 100, 25)
        await asyncio.sleep(13)
        (moved,) = bench.of(ChannelMoved)
        assert moved.cause == "ihd lost 25 of 100 frames"
        notify(ihd, 100, 90, bench.hub.radio.at)
        await asyncio.sleep(1)
        assert len(radio_of(bench).moves) == 1, "not so soon again"
        assert alerts(bench)[-1] == "channel-not-changed"

    with_sub_ghz(scenario)


def test_a_hub_that_is_not_to_move_by_itself_does_not() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        await ihd.read(METERING, 0x0000)
        notify(ihd, 100, 90)
        await asyncio.sleep(1)
        assert radio_of(bench).scans == []

    with_sub_ghz(scenario, agility=AgilitySettings(by_itself=False))


def test_noise_that_stays_sets_it_going() -> None:
    async def scenario(bench: Bench) -> None:
        radio_of(bench).levels = {HERE: -60}
        await asyncio.sleep(150)
        radio_of(bench).levels = {HERE: -90}
        await asyncio.sleep(60)
        radio_of(bench).levels = {HERE: -60}
        await asyncio.sleep(120)
        assert radio_of(bench).moves == []
        await asyncio.sleep(70)
        (moved,) = bench.of(ChannelMoved)
        assert "noise of -60 dBm" in moved.cause

    with_sub_ghz(scenario, links=LinkSettings(ask_every_s=None, noise_every_s=60.0))


CHANNELS = st.sampled_from(channels_of_page(28))


@given(st.dictionaries(CHANNELS, st.integers(-110, -20), min_size=1), CHANNELS, st.integers(0, 20))
def test_the_choice_is_quieter_by_what_was_asked(
    levels: dict[Channel, int], present: Channel, gain_db: int
) -> None:
    choice = quietest(levels, present, gain_db)
    others = {c: level for c, level in levels.items() if c != present}
    if choice is None:
        assert not others or levels[present] - min(others.values()) < gain_db
    else:
        assert levels[choice] == min(others.values())
        assert present not in levels or levels[present] - levels[choice] >= gain_db
