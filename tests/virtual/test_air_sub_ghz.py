"""The air below 1 GHz: frame timing, listen before talk, and the airtime that radios count."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest
from node_pair import CLEAN, run

from labctl.smart_energy.airtime import frame_airtime_us
from labctl.virtual.air import Air, Radio
from labctl.virtual.exchange import Outcome
from labctl.virtual.frames import mac
from labctl.virtual.interference import channel_hog
from labctl.virtual.phy import PHY_868, PHY_2450, centre_mhz
from labctl.virtual.propagation import link_quality

PAN = 0x2868
LBT = PHY_868.lbt
assert LBT is not None

ACK_US = 1360
"""(8 + 2 + 2 + 5) octets of 80 µs."""


class Client:
    """A radio's owner that remembers when frames came, and that can be told to say no."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, bytes, int, int]] = []
        self.room_us: int | None = None
        self.asked: list[int] = []
        self.spending: list[tuple[int, bool]] = []

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        self.frames.append((asyncio.get_running_loop().time(), psdu, rssi_dbm, lqi))

    def frame_pending(self, psdu: bytes) -> bool:
        return False

    def permits(self, us: int) -> bool:
        self.asked.append(us)
        return self.room_us is None or us <= self.room_us

    def spent(self, us: int, psdu: bytes, *, ack: bool) -> None:
        self.spending.append((us, ack))
        if self.room_us is not None:
            self.room_us -= us


class OnAir:
    """Takes the place of a capture: (begin, end, source) of each data frame."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, float, int]] = []

    def frame(self, psdu: bytes, *, age_s: float, **_: object) -> None:
        if psdu[0] & 7 == mac.Kind.DATA:
            start = asyncio.get_running_loop().time() - age_s
            source = int.from_bytes(psdu[7:9], "little")
            self.frames.append((start, start + PHY_868.airtime_s(len(psdu)), source))


def radio_at(air: Air, short: int, x: float, *, page: int = 28) -> tuple[Radio, Client]:
    client = Client()
    radio = air.attach(client, name=f"r{short:04x}", position=(x, 0.0, 0.0), tx_power_dbm=14)
    radio.set_addresses(PAN, short, short.to_bytes(8, "little"))
    radio.tune(page, 3 if page else 15)
    radio.listen(True)
    return radio, client


def data(destination: int, source: int, octets: int = 40, sequence: int = 1) -> bytes:
    return mac.encode_data(sequence & 0xFF, PAN, destination, source, bytes(octets))


def sending(radio: Radio, frame: bytes) -> asyncio.Future[tuple[Outcome, float]]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Outcome, float]] = loop.create_future()
    radio.transmit(frame, lambda outcome, _: future.set_result((outcome, loop.time())))
    return future


def air(seed: int = 1) -> Air:
    return Air(rng=random.Random(seed), propagation=CLEAN)


def test_an_octet_takes_80_us_and_a_frame_has_twelve_more_of_them() -> None:
    assert PHY_868.airtime_us(5) == ACK_US
    assert PHY_868.airtime_us(127) == 11120
    assert PHY_2450.airtime_us(127) == 4256
    for octets in (5, 12, 60, 127):
        for page in (0, 28, 29, 30, 31):
            phy = PHY_868 if page else PHY_2450
            assert phy.airtime_us(octets) == frame_airtime_us(page, octets)


def test_an_acknowledgement_comes_in_its_window() -> None:
    assert PHY_868.turnaround_s == pytest.approx(450e-6), "aLBTAckWindowStart"
    assert PHY_868.turnaround_s < LBT.ack_window_s < LBT.min_free_s
    assert PHY_868.ack_wait_s == pytest.approx(1e-3 + ACK_US * 1e-6)


def test_channels_are_200_khz_apart() -> None:
    assert centre_mhz(28, 0) == pytest.approx(863.25)
    assert centre_mhz(28, 26) == pytest.approx(868.45)
    assert centre_mhz(29, 62) == pytest.approx(875.65)
    assert centre_mhz(31, 26) == pytest.approx(920.55)
    assert centre_mhz(0, 26) == pytest.approx(2480.0)


def test_the_channel_is_listened_to_for_5_ms_and_a_random_time_before_each_frame() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        _, receiver = radio_at(room, 2, 2)
        waits = []
        for sequence in range(60):
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            outcome, end = await sending(sender, data(2, 1, sequence=sequence))
            assert outcome is Outcome.SENT
            frame_us = PHY_868.airtime_us(51)
            waits.append(end - began - 450e-6 - frame_us * 1e-6 - 450e-6 - ACK_US * 1e-6)
        assert len(receiver.frames) == 60
        assert all(5e-3 - 1e-9 <= wait <= 10e-3 + 151e-6 for wait in waits)
        steps = {round((wait - 5e-3) / 0.5e-3) for wait in waits}
        assert len(steps) > 8, "0 to 10 steps of half a millisecond"
        for wait in waits:
            rest = (wait - 5e-3) % 0.5e-3
            assert min(rest, 0.5e-3 - rest) < 151e-6, "and what a processor needs"

    run(main())


def test_a_radio_is_off_for_100_ms_between_its_own_frames() -> None:
    async def main() -> None:
        room = air()
        seen = OnAir()
        room.capture_to(seen)  # type: ignore[arg-type]
        sender, _ = radio_at(room, 1, 0)
        radio_at(room, 2, 2)
        for sequence in range(20):
            assert (await sending(sender, data(2, 1, sequence=sequence)))[0] is Outcome.SENT
        gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(seen.frames)]
        assert len(gaps) == 19
        assert all(0.105 <= gap <= 0.1112 for gap in gaps)

    run(main())


def test_repetitions_keep_the_off_time_too() -> None:
    async def main() -> None:
        room = air()
        seen = OnAir()
        room.capture_to(seen)  # type: ignore[arg-type]
        sender, _ = radio_at(room, 1, 0)
        assert (await sending(sender, data(2, 1)))[0] is Outcome.NO_ACK
        assert len(seen.frames) == 4
        gaps = [later[0] - earlier[1] for earlier, later in itertools.pairwise(seen.frames)]
        assert all(gap >= 0.1 for gap in gaps)

    run(main())


def test_at_2_4_ghz_nobody_has_to_be_off() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0, page=0)
        radio_at(room, 2, 2, page=0)
        began = asyncio.get_running_loop().time()
        for sequence in range(20):
            await sending(sender, data(2, 1, sequence=sequence))
        assert asyncio.get_running_loop().time() - began < 0.2

    run(main())


def test_a_frame_is_never_begun_into_one_that_is_heard() -> None:
    """Whoever hears a frame or its acknowledgement waits for it and for 5 ms of silence after."""

    async def main() -> None:
        room = air()
        seen = OnAir()
        room.capture_to(seen)  # type: ignore[arg-type]
        radio_at(room, 1, 1)
        radios = [radio_at(room, 10 + i, 0.5 * i)[0] for i in range(4)]

        async def talk(radio: Radio, short: int) -> list[Outcome]:
            outcomes = []
            for sequence in range(40):
                outcomes.append((await sending(radio, data(1, short, 90, sequence)))[0])
                await asyncio.sleep(0.3 * room.rng.random())
            return outcomes

        results = await asyncio.gather(*(talk(each, 10 + i) for i, each in enumerate(radios)))
        outcomes = list(itertools.chain(*results))
        assert outcomes.count(Outcome.SENT) > 0.95 * len(outcomes)
        frames = sorted(seen.frames)
        for earlier, later in itertools.pairwise(frames):
            gap = later[0] - earlier[1]
            together = later[0] - earlier[0]
            assert gap >= 5e-3 or together <= PHY_868.turnaround_s + 1e-9, (
                "only who decides within the other's turnaround does not hear him"
            )

    run(main())


def test_a_radio_that_is_gone_was_heard_all_the_same() -> None:
    async def main() -> None:
        room = air()
        (one, _), (two, _), (three, heard) = (radio_at(room, n, float(n)) for n in (1, 2, 3))
        going = sending(one, data(3, 1))
        medium = three.medium
        assert medium is not None
        for _ in range(200):  # it listens for 5 to 10 ms
            if not any(each.on_air for each in medium.exchanges):
                await asyncio.sleep(1e-4)
        ends_s = medium.exchanges[0].end
        await asyncio.sleep(ends_s - 1e-3 - asyncio.get_running_loop().time())
        sent = sending(two, data(3, 2))  # which listens for 5 ms at least
        await going
        one.detach()
        outcome, _ = await asyncio.wait_for(sent, 1.0)
        assert outcome is Outcome.SENT
        assert [frame[7] for _, frame, *_ in heard.frames] == [1, 2]
        assert one not in medium.radios

    run(main())


def test_a_channel_that_is_never_silent_ends_the_attempt_after_60_ms() -> None:
    async def main() -> None:
        room = air()
        radio, _ = radio_at(room, 1, 0)
        radio_at(room, 2, 2)
        carrier = channel_hog("jammer", page=28, channel=3, duty=1.0, level_dbm=-60)
        room.disturb(carrier)
        began = asyncio.get_running_loop().time()
        outcome, end = await sending(radio, data(2, 1))
        assert outcome is Outcome.CHANNEL_BUSY
        assert end - began == pytest.approx(60e-3, abs=1e-6)
        assert radio.airtime_us == 0
        room.hush(carrier)
        assert (await sending(radio, data(2, 1)))[0] is Outcome.SENT

    run(main())


def test_radios_count_every_microsecond_that_they_send() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0)
        receiver, _ = radio_at(room, 2, 2)
        pieces: list[int] = []
        sender.on_airtime = pieces.append
        lost = iter((True, True, False))
        room.drop = lambda _, to, psdu: to is receiver and next(lost)
        assert (await sending(sender, data(2, 1, 40)))[0] is Outcome.SENT
        frame_us = PHY_868.airtime_us(51)
        assert pieces == [frame_us] * 3, "two repetitions"
        assert sender.airtime_us == 3 * frame_us
        assert receiver.airtime_us == ACK_US

    run(main())


def test_airtime_is_counted_at_2_4_ghz_as_well() -> None:
    async def main() -> None:
        room = air()
        sender, _ = radio_at(room, 1, 0, page=0)
        receiver, _ = radio_at(room, 2, 2, page=0)
        for sequence in range(5):
            await sending(sender, data(2, 1, 40, sequence))
        assert sender.airtime_us == 5 * 32 * (6 + 51)
        assert receiver.airtime_us == 5 * 32 * (6 + 5)

    run(main())


def test_a_regulated_radio_sends_nothing_that_it_may_not() -> None:
    async def main() -> None:
        room = air()
        sender, account = radio_at(room, 1, 0)
        receiver, other = radio_at(room, 2, 2)
        sender.regulator = account
        receiver.regulator = other
        frame_us = PHY_868.airtime_us(51)
        account.room_us = 2 * frame_us
        for sequence in range(2):
            assert (await sending(sender, data(2, 1, sequence=sequence)))[0] is Outcome.SENT
        before = asyncio.get_running_loop().time()
        outcome, at = await sending(sender, data(2, 1, sequence=9))
        assert outcome is Outcome.SUSPENDED
        assert at == before, "nobody listens for what may not be sent"
        assert account.spending == [(frame_us, False)] * 2
        assert other.spending == [(ACK_US, True)] * 2
        other.room_us = ACK_US - 1
        account.room_us = None
        assert (await sending(sender, data(2, 1, sequence=10)))[0] is Outcome.NO_ACK
        assert len(other.frames) == 2 + 4, "heard, but not acknowledged: sent four times"
        assert (await sending(sender, data(0xFFFF, 1, sequence=11)))[0] is Outcome.SENT

    run(main())


def test_the_account_may_run_dry_between_repetitions() -> None:
    async def main() -> None:
        room = air()
        sender, account = radio_at(room, 1, 0)
        sender.regulator = account
        account.room_us = 2 * PHY_868.airtime_us(51)
        assert (await sending(sender, data(2, 1)))[0] is Outcome.SUSPENDED
        assert len(account.spending) == 2
        assert sender.exchange is None
        account.room_us = None
        assert (await sending(sender, data(2, 1)))[0] is Outcome.NO_ACK

    run(main())


def test_a_narrow_receiver_has_less_noise() -> None:
    """40 dB of signal to noise are an LQI of 255 in either band."""
    assert link_quality(-73, None, -99, PHY_868.noise_dbm) == 255
    assert link_quality(-113, None, -99, PHY_868.noise_dbm) == 0
    assert link_quality(-73) < 255
    assert link_quality(-73, None, -89, PHY_868.noise_dbm) < 255, "a noisy room"
