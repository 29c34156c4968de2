"""Tunnels: opened by devices to the hub, and by the hub to PPMIDs and load switches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fake_radio import AUTHORITY, CAD, IDENTITIES, Bench, FakeCoordinator, FakeDevice, with_hub
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.errors import UsageError
from labctl.events import DeviceKind, Note
from labctl.hub import LoggedDevice, TunnelSettings
from labctl.radio.coordinator import Outgoing
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

TUNNELING = 0x0704
DEVICE = Eui64("00:0d:6f:00:0a:90:70:02")
IDENTITIES.setdefault(DEVICE, {2: AUTHORITY.issue(DEVICE, lambda n: bytes(range(2, n + 2)))})
PPMID = LoggedDevice(eui64=DEVICE, name="ppmid", kind=DeviceKind.PPMID, link_key=Secret(bytes(16)))
METER = LoggedDevice(eui64=DEVICE, name="meter", kind=DeviceKind.METER, link_key=Secret(bytes(16)))
NEVER = TunnelSettings(open=False)


def radio() -> FakeCoordinator:
    return FakeCoordinator({DEVICE: Secret(b"\xe1" * 16), CAD.eui64: Secret(b"\xe2" * 16)})


def request(protocol: int = 6, manufacturer: int = 0xFFFF, flow: int = 0) -> bytes:
    return bytes([protocol]) + manufacturer.to_bytes(2, "little") + bytes([flow]) + b"\xdc\x05"


def response(tunnel: int, status: int = 0) -> bytes:
    return b"\x19\x77\x00" + tunnel.to_bytes(2, "little") + bytes([status]) + b"\xdc\x05"


async def ask(device: FakeDevice, command: int, payload: bytes = b"") -> list[bytes]:
    return await device.get(TUNNELING, command, payload, endpoint=1)


def kinds(bench: Bench) -> list[str]:
    return [note.kind for note in bench.of(Note) if note.kind.startswith("tunnel")]


# -- the hub as server ------------------------------------------------------------------------


def as_server(scenario: Callable[[Bench], object], **more: object) -> None:
    given_settings = {"open": False} | more
    with_hub(
        scenario,  # type: ignore[arg-type]
        radio=radio(),
        devices=(METER, CAD),
        tunnels=TunnelSettings(**given_settings),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (request(), 0),
        (request(protocol=2), 3),
        (request(manufacturer=0x10D7), 3),
        (request(flow=1), 4),
    ],
)
def test_a_tunnel_is_opened_for_gb_hrgp_without_flow_control(payload: bytes, status: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(METER)
        tunnel = 0 if status == 0 else 0xFFFF
        assert await ask(device, 0x00, payload) == [response(tunnel, status)]
        assert kinds(bench) == ["tunnel-opened" if status == 0 else "tunnel-refused"]

    as_server(scenario)


def test_a_busy_hub_and_one_without_ids_say_so() -> None:
    async def busy(bench: Bench) -> None:
        assert await ask(bench.device(METER), 0x00, request()) == [response(0xFFFF, 1)]

    async def full(bench: Bench) -> None:
        device = bench.device(METER)
        assert await ask(device, 0x00, request()) == [response(0)]
        assert await ask(device, 0x00, request()) == [response(0xFFFF, 2)]
        assert await ask(device, 0x01, b"\x00\x00") == [b"\x18\x77\x0b\x01\x00"]
        assert await ask(device, 0x00, request()) == [response(1)], "ids are not used again at once"

    as_server(busy, busy=True)
    as_server(full, most=1)


def test_octets_go_both_ways() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(METER)
        device.announce()
        assert not await bench.hub.publisher.through_tunnel(DEVICE, b"early")
        await ask(device, 0x00, request())
        assert await ask(device, 0x02, b"\x00\x00" + bytes(1200)) == [b"\x18\x77\x0b\x02\x00"]
        data = [n.detail for n in bench.of(Note) if n.kind == "tunnel-data"]
        assert (data[0]["octets"], data[0]["direction"]) == (1200, "to-hub")
        assert await bench.hub.publisher.through_tunnel(DEVICE, b"hello")
        await bench.settle()
        sent = device.answers[-1]
        assert (sent.data[0], sent.data[2:]) == (0x09, b"\x01\x00\x00hello")
        assert (sent.source_endpoint, sent.destination_endpoint, sent.aps_encrypt) == (1, 1, True)
        with pytest.raises(UsageError, match="the device takes 1500"):
            await bench.hub.publisher.through_tunnel(DEVICE, bytes(1501))
        assert await ask(device, 0x06, b"\x00") == [b"\x19\x77\x05\x01\x01\xff\xff\x06"]
        assert await ask(device, 0x06, b"\x01") == [b"\x19\x77\x05\x01\x00"]

    as_server(scenario)


def test_a_tunnel_is_its_devices_alone() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(METER)
        thief = bench.device(
            LoggedDevice(eui64=CAD.eui64, name="cad", kind=DeviceKind.METER, link_key=CAD.link_key),
            nwk=0x0C0C,
        )
        await ask(device, 0x00, request())
        assert await ask(thief, 0x02, b"\x00\x00data") == [b"\x18\x77\x0b\x02\x7e"]
        assert await ask(device, 0x02, b"\x05\x00data") == [b"\x19\x77\x02\x05\x00\x00"]
        assert await ask(device, 0x02, b"\x00\x00" + bytes(1501)) == [b"\x19\x77\x02\x00\x00\x02"]
        assert await ask(device, 0x01, b"\x05\x00") == [b"\x18\x77\x0b\x01\x8b"]
        assert await ask(device, 0x04, b"\x00\x00\x10\x00") == [b"\x18\x77\x0b\x04\x00"]

    as_server(scenario)


def test_the_tunnel_of_another_device_is_not_to_be_used() -> None:
    other = LoggedDevice(
        eui64=CAD.eui64, name="other", kind=DeviceKind.METER, link_key=CAD.link_key
    )

    async def scenario(bench: Bench) -> None:
        device = bench.device(METER)
        thief = bench.device(other, nwk=0x0C0C)
        await ask(device, 0x00, request())
        assert await ask(thief, 0x02, b"\x00\x00data") == [b"\x19\x77\x02\x00\x00\x01"]
        assert await ask(thief, 0x01, b"\x00\x00") == [b"\x18\x77\x0b\x01\x8b"]
        assert await ask(device, 0x02, b"\x00\x00data") == [b"\x18\x77\x0b\x02\x00"]

    with_hub(scenario, radio=radio(), devices=(METER, other), tunnels=NEVER)


def test_an_idle_tunnel_is_closed_and_its_device_told() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(METER)
        device.announce()
        assert await device.read(TUNNELING, 0x0000, endpoint=1) == bytes.fromhex("0000 00 21 3c00")
        await ask(device, 0x00, request())
        await asyncio.sleep(50)
        await ask(device, 0x02, b"\x00\x00data")
        await asyncio.sleep(50)
        assert "tunnel-closed" not in kinds(bench)
        await asyncio.sleep(11)
        assert device.answers[-1].data[2:] == b"\x06\x00\x00"
        assert await ask(device, 0x02, b"\x00\x00data") == [b"\x19\x77\x02\x00\x00\x00"]

    as_server(scenario, close_after_s=60)


# -- the hub as client ------------------------------------------------------------------------


class Server:
    """The Tunneling server of a device, with answers that a test chooses."""

    def __init__(self, device: FakeDevice, *statuses: int, endpoint: int | None = 4) -> None:
        self.device = device
        self.statuses = list(statuses)
        self.endpoint = endpoint
        self.asked: list[float] = []
        self.received: list[bytes] = []
        self.silent = False
        self.next_id = 9
        device.bench.radio.receivers[device.nwk] = self.receive

    def receive(self, packet: Outgoing) -> None:
        if packet.cluster_id == 0x0006:
            self._match(packet)
        elif packet.cluster_id == TUNNELING and packet.data[0] == 0x01:
            self._command(packet)
        else:
            self.device.receive(packet)

    def _match(self, packet: Outgoing) -> None:
        assert packet.data[1:] == (
            self.device.nwk.to_bytes(2, "little") + b"\x09\x01\x01\x04\x07\x00"
        )
        found = b"" if self.endpoint is None else bytes([self.endpoint])
        data = packet.data[:1] + b"\x00" + packet.data[1:3] + bytes([len(found)]) + found
        self.device.packet(data, cluster=0x8006, profile=0, source=0, endpoint=0)

    def _command(self, packet: Outgoing) -> None:
        assert packet.destination_endpoint == self.endpoint
        assert packet.aps_encrypt
        if packet.data[2] == 0x00:
            assert packet.data[3:] == request()
            self.asked.append(asyncio.get_running_loop().time())
            if not self.silent:
                status = self.statuses.pop(0) if self.statuses else 0
                tunnel = b"\xff\xff" if status else self.next_id.to_bytes(2, "little")
                self.say(b"\x00" + tunnel + bytes([status]) + b"\xdc\x05", packet.data[1])
        else:
            self.received.append(packet.data[2:])

    def say(self, command: bytes, sequence: int = 0x60) -> None:
        self.device.packet(
            bytes([0x09, sequence]) + command,
            cluster=TUNNELING,
            endpoint=1,
            source=self.endpoint or 1,
            secured=True,
        )


def announce_listening(device: FakeDevice, capability: int = 0x8E) -> None:
    """A Device_annce of a device whose receiver is always on."""
    data = b"\x01" + device.nwk.to_bytes(2, "little") + device.eui64.little_endian
    device.packet(
        data + bytes([capability]), profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True
    )


def as_client(
    scenario: Callable[[Bench, Server], object], *statuses: int, endpoint: int | None = 4
) -> None:
    async def main(bench: Bench) -> None:
        device = bench.device(PPMID)
        announce_listening(device)
        server = Server(device, *statuses, endpoint=endpoint)
        await device.read(0x0000, 0x0000, endpoint=1)
        await scenario(bench, server)  # type: ignore[misc]

    with_hub(main, radio=radio(), devices=(PPMID, CAD))


def test_a_ppmid_gets_a_tunnel_at_the_next_look() -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(9)
        assert server.asked == []
        await asyncio.sleep(2)
        assert kinds(bench) == ["tunnel-opened"]
        assert await bench.hub.publisher.through_tunnel(DEVICE, b"hello")
        await bench.settle()
        assert server.received == [b"\x02\x09\x00hello"]
        server.say(b"\x01\x09\x00answer")
        await bench.settle()
        last = bench.of(Note)[-1]
        assert (last.kind, last.detail["octets"], last.detail["direction"]) == (
            "tunnel-data",
            6,
            "to-hub",
        )

    as_client(scenario)


def test_displays_and_cads_get_none() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired(CAD)
        announce_listening(device)
        await device.read(0x0000, 0x0000, endpoint=1)
        await asyncio.sleep(60)
        assert [packet.cluster_id for packet in bench.radio.sent if packet.cluster_id != 0] == []

    with_hub(scenario, radio=radio(), devices=(PPMID, CAD))


def test_a_ppmid_that_sleeps_is_not_woken_for_a_tunnel() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device(PPMID)
        announce_listening(device, capability=0x80)
        await device.read(0x0000, 0x0000, endpoint=1)
        await asyncio.sleep(60)
        assert [packet for packet in bench.radio.sent if packet.cluster_id == 0x0006] == []

    with_hub(scenario, radio=radio(), devices=(PPMID, CAD))


@pytest.mark.parametrize(
    ("status", "gaps"),
    [(1, [180, 180]), (2, [5, 5]), (0x55, [10, 10])],
    ids=["busy", "no ids", "unknown"],
)
def test_the_hub_asks_again_when_the_device_can_not_now(status: int, gaps: list[int]) -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(1000)
        found = [round(b - a) for a, b in zip(server.asked, server.asked[1:], strict=False)]
        assert found == gaps
        assert kinds(bench) == ["tunnel-opened"]

    as_client(scenario, status, status)


def test_after_five_attempts_the_hub_lets_it_be() -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        server.silent = True
        await asyncio.sleep(3600)
        found = [round(b - a) for a, b in zip(server.asked, server.asked[1:], strict=False)]
        assert found == [15, 15, 15, 15], "5 s for an answer, 10 s to the next look"
        (note,) = [n for n in bench.of(Note) if n.kind == "tunnel-not-opened"]
        assert note.detail["cause"] == "the device did not answer"

    as_client(scenario)


@pytest.mark.parametrize("status", [3, 4])
def test_what_asking_again_does_not_mend_is_not_asked_again(status: int) -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(3600)
        assert len(server.asked) == 1
        assert kinds(bench) == ["tunnel-not-opened"]

    as_client(scenario, status)


def test_a_device_without_a_tunneling_server_is_let_be() -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(3600)
        assert server.asked == []
        (note,) = [n for n in bench.of(Note) if n.kind == "tunnel-not-opened"]
        assert "no endpoint" in str(note.detail["cause"])

    as_client(scenario, endpoint=None)


@pytest.mark.parametrize("word", [b"\x06\x09\x00", b"\x02\x09\x00\x00"], ids=["closed", "unknown"])
def test_a_tunnel_that_the_device_does_not_know_any_longer_is_opened_anew(word: bytes) -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(11)
        server.say(word)
        await asyncio.sleep(11)
        assert len(server.asked) == 2
        assert [k for k in kinds(bench) if k != "tunnel-error"] == [
            "tunnel-opened",
            "tunnel-closed",
            "tunnel-opened",
        ]

    as_client(scenario)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7), st.binary(max_size=12)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_payload_makes_either_side_raise(words: list[tuple[bool, int, bytes]]) -> None:
    async def scenario(bench: Bench, server: Server) -> None:
        for from_server, command, payload in words:
            if from_server:
                server.say(bytes([command]) + payload)
            else:
                await ask(server.device, command, payload)
        await asyncio.sleep(40)
        assert await ask(server.device, 0x06, b"\x00") == [b"\x19\x77\x05\x01\x01\xff\xff\x06"]

    as_client(scenario)


def test_of_all_the_ids_that_a_device_ever_gave_the_last_ones_are_remembered() -> None:
    """A device that forgets its tunnels again and again, for weeks."""

    async def scenario(bench: Bench, server: Server) -> None:
        await asyncio.sleep(11)
        for number in range(10, 110):
            given, server.next_id = server.next_id, number
            server.say(b"\x02" + given.to_bytes(2, "little") + b"\x00")  # no such tunnel
            await asyncio.sleep(11)
        assert kinds(bench).count("tunnel-opened") == 101
        assert server.received == []
        server.statuses = [2]  # no more ids
        server.say(b"\x02\x6d\x00\x00")
        await asyncio.sleep(20)
        closed = {int.from_bytes(data[1:3], "little") for data in server.received}
        assert {data[0] for data in server.received} == {0x01}
        assert closed == set(range(110 - 16, 110))

    as_client(scenario)
