"""Foreign transmitters: when they transmit, what of it falls into a channel, what it costs."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_pair import CLEAN, Room, run, send

from labctl.virtual.air import Air
from labctl.virtual.interference import Bursts, Disturber, channel_hog, wifi_neighbour
from labctl.virtual.node import Status
from labctl.virtual.phy import PHY_868, PHY_2450, centre_mhz

DUTIES = st.floats(0.01, 1.0)
LENGTHS = st.floats(1e-4, 10.0)


def wifi(
    channel: int = 6, *, duty: float = 0.3, level_dbm: float = -50, **more: float
) -> Disturber:
    return wifi_neighbour(
        "next door", mhz=2407.0 + 5 * channel, duty=duty, level_dbm=level_dbm, **more
    )


def hog(duty: float = 0.5, level_dbm: float = -60, **more: float) -> Disturber:
    return channel_hog("hog", page=28, channel=10, duty=duty, level_dbm=level_dbm, **more)


def share_of(bursts: Bursts, seconds: float, step: float) -> float:
    ticks = round(seconds / step)
    on = sum(bursts.last_within(i * step, i * step) is not None for i in range(ticks))
    return on / ticks


@pytest.mark.parametrize("duty", [0.05, 0.3, 0.9, 1.0])
def test_a_disturber_is_on_for_its_share_of_the_time(duty: float) -> None:
    bursts = Bursts(wifi(duty=duty), 7, 0.0)
    assert share_of(bursts, 20, 3.1e-4) == pytest.approx(duty, abs=0.02)


def test_two_of_the_same_kind_do_not_transmit_in_step() -> None:
    one, other = Bursts(hog(), 1, 0.0), Bursts(hog(), 2, 0.0)
    firsts = [each.last_within(0, 1.9) for each in (one, other)]
    assert firsts[0] != firsts[1]
    assert Bursts(hog(), 1, 0.0).last_within(0, 1.9) == firsts[0], "the seed decides"


@given(
    duty=DUTIES, burst_s=LENGTHS, at=st.floats(0, 1e6), width=st.floats(0, 20), seed=st.integers()
)
def test_a_burst_is_found_by_every_question_that_overlaps_it(
    duty: float, burst_s: float, at: float, width: float, seed: int
) -> None:
    disturber = channel_hog("h", page=28, channel=1, duty=duty, level_dbm=0, burst_s=burst_s)
    bursts = Bursts(disturber, seed, 0.0)
    found = bursts.last_within(at, at + width)
    if found is None:
        assert width < 2 * burst_s / duty, "there is one in each period"
        return
    start, end = found
    assert start <= at + width
    assert end > at
    assert 0.49 * burst_s <= end - start <= 1.51 * burst_s
    middle = (start + end) / 2
    assert bursts.last_within(middle, middle) == found
    later = bursts.last_within(end + 1e-9 * max(1.0, end), at + width)
    assert later is None or later[1] > end


def test_it_works_from_its_start_to_its_end() -> None:
    bursts = Bursts(hog(1.0, start_s=10, stop_s=20), 1, 100.0)
    assert bursts.last_within(0, 109.9) is None
    assert bursts.last_within(109, 111) is not None
    assert bursts.last_within(119, 300) is not None
    assert bursts.last_within(120.1, 300) is None


@pytest.mark.parametrize(("duty", "burst_s"), [(0.0, 1.0), (1.1, 1.0), (-1, 1.0), (0.5, 0.0)])
def test_what_no_disturber_is_like(duty: float, burst_s: float) -> None:
    with pytest.raises(ValueError, match="disturber"):
        hog(duty, burst_s=burst_s)


def test_wifi_covers_four_channels_whole_and_falls_off_beside_them() -> None:
    """Channel 6 is 2437 MHz: HAN channels 16 to 19 (2430 to 2445 MHz) lie in its flat part."""
    heard = {
        channel: wifi(6).coupling_db(centre_mhz(0, channel), PHY_2450.bandwidth_mhz)
        for channel in range(11, 27)
    }
    whole = -9.2  # 2 of 16.6 MHz
    for channel in (16, 17, 18, 19):
        assert heard[channel] == pytest.approx(whole, abs=0.05)
    for channel in (15, 20):
        level = heard[channel]
        assert level is not None
        assert -31 < level < -28, "beyond the edge: 20 dB down and falling"
    assert heard[11] is not None
    assert heard[11] < -45
    assert heard[26] is None or heard[26] < -55
    assert wifi(1).coupling_db(868.3, 0.2) is None


def test_a_hog_sits_on_one_channel() -> None:
    heard = [
        hog().coupling_db(centre_mhz(28, channel), PHY_868.bandwidth_mhz) for channel in range(27)
    ]
    assert heard[10] == pytest.approx(0.0)
    assert heard[9] == heard[11] == pytest.approx(-30.0)
    assert all(each is None or each <= -59.9 for each in (*heard[:9], *heard[12:]))


def test_wifi_raises_energy_scans_and_costs_frames_that_others_do_not_lose() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(position=(35.0, 0.0, 0.0))
        quiet = await device.energy_scan([15, 26])
        assert max(quiet.values()) < -90
        outcomes = []
        for disturbed in (False, True):
            if disturbed:
                room.air.disturb(wifi(3, duty=0.3, level_dbm=-60))  # 2422 MHz: channels 13 to 16
            room.hub.counters.clear()
            sent = [await send(device, 0, bytes(60), ack=False) for _ in range(150)]
            outcomes.append(sent.count(Status.SUCCESS))
        loud = await device.energy_scan([15, 26])
        assert loud[15] == pytest.approx(-69, abs=1)
        assert loud[26] < -90
        assert outcomes[0] > 145
        assert outcomes[1] < outcomes[0] - 3, "frames are lost, repetitions save many"

    run(main())


def test_wifi_that_is_heard_as_a_carrier_makes_radios_wait() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        loop = asyncio.get_running_loop()
        took = []
        for disturbed in (False, True):
            if disturbed:
                room.air.disturb(wifi(3, duty=0.5, level_dbm=-50))
            began = loop.time()
            for _ in range(60):
                await send(device, 0, b"x", ack=False)
            took.append(loop.time() - began)
        assert took[1] > 1.3 * took[0]

    run(main())


def test_a_hog_is_heard_before_talking_and_in_energy_scans() -> None:
    async def main() -> tuple[int, int]:
        room = Room()
        room.hub.start_phy(1, 28, 10, 14)
        device = room.device()
        room.hub.permit_joining(60)
        (beacon,) = await device.active_scan([(28, 10)])
        assert await device.join(beacon, link_key=bytes(range(0x40, 0x50))) is None
        await device.sleep(1)
        busy = hog(0.9, level_dbm=-70, burst_s=2.0)
        room.air.disturb(busy)
        energy = await device.energy_scan([(28, 10), (28, 11), (28, 20)], 8)
        assert energy[28, 10] == pytest.approx(-70, abs=1)
        assert energy[28, 11] == pytest.approx(-100, abs=1)
        assert energy[28, 20] < -108
        before = device.sent_airtime_us()
        failed = [await send(device, 0, b"x", ack=False) for _ in range(20)]
        sent_us = device.sent_airtime_us() - before
        assert failed.count(Status.MAC_FAILURE) > 10
        assert sent_us < 10 * 6000, "who hears it is silent, and does not spend airtime"
        room.air.hush(busy)
        assert await send(device, 0, b"free at last") is Status.SUCCESS
        return failed.count(Status.SUCCESS), sent_us

    assert run(main()) == run(main()), "the same seed, the same day"


def test_a_disturber_with_a_place_is_louder_near_it() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        placed = channel_hog(
            "placed", page=28, channel=10, duty=1.0, level_dbm=14, position=(0.0, 0.0, 0.0)
        )
        air.disturb(placed)
        levels = []
        for metres in (1.0, 10.0, 100.0):
            radio = air.attach(
                _Nobody(), name=f"at {metres}", position=(metres, 0.0, 0.0), tx_power_dbm=0
            )
            levels.append(radio.disturbance_dbm(placed))
            radio.move((1.0, 0.0, 0.0))
            assert radio.disturbance_dbm(placed) == pytest.approx(levels[0])
        assert levels[0] - levels[1] == pytest.approx(28)
        assert levels[1] - levels[2] == pytest.approx(28)
        assert levels[0] == pytest.approx(14 - 31.2, abs=0.1)

    run(main())


def test_a_disturber_costs_no_timer() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(1), propagation=CLEAN)
        for index in range(20):
            air.disturb(wifi_neighbour(f"w{index}", mhz=2437, duty=0.5, level_dbm=-50))
        loop = asyncio.get_running_loop()
        assert not loop._scheduled  # type: ignore[attr-defined]

    run(main())


class _Nobody:
    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None: ...

    def frame_pending(self, psdu: bytes) -> bool:
        return False
