"""Whatever comes over the air, a node drops and counts it. Nothing raises."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from node_pair import CAD, HUB, LINK_KEY, NETWORK_KEY, Room, run, send

from labctl.virtual.frames import aps, mac, nwk, security
from labctl.virtual.node import Node, Status

u8 = st.integers(0, 0xFF)
octets = st.binary(max_size=100)
few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def feed(frames: list[bytes], to: str) -> None:
    """Give each MPDU to hub or device on a working network; both work afterwards."""

    async def main() -> None:
        room = Room()
        device = await room.joined(rx_on=False)
        node: Node = room.hub if to == "hub" else device
        for mpdu in frames:
            node.mac.frame_received(mac.with_fcs(mpdu), -50, 200)
            await asyncio.sleep(0.02)
        await asyncio.sleep(12)
        if not device.state.joined:
            assert await room.join(device) is None
            await asyncio.sleep(1)
        assert await send(device, 0, b"still here") in (Status.SUCCESS, Status.MAC_FAILURE)

    run(main())


@few
@given(frames=st.lists(st.binary(min_size=3, max_size=125), max_size=15), to=st.sampled_from("hd"))
def test_noise(frames: list[bytes], to: str) -> None:
    feed(frames, "hub" if to == "h" else "device")


@few
@given(
    commands=st.lists(st.tuples(u8, octets, st.booleans()), max_size=10),
    capability=u8,
)
def test_mac_commands_of_any_kind(commands: list[tuple[int, bytes, bool]], capability: int) -> None:
    frames = [
        mac.MacFrame(
            mac.Kind.COMMAND,
            sequence & 0xFF,
            bytes((kind % 10,)) + bytes((capability,)) + body[:80],
            0x1A62,
            0x0000,
            0x1A62,
            b"strange!" if long else 0x1234,
            ack_request=True,
        ).encode()
        for sequence, (kind, body, long) in enumerate(commands)
    ]
    feed(frames, "hub")


def sealed(
    source: int, destination: int, kind: nwk.Kind, payload: bytes, counter: int, eui64: bytes
) -> bytes:
    """A frame with NWK security under the real key, as a compromised device could send it."""
    frame = nwk.NwkFrame(destination, source, 5, counter & 0xFF, kind=kind)
    header = frame.encode_header()
    auxiliary = security.AuxiliaryHeader(security.KeyId.NETWORK, counter, eui64, 0)
    body = security.protect(NETWORK_KEY, header, auxiliary, eui64, payload)
    return mac.encode_data(counter & 0xFF, 0x1A62, destination, source, header + body)


@few
@given(
    payloads=st.lists(
        st.tuples(st.sampled_from([nwk.Kind.DATA, nwk.Kind.COMMAND]), st.binary(max_size=80)),
        max_size=12,
    ),
    to=st.sampled_from([0x0000, 0xFFFC, 0xFFFD, 0xFFFF, 0x4321]),
)
def test_any_content_under_the_network_key(payloads: list[tuple[nwk.Kind, bytes]], to: int) -> None:
    frames = [
        sealed(0x1234, to, kind, payload, 1000 + i, b"strange!")
        for i, (kind, payload) in enumerate(payloads)
    ]
    feed(frames, "hub")


@few
@given(
    contents=st.lists(
        st.tuples(
            st.sampled_from(
                [0x0000, 0x0001, 0x0002, 0x0004, 0x0006, 0x0013, 0x0021, 0x0031, 0x0034, 0x8006]
            ),
            octets,
            st.integers(0, 2),
            u8,
        ),
        max_size=10,
    )
)
def test_any_zdp_and_any_fragment(contents: list[tuple[int, bytes, int, int]]) -> None:
    frames = []
    for i, (cluster, body, fragmentation, block) in enumerate(contents):
        frame = aps.ApsFrame(
            aps.Kind.DATA,
            i // 3,
            cluster=cluster,
            ack_request=True,
            fragmentation=fragmentation,
            block=block if fragmentation else 0,
        )
        payload = frame.encode_header() + body[:70]
        frames.append(sealed(0x1234, 0x0000, nwk.Kind.DATA, payload, 1000 + i, b"strange!"))
    feed(frames, "hub")


@few
@given(
    commands=st.lists(st.tuples(st.integers(0, 0x11), octets), max_size=10),
    key_id=st.sampled_from(list(security.KeyId)),
)
def test_any_aps_command_under_the_right_link_key(
    commands: list[tuple[int, bytes]], key_id: security.KeyId
) -> None:
    """From the hub to the device, as a broken trust centre could send it."""

    async def main() -> None:
        room = Room()
        device = await room.joined()
        key = device.state.link_keys[HUB].key
        for command, body in commands:
            if key_id is security.KeyId.NETWORK:
                room.hub.aps.send_command(device.state.nwk, bytes((command,)) + body[:60])
            else:
                room.hub.aps.send_command(
                    device.state.nwk,
                    bytes((command,)) + body[:60],
                    link_key=key,
                    key_id=key_id,
                )
            await asyncio.sleep(0.1)
        await asyncio.sleep(3)

    run(main())


@few
@given(flips=st.lists(st.tuples(st.integers(0, 200), u8), max_size=30))
def test_real_frames_with_flipped_bits(flips: list[tuple[int, int]]) -> None:
    """Each frame that is sent is also heard damaged, with a check sequence that fits."""

    async def main() -> None:
        room = Room()
        device = room.device()
        pending = list(flips)

        def damage(sender: Any, receiver: Any, psdu: bytes) -> bool:
            if pending and psdu[0] & 7 != mac.Kind.ACK:
                at, bits = pending.pop()
                mpdu = bytearray(psdu[:-2])
                mpdu[at % len(mpdu)] ^= bits
                receiver.client.frame_received(mac.with_fcs(bytes(mpdu)), -50, 200)
            return False

        room.air.drop = damage
        room.hub.permit_joining(60)
        for beacon in await device.active_scan([15]):
            if await device.join(beacon, link_key=LINK_KEY) is None:
                await send(device, 0, bytes(200), aps_secured=True)
                break
        await asyncio.sleep(5)

    run(main())


def test_a_wrong_check_sequence_is_counted() -> None:
    async def main() -> None:
        room = Room()
        psdu = mac.with_fcs(mac.encode_data(1, 0x1A62, 0, 0x1234, b"abc"))
        room.hub.mac.frame_received(psdu[:-1] + bytes((psdu[-1] ^ 1,)), -50, 200)
        assert room.hub.counters["mac_rx_malformed"] == 1

    run(main())


def test_unsecured_data_is_dropped() -> None:
    async def main() -> None:
        room = Room()
        device = await room.joined()
        frame = nwk.NwkFrame(0x0000, device.state.nwk, 5, 9, security=False)
        data = aps.ApsFrame(destination_endpoint=1, profile=0x0109, source_endpoint=2)
        inner = frame.encode_header() + data.encode_header() + b"let me in"
        mpdu = mac.encode_data(200, 0x1A62, 0, device.state.nwk, inner)
        room.hub.mac.frame_received(mac.with_fcs(mpdu), -50, 200)
        assert room.hub.counters["nwk_unsecured_dropped"] == 1
        assert not room.hub_heard.data
        leave = nwk.NwkFrame(device.state.nwk, 0, 1, 9, kind=nwk.Kind.COMMAND, security=False)
        inner = leave.encode_header() + nwk.leave(request=True, rejoin=False)
        mpdu = mac.encode_data(201, 0x1A62, device.state.nwk, 0, inner)
        device.mac.frame_received(mac.with_fcs(mpdu), -50, 200)
        assert not room.heard[CAD].lefts

    run(main())
