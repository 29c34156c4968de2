"""Discovery and management: what endpoint 0 answers, and when it keeps silent."""

from __future__ import annotations

import asyncio

import pytest
from node_pair import CAD, HUB, SE, Listener, Room, run

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.frames import zdp
from labctl.virtual.frames.zdp import Cluster, MatchRequest, ZdpStatus
from labctl.virtual.node import Indication

OTHER = Eui64("00:12:4b:00:00:00:00:bb")
HUB_SHORT = zdp.u16(0)
SUCCESS = b"\x00"


def asked(cluster: int, body: bytes) -> bytes | None:
    """What the hub answers a joined device."""

    async def main() -> bytes | None:
        room = Room()
        device = await room.joined()
        return await device.zdo(0, cluster, body)

    return run(main())


def test_addresses_both_ways_and_of_a_child() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        ieee = await device.zdo(0, Cluster.IEEE_ADDR, HUB_SHORT + b"\x00\x00")
        assert ieee == SUCCESS + HUB.little_endian + HUB_SHORT
        short = await device.zdo(0, Cluster.NWK_ADDR, HUB.little_endian + b"\x00\x00")
        assert short == SUCCESS + HUB.little_endian + HUB_SHORT
        own = zdp.u16(device.state.nwk)
        child = await device.zdo(0, Cluster.IEEE_ADDR, own + b"\x00\x00")
        assert child == SUCCESS + CAD.little_endian + own
        extended = await device.zdo(0, Cluster.IEEE_ADDR, HUB_SHORT + b"\x01\x00")
        assert extended == SUCCESS + HUB.little_endian + HUB_SHORT + b"\x01\x00" + own
        unknown = await device.zdo(0, Cluster.NWK_ADDR, OTHER.little_endian + b"\x00\x00")
        assert unknown is not None
        assert unknown[0] == ZdpStatus.DEVICE_NOT_FOUND

    run(main())


def test_a_broadcast_address_request_is_answered_by_its_subject_or_its_parent_only() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        body = HUB.little_endian + b"\x00\x00"
        answers = await device.zdo_broadcast(0xFFFD, Cluster.NWK_ADDR, body, collect_s=1)
        assert answers == [(0, SUCCESS + HUB.little_endian + HUB_SHORT)]
        body = OTHER.little_endian + b"\x00\x00"
        assert await device.zdo_broadcast(0xFFFD, Cluster.NWK_ADDR, body, collect_s=1) == []

    run(main())


def test_node_descriptors_tell_hub_from_device() -> None:
    async def main() -> None:
        room = Room()
        room.hub.manufacturer_code = 0x1234
        device = await room.joined(rx_on=False)
        answer = await device.zdo(0, Cluster.NODE_DESC, HUB_SHORT)
        assert answer is not None
        assert answer[:3] == SUCCESS + HUB_SHORT
        hub = zdp.NodeDescriptor.decode(answer[3:])
        assert (hub.logical_type, hub.manufacturer_code, hub.max_incoming) == (0, 0x1234, 1500)
        assert hub.server_mask == 22 << 9 | 1, "revision 22, primary trust centre"
        assert hub.capability == 0x8F
        short = device.state.nwk
        answer = await room.hub.zdo(short, Cluster.NODE_DESC, zdp.u16(short), timeout_s=10)
        assert answer is not None
        cad = zdp.NodeDescriptor.decode(answer[3:])
        assert (cad.logical_type, cad.server_mask) == (2, 22 << 9)
        assert cad.capability == 0x80, "asleep, on a battery"

    run(main())


def test_power_and_simple_descriptors_and_active_endpoints() -> None:
    power = asked(Cluster.POWER_DESC, HUB_SHORT)
    assert power == SUCCESS + HUB_SHORT + zdp.u16(0xC110)
    assert asked(Cluster.ACTIVE_EP, HUB_SHORT) == SUCCESS + HUB_SHORT + b"\x01\x01"
    simple = asked(Cluster.SIMPLE_DESC, HUB_SHORT + b"\x01")
    assert simple is not None
    octets = zdp.encode_simple_descriptor(1, SE, 0x0500, 0, (0x000A, 0x0701, 0x0702), ())
    assert simple == SUCCESS + HUB_SHORT + bytes((len(octets),)) + octets


@pytest.mark.parametrize(
    ("endpoint", "status"), [(0, ZdpStatus.INVALID_EP), (9, ZdpStatus.NOT_ACTIVE)]
)
def test_simple_descriptors_that_are_not(endpoint: int, status: ZdpStatus) -> None:
    answer = asked(Cluster.SIMPLE_DESC, HUB_SHORT + bytes((endpoint,)))
    assert answer == bytes((status,)) + HUB_SHORT + b"\x00"


@pytest.mark.parametrize(
    "cluster", [Cluster.NODE_DESC, Cluster.POWER_DESC, Cluster.SIMPLE_DESC, Cluster.ACTIVE_EP]
)
def test_descriptors_of_others_are_not_here(cluster: Cluster) -> None:
    answer = asked(cluster, b"\x34\x12\x01")
    assert answer is not None
    assert answer[0] == ZdpStatus.DEVICE_NOT_FOUND


@pytest.mark.parametrize(
    ("profile", "inputs", "outputs", "endpoints"),
    [
        (SE, (0x0702,), (), b"\x01"),
        (0xFFFF, (0x0702,), (), b"\x01"),
        (0x0104, (0x0702,), (), b""),
        (SE, (0x0025,), (), b""),
        (SE, (0x0025, 0x000A), (), b"\x01"),
        (SE, (), (0x0702,), b""),
    ],
)
def test_match_descriptor(
    profile: int, inputs: tuple[int, ...], outputs: tuple[int, ...], endpoints: bytes
) -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        unicast = MatchRequest(0x0000, profile, inputs, outputs).encode()
        answer = await device.zdo(0, Cluster.MATCH_DESC, unicast)
        expected = SUCCESS + HUB_SHORT + bytes((len(endpoints),)) + endpoints
        assert answer == expected, "a unicast is always answered"
        broadcast = MatchRequest(0xFFFD, profile, inputs, outputs).encode()
        answers = await device.zdo_broadcast(0xFFFD, Cluster.MATCH_DESC, broadcast, collect_s=1)
        assert answers == ([(0, expected)] if endpoints else []), "a broadcast only on a match"

    run(main())


def test_all_that_match_a_broadcast_answer() -> None:
    async def main() -> None:
        room = Room()
        await room.joined()
        await room.joined(OTHER)
        body = MatchRequest(0xFFFD, SE, (), (0x0702,)).encode()
        answers = await room.hub.zdo_broadcast(0xFFFD, Cluster.MATCH_DESC, body, collect_s=2)
        shorts = {room.hub.state.addresses[CAD], room.hub.state.addresses[OTHER]}
        assert {source for source, _ in answers} == shorts

    run(main())


def test_bindings_are_kept_listed_and_removed() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        binding = zdp.Binding(HUB.little_endian, 1, 0x0702, CAD.little_endian, 2)
        for _ in range(2):
            assert await device.zdo(0, Cluster.BIND, binding.encode()) == SUCCESS
        listed = await device.zdo(0, Cluster.MGMT_BIND, b"\x00")
        assert listed == SUCCESS + b"\x01\x00\x01" + binding.encode()
        assert await device.zdo(0, Cluster.UNBIND, binding.encode()) == SUCCESS
        assert await device.zdo(0, Cluster.UNBIND, binding.encode()) == bytes((0x88,))
        wrong = zdp.Binding(HUB.little_endian, 9, 0x0702, CAD.little_endian, 2)
        assert await device.zdo(0, Cluster.BIND, wrong.encode()) == bytes((0x82,))
        for cluster in range(40):
            full = zdp.Binding(HUB.little_endian, 1, cluster, CAD.little_endian, 2)
            answer = await device.zdo(0, Cluster.BIND, full.encode())
        assert answer == bytes((ZdpStatus.TABLE_FULL,))
        group = zdp.Binding(HUB.little_endian, 1, 0x0702, 0x0001)
        assert zdp.Binding.decode(group.encode()) == group

    run(main())


def test_neighbours_in_portions_of_three() -> None:
    async def main() -> None:
        room = Room()
        devices = [await room.joined(Eui64(f"00:12:4b:00:00:00:03:{i:02x}")) for i in range(4)]
        first = await devices[0].zdo(0, Cluster.MGMT_LQI, b"\x00")
        second = await devices[0].zdo(0, Cluster.MGMT_LQI, b"\x03")
        assert first is not None
        assert second is not None
        assert first[:4] == b"\x00\x04\x00\x03"
        assert second[:4] == b"\x00\x04\x03\x01"
        entries = [first[4 + 22 * i :][:22] for i in range(3)] + [second[4:]]
        listed = {Eui64.from_little_endian(each[8:16]) for each in entries}
        assert listed == {each.state.eui64 for each in devices}
        parent = await room.hub.zdo(devices[0].state.nwk, Cluster.MGMT_LQI, b"\x00")
        assert parent is not None
        assert parent[12:20] == HUB.little_endian

    run(main())


def test_mgmt_permit_joining_opens_the_network_but_never_for_good() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.permit_joining(0)
        assert await device.zdo(0, Cluster.MGMT_PERMIT_JOINING, b"\xff\x01") == SUCCESS
        assert room.hub.parent.permits_joining
        await asyncio.sleep(255)
        assert not room.hub.parent.permits_joining

    run(main())


@pytest.mark.parametrize("cluster", [0x0020, 0x0030, 0x0FFF])
def test_what_is_not_supported_says_so(cluster: int) -> None:
    assert asked(cluster, b"\x00\x00\x00\x00") == bytes((ZdpStatus.NOT_SUPPORTED,))


def test_of_network_updates_only_a_change_of_channel_is_supported() -> None:
    energy_scan = bytes.fromhex("00f8ff07 03 01")
    unsupported = bytes((ZdpStatus.NOT_SUPPORTED,))
    assert asked(Cluster.MGMT_NWK_UPDATE, energy_scan) == unsupported


@pytest.mark.parametrize("body", ["00000000fe00", "00180000fe00", "00080008fe00", "00080000fe"])
def test_a_change_to_no_channel_or_to_several_is_refused(body: str) -> None:
    refused = bytes((ZdpStatus.INV_REQUESTTYPE,))
    assert asked(Cluster.MGMT_NWK_UPDATE, bytes.fromhex(body)) == refused


@pytest.mark.parametrize("cluster", [Cluster.SIMPLE_DESC, Cluster.MATCH_DESC, Cluster.BIND])
def test_a_request_cut_short_is_refused(cluster: Cluster) -> None:
    assert asked(cluster, b"\x00") == bytes((ZdpStatus.INV_REQUESTTYPE,))


def test_the_owner_may_answer_in_place_of_the_node() -> None:
    class Owner(Listener):
        def zdo_request(self, indication: Indication) -> bool:
            return indication.cluster_id == Cluster.MATCH_DESC

    async def main() -> None:
        room = Room()
        owner = room.hub.listener = Owner()
        device = await room.joined()
        body = MatchRequest(0x0000, SE, (0x0702,)).encode()
        assert await device.zdo(0, Cluster.MATCH_DESC, body, timeout_s=2) is None
        assert await device.zdo(0, Cluster.ACTIVE_EP, HUB_SHORT) is not None
        clusters = [each.cluster_id for each in owner.observed]
        assert clusters == [Cluster.DEVICE_ANNCE, Cluster.MATCH_DESC, Cluster.ACTIVE_EP]

    run(main())


def test_no_answer_is_none_after_the_timeout() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        room.hub.power_off()
        loop = asyncio.get_running_loop()
        start = loop.time()
        assert await device.zdo(0, Cluster.ACTIVE_EP, HUB_SHORT, timeout_s=3) is None
        assert loop.time() - start == pytest.approx(3, abs=0.01)

    run(main())


def test_a_node_answers_its_own_requests() -> None:
    async def main() -> None:
        hub = Room().hub
        answer = await hub.zdo(0, Cluster.NODE_DESC, HUB_SHORT)
        assert answer is not None
        assert answer[0] == 0

    run(main())
