"""The airtime account of sub-GHz radios: what is counted, what a suspended stack does."""

from __future__ import annotations

import asyncio
import random

import pytest
from node_pair import (
    CAD,
    EXTENDED_PAN,
    HUB,
    LINK_KEY,
    NETWORK_KEY,
    Listener,
    Room,
    run,
    send,
)

from labctl.smart_energy.airtime import DutyCycleState, Limits
from labctl.virtual.frames import mac
from labctl.virtual.node import Node, NodeListener, Status
from labctl.virtual.phy import PHY_868

SUB_GHZ = (28, 26)
ACK_US = PHY_868.airtime_us(5)
S = 1_000_000


class Watcher(Listener):
    """Remembers when its radio was in which state."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[int, int, DutyCycleState]] = []

    def duty_cycle_changed(self, phy: int, state: DutyCycleState) -> None:
        self.states.append((round(asyncio.get_running_loop().time()), phy, state))


class Tape:
    """Takes the place of a capture: (page, sender if it says so, octets, when)."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int | None, int, float]] = []

    def frame(self, psdu: bytes, *, page: int, age_s: float, **_: object) -> None:
        sender: int | None = None
        if psdu[0] & 7 != mac.Kind.ACK and psdu[1] >> 6 == 2:
            short = psdu[1] >> 2 & 3 == 2
            sender = int.from_bytes(psdu[7:9] if short else psdu[5:7], "little")
        at = asyncio.get_running_loop().time() - age_s
        self.frames.append((page, sender, len(psdu), at))


class DualRoom(Room):
    """A hub on both bands, and devices below 1 GHz."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher = self.hub.listener = Watcher()
        assert self.hub.start_phy(1, *SUB_GHZ, 14)
        self.tape = Tape()
        self.air.capture_to(self.tape)  # type: ignore[arg-type]

    async def below(self, **options: object) -> Node:
        node = self.device(**options)  # type: ignore[arg-type]
        self.hub.permit_joining(60)
        (beacon,) = await node.active_scan([SUB_GHZ])
        assert await node.join(beacon, link_key=LINK_KEY) is None
        await node.sleep(1)
        return node


def test_2_4_ghz_has_no_account() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        assert room.hub.duty_cycle(0) is None
        assert room.hub.duty_cycle(1) is None
        assert device.duty_cycle() is None
        assert not room.hub.set_duty_cycle_limits(0, Limits())
        assert room.hub.sent_airtime_us() > 0

    run(main())


@pytest.mark.parametrize("page", [28, 29, 30, 31])
def test_the_limits_are_those_of_the_page(page: int) -> None:
    async def main() -> None:
        room = Room()
        channel = {28: 1, 29: 30, 30: 40, 31: 1}[page]
        assert room.hub.start_phy(1, page, channel, 14)
        found = room.hub.duty_cycle(1)
        assert found is not None
        assert found.state is DutyCycleState.NORMAL
        assert found.limits == Limits.of_page(page)
        assert found.limits.regulated_us == (100 if page < 30 else 90) * S

    run(main())


def test_the_account_is_what_the_capture_has() -> None:
    """Frames, repetitions and acknowledgements, to the microsecond; and each child's by itself."""

    async def main() -> None:
        room = DualRoom()
        device = await room.below()
        sleeper = await room.below(
            eui64=type(CAD)("00:12:4b:00:00:00:00:bb"), rx_on=False, position=(0.0, 6.0, 0.0)
        )
        lost = random.Random(3)
        room.air.drop = lambda *_: lost.random() < 0.1
        for _ in range(20):
            for node in (device, sleeper):
                await send(node, 0, bytes(lost.randrange(70)), aps_secured=True)
                await send(room.hub, node.state.nwk, bytes(lost.randrange(70)))
        room.air.drop = None
        await asyncio.sleep(5)
        total = sum(PHY_868.airtime_us(octets) for page, _, octets, _ in room.tape.frames if page)
        counted = {
            name: node.mac.radio.airtime_us for name, node in (("d", device), ("s", sleeper))
        }
        counted["hub"] = room.hub.sent_airtime_us(1)
        assert sum(counted.values()) == total
        found = room.hub.duty_cycle(1)
        assert found is not None
        assert found.used_us == counted["hub"]
        for node in (device, sleeper):
            own = node.duty_cycle()
            assert own is not None
            assert own.used_us == node.mac.radio.airtime_us
            heard = found.heard_us[node.state.nwk]
            # What was lost on the way cannot have been heard: of the rest all is.
            assert 0.8 * own.used_us < heard < own.used_us
            assert found.spent_us[node.state.nwk] > 0
        frames_to_all = found.used_us - sum(found.spent_us.values())
        assert frames_to_all >= 0

    run(main())


def test_without_losses_the_hub_hears_all_that_a_child_sends() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.below()
        before = device.mac.radio.airtime_us
        heard_before = room.hub.heard_airtime_us(1)[device.state.nwk]
        for _ in range(10):
            assert await send(device, 0, bytes(30), aps_secured=True) is Status.SUCCESS
            assert await send(room.hub, device.state.nwk, bytes(30)) is Status.SUCCESS
        await asyncio.sleep(1)
        heard = room.hub.heard_airtime_us(1)[device.state.nwk] - heard_before
        assert heard == device.mac.radio.airtime_us - before

    run(main())


def test_states_follow_the_hour_up_and_down() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.below()
        assert room.hub.set_duty_cycle_limits(1, Limits(1 * S, 2 * S, 3 * S))
        found = room.hub.duty_cycle(1)
        assert found is not None
        start_us = found.used_us

        async def talk_until(state: DutyCycleState) -> None:
            for _ in range(2000):
                await send(room.hub, device.state.nwk, bytes(60), ack=False)
                await asyncio.sleep(0)
                now = room.hub.duty_cycle(1)
                assert now is not None
                if now.state is state:
                    return
            raise AssertionError("it never came to that")

        for state, at_us in (
            (DutyCycleState.LIMITED, 1 * S),
            (DutyCycleState.CRITICAL, 2 * S),
            (DutyCycleState.SUSPENDED, 3 * S),
        ):
            await talk_until(state)
            now = room.hub.duty_cycle(1)
            assert now is not None
            if state is DutyCycleState.SUSPENDED:
                assert at_us - PHY_868.airtime_us(127) < now.used_us < at_us, "never reached"
            else:
                assert at_us <= now.used_us < at_us + PHY_868.airtime_us(127)
        assert start_us < 0.2 * S
        await asyncio.sleep(1)
        assert [state for _, _, state in room.watcher.states] == [
            DutyCycleState.LIMITED,
            DutyCycleState.CRITICAL,
            DutyCycleState.SUSPENDED,
        ]
        assert {phy for _, phy, _ in room.watcher.states} == {1}
        suspended_at = asyncio.get_running_loop().time()
        await asyncio.sleep(4200)
        assert room.watcher.states[-1][2] is DutyCycleState.NORMAL
        back_at = room.watcher.states[3][0]
        assert 3000 < back_at - suspended_at < 3900, "an hour after the first of it was spent"
        hub_frames = [at for page, _, _, at in room.tape.frames if page and at > suspended_at]
        assert min(hub_frames, default=back_at) >= suspended_at

    run(main())


def test_a_suspended_stack_sends_nothing_not_even_an_acknowledgement() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.below()
        short = device.state.nwk
        found = room.hub.duty_cycle(1)
        assert found is not None
        limit = found.used_us + 20_000
        assert room.hub.set_duty_cycle_limits(1, Limits(limit - 2, limit - 1, limit))
        while await send(room.hub, short, bytes(60), ack=False) is Status.SUCCESS:
            pass
        await asyncio.sleep(1)
        before = room.hub.sent_airtime_us(1)
        room.tape.frames.clear()
        began = asyncio.get_running_loop().time()
        assert await send(room.hub, short, b"no", ack=False) is Status.MAC_FAILURE
        assert asyncio.get_running_loop().time() - began < 0.2
        assert await send(room.hub, short, b"no") is Status.MAC_FAILURE
        assert await send(room.hub, 0xFFFF, b"no", ack=False) is Status.SUCCESS, "on the other PHY"
        assert await send(device, 0, b"hello?", ack=False) is Status.MAC_FAILURE
        assert await device.active_scan([SUB_GHZ]) == []
        assert room.hub.sent_airtime_us(1) == before
        below = [sender for page, sender, _, _ in room.tape.frames if page]
        assert below
        assert 0x0000 not in below
        assert 5 not in [octets for page, _, octets, _ in room.tape.frames if page], "no MAC ack"
        assert room.watcher.data[-1].payload == b"hello?", "it hears all the same"
        found = room.hub.duty_cycle(1)
        assert found is not None
        assert found.state is DutyCycleState.SUSPENDED
        assert room.hub.set_duty_cycle_limits(1, Limits.of_page(28))
        assert await send(room.hub, short, b"again") is Status.SUCCESS
        assert room.watcher.states[-1][2] is DutyCycleState.NORMAL

    run(main())


def test_a_suspended_device_does_not_take_its_parent_for_lost() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.below(rx_on=False)
        own = device.duty_cycle()
        assert own is not None
        limit = own.used_us + 2 * ACK_US
        watcher = Watcher()
        device.listener = watcher
        assert device.set_duty_cycle_limits(0, Limits(limit - 2, limit - 1, limit))
        await asyncio.sleep(120)
        assert watcher.states[-1][1:] == (0, DutyCycleState.SUSPENDED)
        assert watcher.parents_lost == 0
        assert await send(device, 0, b"x") is Status.MAC_FAILURE
        assert device.set_duty_cycle_limits(0, None)
        assert await send(device, 0, b"x") is Status.SUCCESS
        assert watcher.states[-1][1:] == (0, DutyCycleState.OFF)
        assert device.duty_cycle().limits is None  # type: ignore[union-attr]

    run(main())


def test_an_owner_may_suspend_a_phy_himself() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.below()
        room.hub.suspend_phy(1, True)
        assert await send(device, 0, b"x", ack=False) is Status.MAC_FAILURE
        assert await send(room.hub, device.state.nwk, b"x", ack=False) is Status.MAC_FAILURE
        room.hub.suspend_phy(1, False)
        assert await send(device, 0, b"x") is Status.SUCCESS

    run(main())


def test_the_account_goes_with_the_power_and_with_the_other_channels() -> None:
    async def main() -> None:
        room = Room()
        room.hub.form(
            page=28, channel=3, pan_id=5, extended_pan_id=EXTENDED_PAN, network_key=NETWORK_KEY
        )
        device = room.device()
        await device.active_scan([1, 2, 3], page=28)
        own = device.duty_cycle()
        assert own is not None
        assert own.used_us == 3 * PHY_868.airtime_us(10), "three beacon requests"
        device.mac.tune(0, 15)
        assert device.duty_cycle() is None
        device.mac.tune(28, 3)
        again = device.duty_cycle()
        assert again is not None
        assert again.used_us == own.used_us
        assert device.heard_airtime_us() == {0: PHY_868.airtime_us(28)}, "a beacon"
        device.power_off()
        assert device.duty_cycle() is None
        device.power_on()
        await device.active_scan([3], page=28)
        assert device.duty_cycle().used_us == PHY_868.airtime_us(10)  # type: ignore[union-attr]
        assert room.hub.state.eui64 == HUB

    run(main())


def test_a_listener_that_does_not_care_need_not() -> None:
    NodeListener().duty_cycle_changed(1, DutyCycleState.LIMITED)


def test_200_requests_a_second_arrive() -> None:
    """The APS counter has 256 values: whoever sends that fast uses each again after 1.3 s."""

    async def main() -> None:
        room = Room()
        device = await room.joined()
        outcomes: list[Status] = []
        for number in range(2000):
            refused = device.request(
                0,
                source_endpoint=2,
                destination_endpoint=1,
                profile_id=0x0109,
                cluster_id=0x0702,
                payload=number.to_bytes(2, "little"),
                ack=False,
                done=outcomes.append,
            )
            assert refused is None
            await asyncio.sleep(0.005)
        await asyncio.sleep(2)
        assert outcomes.count(Status.SUCCESS) == 2000
        numbers = [int.from_bytes(each.payload, "little") for each in room.hub_heard.data]
        assert numbers == list(range(2000))
        assert room.hub.counters["aps_rx_duplicate"] == 0

    run(main())


@pytest.mark.parametrize(("gap_s", "copies"), [(1.7, 1), (4.9, 1), (7.0, 2)])
def test_a_copy_is_one_as_long_as_its_sender_may_repeat_it(gap_s: float, copies: int) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        for _ in range(2):
            assert await send(device, 0, b"once", counter=77) is Status.SUCCESS
            await asyncio.sleep(gap_s)
        assert [each.payload for each in room.hub_heard.data] == [b"once"] * copies
        assert room.hub.counters["aps_rx_duplicate"] == 2 - copies

    run(main())


def test_sleepers_remember_for_as_long_as_frames_wait_for_them() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        for _ in range(2):
            assert await send(room.hub, device.state.nwk, b"once", counter=77) is Status.SUCCESS
            await asyncio.sleep(20)
        assert [each.payload for each in room.heard[CAD].data] == [b"once"]
        await asyncio.sleep(30)
        assert await send(room.hub, device.state.nwk, b"once", counter=77) is Status.SUCCESS
        assert len(room.heard[CAD].data) == 2

    run(main())
