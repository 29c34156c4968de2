"""Forming, scanning, joining, rejoining, leaving: both ends of it."""

from __future__ import annotations

import asyncio

import pytest
from node_pair import (
    CAD,
    EXTENDED_PAN,
    HUB,
    LINK_KEY,
    NETWORK_KEY,
    SE,
    Listener,
    Room,
    run,
    send,
)

from labctl.errors import ConfigurationError
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Radio
from labctl.virtual.frames import nwk, zdp
from labctl.virtual.node import (
    Admission,
    JoinFailure,
    LinkKey,
    Node,
    NodeState,
    Role,
    Status,
    TrustCentreDecision,
)

OTHER = Eui64("00:12:4b:00:00:00:00:bb")


def test_a_scan_hears_the_network_on_its_channel_and_what_it_says_of_itself() -> None:
    async def main() -> None:
        room = Room()
        device = room.device()
        assert await device.active_scan([11, 12, 26]) == []
        (closed,) = await device.active_scan([15])
        assert (closed.channel, closed.pan_id, closed.source) == (15, 0x1A62, 0)
        assert closed.extended_pan_id == EXTENDED_PAN
        assert (closed.stack_profile, closed.depth, closed.page) == (2, 0, 0)
        assert not closed.permit_joining
        assert closed.end_device_capacity
        assert not closed.router_capacity
        room.hub.permit_joining(60)
        (opened,) = await device.active_scan([15])
        assert opened.permit_joining
        await asyncio.sleep(61)
        (closed_again,) = await device.active_scan([15])
        assert not closed_again.permit_joining

    run(main())


def test_an_energy_scan_gives_dbm_for_each_channel() -> None:
    async def main() -> None:
        room = Room()
        room.air.noise_dbm[0, 20] = -55.0
        device = room.device()
        energy = await device.energy_scan([14, 20])
        assert energy[20] == -55
        assert -102 <= energy[14] <= -96

    run(main())


def test_a_device_with_the_right_link_key_joins_and_announces_itself() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        state = device.state
        assert state.joined
        assert state.network_key == NETWORK_KEY
        assert (state.trust_centre, state.parent_eui64, state.parent) == (HUB, HUB, 0)
        assert state.link_keys[HUB].key == LINK_KEY
        assert room.heard[CAD].keys == [("network", HUB)]
        assert room.hub_heard.joined == [(CAD, state.nwk, True, False)]
        assert room.hub_heard.admissions == [Admission.UNSECURED_JOIN]
        assert room.hub.state.addresses[CAD] == state.nwk
        (announcement,) = room.hub_heard.observed
        assert announcement.cluster_id == zdp.Cluster.DEVICE_ANNCE
        short, eui64, _ = zdp.decode_device_announce(announcement.payload[1:])
        assert (short, Eui64.from_little_endian(eui64)) == (state.nwk, CAD)
        assert CAD in room.hub.state.children

    run(main())


def test_a_sleeping_device_joins_by_polling() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        assert room.hub_heard.joined == [(CAD, device.state.nwk, False, False)]

    run(main())


def test_closed_network_wrong_key_and_refusal_each_have_their_own_end() -> None:
    async def main() -> None:
        room = Room()
        device = room.device()
        (closed,) = await device.active_scan([15])
        assert await device.join(closed, link_key=LINK_KEY) is JoinFailure.NOT_PERMITTED

        room.hub.permit_joining(60)
        (opened,) = await device.active_scan([15])
        room.hub.permit_joining(0)
        assert await device.join(opened, link_key=LINK_KEY) is JoinFailure.ASSOCIATION_REFUSED

        assert await room.join(device, link_key=bytes(16)) is JoinFailure.NO_NETWORK_KEY
        assert device.counters["aps_decryption_failure"] == 1
        assert not device.state.joined
        assert not device.state.link_keys

        room.hub_heard.decision = TrustCentreDecision.DENY
        assert await room.join(device) is JoinFailure.NO_NETWORK_KEY
        assert room.hub_heard.children_left[-1] == CAD
        assert CAD not in room.hub.state.children

        room.hub_heard.decision = TrustCentreDecision.SEND_KEY
        del room.hub.state.link_keys[CAD]
        assert await room.join(device) is JoinFailure.NO_NETWORK_KEY
        assert room.hub.counters["aps_no_link_key"] == 1

        room.hub.power_off()
        assert await device.join(opened, link_key=LINK_KEY) is JoinFailure.ASSOCIATION_TIMEOUT
        assert await device.active_scan([15]) == []

        room.hub.power_on()
        room.hub.state.link_keys[CAD] = LinkKey(CAD, LINK_KEY)
        assert await room.join(device) is None

    run(main())


def test_a_joiner_without_key_is_forgotten_after_ten_seconds() -> None:
    async def main() -> None:
        room = Room()
        room.hub_heard.decision = TrustCentreDecision.NO_ACTION
        device = room.device()
        assert await room.join(device) is JoinFailure.NO_NETWORK_KEY
        assert CAD in room.hub.state.children
        await asyncio.sleep(10)
        assert room.hub_heard.children_left == [CAD]
        assert not room.hub.parent.children

    run(main())


def test_a_full_parent_says_so() -> None:
    async def main() -> None:
        room = Room()
        room.hub.max_children = 1
        await room.joined()
        late = room.device(OTHER)
        room.hub.permit_joining(60)
        (beacon,) = await late.active_scan([15])
        assert not beacon.end_device_capacity
        assert await late.join(beacon, link_key=LINK_KEY) is JoinFailure.ASSOCIATION_REFUSED

    run(main())


def test_who_associates_again_keeps_the_address() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        short = device.state.nwk
        device.power_off()
        device.power_on()
        assert await room.join(device) is None
        assert device.state.nwk == short
        assert await send(device, 0, b"again", aps_secured=True) is Status.SUCCESS

    run(main())


@pytest.mark.parametrize("rx_on", [True, False])
@pytest.mark.parametrize("secured", [True, False])
def test_rejoin(secured: bool, rx_on: bool) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=rx_on)
        short = device.state.nwk
        room.hub.permit_joining(0)
        assert await device.rejoin(secured=secured) is None
        assert device.state.nwk == short
        kind = Admission.SECURED_REJOIN if secured else Admission.UNSECURED_REJOIN
        assert room.hub_heard.admissions == [Admission.UNSECURED_JOIN, kind]
        assert room.hub_heard.joined[-1] == (CAD, short, rx_on, True)
        await device.sleep(0.5)
        assert await send(device, 0, b"back", aps_secured=True) is Status.SUCCESS

    run(main())


def test_an_unsecured_rejoin_is_denied_by_the_trust_centre() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub_heard.decision = TrustCentreDecision.DENY
        assert await device.rejoin(secured=False) is JoinFailure.NO_NETWORK_KEY
        assert not device.state.joined
        assert room.hub_heard.children_left == [CAD]
        room.hub_heard.decision = TrustCentreDecision.SEND_KEY
        assert await device.rejoin(secured=False) is None

    run(main())


def test_a_secured_rejoin_that_is_denied_ends_with_a_leave() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub_heard.decision = TrustCentreDecision.DENY
        await device.rejoin(secured=True)
        await asyncio.sleep(1)
        assert room.heard[CAD].lefts == [False]
        assert not device.state.joined
        assert not room.hub.parent.children

    run(main())


def test_rejoin_finds_the_network_on_another_channel_with_another_pan_id() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        keep = room.hub.state
        room.hub.form(
            page=0,
            channel=25,
            pan_id=0x4444,
            extended_pan_id=EXTENDED_PAN,
            network_key=keep.network_key,
            update_id=1,
        )
        assert await send(device, 0, b"lost") is Status.MAC_FAILURE
        assert await device.rejoin(secured=True) is None
        assert (device.state.channel, device.state.pan_id, device.state.update_id) == (
            25,
            0x4444,
            1,
        )
        assert await send(device, 0, b"found") is Status.SUCCESS

    run(main())


def test_rejoin_without_a_network_in_reach_or_in_mind() -> None:
    async def main() -> None:
        room = Room()
        fresh = room.device(OTHER)
        assert await fresh.rejoin(secured=True) is JoinFailure.NO_BEACON
        device = await room.joined()
        room.hub.power_off()
        assert await device.rejoin(secured=True) is JoinFailure.NO_BEACON
        room.hub.power_on()
        assert await device.rejoin(secured=True) is None

    run(main())


def test_a_device_with_an_outdated_network_key_gets_the_new_one_by_an_unsecured_rejoin() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        device.power_off()
        room.hub.begin_key_update(bytes(range(0x60, 0x70)))
        room.hub.switch_network_key()
        await asyncio.sleep(30)
        device.power_on()
        assert await send(device, 0, b"old key", ack=True) is not Status.SUCCESS
        assert await device.rejoin(secured=True) is JoinFailure.ASSOCIATION_TIMEOUT
        assert await device.rejoin(secured=False) is None
        assert device.state.network_key == bytes(range(0x60, 0x70))
        assert await send(device, 0, b"new key") is Status.SUCCESS

    run(main())


@pytest.mark.parametrize("rx_on", [True, False])
def test_network_key_update_and_switch(rx_on: bool) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=rx_on)
        key = bytes(range(0x60, 0x70))
        sequence = room.hub.begin_key_update(key)
        await asyncio.sleep(8)
        assert device.state.network_key == NETWORK_KEY, "not before the switch"
        room.hub.switch_network_key()
        await asyncio.sleep(8)
        assert device.state.network_key == key
        assert device.state.network_key_sequence == sequence == 1
        assert await send(device, 0, b"under the new key") is Status.SUCCESS
        await device.sleep(1)
        assert await send(room.hub, device.state.nwk, b"here too") is Status.SUCCESS

    run(main())


def test_leaving_tells_parent_and_trust_centre_and_forgets_everything() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        counter = device.state.outgoing_nwk_counter
        device.leave()
        await asyncio.sleep(1)
        assert room.hub_heard.admissions[-1] is Admission.LEFT
        assert room.hub_heard.children_left == [CAD]
        assert room.heard[CAD].lefts == [False]
        assert not device.state.joined
        assert not device.state.network_key
        assert not device.state.link_keys
        assert device.state.outgoing_nwk_counter > counter, "counters outlive the network"
        assert await send(device, 0, b"x") is Status.NOT_JOINED

    run(main())


@pytest.mark.parametrize("rx_on", [True, False])
def test_removing_a_child_sends_it_a_nwk_leave(rx_on: bool) -> None:
    async def main() -> None:
        room = Room()
        await room.joined(rx_on=rx_on)
        assert room.hub.remove_device(0x0000, CAD) is Status.SUCCESS
        await asyncio.sleep(10)
        assert room.heard[CAD].lefts == [False]
        assert room.hub_heard.children_left == [CAD]
        assert not room.hub.parent.children

    run(main())


def test_remove_device_as_an_aps_command_needs_the_link_key_and_is_obeyed() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        short = device.state.nwk
        key = room.hub.state.link_keys.pop(CAD)
        assert room.hub.remove_device(short, CAD) is Status.NO_KEY
        room.hub.state.link_keys[CAD] = key
        assert room.hub.remove_device(short, CAD) is Status.SUCCESS
        await asyncio.sleep(1)
        assert room.heard[CAD].lefts == [False]
        assert room.hub.remove_device(0x0000, OTHER) is Status.MAC_FAILURE

    run(main())


def test_mgmt_leave_with_and_without_rejoin() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        short = device.state.nwk
        own = bytes(8)
        answer = await room.hub.zdo(short, zdp.Cluster.MGMT_LEAVE, own + b"\x80")
        assert answer == b"\x00"
        await asyncio.sleep(1)
        assert room.heard[CAD].lefts == [True]
        assert device.state.network_key == NETWORK_KEY, "kept for the rejoin"
        assert await device.rejoin(secured=True) is None
        assert await room.hub.zdo(short, zdp.Cluster.MGMT_LEAVE, own + b"\x00") == b"\x00"
        await asyncio.sleep(1)
        assert room.heard[CAD].lefts == [True, False]
        assert not device.state.network_key

    run(main())


def test_a_child_that_is_unknown_to_its_parent_is_told_to_rejoin_when_it_polls() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        room.hub.parent.drop(room.hub.parent.children[device.state.nwk])
        await asyncio.sleep(12)
        assert room.heard[CAD].lefts == [True]
        assert await device.rejoin(secured=True) is None

    run(main())


def test_a_silent_child_ages_out_and_a_polling_one_does_not() -> None:
    async def main() -> None:
        room = Room()
        await room.joined()
        silent = await room.joined(OTHER)
        silent.power_off()
        await asyncio.sleep(255 * 60)
        assert not room.hub_heard.children_left
        await asyncio.sleep(5 * 60)
        assert room.hub_heard.children_left == [OTHER]
        assert CAD in room.hub.state.children

    run(main())


def test_a_lost_parent_is_noticed_after_three_polls() -> None:
    async def main() -> None:
        room = Room()
        await room.joined(rx_on=False)
        room.hub.power_off()
        await asyncio.sleep(30)
        assert room.heard[CAD].parents_lost == 1
        room.hub.power_on()
        await asyncio.sleep(30)
        room.hub.power_off()
        await asyncio.sleep(30)
        assert room.heard[CAD].parents_lost == 2

    run(main())


def test_two_networks_do_not_hear_each_other() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        heard = Listener()
        second = Node(
            room.air,
            NodeState(Eui64("00:0d:6f:00:00:00:00:02"), Role.COORDINATOR),
            heard,
            rng=room.hub.rng,
            position=(1.0, 0.0, 0.0),
        )
        second.endpoints = dict(room.hub.endpoints)
        second.power_on()
        second.form(
            page=0,
            channel=15,
            pan_id=0x2222,
            extended_pan_id=Eui64("11" * 8),
            network_key=bytes(16),
        )
        assert len(await device.active_scan([15])) == 2
        assert await send(device, 0, b"to mine") is Status.SUCCESS
        assert room.hub_heard.data
        assert not heard.data

    run(main())


def test_a_router_is_refused_in_words() -> None:
    async def main() -> None:
        room = Room()
        with pytest.raises(ConfigurationError, match="star"):
            Node(room.air, NodeState(CAD, Role.ROUTER), Listener(), rng=room.hub.rng)
        device = room.device()
        with pytest.raises(ConfigurationError, match="coordinator"):
            device.form(
                page=0, channel=15, pan_id=1, extended_pan_id=EXTENDED_PAN, network_key=bytes(16)
            )

    run(main())


def test_an_application_link_key_is_brokered_only_with_leave() -> None:
    async def main() -> None:
        room = Room()
        first = await room.joined()
        second = await room.joined(OTHER)
        first.request_link_key(OTHER)
        await asyncio.sleep(1)
        assert room.hub.counters["aps_key_request_refused"] == 1
        room.hub_heard.broker = True
        first.request_link_key(OTHER)
        await asyncio.sleep(1)
        key = first.state.link_keys[OTHER].key
        assert second.state.link_keys[CAD].key == key
        assert ("application", OTHER) in room.heard[CAD].keys
        assert ("application", CAD) in room.heard[OTHER].keys
        # From one child to the other, through the hub, under their own key.
        second.endpoints[1] = room.hub.endpoints[1]
        first.learn(OTHER.little_endian, second.state.nwk)
        second.learn(CAD.little_endian, first.state.nwk)
        assert await send(first, second.state.nwk, b"psst", aps_secured=True) is Status.SUCCESS
        (indication,) = room.heard[OTHER].data
        assert indication.aps_secured
        assert indication.profile_id == SE
        assert not room.hub_heard.data

    run(main())


def test_a_network_on_868_mhz() -> None:
    async def main() -> None:
        room = Room()
        room.hub.form(
            page=28,
            channel=3,
            pan_id=0x2868,
            extended_pan_id=EXTENDED_PAN,
            network_key=NETWORK_KEY,
        )
        device = room.device()
        room.hub.permit_joining(60)
        assert await device.active_scan([3]) == [], "channel 3 of page 0 is another one"
        (beacon,) = await device.active_scan([3], page=28)
        assert (beacon.page, beacon.channel) == (28, 3)
        assert await device.join(beacon, link_key=LINK_KEY) is None
        assert await send(device, 0, bytes(200), aps_secured=True) is Status.SUCCESS
        assert await device.rejoin(secured=True) is None
        room.hub.form(
            page=28,
            channel=20,
            pan_id=0x2868,
            extended_pan_id=EXTENDED_PAN,
            network_key=NETWORK_KEY,
        )
        assert await device.rejoin(secured=True) is None
        assert device.state.channel == 20

    run(main())


def test_a_child_may_ask_for_another_timeout_but_not_for_one_that_does_not_exist() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        child = room.hub.parent.children[device.state.nwk]
        assert child.timeout == 8, "the default, 256 minutes"
        for index, kept in ((1, 1), (15, 1)):
            device.nwk.send_command(0x0000, nwk.end_device_timeout_request(index))
            await device.sleep(0.1)
            assert child.timeout == kept
        assert room.hub.state.children[CAD]["timeout"] == 1
        device.power_off()
        await asyncio.sleep(200)
        assert CAD not in room.hub.state.children, "more than two minutes of silence"

    run(main())


def test_a_child_dropped_while_it_fetches_a_frame_still_gives_a_confirm() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        await device.sleep(10)
        short = device.state.nwk
        gone = asyncio.Event()

        def lose(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            if sender.name == HUB and len(psdu) > 60:
                gone.set()
                return True
            return False

        room.air.drop = lose
        sending = asyncio.ensure_future(send(room.hub, short, bytes(60), ack=False))
        await gone.wait()
        device.power_off()
        room.hub.parent.drop(room.hub.parent.children[short])
        assert await asyncio.wait_for(sending, 5) is Status.MAC_FAILURE

    run(main())


def test_a_device_fresh_from_the_factory_joins_again_with_counters_at_zero() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        for _ in range(20):
            assert await send(device, 0, b"x", aps_secured=True) is Status.SUCCESS
        device.power_off()
        again = await room.joined()  # a new state, the install code imported anew
        assert again.state.outgoing_nwk_counter < 20
        assert await send(again, 0, b"x", aps_secured=True) is Status.SUCCESS
        assert room.hub.counters["nwk_frame_counter_failure"] == 0

    run(main())


def test_a_leave_from_anybody_but_the_parent_is_not_obeyed() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        rogue = await room.joined(OTHER)
        rogue.nwk.send_command(device.state.nwk, nwk.leave(request=True, rejoin=False), radius=5)
        await rogue.sleep(1)
        assert room.hub.counters["nwk_forwarded"] == 1
        assert not room.heard[CAD].lefts
        room.hub.nwk.send_command(device.state.nwk, nwk.leave(request=True, rejoin=True))
        await rogue.sleep(1)
        assert room.heard[CAD].lefts == [True]

    run(main())
