"""A coordinator with two PHYs: one network on both bands, each child where it joined."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from node_pair import (
    CAD,
    EXTENDED_PAN,
    LINK_KEY,
    NETWORK_KEY,
    Listener,
    Room,
    run,
    send,
)

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import mac
from labctl.virtual.frames.zdp import Cluster, u16
from labctl.virtual.interference import channel_hog
from labctl.virtual.node import (
    Beacon,
    JoinFailure,
    LinkKey,
    Node,
    NodeState,
    PhySettings,
    Role,
    Status,
)

GAS = Eui64("00:12:4b:00:00:00:00:bb")
IHD = Eui64("00:12:4b:00:00:00:00:cc")
NATIVE, SUB_GHZ = (0, 15), (28, 26)
BOTH = [NATIVE, SUB_GHZ]


class OnAir:
    """Takes the place of a capture: (page, channel, source address, octets) of data frames."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, int, int, bytes]] = []

    def frame(self, psdu: bytes, *, page: int, channel: int, **_: object) -> None:
        if psdu[0] & 7 == mac.Kind.DATA:
            self.frames.append((page, channel, psdu[7] | psdu[8] << 8, psdu))


class DualRoom(Room):
    """The hub has started its second PHY."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        assert self.hub.start_phy(1, *SUB_GHZ, 14)

    async def beacon(self, node: Node, at: tuple[int, int]) -> Beacon:
        self.hub.permit_joining(60)
        found = [
            each for each in await node.active_scan([at]) if each.extended_pan_id == EXTENDED_PAN
        ]
        assert [(each.page, each.channel) for each in found] == [at]
        return found[0]

    async def joined_at(self, at: tuple[int, int], eui64: Eui64 = CAD, **options: Any) -> Node:
        node = self.device(eui64, **options)
        failure = await node.join(await self.beacon(node, at), link_key=LINK_KEY)
        assert failure is None, failure
        await node.sleep(1.0)
        return node


def test_a_network_on_two_phys_is_one_network() -> None:
    async def main() -> None:
        room = DualRoom()
        assert room.hub.phys == {0: PhySettings(0, 15, 8), 1: PhySettings(28, 26, 14)}
        device = room.device()
        beacons = await device.active_scan([NATIVE, (28, 25), SUB_GHZ])
        assert [(each.page, each.channel) for each in beacons] == BOTH
        assert len({(each.pan_id, each.extended_pan_id) for each in beacons}) == 1
        assert all(each.source == 0 for each in beacons)

    run(main())


@pytest.mark.parametrize(("at", "phy"), [(NATIVE, 0), (SUB_GHZ, 1)])
@pytest.mark.parametrize("rx_on", [True, False])
def test_a_child_is_on_the_phy_that_it_came_by(at: tuple[int, int], phy: int, rx_on: bool) -> None:
    async def main() -> None:
        room = DualRoom()
        at_admission: list[int | None] = []
        hub_heard = room.hub_heard

        class Watcher(Listener):
            def admission(self, eui64, nwk, kind, parent):  # type: ignore[no-untyped-def]
                at_admission.append(room.hub.phy_of(nwk))
                return hub_heard.admission(eui64, nwk, kind, parent)

            def child_joined(self, eui64, nwk, rx_on_when_idle, rejoin):  # type: ignore[no-untyped-def]
                at_admission.append(room.hub.phy_of(nwk))

        room.hub.listener = Watcher()
        device = await room.joined_at(at, rx_on=rx_on)
        seen = OnAir()
        room.air.capture_to(seen)  # type: ignore[arg-type]
        assert at_admission == [phy, phy]
        short = device.state.nwk
        assert room.hub.phy_of(short) == phy
        assert room.hub.state.children[CAD]["phy"] == phy
        assert (device.state.page, device.state.channel) == at
        assert await send(device, 0, bytes(200), aps_secured=True) is Status.SUCCESS
        assert await send(room.hub, short, b"back", aps_secured=True) is Status.SUCCESS
        assert await device.zdo(0, Cluster.ACTIVE_EP, u16(0)) == bytes(3) + b"\x01\x01"
        unicasts = [each for each in seen.frames if each[3][5:7] != b"\xff\xff"]
        assert len(unicasts) > 8
        assert {(page, channel) for page, channel, _, _ in unicasts} == {at}
        assert {each.phy for each in room.hub.listener.data} == {phy}
        assert {each.phy for each in room.heard[CAD].data} == {0}, "a device has one radio"

    run(main())


def test_children_of_both_phys_talk_to_the_hub_and_through_it_to_each_other() -> None:
    async def main() -> None:
        room = DualRoom()
        gas = await room.joined_at(SUB_GHZ, GAS, rx_on=False)
        ihd = await room.joined_at(NATIVE, IHD, position=(0.0, 4.0, 0.0))
        assert len({gas.state.nwk, ihd.state.nwk}) == 2
        assert await send(gas, 0, b"gas") is Status.SUCCESS
        assert await send(ihd, 0, b"ihd") is Status.SUCCESS
        assert [(each.payload, each.phy) for each in room.hub_heard.data] == [
            (b"gas", 1),
            (b"ihd", 0),
        ]
        ihd.endpoints[1] = ihd.endpoints[2]
        assert await send(gas, ihd.state.nwk, b"display this") is Status.SUCCESS
        assert room.heard[IHD].data[-1].payload == b"display this"
        assert room.heard[IHD].data[-1].source == gas.state.nwk

    run(main())


def test_a_broadcast_goes_out_on_both_phys_once_with_one_counter() -> None:
    async def main() -> None:
        room = DualRoom()
        gas = await room.joined_at(SUB_GHZ, GAS, rx_on=False)
        ihd = await room.joined_at(NATIVE, IHD)
        awake = await room.joined_at(SUB_GHZ, CAD)
        for node in (gas, ihd, awake):
            node.endpoints[1] = node.endpoints[2]
        seen = OnAir()
        room.air.capture_to(seen)  # type: ignore[arg-type]
        gas.long_poll_s = 1.0
        gas.fast_poll(1.0)
        assert await send(room.hub, 0xFFFF, b"all", ack=False) is Status.SUCCESS
        await asyncio.sleep(3)
        for eui64 in (GAS, IHD, CAD):
            payloads = [each.payload for each in room.heard[eui64].data]
            assert payloads == [b"all"], "each once"
        broadcasts = [each for each in seen.frames if each[3][5:7] == b"\xff\xff"]
        assert sorted((page, channel) for page, channel, _, _ in broadcasts) == BOTH
        first, second = (each[3][9:-2] for each in broadcasts)
        assert first == second, "the same NWK frame on both"

    run(main())


def test_a_child_that_rejoins_on_the_other_phy_moves_there() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ)
        short = device.state.nwk
        assert await device.rejoin(secured=True, channels=[SUB_GHZ]) is None
        assert room.hub.phy_of(short) == 1
        room.hub.set_phy_channel(1, 28, 3)
        assert await device.rejoin(secured=True, channels=[NATIVE]) is None
        assert (device.state.page, device.state.channel) == NATIVE
        assert device.state.nwk == short
        assert room.hub.phy_of(short) == 0
        assert room.hub.state.children[CAD]["phy"] == 0
        assert len(room.hub.parent.children) == 1
        await device.sleep(0.5)
        assert await send(room.hub, short, b"here") is Status.SUCCESS
        assert await device.rejoin(secured=False, channels=[(28, 3), NATIVE]) is None
        assert room.hub.phy_of(short) == 0, "where it was before comes first"
        room.hub.set_phy_channel(0, 0, 20)
        assert await device.rejoin(secured=False, channels=[NATIVE, (28, 3)]) is None
        assert room.hub.phy_of(short) == 1
        await device.sleep(0.5)
        assert await send(room.hub, short, b"and there") is Status.SUCCESS

    run(main())


def test_a_child_that_polls_on_a_phy_where_it_did_not_join_is_told_to_rejoin() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ, rx_on=False)
        device.mac.tune(*NATIVE)  # it takes itself elsewhere without a word
        lefts = room.heard[CAD].lefts
        await device.sleep(8)
        assert lefts == [True]
        assert await device.rejoin(secured=True, channels=BOTH) is None

    run(main())


def test_after_a_loss_of_power_the_second_phy_is_down_until_it_is_started_again() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ)
        short = device.state.nwk
        flash = room.hub.state.to_json()
        room.hub.power_off()
        assert room.hub.phys == {}
        await device.sleep(5)
        room.hub.state = NodeState.from_json(flash)
        room.hub.power_on()
        assert set(room.hub.phys) == {0}
        assert room.hub.phy_of(short) == 1, "but it is remembered who is there"
        assert await send(room.hub, short, b"nobody hears this") is Status.MAC_FAILURE
        assert await device.rejoin(secured=True, channels=[SUB_GHZ]) is JoinFailure.NO_BEACON
        assert room.hub.start_phy(1, *SUB_GHZ, 14)
        assert await device.rejoin(secured=True, channels=[SUB_GHZ]) is None
        await device.sleep(0.5)
        assert await send(room.hub, short, b"now") is Status.SUCCESS

    run(main())


def test_stopping_a_phy_fails_what_waits_there_and_keeps_its_children() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ)
        short = device.state.nwk
        waiting = asyncio.ensure_future(send(room.hub, short, b"too late"))
        await asyncio.sleep(0)
        assert room.hub.stop_phy(1)
        assert not room.hub.stop_phy(1)
        assert not room.hub.stop_phy(0), "the native one is there as long as the network"
        assert set(room.hub.phys) == {0}
        assert await waiting is not Status.SUCCESS
        assert room.hub.phy_of(short) == 1
        assert await device.active_scan([SUB_GHZ]) == []
        assert room.hub.start_phy(1, 29, 30, 10)
        assert room.hub.phys[1] == PhySettings(29, 30, 10)
        assert len(await device.active_scan([(29, 30)])) == 1

    run(main())


def test_a_phy_moves_and_a_child_that_follows_stays_a_child() -> None:
    async def main() -> None:
        room = DualRoom()
        gas = await room.joined_at(SUB_GHZ, GAS, rx_on=False)
        assert room.hub.set_phy_channel(1, 30, 40)
        assert room.hub.phys[1] == PhySettings(30, 40, 14)
        assert await send(gas, 0, b"where are you") is not Status.SUCCESS
        assert gas.set_phy_channel(0, 30, 40)
        assert await send(gas, 0, b"there") is Status.SUCCESS
        assert room.hub.phy_of(gas.state.nwk) == 1
        assert room.heard[GAS].changes, "its flash has to know"
        assert gas.state.channel == 40

    run(main())


def test_what_no_second_phy_can_be() -> None:
    async def main() -> None:
        room = Room()
        for index, page, channel in ((0, 28, 3), (2, 28, 3), (1, 0, 11), (1, 27, 3), (1, 28, 27)):
            with pytest.raises(ValueError, match=r"PHY|page|channel"):
                room.hub.start_phy(index, page, channel, 14)
        assert not room.hub.set_phy_channel(1, 28, 3)
        assert not room.hub.set_phy_power(1, 3)
        assert room.hub.start_phy(1, *SUB_GHZ, 14)
        assert not room.hub.start_phy(1, 28, 3, 14), "it runs already"
        with pytest.raises(ValueError, match="band"):
            room.hub.set_phy_channel(1, 0, 11)
        with pytest.raises(ValueError, match="channel"):
            room.hub.set_phy_channel(0, 0, 27)
        device = room.device()
        with pytest.raises(ValueError, match="one radio"):
            device.start_phy(1, *SUB_GHZ, 14)
        fresh = Node(
            room.air,
            NodeState(Eui64("00:0d:6f:00:00:00:00:09"), Role.COORDINATOR),
            Listener(),
            rng=random.Random(4),
        )
        assert not fresh.start_phy(1, *SUB_GHZ, 14), "no power"
        fresh.power_on()
        assert not fresh.start_phy(1, *SUB_GHZ, 14), "no network"
        low = {"pan_id": 9, "extended_pan_id": IHD, "network_key": NETWORK_KEY}
        fresh.form(page=28, channel=3, **low)
        assert not fresh.start_phy(1, *SUB_GHZ, 14), "it is below 1 GHz already"

    run(main())


def test_forming_anew_or_leaving_takes_the_second_phy_down() -> None:
    async def main() -> None:
        room = DualRoom()
        room.hub.form(
            page=0, channel=20, pan_id=7, extended_pan_id=EXTENDED_PAN, network_key=NETWORK_KEY
        )
        assert set(room.hub.phys) == {0}
        assert room.hub.start_phy(1, *SUB_GHZ, 14)
        room.hub.leave()
        assert room.hub.phys == {}
        device = room.device()
        assert await device.active_scan([(0, 20), SUB_GHZ]) == []

    run(main())


def test_each_phy_has_its_own_power() -> None:
    async def main() -> None:
        room = DualRoom()
        device = room.device(position=(10.0, 0.0, 0.0))
        levels = {}
        for at in BOTH:
            beacon = await room.beacon(device, at)
            levels[at] = beacon.rssi_dbm
        # 9 dB for the frequency, 6 dB for the power, and fading.
        assert 5 < levels[SUB_GHZ] - levels[NATIVE] < 27
        assert room.hub.set_phy_power(1, -20)
        weak = await room.beacon(device, SUB_GHZ)
        assert weak.rssi_dbm < levels[SUB_GHZ] - 20
        assert room.hub.phys[1].tx_power_dbm == -20
        assert room.hub.set_phy_power(0, -20)
        assert room.hub.tx_power_dbm == -20

    run(main())


def test_states_of_one_phy_still_load() -> None:
    async def main() -> None:
        room = Room()
        await room.joined()
        stored = room.hub.state.to_json()
        for child in stored["children"].values():
            del child["phy"]
        room.hub.power_off()
        room.hub.state = NodeState.from_json(stored)
        room.hub.power_on()
        assert [child.phy for child in room.hub.parent.children.values()] == [0]

    run(main())


def test_the_node_descriptor_tells_the_bands() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ)
        both = await device.zdo(0, Cluster.NODE_DESC, u16(0))
        assert both is not None
        assert both[4] >> 3 == 0x18
        room.hub.stop_phy(1)
        own = await device.zdo(device.state.nwk, Cluster.NODE_DESC, u16(device.state.nwk))
        assert own is not None
        assert own[4] >> 3 == 0x10

    run(main())


def test_no_link_status_is_sent_where_there_can_be_no_routers() -> None:
    async def main() -> None:
        room = DualRoom()
        seen = OnAir()
        room.air.capture_to(seen)  # type: ignore[arg-type]
        await asyncio.sleep(100)
        assert len(seen.frames) >= 6
        assert {page for page, _, _, _ in seen.frames} == {0}

    run(main())


def test_a_scan_of_one_phy_leaves_the_other_at_work() -> None:
    async def main() -> None:
        room = DualRoom()
        gas = await room.joined_at(SUB_GHZ, GAS)
        ihd = await room.joined_at(NATIVE, IHD)
        room.air.disturb(channel_hog("hog", page=28, channel=9, duty=1.0, level_dbm=-63))
        scan = asyncio.ensure_future(room.hub.energy_scan([(28, 8), (28, 9), (28, 10)], 7))
        await asyncio.sleep(0.2)
        assert await send(ihd, 0, b"2.4 GHz goes on") is Status.SUCCESS
        assert not scan.done()
        energy = await scan
        assert energy[28, 9] == pytest.approx(-63, abs=1)
        assert energy[28, 8] < -90
        assert energy[28, 10] < -90
        assert await send(gas, 0, b"and this one is back") is Status.SUCCESS

    run(main())


def test_a_hub_looks_at_a_band_before_it_starts_there() -> None:
    async def main() -> None:
        room = Room()
        ihd = await room.joined()
        room.air.disturb(channel_hog("hog", page=29, channel=30, duty=0.5, level_dbm=-70))
        energy = await room.hub.energy_scan([(29, 30), (30, 35), (0, 20)], 8)
        assert energy[29, 30] == pytest.approx(-70, abs=1)
        assert energy[30, 35] < -105
        assert -103 < energy[0, 20] < -95
        assert set(room.hub.phys) == {0}
        assert await send(ihd, 0, b"still here") is Status.SUCCESS

    run(main())


def test_energy_scans_hear_the_frames_of_others() -> None:
    async def main() -> None:
        room = DualRoom()
        device = await room.joined_at(SUB_GHZ, position=(5.0, 0.0, 0.0))
        listener = room.device(IHD, position=(5.0, 1.0, 0.0))
        scan = asyncio.ensure_future(listener.energy_scan([SUB_GHZ, (28, 20)], 8))
        assert await send(device, 0, bytes(60)) is Status.SUCCESS
        energy = await scan
        assert energy[SUB_GHZ] > -60
        assert energy[28, 20] < -100

    run(main())


def test_a_dual_band_device_finds_the_network_on_whichever_band_reaches_it() -> None:
    async def main() -> None:
        room = DualRoom()
        device = room.device()
        hub = room.hub.state.eui64
        room.air.propagation.extra_loss_db[frozenset((hub, CAD))] = 62.0
        try:
            # 2.4 GHz: 8 - 53.6 - 62 = -107.6 dBm, out of reach; 868 MHz: 14 - 44.6 - 62 = -92.6.
            room.hub.permit_joining(60)
            beacons = await device.active_scan(BOTH)
            assert [(each.page, each.channel) for each in beacons] == [SUB_GHZ]
            assert await device.join(beacons[0], link_key=LINK_KEY) is None
        finally:
            room.air.propagation.extra_loss_db.clear()
            for radio in room.air.radios:
                radio.forget_levels()
        assert len(await device.active_scan(BOTH)) == 2

    run(main())


def test_a_network_below_1_ghz_alone_does_all_that_one_at_2_4_ghz_does() -> None:
    async def main() -> None:
        room = Room()
        room.hub.form(
            page=29, channel=62, pan_id=5, extended_pan_id=EXTENDED_PAN, network_key=NETWORK_KEY
        )
        assert room.hub.phys == {0: PhySettings(29, 62, 8)}
        room.hub.permit_joining(60)
        sleeper = room.device(GAS, rx_on=False)
        awake = room.device(IHD, position=(0.0, 3.0, 0.0))
        for node in (sleeper, awake):
            (beacon,) = await node.active_scan([28, 29, 62], page=29)
            assert await node.join(beacon, link_key=LINK_KEY) is None
        await awake.sleep(1)
        for node in (sleeper, awake):
            assert await send(node, 0, bytes(150), aps_secured=True) is Status.SUCCESS
            assert await send(room.hub, node.state.nwk, bytes(150)) is Status.SUCCESS
            assert await node.rejoin(secured=True) is None
            assert await node.rejoin(secured=False) is None
        await asyncio.sleep(1)  # announcements come no faster than a frame each 0.1 s
        key = bytes(range(0x60, 0x70))
        room.hub.begin_key_update(key)
        await asyncio.sleep(20)
        room.hub.switch_network_key()
        await asyncio.sleep(20)
        assert awake.state.network_key == key
        assert await send(sleeper, 0, b"with the new key") is Status.SUCCESS
        room.hub.state.link_keys[CAD] = LinkKey(CAD, LINK_KEY)
        awake.leave()
        await asyncio.sleep(1)
        assert room.hub_heard.children_left == [IHD]

    run(main())
