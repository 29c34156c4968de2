"""Joining, messages, fragments and ZDO through the NCP, with real nodes on the air."""

from __future__ import annotations

import asyncio
import random
import struct

import pytest
from ncp_support import EXTENDED_PAN, STICK, RawHost, connected, fast, stick
from node_pair import CLEAN, Listener

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.ncp import VirtualEzspNcp
from labctl.virtual.node import (
    JoinFailure,
    LinkKey,
    Node,
    NodeState,
    Role,
    SimpleDescriptor,
    Status,
)

CAD = Eui64("00:12:4b:00:00:00:00:aa")
OTHER = Eui64("00:12:4b:00:00:00:00:bb")
KEY = bytes(range(0x40, 0x50))
OK = struct.pack("<I", 0)
ENCRYPTED, RETRY, FRAGMENT, ZDO_RESPONSE_REQUIRED = 0x0020, 0x0040, 0x8000, 0x4000


class Device:
    """An end device with endpoint 2, and what it was told."""

    def __init__(
        self, air: Air, eui64: Eui64 = CAD, *, rx_on: bool = True, reassemble: bool = True
    ) -> None:
        self.heard = Listener()
        self.node = Node(
            air,
            NodeState(eui64, Role.END_DEVICE),
            self.heard,
            rng=random.Random(str(eui64)),
            position=(3.0, 0.0, 0.0),
            rx_on_when_idle=rx_on,
            reassemble=reassemble,
        )
        self.node.endpoints[2] = SimpleDescriptor(2, 0x0109, 0x0502, 0, (), (0x0702,))
        self.node.power_on()

    @property
    def nwk(self) -> int:
        return self.node.state.nwk

    async def join(self, key: bytes = KEY) -> JoinFailure | None:
        beacons = await self.node.active_scan([20])
        assert beacons
        return await self.node.join(beacons[0], link_key=key)

    async def send(self, payload: bytes, *, secured: bool = True, endpoint: int = 1) -> Status:
        return await self.node.send(
            0x0000,
            source_endpoint=2,
            destination_endpoint=endpoint,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=payload,
            aps_secured=secured,
        )

    def off(self) -> None:
        self.node.power_off()


def clean_air() -> Air:
    return Air(rng=random.Random(1), propagation=CLEAN)


async def hub(host: RawHost, *, zdo_flags: int = 0x03) -> None:
    await host.start(zdo_flags=zdo_flags)
    await host.add_endpoint(1, 0x0702, 0x0700)
    await host.form()


async def arm(host: RawHost, eui64: Eui64 = CAD, *, index: int = 0, key: bytes = KEY) -> None:
    """An install-code key in the link key table, and joining open."""
    assert await host.command(0x10E, bytes([index]) + eui64.little_endian + key) == OK
    assert await host.command(0x22, b"\xfe") == b"\x00"


async def paired(host: RawHost, device: Device, *, index: int = 0) -> None:
    await arm(host, device.node.state.eui64, index=index)
    assert await device.join() is None
    await asyncio.sleep(1)
    host.callbacks.clear()


def aps(options: int = RETRY, *, cluster: int = 0x0702, group: int = 0, sequence: int = 0) -> bytes:
    return struct.pack("<HHBBHHB", 0x0109, cluster, 1, 2, options, group, sequence)


def unicast(to: int, frame: bytes, payload: bytes, *, tag: int = 7) -> bytes:
    return struct.pack("<BH", 0, to) + frame + bytes([tag, len(payload)]) + payload


def trust_centre_joins(host: RawHost) -> list[tuple[int, int]]:
    """(status, decision) of each trustCenterJoinHandler so far."""
    return [
        struct.unpack("<H8sBBH", parameters)[2:4]
        for _, frame_id, parameters in host.callbacks
        if frame_id == 0x24
    ]


# -- joining ---------------------------------------------------------------------------------------


def test_a_device_with_a_key_in_the_table_joins_and_the_host_hears_in_order() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            host.callbacks.clear()
            device = Device(air)
            assert await device.join() is None
            await asyncio.sleep(1)
            order = [frame_id for _, frame_id, _ in host.callbacks]
            assert order[:2] == [0x23, 0x24]  # childJoinHandler, trustCenterJoinHandler
            child = host.callbacks[0][2]
            index, joining, nwk, eui64, kind = struct.unpack("<BBH8sB", child)
            assert (index, joining, eui64, kind) == (0, 1, CAD.little_endian, 3)
            assert nwk == device.nwk
            joined = struct.unpack("<H8sBBH", host.callbacks[1][2])
            assert joined == (nwk, CAD.little_endian, 1, 0x00, 0x0000)  # USE_PRECONFIGURED_KEY
            announced = [
                parameters for _, frame_id, parameters in host.callbacks if frame_id == 0x45
            ]
            assert struct.unpack_from("<HH", announced[0], 1) == (0x0000, 0x0013)

            data = await host.command(0x4A, b"\x00")
            assert struct.unpack("<B8sBHBBBI", data)[:4] == (0, CAD.little_endian, 3, nwk)
            assert (await host.command(0x4A, b"\x01"))[0] == 0x93
            assert await host.command(0x60, CAD.little_endian) == struct.pack("<H", nwk)
            assert await host.command(0x61, struct.pack("<H", nwk)) == b"\x00" + CAD.little_endian
            device.off()

    fast(main)


@pytest.mark.parametrize(
    ("policy", "where", "decision"),
    [
        (0x03, "table", 0x00),
        (0x03, "transient", 0x00),
        (0x03, "wildcard", 0x00),
        (0x03, "nowhere", 0x02),
        (0x13, "table", 0x02),  # JOINS_USE_INSTALL_CODE_KEY looks only in the transient table
        (0x13, "transient", 0x00),
        (0x13, "wildcard", 0x02),
        (0x02, "table", 0x02),  # no joins at all
        (0x00, "table", 0x02),
        (0x21, "table", 0x03),  # DEFER_JOINS
    ],
)
def test_who_may_join_is_decided_by_policy_and_keys(policy: int, where: str, decision: int) -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            assert await host.command(0x55, bytes([0, policy])) == b"\x00"
            if where == "table":
                assert await host.command(0x10E, b"\x05" + CAD.little_endian + KEY) == OK
            elif where != "nowhere":
                address = CAD.little_endian if where == "transient" else b"\xff" * 8
                assert await host.command(0x111, address + KEY + b"\x00") == OK
            assert await host.command(0x22, b"\x3c") == b"\x00"
            device = Device(air)
            failure = await device.join()
            assert (failure is None) == (decision == 0x00)
            assert trust_centre_joins(host)[0] == (1, decision)
            device.off()

    fast(main)


def test_a_transient_key_that_timed_out_lets_nobody_in() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            assert await host.command(0x111, CAD.little_endian + KEY + b"\x00") == OK
            await asyncio.sleep(301)
            await host.command(0x22, b"\x3c")
            device = Device(air)
            assert await device.join() is JoinFailure.NO_NETWORK_KEY
            assert (1, 0x02) in trust_centre_joins(host)
            device.off()

    fast(main)


def test_a_global_key_lets_everybody_in_who_has_it() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await host.start()
            await host.form(bitmask=0x0B04, key=KEY)
            await host.command(0x22, b"\x3c")
            device = Device(air)
            assert await device.join() is None
            assert trust_centre_joins(host)[0] == (1, 0x00)
            device.off()

    fast(main)


def test_with_the_wrong_key_a_device_gets_nowhere_and_the_host_sees_it_try() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            device = Device(air)
            assert await device.join(bytes(16)) is JoinFailure.NO_NETWORK_KEY
            assert trust_centre_joins(host)[0] == (1, 0x00)
            announced = [frame_id for _, frame_id, _ in host.callbacks if frame_id == 0x45]
            assert announced == []  # nothing that needs the network key came
            device.off()

    fast(main)


def test_a_closed_network_refuses_association() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            await host.command(0x22, b"\x00")
            device = Device(air)
            assert await device.join() is JoinFailure.NOT_PERMITTED
            assert trust_centre_joins(host) == []
            device.off()

    fast(main)


def test_rejoins_with_and_without_the_network_key() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            await host.command(0x22, b"\x00")
            assert await device.node.rejoin(secured=True) is None
            await asyncio.sleep(0.5)
            assert trust_centre_joins(host) == [(0, 0x03)]  # SECURED_REJOIN, NO_ACTION
            host.callbacks.clear()
            assert await device.node.rejoin(secured=False) is None
            await asyncio.sleep(0.5)
            assert trust_centre_joins(host) == [(3, 0x00)]  # under its key in the table
            host.callbacks.clear()
            assert await host.command(0x55, bytes([0, 0x01])) == b"\x00"
            assert await device.node.rejoin(secured=False) is not None
            await asyncio.sleep(0.5)
            assert trust_centre_joins(host)[0] == (3, 0x02)
            device.off()

    fast(main)


def test_a_device_is_sent_away() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            target = CAD.little_endian
            arguments = struct.pack("<H", device.nwk) + target + target
            assert await host.command(0xA8, arguments) == b"\x00"
            await asyncio.sleep(2)
            assert device.heard.lefts == [False]
            device.off()

    fast(main)


def test_a_device_that_leaves_is_reported_as_child_and_by_the_trust_centre() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device, other = Device(air), Device(air, OTHER, rx_on=False)
            await paired(host, device)
            await paired(host, other, index=1)
            nwk = other.nwk
            other.node.leave()
            await asyncio.sleep(2)
            (child,) = [each[2] for each in host.callbacks if each[1] == 0x23]
            assert struct.unpack("<BBH8sB", child) == (1, 0, nwk, OTHER.little_endian, 4)
            assert trust_centre_joins(host) == [(2, 0x03)]  # DEVICE_LEFT, NO_ACTION
            # the other child keeps its index
            assert (await host.command(0x4A, b"\x00"))[1:9] == CAD.little_endian
            assert (await host.command(0x4A, b"\x01"))[0] == 0x93
            device.off()
            other.off()

    fast(main)


def test_polls_are_told_when_the_policy_asks_for_it() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            device = Device(air)
            assert await device.join() is None
            await asyncio.sleep(130)
            polls = [frame for _, frame_id, frame in host.callbacks if frame_id == 0x44]
            assert polls == []
            assert await host.command(0x56, b"\x03") == b"\x00\x30"
            assert await host.command(0x55, b"\x03\x31") == b"\x00"
            await asyncio.sleep(130)
            polls = [frame for _, frame_id, frame in host.callbacks if frame_id == 0x44]
            assert polls == [struct.pack("<HB", device.nwk, 0)] * 2
            device.off()

    fast(main)


def test_a_leave_goes_out_before_the_radio_is_switched_off() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            heard = device.node.counters["mac_rx"]
            assert await host.command(0x20) == b"\x00"
            assert await host.callback(0x19) == b"\x91"
            assert device.node.counters["mac_rx"] == heard + 1
            assert await device.send(b"anybody there?") is Status.MAC_FAILURE
            device.off()

    fast(main)


def test_a_network_that_nobody_resumed_gives_way_to_a_new_one() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            await host.form(channel=11)
            await host.start()
            await host.form(channel=26)
            assert (await host.command(0xBA)) == bytes([26])

    fast(main)


def test_a_child_table_is_restored() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await hub(host)
            assert await host.command(0x53, struct.pack("<BH", 0x11, 32)) == b"\x38"
            entry = CAD.little_endian + struct.pack("<BHBBBI", 4, 0x1234, 0, 0, 0, 0)
            assert await host.command(0xAC, b"\x02" + entry) == b"\x00"
            token = await host.command(0x102, struct.pack("<II", 0x10580, 2))
            assert token == b"\x00" + struct.pack("<I", 11) + CAD.little_endian + b"\x34\x12\x80"
            await host.start()
            assert await host.command(0x17, b"\x00\x00") == b"\x00"
            assert (await host.command(0x4A, b"\x02"))[:12] == b"\x00" + entry[:11]
            assert await host.command(0x7F, CAD.little_endian) == b"\x01"  # it sleeps

    fast(main)


# -- messages --------------------------------------------------------------------------------------


def test_an_encrypted_message_goes_out_and_its_acknowledgement_comes_back() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            command = unicast(device.nwk, aps(RETRY | ENCRYPTED), b"reading", tag=0x55)
            status, sequence = await host.command(0x34, command)
            assert status == 0
            sent = await host.callback(0x3F)
            kind, to = struct.unpack_from("<BH", sent)
            assert (kind, to) == (0, device.nwk)
            assert sent[3:14] == aps(RETRY | ENCRYPTED, sequence=sequence)
            assert sent[14:] == bytes([0x55, 0x00, 0x00])  # tag, status, no contents by policy
            (got,) = device.heard.data
            assert (got.payload, got.aps_secured, got.counter) == (b"reading", True, sequence)
            assert (got.source_endpoint, got.destination_endpoint) == (1, 2)
            device.off()

    fast(main)


def test_the_contents_come_back_when_the_policy_says_so() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            assert await host.command(0x55, bytes([4, 0x41])) == b"\x00"
            await host.command(0x34, unicast(device.nwk, aps(), b"abc"))
            assert (await host.callback(0x3F))[14:] == bytes([7, 0, 3]) + b"abc"
            device.off()

    fast(main)


def test_a_received_message_has_its_fields_where_the_documents_have_them() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            slot = b"\x02" + CAD.little_endian + struct.pack("<H", device.nwk) + b"\x00"
            assert (await host.command(0x82, slot))[0] == 0
            assert await device.send(b"question") is Status.SUCCESS
            message = await host.callback(0x45)
            kind, profile, cluster, source, destination, options, group, counter = (
                struct.unpack_from("<BHHBBHHB", message)
            )
            assert (kind, profile, cluster, source, destination) == (0, 0x0109, 0x0702, 2, 1)
            assert options & ENCRYPTED
            assert not options & (FRAGMENT | ZDO_RESPONSE_REQUIRED)
            assert (group, counter) == (0, device.node.last_counter)
            lqi, rssi, sender, binding, address, length = struct.unpack_from("<BbHBBB", message, 12)
            assert lqi > 200
            assert -70 < rssi < -20
            assert (sender, binding, address, length) == (device.nwk, 0xFF, 2, 8)
            assert message[19:] == b"question"

            assert await device.send(b"in the clear", secured=False) is Status.SUCCESS
            message = await host.callback(0x45)
            assert not struct.unpack_from("<H", message, 7)[0] & ENCRYPTED
            assert message[19:] == b"in the clear"
            device.off()

    fast(main)


def test_a_message_for_an_endpoint_that_is_not_there_is_not_handed_up() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            await device.send(b"question", endpoint=9)
            disable = bytes([0x0F, 3, 1, 0, 0])
            assert await host.command(0xAB, disable) == b"\x00"
            await device.send(b"question")
            assert [each for each in host.callbacks if each[1] == 0x45] == []
            device.off()

    fast(main)


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await host.start()
            assert await host.command(0x34, unicast(0x1234, aps(), b"x")) == b"\x91\x00"
            await host.add_endpoint(1, 0x0702)
            await host.form()
            device = Device(air)
            await paired(host, device)
            nwk = device.nwk
            assert await host.command(0x34, unicast(0x1234, aps(ENCRYPTED), b"x")) == b"\xa6\x00"
            assert await host.command(0x34, unicast(nwk, aps(), bytes(83))) == b"\x74\x00"
            assert await host.command(0x34, unicast(nwk, aps(ENCRYPTED), bytes(74))) == b"\x74\x00"
            assert await host.command(0x33) == bytes([82])
            assert await host.command(0x76, b"\x00") == b"\x00"  # the key is gone
            assert await host.command(0x34, unicast(nwk, aps(ENCRYPTED), b"x")) == b"\xa6\x00"
            assert (await host.command(0x34, unicast(0xFFFD, aps(), b"x")))[0] == 0x02
            assert [each for each in host.callbacks if each[1] == 0x3F] == []
            device.off()

    fast(main)


def test_ten_messages_may_be_in_flight_and_a_lost_device_fails_after_its_retries() -> None:
    async def main() -> None:
        air = clean_air()
        loop = asyncio.get_running_loop()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            device.off()
            started = loop.time()
            for tag in range(10):
                answer = await host.command(0x34, unicast(device.nwk, aps(), b"x", tag=tag))
                assert answer[0] == 0
            assert await host.command(0x34, unicast(device.nwk, aps(), b"x")) == b"\x72\x00"
            failed = await host.callback(0x3F)
            assert failed[15] == 0x66  # DELIVERY_FAILED
            assert 4.0 < loop.time() - started < 9.0
            await asyncio.sleep(10)
            assert len([each for each in host.callbacks if each[1] == 0x3F]) == 9
            assert (await host.command(0x34, unicast(device.nwk, aps(), b"x")))[0] == 0

    fast(main)


def test_messages_go_along_the_address_table() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            assert await host.command(0x5C, b"\x01" + CAD.little_endian) == b"\x00"
            command = struct.pack("<BH", 1, 1) + aps() + bytes([3, 1]) + b"x"
            assert (await host.command(0x34, command))[0] == 0
            sent = await host.callback(0x3F)
            assert sent[:3] == bytes([1, 1, 0])
            assert sent[15] == 0
            nowhere = struct.pack("<BH", 1, 9) + aps() + bytes([3, 1]) + b"x"
            assert (await host.command(0x34, nowhere))[0] == 0x6A
            device.off()

    fast(main)


def test_broadcasts_reach_the_devices_that_listen() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            command = struct.pack("<H", 0xFFFD) + aps(0) + bytes([0, 9, 4]) + b"time"
            status, _ = await host.command(0x36, command)
            assert status == 0
            await asyncio.sleep(1)
            assert [got.payload for got in device.heard.data] == [b"time"]
            assert (await host.callback(0x3F))[:1] == b"\x06"
            device.off()

    fast(main)


# -- fragments -------------------------------------------------------------------------------------


def test_the_host_sends_and_the_device_reassembles_fragments() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            payload = bytes(range(180))
            blocks = [payload[:70], payload[70:140], payload[140:]]
            sequence = 0
            for index, block in enumerate(blocks):
                options = RETRY | ENCRYPTED | FRAGMENT
                frame = aps(options, group=3 << 8 | index, sequence=sequence)
                status, sequence = await host.command(0x34, unicast(device.nwk, frame, block))
                assert status == 0
                assert (await host.callback(0x3F))[15] == 0
            await asyncio.sleep(0.1)
            (got,) = device.heard.data
            assert (got.payload, got.aps_secured) == (payload, True)
            device.off()

    fast(main)


def test_the_host_gets_and_acknowledges_each_fragment() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            payload = bytes(range(150))
            sending = asyncio.ensure_future(device.send(payload))
            got = b""
            for index in range(3):
                message = await host.callback(0x45)
                options, group, counter = struct.unpack_from("<HHB", message, 7)
                assert options & FRAGMENT
                assert group == (3 << 8 if index == 0 else index)  # the count in block 0 alone
                got += message[19:]
                reply = struct.pack("<H", device.nwk) + struct.pack(
                    "<HHBBHHB", 0x0109, 0x0702, 1, 2, options, 0xFF00 | index, counter
                )
                assert await host.command(0x39, reply + b"\x00") == b"\x00"
            assert await sending is Status.SUCCESS
            assert got == payload
            # a block that never came cannot be acknowledged, nor a message that is none
            assert await host.command(0x39, reply[:-1] + b"\x77\x00") == b"\x70"
            device.off()

    fast(main)


def test_a_fragment_without_the_hosts_acknowledgement_is_sent_again_and_fails() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            assert await device.send(bytes(150)) is not Status.SUCCESS
            first = [each for each in host.callbacks if each[1] == 0x45]
            assert len(first) > 1  # retries
            device.off()

    fast(main)


# -- ZDO -------------------------------------------------------------------------------------------


def zdo_messages(host: RawHost) -> list[tuple[int, int, bytes]]:
    """(cluster, options, payload) of each ZDO frame handed up."""
    found = []
    for _, frame_id, message in host.callbacks:
        profile, cluster = struct.unpack_from("<HH", message, 1) if frame_id == 0x45 else (1, 0)
        if profile == 0:
            found.append((cluster, struct.unpack_from("<H", message, 7)[0], message[19:]))
    return found


@pytest.mark.parametrize(
    ("flags", "answered", "handed_up", "marked"),
    [
        (0x00, True, False, False),  # the NCP answers alone
        (0x01, True, True, False),  # it answers, the host gets a copy
        (0x04, False, True, True),  # the host answers
        (0x05, False, True, True),
    ],
)
def test_who_answers_match_descriptor_requests_is_configured(
    flags: int, answered: bool, handed_up: bool, marked: bool
) -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host, zdo_flags=flags)
            device = Device(air)
            await paired(host, device)
            request = struct.pack("<HHBHB", 0x0000, 0x0109, 1, 0x0702, 0)
            answer = await device.node.zdo(0x0000, 0x0006, request)
            expected = b"\x00" + struct.pack("<H", 0) + bytes([1, 1])
            assert answer == (expected if answered else None)
            seen = [each for each in zdo_messages(host) if each[0] == 0x0006]
            assert len(seen) == handed_up  # once, never twice
            assert [bool(options & ZDO_RESPONSE_REQUIRED) for _, options, _ in seen] == (
                [marked] if handed_up else []
            )
            device.off()

    fast(main)


@pytest.mark.parametrize(("flags", "marked"), [(0x03, False), (0x0B, True)])
def test_bindings_and_unsupported_requests_go_where_they_are_configured(
    flags: int, marked: bool
) -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host, zdo_flags=flags)
            device = Device(air)
            await paired(host, device)
            bind = STICK.little_endian + b"\x01\x02\x07\x03" + CAD.little_endian + b"\x02"
            await device.node.zdo(0x0000, 0x0021, bind)
            await device.node.zdo(0x0000, 0x0014, b"\x00")  # User_Desc_set: nobody supports it
            seen = {
                cluster: bool(options & ZDO_RESPONSE_REQUIRED)
                for cluster, options, _ in zdo_messages(host)
            }
            assert seen == {0x0021: marked, 0x0014: True}
            device.off()

    fast(main)


def test_the_ncp_answers_its_own_hosts_zdo() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await hub(host)
            frame = struct.pack("<HHBBHHB", 0, 0x0002, 0, 0, RETRY, 0, 0)
            command = struct.pack("<BH", 0, 0) + frame + bytes([1, 3]) + b"\x21\x00\x00"
            assert (await host.command(0x34, command))[0] == 0
            await asyncio.sleep(1)
            answers = [each for each in zdo_messages(host) if each[0] == 0x8002]
            ((_, _, payload),) = answers
            assert payload[:4] == b"\x21\x00\x00\x00"  # sequence, success, address
            assert payload[4] & 0x07 == 0  # a coordinator
            assert (await host.callback(0x3F))[15] == 0

    fast(main)


# -- scans and the network itself ------------------------------------------------------------------


def test_scans_find_energy_and_networks_before_and_after_forming() -> None:
    async def main() -> None:
        air = clean_air()
        async with (
            stick(air=air) as (_, port),
            connected(port) as host,
        ):
            await hub(host)
            second = VirtualEzspNcp(eui64=OTHER, air=air, rng=random.Random(9))
            async with connected(await second.listen()) as guest:
                await guest.start()
                scan = struct.pack("<BIB", 1, 1 << 20 | 1 << 11, 3)
                assert await guest.command(0x1A, scan) == b"\x00"
                assert await guest.command(0x1A, scan) == b"\x3d"  # one at a time
                found = await guest.callback(0x1B)
                channel, pan, extended, open_, profile, update = struct.unpack_from(
                    "<BH8sBBB", found
                )
                assert (channel, pan, extended) == (20, 0x1A2B, EXTENDED_PAN)
                assert (open_, profile, update) == (0, 2, 0)
                assert await guest.callback(0x1C) == b"\x00\x00"
                energy = struct.pack("<BIB", 0, 0x07FFF800, 2)
                assert await guest.command(0x1A, energy) == b"\x00"
                await guest.callback(0x1C)
            await second.close()
            assert await host.command(0x1A, struct.pack("<BIB", 0, 1 << 15, 2)) == b"\x00"
            channel, rssi = struct.unpack("<Bb", await host.callback(0x48))
            assert channel == 15
            assert rssi < -60
            assert await host.callback(0x1C) == b"\x00\x00"
            assert await host.command(0x1A, struct.pack("<BIB", 0, 1, 2)) == b"\x35"
            assert await host.command(0x1A, struct.pack("<BIB", 9, 1 << 15, 2)) == b"\x34"
            assert await host.command(0x1A, struct.pack("<BIB", 0, 1 << 15, 99)) == b"\x33"

    fast(main)


def test_the_network_is_described_and_left() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            assert (await host.command(0x28))[0] == 0x93
            assert await host.command(0x17, b"\x00\x00") == b"\x93"
            assert await host.command(0x22, b"\x10") == b"\x70"
            await host.form(channel=25)
            status, kind, extended, pan, power, channel, *_ = struct.unpack(
                "<BB8sHbBBHBI", await host.command(0x28)
            )
            assert (status, kind, extended, pan) == (0, 1, EXTENDED_PAN, 0x1A2B)
            assert (power, channel) == (8, 25)
            assert await host.command(0x18) == b"\x02"
            assert await host.command(0x27) == b"\x00\x00"
            assert await host.command(0x17, b"\x00\x00") == b"\x70"  # it is up already
            assert await host.command(0x10E, b"\x00" + CAD.little_endian + KEY) == OK
            assert await host.command(0x20) == b"\x00"
            assert await host.callback(0x19) == b"\x91"
            assert await host.command(0x18) == b"\x00"
            # the link key table outlives the network: a swap-out forms anew with it
            assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\x00"

    fast(main)


@pytest.mark.parametrize(
    ("channel", "power", "status"), [(3, 8, 0x8A), (0x85, 8, 0x8A), (20, 40, 0x8B)]
)
def test_what_the_radio_cannot_do_is_refused(channel: int, power: int, status: int) -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            state = struct.pack("<H", 0x0A00) + bytes(16) + KEY + bytes(9)
            assert await host.command(0x68, state) == b"\x00"
            parameters = bytes(8) + struct.pack("<HbBBHBI", 0x1A2B, power, channel, 0, 0, 0, 0)
            assert await host.command(0x1E, parameters) == bytes([status])

    fast(main)


def test_the_network_key_changes_when_it_is_switched() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            new = bytes(range(0x70, 0x80))
            update = struct.pack("<H", device.nwk) + CAD.little_endian + new
            assert await host.command(0x74) == b"\x70"
            assert await host.command(0xA9, update) == b"\x00"
            assert await host.command(0x74) == b"\xb8"  # too soon
            await asyncio.sleep(10)
            assert await host.command(0x74) == b"\x00"
            assert await host.callback(0x6E) == b"\x01"
            await asyncio.sleep(5)
            assert device.node.state.network_key == new
            assert await device.send(b"under the new key") is Status.SUCCESS
            device.off()

    fast(main)


def test_two_devices_get_a_key_of_their_own_by_policy() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (ncp, port), connected(port) as host:
            await hub(host)
            assert await host.command(0x10E, b"\x00" + CAD.little_endian + KEY) == OK
            joining = ncp.firmware.joining
            assert not joining.application_key_requested(CAD, OTHER)
            assert await host.command(0x55, bytes([6, 0x61])) == b"\x00"
            assert not joining.application_key_requested(CAD, OTHER)  # OTHER has no key here
            assert await host.command(0x10E, b"\x01" + OTHER.little_endian + KEY) == OK
            assert joining.application_key_requested(CAD, OTHER)

    fast(main)


def test_counters_tell_what_happened_on_the_air() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            for _ in range(3):
                await host.command(0x34, unicast(device.nwk, aps(), b"x"))
                await host.callback(0x3F)
                await device.send(b"y")
            # a frame under a link key that we do not have
            device.node.state.link_keys[STICK] = LinkKey(STICK, bytes(16))
            await device.send(b"z")
            counters = struct.unpack("<41H", await host.command(0x65))
            assert counters[9] >= 3  # APS_DATA_TX_UNICAST_SUCCESS
            assert counters[8] >= 3  # APS_DATA_RX_UNICAST
            assert counters[26] >= 1  # APS_DECRYPTION_FAILURE
            assert counters[2] > counters[8]
            assert struct.unpack("<41H", await host.command(0xF1))[9] == 0
            device.off()

    fast(main)
