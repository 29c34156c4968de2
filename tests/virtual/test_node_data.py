"""APS data between nodes: acknowledgements, retries, fragments, link key security, sleepers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from node_pair import CAD, HUB, SE, Room, run, send

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Radio
from labctl.virtual.frames import mac, nwk
from labctl.virtual.frames.aps import ApsFrame, Delivery
from labctl.virtual.node import Indication, JoinFailure, LinkKey, SimpleDescriptor, Status

OTHER = Eui64("00:12:4b:00:00:00:00:bb")


@pytest.mark.parametrize("secured", [False, True])
def test_data_arrives_with_all_that_is_known_of_it(secured: bool) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        assert await send(device, 0, b"up", aps_secured=secured) is Status.SUCCESS
        (up,) = room.hub_heard.data
        assert up == Indication(
            source=device.state.nwk,
            source_eui64=CAD,
            destination=0,
            source_endpoint=2,
            destination_endpoint=1,
            profile_id=SE,
            cluster_id=0x0702,
            payload=b"up",
            counter=device.last_counter,
            aps_secured=secured,
            ack_requested=True,
            lqi=up.lqi,
            rssi_dbm=up.rssi_dbm,
        )
        assert -70 < up.rssi_dbm < -30
        short = device.state.nwk
        assert await send(room.hub, short, b"down", aps_secured=secured) is Status.SUCCESS
        (down,) = room.heard[CAD].data
        assert (down.source, down.source_eui64, down.payload) == (0, HUB, b"down")

    run(main())


@pytest.mark.parametrize("rx_on", [True, False])
@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("octets", [0, 73, 74, 82, 83, 700])
def test_any_length_arrives_whole(octets: int, secured: bool, rx_on: bool) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=rx_on)
        payload = bytes(i & 0xFF for i in range(octets))
        assert await send(device, 0, payload, aps_secured=secured) is Status.SUCCESS
        status = await send(room.hub, device.state.nwk, payload, aps_secured=secured)
        assert status is Status.SUCCESS
        await device.sleep(6)
        assert [each.payload for each in room.hub_heard.data] == [payload]
        assert [each.payload for each in room.heard[CAD].data] == [payload]

    run(main())


def test_room_in_a_frame() -> None:
    async def main() -> None:
        hub = Room().hub
        assert hub.max_payload(aps_secured=False) == 82
        assert hub.max_payload(aps_secured=True) == 73
        assert hub.max_payload(aps_secured=False, fragmented=True) == 80
        assert hub.max_payload(aps_secured=True, fragmented=True) == 71

    run(main())


def test_refusals_on_the_spot() -> None:
    async def main() -> None:
        room = Room()
        device = room.device(reassemble=False)
        assert await send(device, 0, b"x") is Status.NOT_JOINED
        assert await room.join(device) is None
        assert await send(device, 0, bytes(83)) is Status.TOO_LONG
        assert await send(device, 0, bytes(74), aps_secured=True) is Status.TOO_LONG
        assert await send(device, 0, bytes(81), block=0, block_count=2) is Status.TOO_LONG
        assert await send(device, 0xFFFD, bytes(83)) is Status.TOO_LONG
        assert await send(device, 0xFFFD, b"x", aps_secured=True) is Status.NO_KEY
        assert await send(device, 0x1234, b"x", aps_secured=True) is Status.NO_KEY
        key = device.state.link_keys.pop(HUB)
        assert await send(device, 0, b"x", aps_secured=True) is Status.NO_KEY
        device.state.link_keys[HUB] = key
        assert await send(device, 0, b"x", aps_secured=True) is Status.SUCCESS
        device.power_off()
        assert await send(device, 0, b"x") is Status.NOT_JOINED

    run(main())


def aps_acks_lost(room: Room, count: int) -> list[int]:
    """Lose the first `count` APS acknowledgements to the device. They are its 30-octet frames."""
    lost = [0]

    def drop(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
        is_ack = psdu[0] & 7 == mac.Kind.DATA and sender.name == HUB
        if is_ack and lost[0] < count:
            lost[0] += 1
            return True
        return False

    room.air.drop = drop
    return lost


def test_a_lost_acknowledgement_is_made_up_for_by_a_retry_and_delivered_once() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        await device.sleep(1)
        lost = aps_acks_lost(room, 4)  # one APS acknowledgement with all its MAC repetitions
        start = asyncio.get_running_loop().time()
        assert await send(device, 0, b"once", aps_secured=True) is Status.SUCCESS
        assert lost == [4]
        assert asyncio.get_running_loop().time() - start == pytest.approx(1.6, abs=0.1)
        assert [each.payload for each in room.hub_heard.data] == [b"once"]
        assert room.hub.counters["aps_rx_duplicate"] == 1
        assert device.counters["aps_retries"] == 1

    run(main())


def test_without_any_acknowledgement_it_is_no_ack_after_three_retries() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        await device.sleep(1)
        aps_acks_lost(room, 10_000)
        start = asyncio.get_running_loop().time()
        assert await send(device, 0, b"once") is Status.NO_ACK
        assert asyncio.get_running_loop().time() - start == pytest.approx(4 * 1.6, abs=0.1)
        assert len(room.hub_heard.data) == 1

    run(main())


def test_a_frame_for_an_endpoint_that_is_not_there_is_not_acknowledged() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        del room.hub.endpoints[1]
        assert await send(device, 0, b"anybody?") is Status.NO_ACK
        assert room.hub.counters["aps_no_endpoint"] == 4
        assert not room.hub_heard.data

    run(main())


def test_nobody_at_the_other_end() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.power_off()
        assert await send(device, 0, b"x") is Status.MAC_FAILURE
        assert await send(device, 0, b"x", ack=False) is Status.MAC_FAILURE
        room.hub.power_on()
        assert await send(room.hub, 0x4321, b"x") is Status.MAC_FAILURE, "no such child"
        assert await send(room.hub, 0x4321, b"x", ack=False) is Status.MAC_FAILURE

    run(main())


def test_a_frame_for_a_sleeper_waits_to_be_fetched_and_expires() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        device.long_poll_s = 3.0
        await device.sleep(10)
        start = asyncio.get_running_loop().time()
        assert await send(room.hub, device.state.nwk, b"fetch me") is Status.SUCCESS
        assert asyncio.get_running_loop().time() - start < 3.2
        device.power_off()
        start = asyncio.get_running_loop().time()
        assert await send(room.hub, device.state.nwk, b"never") is Status.EXPIRED
        assert asyncio.get_running_loop().time() - start == pytest.approx(4 * (7.68 + 1.6), abs=0.2)
        start = asyncio.get_running_loop().time()
        assert await send(room.hub, device.state.nwk, b"x", ack=False) is Status.EXPIRED
        assert asyncio.get_running_loop().time() - start == pytest.approx(7.68, abs=0.1)

    run(main())


def test_a_frame_that_its_sleeper_missed_is_not_repeated_before_it_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        await device.sleep(10)
        device.long_poll_s = 2.0
        await device.sleep(5)
        repeated = room.hub.mac.radio.repetitions
        monkeypatch.setattr("labctl.virtual.stack.mac.FRAME_WAIT_S", 1e-4)  # asleep at once again
        failed = room.hub.counters["mac_tx_failed"]
        polls: list[bool] = []
        room.hub_heard.child_polled = lambda nwk, phy, pending: polls.append(pending)  # type: ignore[method-assign]
        confirmed = asyncio.ensure_future(send(room.hub, device.state.nwk, b"missed", ack=False))
        await asyncio.sleep(5)
        assert len(polls) >= 2
        assert all(polls), "it is told each time that there is something"
        assert room.hub.counters["mac_tx_failed"] - failed == len(polls)
        assert room.hub.mac.radio.repetitions == repeated
        monkeypatch.undo()
        assert await confirmed is Status.SUCCESS
        assert [each.payload for each in room.heard[CAD].data] == [b"missed"]

    run(main())


def test_a_sleeper_hears_nothing_between_its_polls() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        await device.sleep(5)
        await send(room.hub, 0xFFFD, b"to those awake")
        await device.sleep(10)
        assert not room.heard[CAD].data
        await send(room.hub, 0xFFFF, b"to all")
        await device.sleep(10)
        assert [each.payload for each in room.heard[CAD].data] == [b"to all"]

    run(main())


def test_several_frames_are_fetched_in_one_go() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        await device.sleep(10)
        device.long_poll_s = 7.0
        await device.sleep(7)
        sent = [send(room.hub, device.state.nwk, bytes([i])) for i in range(4)]
        loop = asyncio.get_running_loop()
        times: list[float] = []
        room.heard[CAD].on_data = lambda _: times.append(loop.time())
        assert set(await asyncio.gather(*sent)) == {Status.SUCCESS}
        assert len(times) == 4
        assert times[-1] - times[0] < 0.2

    run(main())


def test_broadcasts_reach_each_awake_device_once() -> None:
    async def main() -> None:
        room = Room()
        devices = [
            await room.joined(Eui64(f"00:12:4b:00:00:00:01:{i:02x}"), position=(2.0 + i, 1.0, 0.0))
            for i in range(3)
        ]
        for each in devices[1:]:
            each.endpoints[1] = SimpleDescriptor(1, SE, 0, 0, (), ())
        await send(devices[0], 0xFFFD, b"hello all")
        await devices[0].sleep(1)
        assert [each.payload for each in room.hub_heard.data] == [b"hello all"]
        counts = [len(room.heard[each.state.eui64].data) for each in devices]
        assert counts == [0, 1, 1]
        assert room.hub_heard.data[0].destination == 0xFFFD

    run(main())


def test_endpoint_255_means_all_endpoints_of_the_profile() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.endpoints[5] = SimpleDescriptor(5, SE, 0, 0, (), ())
        room.hub.endpoints[6] = SimpleDescriptor(6, 0x0104, 0, 0, (), ())
        await device.send(
            0,
            source_endpoint=2,
            destination_endpoint=0xFF,
            profile_id=SE,
            cluster_id=3,
            payload=b"x",
        )
        assert sorted(each.destination_endpoint for each in room.hub_heard.data) == [1, 5]

    run(main())


def test_children_talk_to_each_other_through_the_hub() -> None:
    async def main() -> None:
        room = Room()
        first = await room.joined()
        second = await room.joined(OTHER, rx_on=False)
        second.endpoints[1] = SimpleDescriptor(1, SE, 0, 0, (), ())
        assert await send(first, second.state.nwk, b"over there") is Status.SUCCESS
        (indication,) = room.heard[OTHER].data
        assert indication.source == first.state.nwk
        assert not room.hub_heard.data
        assert await send(first, 0x7777, b"nobody") is Status.NO_ACK
        assert first.counters["nwk_status_received"] == 4, "the hub says that there is no route"

    run(main())


def test_to_oneself_nothing_goes_out() -> None:
    async def main() -> None:
        room = Room()
        room.hub.endpoints[2] = SimpleDescriptor(2, SE, 0, 0, (), ())
        before = room.hub.counters["mac_tx"]
        assert await send(room.hub, 0, b"me") is Status.SUCCESS
        assert [each.payload for each in room.hub_heard.data] == [b"me"]
        assert room.hub.counters["mac_tx"] == before

    run(main())


def test_the_owner_that_reassembles_gets_blocks_and_acknowledges_them() -> None:
    async def main() -> None:
        room = Room()
        room.hub.reassemble = False
        device = await room.joined()
        blocks: list[Indication] = []

        def take(indication: Indication) -> None:
            blocks.append(indication)
            if len(blocks) != 2:  # once it is slow: the sender repeats
                room.hub.acknowledge_block(indication)

        room.hub_heard.on_data = take
        payload = bytes(range(200))
        assert await send(device, 0, payload, aps_secured=True) is Status.SUCCESS
        assert [each.block for each in blocks] == [0, 1, 1, 2]
        assert [each.block_count for each in blocks] == [3, None, None, None]
        assert b"".join(each.payload for each in (blocks[0], blocks[1], blocks[3])) == payload
        assert len({each.counter for each in blocks}) == 1

    run(main())


def test_the_owner_that_fragments_sends_blocks_under_one_counter() -> None:
    async def main() -> None:
        room = Room()
        room.hub.reassemble = False
        device = await room.joined()
        short = device.state.nwk
        payload = bytes(range(180))
        parts = [payload[:71], payload[71:142], payload[142:]]
        counter = None
        for index, part in enumerate(parts):
            status = await send(
                room.hub,
                short,
                part,
                aps_secured=True,
                block=index,
                block_count=len(parts),
                counter=counter,
            )
            assert status is Status.SUCCESS
            counter = room.hub.last_counter
        assert [each.payload for each in room.heard[CAD].data] == [payload]
        assert room.heard[CAD].data[0].counter == counter

    run(main())


def test_a_bitmap_that_lacks_the_block_is_no_acknowledgement() -> None:
    async def main() -> None:
        room = Room()
        room.hub.reassemble = False
        device = await room.joined()
        room.hub_heard.on_data = lambda block: room.hub.acknowledge_block(block, 0xFE)
        assert await send(device, 0, bytes(200)) is Status.NO_ACK

    run(main())


def test_a_fragmented_message_that_stops_is_given_up() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(reassemble=False)
        sent = await send(device, 0, bytes(60), block=0, block_count=3)
        assert sent is Status.SUCCESS
        assert len(room.hub.aps._reassembler._messages) == 1
        await device.sleep(25)
        assert not room.hub.aps._reassembler._messages
        assert not room.hub_heard.data

    run(main())


def test_blocks_that_make_no_sense_are_refused() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(reassemble=False)
        assert await send(device, 0, b"a", block=0, block_count=2) is Status.SUCCESS
        counter = device.last_counter
        status = await send(device, 0, b"b", block=7, counter=counter)
        assert status is Status.NO_ACK
        assert room.hub.counters["aps_fragment_refused"] == 4
        assert await send(device, 0, b"b", block=1, counter=counter) is Status.SUCCESS
        assert [each.payload for each in room.hub_heard.data] == [b"ab"]

    run(main())


def test_wrong_link_key_is_dropped_in_silence_and_counted() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        device.state.link_keys[HUB] = LinkKey(HUB, bytes(16))
        assert await send(device, 0, b"x", aps_secured=True) is Status.NO_ACK
        assert room.hub.counters["aps_decryption_failure"] == 4
        assert not room.hub_heard.data

    run(main())


def test_a_link_key_replaced_in_between_protects_the_retry() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        new = bytes(range(16))
        device.state.link_keys[HUB] = LinkKey(HUB, new)
        sending = asyncio.ensure_future(send(device, 0, b"x", aps_secured=True))
        await device.sleep(0.5)
        room.hub.state.link_keys[CAD] = LinkKey(CAD, new)
        assert await sending is Status.SUCCESS

    run(main())


def replayed(room: Room, octets: bytes, twist: int) -> None:
    """Put a recorded frame on the air again, past MAC and BTT duplicates."""
    frame = mac.decode(octets[:-2])
    room.hub.mac.frame_received(
        mac.with_fcs(replace(frame, sequence=frame.sequence ^ twist).encode()), -40, 255
    )


def test_replayed_frames_are_dropped_by_the_frame_counters() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        recorded: list[bytes] = []

        def listen(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            if sender.name == CAD and psdu[0] & 7 == mac.Kind.DATA:
                recorded.append(psdu)
            return False

        room.air.drop = listen
        assert await send(device, 0, b"switch on", aps_secured=True) is Status.SUCCESS
        await device.sleep(15)
        replayed(room, recorded[0], 0x55)
        assert room.hub.counters["nwk_frame_counter_failure"] == 1
        # The network key alone does not help either: the APS counter has gone on too.
        room.hub.nwk.security.forget_neighbour(CAD.little_endian)
        replayed(room, recorded[0], 0x66)
        assert room.hub.counters["aps_frame_counter_failure"] == 1
        assert len(room.hub_heard.data) == 1

    run(main())


def test_a_frame_changed_on_the_way_is_not_taken() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        recorded: list[bytes] = []

        def lose(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            if sender.name == CAD and psdu[0] & 7 == mac.Kind.DATA:
                recorded.append(psdu)
                return True
            return False

        room.air.drop = lose
        await send(device, 0, b"amount 10", ack=False)
        frame = mac.decode(recorded[0][:-2])
        inner = nwk.decode(frame.payload)
        body = bytearray(inner.body)
        body[-6] ^= 1
        forged = replace(frame, payload=inner.header + bytes(body))
        room.hub.mac.frame_received(mac.with_fcs(forged.encode()), -40, 255)
        assert room.hub.counters["nwk_decryption_failure"] == 1
        assert not room.hub_heard.data

    run(main())


def test_many_at_once_all_arrive() -> None:
    async def main() -> None:
        room = Room()
        devices = [
            await room.joined(Eui64(f"00:12:4b:00:00:00:02:{i:02x}"), position=(1.0 + i, 2.0, 0.0))
            for i in range(4)
        ]
        results = await asyncio.gather(
            *(send(each, 0, bytes([i]), aps_secured=True) for each in devices for i in range(10)),
            *(send(room.hub, each.state.nwk, bytes([i])) for each in devices for i in range(10)),
        )
        assert set(results) == {Status.SUCCESS}
        assert len(room.hub_heard.data) == 40
        assert all(len(room.heard[each.state.eui64].data) == 10 for each in devices)

    run(main())


def test_a_counter_can_be_reserved_and_used() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        counter = device.reserve_counter()
        assert device.newest_counter == counter
        assert await send(device, 0, b"x", counter=counter) is Status.SUCCESS
        assert room.hub_heard.data[0].counter == counter

    run(main())


def test_a_frame_repeated_by_the_mac_is_dropped_by_the_mac() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        await device.sleep(1)
        lost = [0]

        def drop(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            mac_ack = psdu[0] & 7 == mac.Kind.ACK and receiver.name == CAD
            if mac_ack and lost[0] < 2:
                lost[0] += 1
                return True
            return False

        room.air.drop = drop
        assert await send(device, 0, b"x") is Status.SUCCESS
        assert room.hub.counters["mac_rx_duplicate"] >= 1
        assert room.hub.counters["nwk_frame_counter_failure"] == 0

    run(main())


def test_each_fragment_has_retries_of_its_own() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        await device.sleep(1)
        seen: dict[int, int] = {}

        def drop(sender: Radio, receiver: Radio, psdu: bytes) -> bool:
            # Lose each fragment's first two rounds of APS acknowledgements, 4 MAC attempts each.
            if sender.name != HUB or psdu[0] & 7 != mac.Kind.DATA:
                return False
            block = len(room.hub.aps._reassembler._messages) and len(
                next(iter(room.hub.aps._reassembler._messages.values())).blocks
            )
            seen[block] = seen.get(block, 0) + 1
            return seen[block] <= 8

        room.air.drop = drop
        payload = bytes(300)
        assert await send(device, 0, payload) is Status.SUCCESS
        assert [each.payload for each in room.hub_heard.data] == [payload]
        assert device.counters["aps_retries"] == 8, "two for each of four fragments"

    run(main())


def test_an_expired_frame_is_not_delivered_later() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        device.power_off()
        short = device.state.nwk
        assert await send(room.hub, short, b"stale", ack=False) is Status.EXPIRED
        assert not room.hub.mac.kept.waiting_for(short)
        device.power_on()
        await device.sleep(20)
        assert not room.heard[CAD].data

    run(main())


def test_the_same_broadcast_from_a_second_repeater_is_taken_once() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        await send(device, 0xFFFD, b"once")
        await device.sleep(0.1)
        assert len(room.hub_heard.data) == 1
        # Another device repeats it: same originator and sequence number, its own counter.
        sequence = device.nwk.sequence
        frame = nwk.NwkFrame(0xFFFD, device.state.nwk, 5, sequence)
        data = ApsFrame(
            delivery=Delivery.BROADCAST,
            destination_endpoint=1,
            profile=SE,
            cluster=0x0702,
            source_endpoint=2,
        )
        octets = device.nwk.security.seal(frame.encode_header(), data.encode_header() + b"once")
        repeated = mac.with_fcs(mac.encode_data(77, 0x1A62, 0xFFFF, 0x0BAD, octets))
        room.hub.mac.frame_received(repeated, -50, 200)
        assert len(room.hub_heard.data) == 1
        await device.sleep(10)
        octets = device.nwk.security.seal(frame.encode_header(), data.encode_header() + b"again")
        repeated = mac.with_fcs(mac.encode_data(78, 0x1A62, 0xFFFF, 0x0BAD, octets))
        room.hub.mac.frame_received(repeated, -50, 200)
        assert len(room.hub_heard.data) == 2, "after the broadcast delivery time it is a new one"

    run(main())


def test_what_is_sent_during_a_scan_waits_for_its_end() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        scan = asyncio.ensure_future(room.hub.active_scan([11, 12, 13]))
        await asyncio.sleep(0.05)
        status = await send(room.hub, device.state.nwk, b"later")
        assert status is Status.SUCCESS
        assert scan.done()
        assert room.hub.counters["mac_tx_failed"] == 0
        assert room.hub.counters["aps_retries"] == 0

    run(main())


def test_a_joiner_takes_nothing_unsecured_but_its_key() -> None:
    async def main() -> None:
        room = Room()
        device = room.device(known=False)
        joining = asyncio.ensure_future(room.join(device))
        while not device.joining.waits_for_key:  # noqa: ASYNC110 - no event tells that
            await asyncio.sleep(0.01)
        frame = nwk.NwkFrame(device.state.nwk, 0, 5, 9, security=False)
        data = ApsFrame(destination_endpoint=2, profile=SE, source_endpoint=1)
        inner = frame.encode_header() + data.encode_header() + b"psst"
        psdu = mac.with_fcs(mac.encode_data(99, 0x1A62, device.state.nwk, 0, inner))
        device.mac.frame_received(psdu, -50, 200)
        assert device.counters["nwk_unsecured_dropped"] == 1
        assert not room.heard[CAD].data
        assert await joining is JoinFailure.NO_NETWORK_KEY

    run(main())
