"""The air by itself: timing, contention, collisions, levels, captures."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import random
import statistics
import struct

import pytest
from node_pair import CLEAN, run

from labctl.capture import TapWriter
from labctl.virtual.air import Air, Radio
from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import mac
from labctl.virtual.phy import PHY_868, PHY_2450, phy_of
from labctl.virtual.propagation import (
    NOISE_DBM,
    Propagation,
    link_quality,
    reception_probability,
    reference_loss_db,
)

PAN = 0x1A62


class Client:
    """A radio's owner that remembers."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, bytes, int, int]] = []
        self.pending = False

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        self.frames.append((asyncio.get_running_loop().time(), psdu, rssi_dbm, lqi))

    def frame_pending(self, psdu: bytes) -> bool:
        return self.pending


def radio_at(
    air: Air, short: int, x: float, *, tx_power_dbm: float = 8, channel: int = 15, page: int = 0
) -> tuple[Radio, Client]:
    client = Client()
    radio = air.attach(
        client, name=f"radio {short:04x}", position=(x, 0.0, 0.0), tx_power_dbm=tx_power_dbm
    )
    radio.set_addresses(PAN, short, short.to_bytes(8, "little"))
    radio.tune(page, channel)
    radio.listen(True)
    return radio, client


def data(destination: int, source: int, octets: int = 40, sequence: int = 1) -> bytes:
    return mac.encode_data(sequence & 0xFF, PAN, destination, source, bytes(octets))


def sending(radio: Radio, frame: bytes) -> asyncio.Future[tuple[Outcome, bool, float]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Outcome, bool, float]] = loop.create_future()
    radio.transmit(frame, lambda o, p: future.set_result((o, p, loop.time())))
    return future


def air(seed: int = 1, propagation: Propagation | None = None) -> Air:
    return Air(rng=random.Random(seed), propagation=propagation or CLEAN)


def timers() -> list[object]:
    loop = asyncio.get_running_loop()
    return [each for each in loop._scheduled if not each.cancelled()]  # type: ignore[attr-defined]


def test_airtime_is_that_of_the_standard() -> None:
    assert PHY_2450.airtime_s(127) == pytest.approx(4.256e-3)
    assert PHY_2450.airtime_s(5) == pytest.approx(352e-6)
    assert PHY_2450.turnaround_s == pytest.approx(192e-6)
    assert PHY_2450.ack_wait_s == pytest.approx(864e-6), "macAckWaitDuration, 54 symbols"
    assert PHY_868.airtime_s(100) > 3 * PHY_2450.airtime_s(100) / 2
    with pytest.raises(ValueError, match="channel page 9"):
        phy_of(9)


def test_an_acknowledged_frame_takes_backoff_frame_turnaround_and_acknowledgement() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, receiver = radio_at(room, 2, 2)
        for sequence in range(50):
            start = asyncio.get_running_loop().time()
            outcome, pending, end = await sending(sender, data(2, 1, sequence=sequence))
            assert (outcome, pending) == (Outcome.SENT, False)
            fixed = 128e-6 + 192e-6 + PHY_2450.airtime_s(51) + 192e-6 + 352e-6
            backoff = end - start - fixed
            assert -1e-9 <= backoff < 7 * 320e-6 + 151e-6
        assert len(receiver.frames) == 50

    run(main())


def test_the_frame_pending_bit_comes_back_with_the_acknowledgement() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, receiver = radio_at(room, 2, 2)
        receiver.pending = True
        assert (await sending(sender, data(2, 1)))[:2] == (Outcome.SENT, True)

    run(main())


def test_only_the_addressed_radio_with_its_receiver_on_and_on_the_channel_hears() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, right = radio_at(room, 2, 2)
        _, other_address = radio_at(room, 3, 2)
        _, other_channel = radio_at(room, 4, 2, channel=20)
        asleep_radio, asleep = radio_at(room, 5, 2)
        asleep_radio.listen(False)
        assert (await sending(sender, data(2, 1)))[0] is Outcome.SENT
        assert (await sending(sender, data(4, 1)))[0] is Outcome.NO_ACK
        assert (await sending(sender, data(5, 1)))[0] is Outcome.NO_ACK
        assert (await sending(sender, data(0xFFFF, 1)))[0] is Outcome.SENT
        assert len(right.frames) == 2
        assert len(other_address.frames) == 1, "the broadcast"
        assert not other_channel.frames
        assert not asleep.frames

    run(main())


def test_a_receiver_switched_on_in_the_middle_of_a_frame_misses_it() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        late_radio, late = radio_at(room, 2, 2)
        late_radio.listen(False)
        done = sending(sender, data(0xFFFF, 1, 100))
        assert sender.exchange is not None
        await asyncio.sleep(sender.exchange.start + 1e-3)
        late_radio.listen(True)
        await done
        assert not late.frames

    run(main())


@pytest.mark.parametrize("losses", [0, 1, 3, 4])
def test_a_lost_frame_is_repeated_up_to_three_times(losses: int) -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, receiver = radio_at(room, 2, 2)
        lost = 0

        def drop(_: Radio, __: Radio, psdu: bytes) -> bool:
            nonlocal lost
            lost += 1
            return lost <= losses

        room.drop = drop
        outcome, _, _ = await sending(sender, data(2, 1))
        assert outcome is (Outcome.NO_ACK if losses > 3 else Outcome.SENT)
        assert len(receiver.frames) == (0 if losses > 3 else 1)

    run(main())


def test_a_lost_acknowledgement_makes_the_receiver_hear_the_frame_twice() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, receiver = radio_at(room, 2, 2)
        acknowledgements = 0

        def drop(_: Radio, __: Radio, psdu: bytes) -> bool:
            nonlocal acknowledgements
            if psdu[0] & 7 != mac.Kind.ACK:
                return False
            acknowledgements += 1
            return acknowledgements == 1

        room.drop = drop
        assert (await sending(sender, data(2, 1)))[0] is Outcome.SENT
        first, second = receiver.frames
        assert first[1] == second[1]

    run(main())


class OnAir:
    """Takes the place of a capture file: (begin, end) of each data frame."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, float]] = []

    def frame(self, psdu: bytes, *, age_s: float, **_: object) -> None:
        if psdu[0] & 7 == mac.Kind.DATA:
            start = asyncio.get_running_loop().time() - age_s
            self.frames.append((start, start + PHY_2450.airtime_s(len(psdu))))


def test_radios_that_hear_each_other_take_turns() -> None:
    """With carrier sense, collisions are left to the turnaround: 192 µs and the assessment."""

    async def main() -> None:
        room = air()
        radios = [radio_at(room, 10 + i, 0.5 * i)[0] for i in range(4)]
        _, hub = radio_at(room, 1, 1)
        seen = OnAir()
        room.capture_to(seen)  # type: ignore[arg-type]

        async def talk(radio: Radio, short: int) -> list[Outcome]:
            outcomes = []
            for sequence in range(60):
                frame = data(1, short, 80, sequence)
                outcomes.append((await sending(radio, frame))[0])
                await asyncio.sleep(0.06 * room.rng.random())
            return outcomes

        results = await asyncio.gather(*(talk(radio, 10 + i) for i, radio in enumerate(radios)))
        outcomes = [each for result in results for each in result]
        assert outcomes.count(Outcome.SENT) > 0.97 * len(outcomes)
        frames = sorted(seen.frames)
        overlaps = [
            later[0] - earlier[0]
            for earlier, later in itertools.pairwise(frames)
            if later[0] < earlier[1]
        ]
        assert all(gap <= 192e-6 + 1e-9 for gap in overlaps), "nobody starts into a heard frame"
        assert len(overlaps) < 0.15 * len(frames)
        assert hub.frames

    run(main())


def test_hidden_nodes_collide_at_the_receiver_between_them() -> None:
    async def main() -> tuple[int, int]:
        # 40 m from the middle each: heard there, but 80 m apart below the carrier sense level.
        room = air()
        left, _ = radio_at(room, 10, -40, tx_power_dbm=8)
        right, _ = radio_at(room, 11, 40, tx_power_dbm=8)
        radio_at(room, 1, 0)
        failed = 0
        for sequence in range(100):
            both = await asyncio.gather(
                sending(left, data(1, 10, 100, sequence)),
                sending(right, data(1, 11, 100, sequence)),
            )
            failed += sum(each[0] is not Outcome.SENT for each in both)
        alone = 0
        for sequence in range(100):
            alone += (await sending(left, data(1, 10, 100, sequence)))[0] is not Outcome.SENT
        return failed, alone

    failed, alone = run(main())
    assert failed > 20
    assert alone == 0


def test_the_stronger_of_two_frames_is_captured() -> None:
    assert reception_probability(-40, -100, -50) > 0.99
    assert reception_probability(-50, -100, -40) < 0.01
    assert reception_probability(-50, -100, -50) < 0.1


def test_reception_is_99_percent_at_the_sensitivity_and_half_3_db_below() -> None:
    assert reception_probability(-100, -100, None) == pytest.approx(0.99, abs=0.002)
    assert reception_probability(-103, -100, None) == pytest.approx(0.5)
    assert reception_probability(-110, -100, None) < 1e-4
    assert reception_probability(0, -100, None) == 1.0
    assert reception_probability(-200, -100, None) == 0.0


def test_path_loss_falls_28_db_a_decade_from_free_space_at_one_metre() -> None:
    def loss(metres: float) -> float:
        return CLEAN.mean_loss_db(1, "a", "b", (0, 0, 0), (metres, 0, 0), 2440)

    assert reference_loss_db(2440) == pytest.approx(40.2, abs=0.1)
    assert loss(1) == pytest.approx(reference_loss_db(2440))
    assert loss(10) - loss(1) == pytest.approx(28)
    at_868 = CLEAN.mean_loss_db(1, "a", "b", (0, 0, 0), (10, 0, 0), 868)
    assert loss(10) - at_868 == pytest.approx(20 * math.log10(2440 / 868))


def test_links_are_reciprocal_but_for_two_db_and_keep_their_shadowing() -> None:
    model = Propagation()
    differences, shadows = [], []
    for i in range(200):
        there = model.mean_loss_db(7, "hub", f"d{i}", (0, 0, 0), (5, i, 0), 2440)
        back = model.mean_loss_db(7, f"d{i}", "hub", (5, i, 0), (0, 0, 0), 2440)
        assert model.mean_loss_db(7, "hub", f"d{i}", (0, 0, 0), (5, i, 0), 2440) == there
        differences.append(there - back)
        plain = CLEAN.mean_loss_db(7, "hub", f"d{i}", (0, 0, 0), (5, i, 0), 2440)
        shadows.append((there + back) / 2 - plain)
    assert max(map(abs, differences)) <= 2.0
    assert max(map(abs, differences)) > 1.0
    assert statistics.stdev(shadows) == pytest.approx(4.0, rel=0.2)


def test_walls_count_in_both_directions() -> None:
    model = Propagation(shadowing_db=0, asymmetry_db=0, extra_loss_db={frozenset("ab"): 12.0})
    for ends in (("a", "b"), ("b", "a")):
        walled = model.mean_loss_db(1, *ends, (0, 0, 0), (4, 0, 0), 2440)
        open_air = CLEAN.mean_loss_db(1, *ends, (0, 0, 0), (4, 0, 0), 2440)
        assert walled - open_air == pytest.approx(12.0)


def test_fading_is_rician_with_k_of_6_db() -> None:
    """Margins for 90, 95 and 99 % of frames: 5, 6.9 and 11.5 dB below the mean power."""
    table = Propagation().fading_table()
    assert len(table) == 1024
    assert statistics.fmean(10 ** (each / 10) for each in table) == pytest.approx(1.0, abs=0.05)
    for share, margin in ((0.10, 5.0), (0.05, 6.9), (0.01, 11.5)):
        assert table[round(share * 1024)] == pytest.approx(-margin, abs=1.0)


def test_lqi_is_0_at_the_noise_255_when_strong_and_falls_with_interference() -> None:
    assert link_quality(NOISE_DBM - 10) == 0
    assert link_quality(NOISE_DBM) == 0
    assert link_quality(-40) == 255
    assert 0 < link_quality(-80) < 255
    assert link_quality(-80, -85) < link_quality(-80)


def test_rssi_at_the_receiver_is_whole_dbm_around_the_mean() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0, tx_power_dbm=0)
        near, receiver = radio_at(room, 2, 10)
        for sequence in range(200):
            await sending(sender, data(2, 1, sequence=sequence))
        levels = [each[2] for each in receiver.frames]
        assert all(isinstance(each, int) for each in levels)
        assert statistics.median(levels) == pytest.approx(sender.mean_rssi_at(near), abs=1.5)
        assert sender.mean_rssi_at(near) == pytest.approx(-reference_loss_db(2440) - 28, abs=0.01)

    run(main())


def test_a_moved_radio_and_a_changed_power_are_heard_as_such() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        other, _ = radio_at(room, 2, 1)
        before = sender.mean_rssi_at(other), other.mean_rssi_at(sender)
        other.move((10.0, 0.0, 0.0))
        assert sender.mean_rssi_at(other) == pytest.approx(before[0] - 28)
        assert other.mean_rssi_at(sender) == pytest.approx(before[1] - 28)
        sender.set_tx_power(-2)
        assert sender.mean_rssi_at(other) == pytest.approx(before[0] - 38)

    run(main())


def test_a_distant_link_loses_frames_and_says_so() -> None:
    async def main() -> None:
        room = air(propagation=Propagation(shadowing_db=0, asymmetry_db=0))
        sender, _ = radio_at(room, 1, 0, tx_power_dbm=0)
        # 40.2 + 28 log d = 101: the mean is one dB below the sensitivity.
        far, receiver = radio_at(room, 2, 10 ** (60.8 / 28))
        heard = 0
        for sequence in range(300):
            receiver.frames.clear()
            await sending(sender, data(0xFFFF, 1, sequence=sequence))
            heard += bool(receiver.frames)
        assert 0.3 < heard / 300 < 0.95
        assert sender.mean_rssi_at(far) == pytest.approx(-101, abs=0.1)

    run(main())


def test_detaching_in_the_middle_of_a_frame_leaves_nothing_behind() -> None:
    async def main() -> None:
        for moment in (0.0, 0.4e-3, 1e-3, 2.2e-3, 3e-3):
            room = air()
            sender, _ = radio_at(room, 1, 0)
            receiver_radio, receiver = radio_at(room, 2, 2)
            called: list[Outcome] = []
            sender.transmit(data(2, 1, 60), lambda o, p, called=called: called.append(o))
            await asyncio.sleep(moment)
            cut_off = sender.exchange is not None
            sender.detach()
            sender.detach()
            assert not timers()
            await asyncio.sleep(0.1)
            assert bool(called) is not cut_off
            assert bool(receiver.frames) is not cut_off
            receiver_radio.detach()
            assert not room.radios

    run(main())


def test_a_radio_takes_one_frame_at_a_time_and_none_that_is_too_long() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        with pytest.raises(ValueError, match="does not fit"):
            sender.transmit(bytes(126), lambda o, p: None)
        done = sending(sender, data(0xFFFF, 1))
        with pytest.raises(RuntimeError):
            sender.transmit(data(0xFFFF, 1), lambda o, p: None)
        await done

    run(main())


def captured(seed: int) -> bytes:
    stream = io.BytesIO()

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        room = air(seed, Propagation())
        writer = TapWriter(stream, lambda: 1_700_000_000_000_000 + round(loop.time() * 1e6))
        radios = [radio_at(room, 1 + i, 4.0 * i)[0] for i in range(3)]
        room.capture_to(writer, beside=radios[0])
        for sequence in range(20):
            await asyncio.gather(
                sending(radios[1], data(1, 2, 30, sequence)),
                sending(radios[2], data(1, 3, 30, sequence)),
            )
        return stream.getvalue()

    return run(main())


def test_the_same_seed_gives_the_same_run_to_the_octet() -> None:
    assert captured(5) == captured(5)
    assert captured(5) != captured(6)


def test_a_capture_has_tap_headers_frames_with_fcs_and_times_in_order() -> None:
    octets = captured(5)
    magic, major, minor, _, _, _, linktype = struct.unpack_from("<IHHiIII", octets)
    assert (magic, major, minor, linktype) == (0xA1B2C3D4, 2, 4, 283)
    at, times, kinds = 24, [], []
    while at < len(octets):
        seconds, micros, kept, length = struct.unpack_from("<IIII", octets, at)
        assert kept == length
        record = octets[at + 16 : at + 16 + kept]
        version, reserved, header = struct.unpack_from("<BBH", record)
        assert (version, reserved) == (0, 0)
        assert header % 4 == 0
        psdu = record[header:]
        mac.check_fcs(psdu)
        kinds.append(psdu[0] & 7)
        if kinds[-1] == mac.Kind.DATA:
            times.append(seconds * 1_000_000 + micros)
        at += 16 + kept
    assert times == sorted(times)
    assert kinds.count(mac.Kind.ACK) == 40
    assert kinds.count(mac.Kind.DATA) >= 40


def test_energy_of_a_quiet_and_of_a_busy_channel() -> None:
    async def main() -> None:
        room = air()
        listener, _ = radio_at(room, 1, 0)
        talker, _ = radio_at(room, 2, 3)
        medium = room.medium(0, 15)
        medium.start_energy_measurement(listener)
        await asyncio.sleep(0.1)
        assert medium.end_energy_measurement(listener) == pytest.approx(NOISE_DBM, abs=2.1)
        medium.start_energy_measurement(listener)
        await sending(talker, data(0xFFFF, 2))
        assert medium.end_energy_measurement(listener) == pytest.approx(
            talker.mean_rssi_at(listener)
        )
        room.noise_dbm[0, 15] = -60
        medium.start_energy_measurement(listener)
        assert medium.end_energy_measurement(listener) == -60

    run(main())


def test_a_radio_that_sends_hears_nothing_meanwhile() -> None:
    async def main() -> None:
        # Too far apart for carrier sense, well in reach of each other.
        room = air()
        left, left_heard = radio_at(room, 10, 0)
        right, right_heard = radio_at(room, 11, 70)
        assert left.mean_rssi_at(right) == pytest.approx(-83.9, abs=0.2)
        seen = OnAir()
        room.capture_to(seen)  # type: ignore[arg-type]
        together = 0
        for sequence in range(60):
            seen.frames.clear()
            left_heard.frames.clear()
            right_heard.frames.clear()
            await asyncio.gather(
                sending(left, data(0xFFFF, 10, 100, sequence)),
                sending(right, data(0xFFFF, 11, 100, sequence)),
            )
            first, second = sorted(seen.frames)
            if second[0] < first[1]:
                together += 1
                assert not left_heard.frames
                assert not right_heard.frames
        assert together > 20

    run(main())


def test_a_noisy_room_costs_sensitivity_and_link_quality_and_a_quiet_one_gains_none() -> None:
    assert reception_probability(-80, -100, None, -99) == 1.0
    assert reception_probability(-80, -100, None, -76) == pytest.approx(0.5)
    assert reception_probability(-80, -100, None, -60) < 1e-4
    assert reception_probability(-103, -100, None, -130) == pytest.approx(0.5)
    assert link_quality(-80, None, -90) < link_quality(-80) == link_quality(-80, None, -120)
