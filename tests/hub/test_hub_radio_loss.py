"""A hub whose radio goes away and comes back: what it keeps, sets right, and writes down."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import (
    CAD,
    CAD_EUI64,
    IHD_EUI64,
    IHD_KEY,
    Bench,
    FakeCoordinator,
    with_hub,
    with_keys,
)

from labctl.errors import RigError
from labctl.events import (
    JoinEnded,
    JoinOutcome,
    Note,
    PairingWindowClosed,
    RadioLost,
    RadioUp,
)
from labctl.hub import PairingRequest
from labctl.hub.device_log import KeyState
from labctl.secret import Secret

WINDOW = PairingRequest(eui64=IHD_EUI64, window_s=600)
ESTABLISHED = Secret(b"\xe1" * 16)


async def away_and_back(bench: Bench, seconds: float = 30.0) -> None:
    bench.listener.connection_lost("unplugged")
    await asyncio.sleep(seconds)
    states = await bench.radio.start(bench.radio.settings, bench.radio.endpoints)  # type: ignore[arg-type]
    await bench.listener.connection_restored(states)


def test_loss_and_return_are_recorded_each_once() -> None:
    async def scenario(bench: Bench) -> None:
        bench.listener.connection_lost("unplugged")
        bench.listener.connection_lost("unplugged")
        await away_and_back(bench)
        assert [lost.cause for lost in bench.of(RadioLost)] == ["unplugged"]
        assert len(bench.of(RadioUp)) == 2
        await away_and_back(bench)
        assert len(bench.of(RadioLost)) == 2
        assert len(bench.of(RadioUp)) == 3

    with_keys(scenario)


def test_the_loss_says_since_when_nothing_was_heard() -> None:
    class Hung(FakeCoordinator):
        def silent_s(self, bearer: int = 0) -> float:
            return 27.5

    async def scenario(bench: Bench) -> None:
        bench.listener.connection_lost("it does not answer any more")
        (lost,) = bench.of(RadioLost)
        assert lost.silent_us == 27_500_000

    with_hub(scenario, radio=Hung())


def test_devices_are_served_again_without_being_paired_again() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.read(0x0702, 0x0000) is not None
        await away_and_back(bench)
        assert await device.read(0x0702, 0x0000) is not None
        assert bench.hub.authorised(IHD_EUI64)

    with_keys(scenario)


def test_a_key_that_the_radio_lost_is_given_to_it_again() -> None:
    async def scenario(bench: Bench) -> None:
        bench.listener.connection_lost("unplugged")
        del bench.radio.keys[IHD_EUI64]
        await away_and_back(bench)
        assert bench.radio.keys[IHD_EUI64] == ESTABLISHED
        assert [note.eui64 for note in bench.of(Note) if note.kind == "key-restored"] == [IHD_EUI64]

    with_keys(scenario)


def test_a_window_goes_on_and_its_device_gets_in() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        bench.radio.permits.clear()
        await away_and_back(bench, 100)
        assert bench.radio.keys[IHD_EUI64] == IHD_KEY
        assert bench.radio.permits[-1][1] == 254
        assert not bench.of(PairingWindowClosed)
        device = bench.device()
        await device.join()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_a_window_that_ends_meanwhile_leaves_no_key_behind() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await away_and_back(bench, 700)
        assert IHD_EUI64 not in bench.radio.keys
        assert bench.radio.permits[-1][1] == 0
        assert [closed.authorised for closed in bench.of(PairingWindowClosed)] == [False]

    with_hub(scenario)


def test_a_join_under_way_ends_as_infrastructure_and_another_may_follow() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        device = bench.device()
        device.associate()
        await away_and_back(bench)
        (end,) = bench.of(JoinEnded)
        assert (end.outcome, end.cause) == (JoinOutcome.FAILED, "the radio was lost: unplugged")
        await device.join()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_a_key_whose_confirmation_was_under_way_has_yet_to_be_proven() -> None:
    """The device may hold it or not: it is neither taken for established nor thrown away."""

    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        device = bench.device()
        device.associate()
        device.announce()
        await bench.settle()
        slow = asyncio.Event()

        async def send(packet: object, send: object = bench.radio.send) -> None:
            if packet.cluster_id == 0x0800 and packet.data[2] == 0x02:  # type: ignore[attr-defined]
                slow.set()
                await asyncio.sleep(5)
                raise RigError("the stick is gone")
            await send(packet)  # type: ignore[operator]

        bench.radio.send = send  # type: ignore[method-assign, assignment]
        await device.establish()
        await slow.wait()
        await away_and_back(bench)
        entry = bench.hub.device_log().get(IHD_EUI64)
        assert entry is not None
        assert entry.key is KeyState.UNPROVEN
        assert not bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_what_the_radio_forgot_about_partner_keys_is_told_again() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.radio.partner_keys is True
        bench.radio.partner_keys = None
        await away_and_back(bench)
        assert bench.radio.partner_keys is True

    with_keys(scenario)


def test_a_return_that_fails_is_no_return() -> None:
    class Broken(FakeCoordinator):
        fails = 0

        async def link_keys(self) -> dict[object, Secret]:  # type: ignore[override]
            if self.fails:
                self.fails -= 1
                raise RigError("gone again")
            return dict(self.keys)

    radio = Broken({IHD_EUI64: ESTABLISHED})

    async def scenario(bench: Bench) -> None:
        radio.fails = 1
        with pytest.raises(RigError, match="gone again"):
            await away_and_back(bench)
        assert len(bench.of(RadioUp)) == 1
        await away_and_back(bench)
        assert len(bench.of(RadioLost)) == 1
        assert len(bench.of(RadioUp)) == 2

    with_hub(scenario, radio=radio)


def test_a_hub_that_ends_without_its_radio_closes_its_windows() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=600, device=CAD))
        bench.listener.connection_lost("unplugged")
        assert not bench.of(PairingWindowClosed)
        await bench.hub.stop()
        assert len(bench.of(PairingWindowClosed)) == 2

    with_hub(scenario)
