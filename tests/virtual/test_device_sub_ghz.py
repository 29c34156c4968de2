"""Devices on 868 MHz: silent when they are told to, gone where the hub goes, frank about losses."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from device_air import Coordinator
from device_bench import DEVICE, EXTENDED_PAN, NETWORK_KEY, Request, ScriptedHub, identity

from labctl.events import Band
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.clock import run
from labctl.virtual.devices import Behaviour, Timings, VirtualDevice, What
from labctl.virtual.devices.bands import Bands
from labctl.virtual.interference import channel_hog
from labctl.virtual.node import Indication

HERE, THERE = Channel(28, 5), Channel(29, 30)
SUB_GHZ, METERING, KEEP_ALIVE, DIAGNOSTICS = 0x070B, 0x0702, 0x0025, 0x0B05
BELOW = Bands((Band.MHZ_868,))
BOTH = Bands((Band.GHZ_2_4, Band.MHZ_868))
MINUTE_S = 60.0
NEIGHBOUR = Eui64("00:0d:6f:00:0a:90:69:e8")


class SubGhzHub(Coordinator):
    """A coordinator below 1 GHz, with the server that silences devices. `minutes` is what it says
    to whoever asks, `change` what it says in ChannelChange."""

    def __init__(self) -> None:
        super().__init__()
        self.minutes = 0
        self.change = 0
        self.told: list[tuple[float, bytes]] = []  # Mgmt_NWK_Unsolicited_Enhanced_Update_notify

    def start(self, at: Channel = HERE) -> None:
        self.node.power_on()
        self.node.form(
            page=at.page,
            channel=at.number,
            pan_id=0x1234,
            extended_pan_id=EXTENDED_PAN,
            network_key=NETWORK_KEY,
        )
        self.node.permit_joining(255)

    def with_server(self) -> ScriptedHub:
        hub = self.list_device()
        hub.servers[1].append(SUB_GHZ)
        hub.clients[2] = (0x0800, METERING)  # that of a mirror
        hub.commands[SUB_GHZ, 0x00] = lambda _payload: [(0x00, bytes((self.minutes,)))]
        hub.attributes[1, SUB_GHZ] = {0x0000: b"\x1b" + self.change.to_bytes(4, "little")}
        self.list_device_endpoints(hub)
        return hub

    def suspend(self, payload: bytes) -> None:
        self.push(1, SUB_GHZ, b"\x19\x01\x00" + payload)

    def zdo_observed(self, indication: Indication) -> None:
        super().zdo_observed(indication)
        if indication.cluster_id == 0x803B:
            self.told.append((asyncio.get_running_loop().time(), indication.payload))

    def broadcast(self, channel: Channel, duration: int = 0xFE) -> None:
        """Mgmt_NWK_Update_req to all."""
        self.node.request(
            0xFFFF,
            source_endpoint=0,
            destination_endpoint=0,
            profile_id=0,
            cluster_id=0x0038,
            payload=b"\x11" + channel.mask.to_bytes(4, "little") + bytes((duration, 7)),
            ack=False,
            done=lambda _status: None,
        )

    def go(self, channel: Channel) -> None:
        self.node.set_phy_channel(0, channel.page, channel.number)


Main = Callable[[SubGhzHub, ScriptedHub, VirtualDevice], Awaitable[None]]


def play(main: Main, kind: str = "cad", at: Channel = HERE, **settings: object) -> None:
    settings.setdefault("bands", BELOW)

    async def wrapped() -> None:
        coordinator = SubGhzHub()
        coordinator.start(at)
        hub = coordinator.with_server()
        device = coordinator.device(kind, **settings)
        device.power_on()
        try:
            await main(coordinator, hub, device)
        finally:
            await device.power_off()
            coordinator.node.power_off()

    run(wrapped(), fast=True)


async def until(condition: Callable[[], object], step_s: float = 1.0) -> None:
    """Wait for something to be so, for an hour at most."""
    end = now() + 3600
    while not condition():
        assert now() < end, "it never came"
        await asyncio.sleep(step_s)


def now() -> float:
    return asyncio.get_running_loop().time()


def between(hub: ScriptedHub, start: float, end: float) -> list[Request]:
    """All ZCL frames of the device in that time."""
    return [request for request in hub.requests if start <= request.at_s < end]


def asks(hub: ScriptedHub) -> list[Request]:
    return [r for r in hub.requests if r.cluster_id == SUB_GHZ and r.control & 1]


def reads_of_channel(hub: ScriptedHub) -> list[Request]:
    return [r for r in hub.requests if r.cluster_id == SUB_GHZ and not r.control & 1]


# -- suspension -----------------------------------------------------------------------------------


def test_it_asks_whether_it_may_talk_after_its_registration_and_first_of_all_after_a_rejoin() -> (
    None
):
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(2 * MINUTE_S)
        (asked,) = asks(hub)
        assert asked.aps_secured
        assert (asked.command, asked.payload) == (0x00, b"")
        first_read = min(r.at_s for r in hub.requests if r.cluster_id == METERING)
        assert asked.at_s < first_read
        await device.power_off()
        back = now()
        device.power_on()
        await asyncio.sleep(2 * MINUTE_S)
        said = between(hub, back, now())
        assert said[0].cluster_id == SUB_GHZ
        assert len(asks(hub)) == 2
        assert [r for r in said if r.cluster_id == METERING]
        assert not device.observations.of(What.SUSPENDED)

    play(main)


def test_one_that_comes_back_while_it_is_suspended_registers_when_that_is_over() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(2 * MINUTE_S)
        await device.power_off()
        back = now()
        coordinator.minutes = 3
        device.power_on()
        await asyncio.sleep(6 * MINUTE_S)
        asked, *others = between(hub, back, now())
        assert asked.cluster_id == SUB_GHZ
        assert 180 < others[0].at_s - asked.at_s < 210
        assert [r for r in others if r.cluster_id == METERING]

    play(main)


@pytest.mark.parametrize(
    ("payload", "minutes"), [(b"\x02", 2), (b"\x09", 9), (b"", 5)], ids=["2", "9", "not said"]
)
def test_suspended_it_sends_no_zcl_frame_for_the_announced_minutes(
    payload: bytes, minutes: int
) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        polls = coordinator.node.counters["mac_rx"]
        start = now()
        coordinator.suspend(payload)
        await asyncio.sleep(minutes * MINUTE_S)
        assert between(hub, start + 0.1, now()) == []
        assert len(hub.zdo_requests) == 0
        assert coordinator.node.counters["mac_rx"] - polls >= minutes, "it polls all the same"
        await asyncio.sleep(MINUTE_S)
        resumed = between(hub, start + 0.1, now())[0].at_s
        assert 1 <= resumed - start - minutes * MINUTE_S < 21  # its silence, and its next slot
        (suspended,) = device.observations.of(What.SUSPENDED)
        assert suspended.detail == f"{minutes} min"
        assert device.observations.counts[What.RESUMED] == 1
        count = device.observations.read("electricity")
        assert count.lost == pytest.approx(minutes * 6, abs=2)
        assert count.failed == 0
        assert not device.observations.of(What.KEEP_ALIVE_FAILED)
        assert not device.observations.of(What.NETWORK_LOST)

    play(main)


def test_a_suspension_is_lifted_and_prolonged_by_the_hub() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        start = now()
        coordinator.suspend(b"\x02")
        await asyncio.sleep(MINUTE_S)
        coordinator.suspend(b"\x04")
        await asyncio.sleep(3.5 * MINUTE_S)
        assert between(hub, start + 0.1, now()) == []
        coordinator.suspend(b"\x00")
        lifted = now()
        await asyncio.sleep(15)
        assert between(hub, lifted, now())
        assert device.observations.of(What.RESUMED)[-1].detail == "the hub says so"

    play(main)


def test_what_is_under_way_when_it_is_suspended_is_given_up_and_no_failure() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        hub.deaf_to.add(METERING)  # the frame is acknowledged, an answer does not come
        seen = len(hub.requests)
        await until(lambda: any(r.cluster_id == METERING for r in hub.requests[seen:]), 0.05)
        coordinator.suspend(b"\x01")
        hub.deaf_to.clear()
        await asyncio.sleep(2 * MINUTE_S)
        assert device.observations.read("electricity").failed == 0
        assert device.observations.of(What.READ_FAILED) == []

    play(main)


def test_not_even_a_repetition_of_what_nobody_acknowledged_goes_out() -> None:
    """The hub's stack takes frames and answers with nothing but a Suspend, at its first word."""

    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        unacknowledged: list[float] = []
        received = coordinator.node.aps._data

        def lossy(*arguments: object) -> None:
            # The frame arrived on the MAC, and its APS acknowledgement is not sent.
            unacknowledged.append(now())
            if len(unacknowledged) == 1:
                coordinator.suspend(b"\x02")

        coordinator.node.aps._data = lossy  # type: ignore[method-assign,assignment]
        await until(lambda: unacknowledged, 0.01)
        await asyncio.sleep(1.9 * MINUTE_S)
        assert unacknowledged[1:] == []
        coordinator.node.aps._data = received  # type: ignore[method-assign]
        assert device.observations.counts[What.SUSPENDED] == 1

    play(main)


def test_a_read_that_falls_into_the_silence_and_comes_seldom_is_made_good() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(40 * MINUTE_S)
        gas = [r.at_s for r in hub.reads(3, 0x0000)]
        due = gas[-1] + 1800
        await asyncio.sleep(due - 60 - now())
        coordinator.suspend(b"\x05")
        await asyncio.sleep(8 * MINUTE_S)
        made_good = [r.at_s for r in hub.reads(3, 0x0000)][-1]
        assert 240 < made_good - due < 262

    play(main)


def test_no_suspend_gets_a_default_response() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        for frame in (b"\x09\x01\x00\x00", b"\x19\x02\x00\x00", b"\x09\x03\x00\x01\x02\x03"):
            coordinator.push(1, SUB_GHZ, frame)
            await asyncio.sleep(2)
        assert [r for r in hub.requests if r.cluster_id == SUB_GHZ and r.command == 0x0B] == []
        assert device.observations.of(What.GARBAGE)[-1].detail == "Suspend ZCL Messages is too long"

    play(main)


def test_it_answers_nothing_while_it_is_suspended() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        read = b"\x00\x09\x00\x1c\x01\x1d\x01"
        coordinator.push(1, DIAGNOSTICS, read)
        await asyncio.sleep(2)
        (answer,) = [r for r in hub.requests if r.cluster_id == DIAGNOSTICS]
        assert answer.command == 0x01
        coordinator.suspend(b"\x05")
        await asyncio.sleep(1)
        coordinator.push(1, DIAGNOSTICS, read)
        await asyncio.sleep(2)
        assert len([r for r in hub.requests if r.cluster_id == DIAGNOSTICS]) == 1
        assert device.observations.tally["withheld while suspended"] == 1

    play(main, "ihd")


def test_a_gas_meter_that_is_suspended_pushes_when_it_may_again() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await until(lambda: any(r.command == 0x0A for r in hub.requests), 0.5)
        coordinator.suspend(b"\x03")  # in the middle of a push: it listens
        await asyncio.sleep(5)
        silent = now()
        await asyncio.sleep(3 * MINUTE_S - 6)
        assert between(hub, silent, now()) == []
        assert device.observations.counts[What.SUSPENDED] == 1
        await asyncio.sleep(MINUTE_S)
        reports = [r for r in between(hub, silent, now()) if r.command == 0x0A]
        assert len(reports) == 7
        assert reports[-1].payload[-4:] == b"\xfe\xff\x30\x01", "the last says that it is complete"
        assert not device.observations.of(What.NETWORK_LOST)

    play(main, "gas-meter")


def test_on_another_band_nobody_is_suspended() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        assert asks(hub) == []
        coordinator.suspend(b"\x05")
        start = now()
        await asyncio.sleep(2 * MINUTE_S)
        assert len(between(hub, start, now())) >= 11

    play(main, at=Channel(0, 20), bands=BOTH)


# -- knobs ----------------------------------------------------------------------------------------


def test_a_device_may_talk_on_though_suspended() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        start = now()
        coordinator.suspend(b"\x05")
        await asyncio.sleep(2 * MINUTE_S)
        assert len([r for r in between(hub, start, now()) if r.cluster_id == METERING]) >= 11
        assert "suspended for 5 min" in device.observations.of(What.PROVOKED)[0].detail

    play(main, behaviour=Behaviour(ignores_suspension=True))


def test_a_device_may_answer_suspend_with_a_default_response() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        start = now()
        coordinator.suspend(b"\x05")
        await asyncio.sleep(4 * MINUTE_S)
        (answer,) = between(hub, start + 0.1, now())
        assert (answer.cluster_id, answer.command, answer.payload) == (SUB_GHZ, 0x0B, b"\x00\x00")
        assert answer.aps_secured

    play(main, behaviour=Behaviour(answers_suspension=True))


def test_a_device_may_never_ask_whether_to_be_silent() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        assert asks(hub) == []
        assert hub.reads(2, 0x0000, 0x0400)

    play(main, behaviour=Behaviour(never_asks_suspension=True))


@pytest.mark.parametrize(("wrong", "page"), [(False, 0), (True, 28)])
def test_a_device_may_prefer_the_wrong_band(wrong: bool, page: int) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        coordinator.node.start_phy(1, HERE.page, HERE.number, 14)
        await asyncio.sleep(2 * MINUTE_S)
        assert device.node is not None
        assert device.node.state.page == page
        assert hub.reads(2, 0x0000, 0x0400)

    play(
        main,
        at=Channel(0, 20),
        bands=BOTH,
        behaviour=Behaviour(prefers_wrong_band=wrong),
    )


class SameBackoffs(random.Random):
    """An air on which all wait equally long before they talk: who begins together, collides."""

    def random(self) -> float:
        return 0.5


@pytest.mark.parametrize("seed", range(5))
def test_one_powered_together_with_another_that_it_does_not_hear_keeps_the_good_band(
    seed: int,
) -> None:
    """The hub hears both equally strongly: where both ask for beacons at once, it hears neither."""

    async def main() -> None:
        coordinator = SubGhzHub()
        air = coordinator.air
        air.rng = SameBackoffs()
        air.fading = (0.0,) * len(air.fading)
        air.propagation.shadowing_db = air.propagation.asymmetry_db = 0.0
        air.propagation.extra_loss_db[frozenset((DEVICE, NEIGHBOUR))] = 60.0
        coordinator.start(Channel(0, 20))
        coordinator.node.start_phy(1, HERE.page, HERE.number, 14)
        coordinator.with_server()
        device = coordinator.device(bands=BOTH, position=(6.0, 0.0, 0.0), rng=random.Random(seed))
        other = coordinator.device(
            eui64=NEIGHBOUR,
            identities={2: identity(NEIGHBOUR)},
            position=(-6.0, 0.0, 0.0),
            rng=random.Random(1000 + seed),
        )
        device.power_on()
        other.power_on()
        await until(lambda: device.observations.counts[What.JOINED])
        assert now() > 4.0, "the first look was not lost"
        assert device.node is not None
        assert device.node.state.page == 0
        await device.power_off()
        await other.power_off()
        coordinator.node.power_off()

    run(main(), fast=True)


# -- where the hub goes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("here", "there"),
    [(HERE, THERE), (Channel(0, 20), Channel(0, 25))],
    ids=["868 MHz", "2.4 GHz"],
)
def test_one_that_is_awake_goes_with_the_hub_without_a_rejoin(
    here: Channel, there: Channel
) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        coordinator.broadcast(there)
        await asyncio.sleep(8.5)
        assert device.node is not None
        assert device.node.state.channel == here.number, "it waits for everybody to have heard"
        await asyncio.sleep(0.7)
        coordinator.go(there)
        moved = now()
        await asyncio.sleep(MINUTE_S)
        assert len(between(hub, moved, now())) >= 6
        (followed,) = device.observations.of(What.CHANNEL_FOLLOWED)
        assert followed.detail == str(there)
        assert device.node.state.update_id == 7
        assert not device.observations.of(What.REJOINED)
        assert len(coordinator.admissions) == 1

    play(main, at=here, bands=BOTH)


def test_words_that_are_not_meant_for_it_move_nobody() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        coordinator.broadcast(Channel(0, 25))  # the other band
        coordinator.broadcast(replace(HERE, number=HERE.number + 1), duration=0x03)  # a scan
        coordinator.broadcast(HERE)
        await asyncio.sleep(MINUTE_S)
        assert device.node is not None
        assert device.node.state.channel == HERE.number
        assert not device.observations.of(What.CHANNEL_FOLLOWED)

    play(main)


@pytest.mark.parametrize("ignores", [False, True])
def test_whoever_was_left_behind_finds_the_hub_by_a_secured_rejoin(ignores: bool) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(5 * MINUTE_S)
        if ignores:
            coordinator.broadcast(THERE)
            await asyncio.sleep(9)
        coordinator.go(THERE)  # and nobody is told
        moved = now()
        await asyncio.sleep(8 * MINUTE_S)
        assert not device.observations.of(What.CHANNEL_FOLLOWED)
        (rejoined,) = device.observations.of(What.REJOINED)
        assert rejoined.at_s - moved < 7 * MINUTE_S
        assert [kind.value for _, kind in coordinator.admissions] == [
            "unsecured-join",
            "secured-rejoin",
        ]
        assert len([r for r in hub.requests if r.cluster_id == 0x0800]) == 3, "one pairing"

    play(main, bands=BOTH, behaviour=Behaviour(ignores_channel_change=ignores))


@pytest.mark.parametrize("goes", [True, False], ids=["it goes", "it stays after all"])
def test_a_gas_meter_reads_where_the_hub_goes_at_its_wake_up(goes: bool) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(40 * MINUTE_S)
        assert len(reads_of_channel(hub)) == 2, "one each wake-up"
        hub.attributes[1, SUB_GHZ] = {0x0000: b"\x1b" + THERE.mask.to_bytes(4, "little")}
        await until(lambda: len(reads_of_channel(hub)) == 3)
        await asyncio.sleep(39)
        hub.attributes[1, SUB_GHZ] = {0x0000: b"\x1b\x00\x00\x00\x00"}
        if goes:
            coordinator.go(THERE)
        moved = now()
        await asyncio.sleep(40 * MINUTE_S)
        seen = device.observations
        assert seen.of(What.CHANNEL_FOLLOWED)[0].detail == str(THERE)
        assert len([r for r in between(hub, moved, now()) if r.command == 0x0A]) >= 4
        assert seen.counts[What.REJOINED] == (0 if goes else 1)
        assert device.node is not None
        assert device.node.state.channel == (THERE if goes else HERE).number

    play(main, "gas-meter")


def test_nonsense_in_channel_change_moves_nobody() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        hub.attributes[1, SUB_GHZ] = {0x0000: b"\x1b\x03\x00\x00\xe0"}  # two channels
        await asyncio.sleep(5 * MINUTE_S)
        assert "not one channel" in device.observations.of(What.GARBAGE)[0].detail
        assert not device.observations.of(What.CHANNEL_FOLLOWED)

    play(main, "gas-meter")


# -- links ----------------------------------------------------------------------------------------


def test_a_device_that_loses_many_frames_tells_the_hub() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(20 * MINUTE_S)
        assert coordinator.told == []
        hog = channel_hog(
            "hog",
            page=HERE.page,
            channel=HERE.number,
            duty=0.5,
            level_dbm=14.0,
            position=(5.0, 3.0, 0.0),
            burst_s=0.2,
        )
        coordinator.air.disturb(hog)
        await asyncio.sleep(40 * MINUTE_S)
        assert coordinator.told
        for _, payload in coordinator.told:
            assert len(payload) == 13
            _, status, mask, total, failed, retries, minutes = struct.unpack("<BBIHHHB", payload)
            assert (status, mask, minutes) == (0, HERE.mask, 15)
            assert total >= 20
            assert failed >= total / 4
            assert retries <= 3 * total
        times = [at for at, _ in coordinator.told]
        assert all(later - earlier > 890 for earlier, later in pairwise(times))
        assert device.observations.counts[What.FRAMES_LOST] >= len(times)

    play(main)


def test_diagnostics_and_the_neighbour_table_tell_how_the_hub_is_heard() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        node = device.node
        assert node is not None
        coordinator.push(1, DIAGNOSTICS, b"\x00\x09\x00\x1b\x01\x1c\x01\x1d\x01")
        await asyncio.sleep(0.1)
        heard = node.parent_heard
        await asyncio.sleep(2)
        assert heard is not None
        (answer,) = [r for r in hub.requests if r.cluster_id == DIAGNOSTICS]
        retries, lqi, rssi = struct.unpack("<xxxxHxxxxBxxxxb", answer.payload)
        assert retries == 0
        assert (lqi, rssi) == (heard.lqi, heard.rssi_dbm)
        table = await coordinator.node.zdo(node.state.nwk, 0x0031, b"\x00")
        assert table is not None
        assert node.parent_heard is not None
        assert table[-1] == node.parent_heard.lqi

    async def weak(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await main(coordinator, hub, device)
        assert device.node is not None
        assert device.node.parent_heard is not None
        assert device.node.parent_heard.rssi_dbm < -65

    play(main, "ppmid")
    play(weak, "ihd", position=(70.0, 40.0, 0.0))


@pytest.mark.parametrize("kind", ["cad", "load-switch", "gas-meter"])
def test_other_kinds_have_no_diagnostics(kind: str) -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        assert device.node is not None
        descriptor = device.node.endpoints[1]
        assert DIAGNOSTICS not in descriptor.input_clusters
        assert SUB_GHZ in descriptor.output_clusters

    play(main, kind)


def test_a_sleepy_gas_meter_lives_a_day_on_868_mhz_through_its_wake_ups() -> None:
    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(24 * 3600)
        pushes = [
            r.at_s
            for r in hub.requests
            if r.command == 0x0A and r.payload[-4:] == b"\xfe\xff\x30\x01"
        ]
        assert len(pushes) == 48
        assert len(device.observations.of(What.MIRROR_FLAGS)) == 48
        assert not device.observations.of(What.NETWORK_LOST)
        # Between its wake-ups nothing of it is on the air but its keep-alive.
        node = device.node
        assert node is not None
        assert node.sent_airtime_us() / 86_400e6 < 0.0005

    play(main, "gas-meter", timings=Timings())


def test_the_same_seed_lives_the_same_silence() -> None:
    lives: list[list[tuple[float, int, int]]] = []

    async def main(coordinator: SubGhzHub, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(3 * MINUTE_S)
        coordinator.suspend(b"\x02")
        await asyncio.sleep(4 * MINUTE_S)
        lives.append([(r.at_s, r.cluster_id, r.command) for r in hub.requests])

    for _ in range(2):
        play(main)
    assert lives[0] == lives[1]
