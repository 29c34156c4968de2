"""The EZSP coordinator on unmodified bellows, against the virtual NCP and a node on its air."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bellows.types as t
import pytest

from labctl.errors import DeliveryError, RigError
from labctl.events import JoinKind
from labctl.radio.coordinator import (
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinDecision,
    JoinSeen,
    NetworkSettings,
    Outgoing,
    PhySettings,
    RadioState,
)
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.ezsp.addresses import MOST_STRANGERS, AddressBook
from labctl.radio.ezsp.versions import KNOWN
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.ncp import Flash, Identity, VirtualEzspNcp
from labctl.virtual.ncp.versions import FIRMWARE, NEWEST
from labctl.virtual.node import (
    Indication,
    JoinFailure,
    Node,
    NodeListener,
    NodeState,
    Role,
    SimpleDescriptor,
    Status,
)
from labctl.virtual.propagation import Propagation

STICK = Eui64("00:00:5e:ef:10:00:00:01")
DEVICE = Eui64("00:00:5e:ef:10:00:00:02")
OTHER = Eui64("00:00:5e:ef:10:00:00:03")
KEY = Secret(bytes(range(16)))
NEW_KEY = Secret(bytes(range(16, 32)))
SETTINGS = NetworkSettings((PhySettings(Channel(0, 15), tx_power_dbm=8),))
ENDPOINTS = (
    EndpointDescriptor(1, 0x0508, (0x0000, 0x000A, 0x0025, 0x0800), (0x0800,)),
    EndpointDescriptor(2, 0x0500, (0x0000, 0x0700, 0x0701, 0x0702), (0x0800,)),
)


@dataclass
class Host(CoordinatorListener):
    packets: list[Incoming] = field(default_factory=list)
    joins: list[JoinSeen] = field(default_factory=list)
    joining: list[tuple[int, bool]] = field(default_factory=list)
    left: list[Eui64] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def packet_received(self, packet: Incoming) -> None:
        self.packets.append(packet)
        self.arrived.set()

    def join_seen(self, join: JoinSeen) -> None:
        self.joins.append(join)

    def joining_changed(self, bearer: int, is_open: bool) -> None:
        self.joining.append((bearer, is_open))

    def device_left(self, eui64: Eui64, nwk: int) -> None:
        self.left.append(eui64)

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self.lost.append(cause)

    async def packet(self, cluster_id: int) -> Incoming:
        async with asyncio.timeout(30):
            while True:
                for packet in self.packets:
                    if packet.cluster_id == cluster_id and packet.profile_id == 0x0109:
                        return packet
                self.arrived.clear()
                await self.arrived.wait()


@dataclass
class Device(NodeListener):
    received: list[Indication] = field(default_factory=list)

    observed: list[Indication] = field(default_factory=list)

    def data_received(self, indication: Indication) -> None:
        self.received.append(indication)

    def zdo_observed(self, indication: Indication) -> None:
        self.observed.append(indication)


@dataclass
class Lab:
    """A stick, and a device beside it, on one air."""

    folder: Path
    air: Air
    ncp: VirtualEzspNcp
    port: int
    host: Host
    coordinator: EzspCoordinator
    device: Device
    node: Node

    async def start(self) -> RadioState:
        (state,) = await self.coordinator.start(SETTINGS, ENDPOINTS)
        return state

    async def restart(self) -> RadioState:
        await self.coordinator.stop()
        self.coordinator = coordinator(self.port)
        self.coordinator.listen(self.host)
        return await self.start()

    async def join(self, key: Secret = KEY) -> JoinFailure | None:
        for _ in range(5):  # a beacon may collide with something; devices scan again, too
            beacons = await self.node.active_scan([15])
            if beacons:
                return await self.node.join(beacons[0], link_key=key.reveal())
        return JoinFailure.NO_BEACON

    async def up(self, data: bytes) -> Status:
        """The device sends, encrypted."""
        return await self.node.send(
            0x0000,
            source_endpoint=1,
            destination_endpoint=2,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=data,
            aps_secured=True,
        )

    async def joined(self) -> None:
        await self.coordinator.install_link_key(DEVICE, KEY)
        await self.coordinator.permit_joining(60)
        assert await self.join() is None
        await asyncio.sleep(1)


def coordinator(port: int) -> EzspCoordinator:
    return EzspCoordinator(
        EzspPort(name="stick", path=f"socket://127.0.0.1:{port}"), random.Random(3).randbytes
    )


VERSIONS = [8, 13, 14, NEWEST]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=[f"EZSP {v}" for v in VERSIONS])


@asynccontextmanager
async def laboratory(folder: Path, version: int = 13) -> AsyncIterator[Lab]:
    air = Air(rng=random.Random(1), propagation=Propagation(shadowing_db=0))
    ncp = VirtualEzspNcp(
        air=air,
        eui64=STICK,
        flash=Flash(folder / "stick.json"),
        rng=random.Random(2),
        identity=Identity.speaking(version),
    )
    port = await ncp.listen("127.0.0.1", 0)
    host, device = Host(), Device()
    node = Node(
        air,
        NodeState(eui64=DEVICE, role=Role.END_DEVICE),
        device,
        rng=random.Random(4),
        position=(3.0, 0.0, 0.0),
    )
    node.endpoints[1] = SimpleDescriptor(1, 0x0109, 0x0502, 1, (0x0000,), (0x0700, 0x0702))
    node.power_on()
    lab = Lab(folder, air, ncp, port, host, coordinator(port), device, node)
    lab.coordinator.listen(host)
    try:
        yield lab
    finally:
        await lab.coordinator.stop()
        node.power_off()
        await ncp.close()


def in_the_lab(
    folder: Path, work: Callable[[Lab], Coroutine[Any, Any, None]], version: int = 13
) -> None:
    async def main() -> None:
        async with laboratory(folder, version) as lab:
            await work(lab)

    run(main(), fast=True)


@every_version
def test_it_forms_as_a_smart_energy_trust_centre_and_resumes(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        first = await lab.start()
        assert not first.resumed
        assert first.protocol_version == version
        assert (first.eui64, first.channel, first.page) == (STICK, 15, 0)
        assert first.extended_pan_id == STICK, "GBCS: the extended PAN id is the hub's address"
        assert first.key_table_size is not None
        assert first.key_table_size >= 16
        contents = lab.ncp.firmware.contents
        assert contents.security_bitmask == 0x0A00
        assert contents.link_keys == {}
        second = await lab.restart()
        assert second.resumed
        assert (second.pan_id, second.channel) == (first.pan_id, first.channel)

    in_the_lab(tmp_path, work, version)


def test_the_network_survives_a_power_cut_of_the_stick(tmp_path: Path) -> None:
    seen: list[RadioState] = []

    async def work(lab: Lab) -> None:
        seen.append(await lab.start())
        await lab.coordinator.install_link_key(DEVICE, KEY)

    in_the_lab(tmp_path, work)

    async def again(lab: Lab) -> None:
        seen.append(await lab.start())
        assert await lab.coordinator.link_keys() == {DEVICE: KEY}

    in_the_lab(tmp_path, again)
    assert seen[1].resumed
    assert seen[0].pan_id == seen[1].pan_id


def test_no_wildcard_and_no_well_known_key_is_ever_in_the_stick(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await asyncio.sleep(10)
        firmware = lab.ncp.firmware
        wildcard = firmware.security.transient_key(DEVICE, wildcard=True)
        assert wildcard is None
        assert set(firmware.contents.link_keys.values()) == {(DEVICE, KEY.reveal())}
        assert firmware.contents.preconfigured_key == bytes(16)

    in_the_lab(tmp_path, work)


@every_version
def test_link_keys_are_stored_replaced_and_erased(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        await lab.coordinator.install_link_key(OTHER, KEY)
        await lab.coordinator.install_link_key(DEVICE, NEW_KEY)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY, OTHER: KEY}
        await lab.coordinator.erase_link_key(OTHER)
        await lab.coordinator.erase_link_key(OTHER)
        assert await lab.coordinator.link_keys() == {DEVICE: NEW_KEY}

    in_the_lab(tmp_path, work, version)


@every_version
def test_a_full_key_table_is_said_and_harms_nothing(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        state = await lab.start()
        assert state.key_table_size is not None
        for number in range(state.key_table_size):
            await lab.coordinator.install_link_key(Eui64(f"{number + 1:016x}"), KEY)
        with pytest.raises(RigError, match="full"):
            await lab.coordinator.install_link_key(DEVICE, KEY)
        assert len(await lab.coordinator.link_keys()) == state.key_table_size

    in_the_lab(tmp_path, work, version)


@every_version
def test_a_device_with_a_key_joins_and_keeps_its_key(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        (join,) = lab.host.joins
        assert (join.eui64, join.kind) == (DEVICE, JoinKind.JOIN)
        assert join.decision is JoinDecision.KEY_SENT
        announce = next(p for p in lab.host.packets if p.cluster_id == 0x0013)
        assert (announce.eui64, announce.profile_id, announce.broadcast) == (DEVICE, 0, True)
        await asyncio.sleep(5)
        assert await lab.coordinator.link_keys() == {DEVICE: KEY}

    in_the_lab(tmp_path, work, version)


@every_version
def test_a_device_without_a_key_is_denied_and_the_host_hears_of_it(
    tmp_path: Path, version: int
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.permit_joining(60)
        assert await lab.join() is JoinFailure.NO_NETWORK_KEY
        assert {(j.eui64, j.decision) for j in lab.host.joins} == {(DEVICE, JoinDecision.DENIED)}

    in_the_lab(tmp_path, work, version)


def test_a_closed_network_says_so_in_its_beacon(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        assert await lab.join() is JoinFailure.NOT_PERMITTED
        await lab.coordinator.permit_joining(30)
        await asyncio.sleep(31)
        assert await lab.join() is JoinFailure.NOT_PERMITTED
        assert lab.host.joins == []

    in_the_lab(tmp_path, work)


@every_version
def test_the_radio_says_when_joining_opens_and_closes(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        lab.host.joining.clear()
        await lab.coordinator.permit_joining(60)
        await asyncio.sleep(59)
        assert lab.host.joining == [(0, True)]
        await asyncio.sleep(2)
        assert lab.host.joining == [(0, True), (0, False)]
        await lab.coordinator.permit_joining(60)
        await lab.coordinator.permit_joining(0)
        await asyncio.sleep(1)
        assert lab.host.joining[2:] == [(0, True), (0, False)]

    in_the_lab(tmp_path, work, version)


@every_version
def test_a_change_of_the_channel_is_broadcast_to_all_that_listen(
    tmp_path: Path, version: int
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.announce_channel(0, Channel(0, 25))
        await asyncio.sleep(9)
        (heard,) = [i for i in lab.device.observed if i.cluster_id == 0x0038]
        assert heard.destination == 0xFFFF
        # Sequence number, channels, "change channel", update id.
        assert heard.payload[1:] == bytes.fromhex("00000002 fe 00")

    in_the_lab(tmp_path, work, version)


@pytest.mark.parametrize("seconds", [-1, 255, 256])
def test_a_permit_of_more_than_254_s_is_refused(tmp_path: Path, seconds: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        with pytest.raises(ValueError, match="254"):
            await lab.coordinator.permit_joining(seconds)

    in_the_lab(tmp_path, work)


@pytest.mark.parametrize(
    ("version", "length"),
    [
        *((13, length) for length in (3, 60, 82, 83, 150, 400)),
        *((version, length) for version in VERSIONS if version != 13 for length in (60, 83, 400)),
    ],
)
@pytest.mark.parametrize("encrypt", [False, True])
def test_packets_of_any_length_arrive_whole_in_both_directions(
    tmp_path: Path, version: int, length: int, encrypt: bool
) -> None:
    data = random.Random(length).randbytes(length)

    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.send(
            Outgoing(lab.node.state.nwk, 2, 1, 0x0702, data, aps_encrypt=encrypt)
        )
        (down,) = lab.device.received
        assert down.payload == data
        assert down.aps_secured is encrypt
        assert (down.source_endpoint, down.destination_endpoint) == (2, 1)
        assert (down.profile_id, down.cluster_id) == (0x0109, 0x0702)
        status = await lab.node.send(
            0x0000,
            source_endpoint=1,
            destination_endpoint=2,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=data,
            aps_secured=encrypt,
        )
        assert status is Status.SUCCESS
        up = await lab.host.packet(0x0702)
        assert up.data == data
        assert (up.eui64, up.nwk) == (DEVICE, lab.node.state.nwk)
        assert up.aps_encrypted is encrypt
        assert (up.source_endpoint, up.destination_endpoint) == (1, 2)
        assert up.rssi_dbm is not None
        assert -80 < up.rssi_dbm < -20
        assert 0 < up.lqi <= 255
        assert not up.broadcast

    in_the_lab(tmp_path, work, version)


OTHER_VERSIONS = sorted(set(FIRMWARE) - set(VERSIONS))


def test_no_version_is_accepted_that_is_not_tried_here() -> None:
    assert {*VERSIONS, *OTHER_VERSIONS} == KNOWN


@pytest.mark.parametrize("version", OTHER_VERSIONS)
def test_versions_between_do_what_their_neighbours_do(tmp_path: Path, version: int) -> None:
    data = random.Random(version).randbytes(300)

    async def work(lab: Lab) -> None:
        first = await lab.start()
        assert first.protocol_version == version
        await lab.joined()
        second = await lab.restart()
        assert (second.resumed, second.pan_id) == (True, first.pan_id)
        assert await lab.coordinator.link_keys() == {DEVICE: KEY}
        nwk = lab.node.state.nwk
        await lab.coordinator.send(Outgoing(nwk, 2, 1, 0x0702, data, aps_encrypt=True))
        assert [down.payload for down in lab.device.received] == [data]
        assert await lab.up(data) is Status.SUCCESS
        assert (await lab.host.packet(0x0702)).data == data
        await lab.coordinator.erase_link_key(DEVICE)
        assert await lab.coordinator.link_keys() == {}

    in_the_lab(tmp_path, work, version)


@every_version
def test_a_device_that_is_gone_is_a_delivery_error(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        lab.node.power_off()
        with pytest.raises(DeliveryError) as caught:
            await lab.coordinator.send(Outgoing(lab.node.state.nwk, 2, 1, 0x0702, b"x"))
        assert caught.value.status == "DELIVERY_FAILED"

    in_the_lab(tmp_path, work, version)


@every_version
def test_encryption_without_a_key_is_refused_at_once(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.erase_link_key(DEVICE)
        with pytest.raises(DeliveryError):
            await lab.coordinator.send(
                Outgoing(lab.node.state.nwk, 2, 1, 0x0702, b"x", aps_encrypt=True)
            )

    in_the_lab(tmp_path, work, version)


def test_discovery_is_answered_once_and_by_the_stick_alone(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        body = bytes.fromhex("fdff 0901 01 0107 00".replace(" ", ""))
        answers = await lab.node.zdo_broadcast(0xFFFD, 0x0006, body, collect_s=3)
        assert [(source, body[0], body[4:]) for source, body in answers] == [(0, 0, b"\x02")]
        simple = await lab.node.zdo(0x0000, 0x0004, bytes.fromhex("000002"))
        assert simple is not None
        assert simple[0] == 0
        assert not [p for p in lab.host.packets if p.cluster_id in (0x0006, 0x0004)]

    in_the_lab(tmp_path, work)


def test_a_bind_request_is_the_hosts_to_answer(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        request = STICK.little_endian + b"\x02\x00\x07\x03" + DEVICE.little_endian + b"\x01"
        asking = asyncio.create_task(lab.node.zdo(0x0000, 0x0021, request))
        async with asyncio.timeout(10):
            while not (binds := [p for p in lab.host.packets if p.cluster_id == 0x0021]):
                lab.host.arrived.clear()
                await lab.host.arrived.wait()
        sequence = binds[0].data[:1]
        await lab.coordinator.send(
            Outgoing(lab.node.state.nwk, 0, 0, 0x8021, sequence + b"\x84", profile_id=0)
        )
        assert await asking == b"\x84"

    in_the_lab(tmp_path, work)


@every_version
def test_a_removed_device_leaves(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.coordinator.remove_device(DEVICE, lab.node.state.nwk)
        await asyncio.sleep(5)
        assert not lab.node.state.joined

    in_the_lab(tmp_path, work, version)


@every_version
def test_counters_have_names(tmp_path: Path, version: int) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        counters = await lab.coordinator.counters()
        assert counters["mac_rx_unicast"] > 0

    in_the_lab(tmp_path, work, version)


def test_a_stick_with_another_address_is_not_used(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        wrong = EzspCoordinator(
            EzspPort(name="stick", path=f"socket://127.0.0.1:{lab.port}", eui64=OTHER)
        )
        wrong.listen(lab.host)
        with pytest.raises(RigError, match=str(STICK)):
            await wrong.start(SETTINGS, ENDPOINTS)

    in_the_lab(tmp_path, work)


def test_a_port_that_is_not_there_is_said_with_a_mend(tmp_path: Path) -> None:
    async def main() -> None:
        nowhere = EzspCoordinator(EzspPort(name="stick", path=str(tmp_path / "ttyNONE")))
        nowhere.listen(Host())
        with pytest.raises(RigError) as caught:
            await nowhere.start(SETTINGS, ENDPOINTS)
        assert "ttyNONE" in str(caught.value)
        assert caught.value.mend

    run(main(), fast=False)


def test_a_port_where_nothing_speaks_ezsp_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(100):
                continue
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        silent = coordinator(port)
        silent.listen(Host())
        with pytest.raises(RigError, match="speaks EZSP"):
            await silent.start(SETTINGS, ENDPOINTS)
        server.close()

    run(main(), fast=True)


def test_a_stick_that_is_pulled_out_is_told_once(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        await lab.ncp.close()
        await asyncio.sleep(30)
        assert len(lab.host.lost) == 1
        with pytest.raises(RigError):
            await lab.coordinator.send(Outgoing(lab.node.state.nwk, 2, 1, 0x0702, b"x"))
        with pytest.raises(RigError):
            await lab.coordinator.permit_joining(60)

    in_the_lab(tmp_path, work)


@every_version
def test_a_network_of_another_use_is_refused_and_given_up_only_on_demand(
    tmp_path: Path, version: int
) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.stop()
        lab.ncp.firmware.contents.security_bitmask = 0x0B84  # hashed link key: home automation
        lab.ncp.firmware.contents.preconfigured_key = bytes(range(16))
        lab.coordinator = coordinator(lab.port)
        lab.coordinator.listen(lab.host)
        with pytest.raises(RigError, match="not a Smart Energy one") as caught:
            await lab.start()
        assert "--form-anew" in caught.value.mend
        lab.coordinator = coordinator(lab.port)
        lab.coordinator.listen(lab.host)
        (state,) = await lab.coordinator.start(replace(SETTINGS, form_anew=True), ENDPOINTS)
        assert not state.resumed
        assert lab.ncp.firmware.contents.security_bitmask == 0x0A00

    in_the_lab(tmp_path, work, version)


def test_another_channel_than_the_rig_files_is_remarked(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        assert (await lab.start()).remarks == ()
        await lab.coordinator.stop()
        lab.coordinator = coordinator(lab.port)
        lab.coordinator.listen(lab.host)
        (state,) = await lab.coordinator.start(
            replace(SETTINGS, phys=(PhySettings(Channel(0, 20), tx_power_dbm=8),)), ENDPOINTS
        )
        assert state.channel == 15
        assert "channel 15" in state.remarks[0]
        assert "20" in state.remarks[0]

    in_the_lab(tmp_path, work)


def test_an_erase_that_the_stick_refuses_is_an_error(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.coordinator.install_link_key(DEVICE, KEY)
        table = lab.ncp.firmware.contents.link_keys

        class Stubborn(dict[int, Any]):
            def pop(self, *args: Any) -> Any:
                return self.get(args[0])

            def __delitem__(self, key: int) -> None:
                return

        lab.ncp.firmware.contents.link_keys = Stubborn(table)
        with pytest.raises(RigError, match="did not erase"):
            await lab.coordinator.erase_link_key(DEVICE)

    in_the_lab(tmp_path, work)


def test_a_sender_that_the_stick_does_not_know_is_asked_for_its_address(tmp_path: Path) -> None:
    async def work(lab: Lab) -> None:
        await lab.start()
        await lab.joined()
        nwk = lab.node.state.nwk
        lab.coordinator._addresses = AddressBook(lambda *entry: None)
        ezsp = lab.coordinator._ezsp
        original = ezsp._protocol.command

        async def command(name: str, *args: Any, **kwargs: Any) -> Any:
            if name == "lookupEui64ByNodeId":
                return [t.EmberStatus.ERR_FATAL, t.EUI64.convert("ff:ff:ff:ff:ff:ff:ff:ff")]
            return await original(name, *args, **kwargs)

        ezsp._protocol.command = command
        await lab.node.send(
            0x0000,
            source_endpoint=1,
            destination_endpoint=2,
            profile_id=0x0109,
            cluster_id=0x0702,
            payload=b"hello",
        )
        packet = await lab.host.packet(0x0702)
        assert (packet.nwk, packet.eui64, packet.data) == (nwk, DEVICE, b"hello")

    in_the_lab(tmp_path, work)


def test_an_ordinary_end_on_the_real_clock_is_no_error(tmp_path: Path) -> None:
    """A broadcast is still under way in the stick when the coordinator stops."""

    async def main() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with laboratory(tmp_path) as lab:
            for _ in range(4):
                await lab.start()
                await lab.coordinator.permit_joining(60)
                await lab.coordinator.permit_joining(0)
                await lab.coordinator.stop()
                lab.coordinator = coordinator(lab.port)
                lab.coordinator.listen(lab.host)
        return told

    assert run(main(), fast=False) == []


def test_only_devices_with_a_key_take_places_in_the_sticks_address_table() -> None:
    pinned: list[tuple[int, Eui64, int]] = []
    book = AddressBook(lambda *entry: pinned.append(entry))
    book._free = [1, 0]
    for number in range(1000):
        book.remember(Eui64(f"{number + 0x1000:016x}"), number)
    assert pinned == []
    assert len(book._nwk_of) <= MOST_STRANGERS
    book.remember(DEVICE, 0x4000)
    book.keyed(DEVICE)
    assert pinned == [(0, DEVICE, 0x4000)]
    book.remember(DEVICE, 0x4001)
    assert pinned[-1] == (0, DEVICE, 0x4001)
    assert book.eui64_of(0x4000) is None
    book.keyed(OTHER)
    book.unkeyed(DEVICE)
    third = Eui64("00:00:5e:ef:10:00:00:44")
    book.remember(third, 0x5000)
    book.keyed(third)
    assert pinned[-1] == (0, third, 0x5000)


def test_a_short_address_that_passes_to_another_device_is_no_longer_the_firsts() -> None:
    book = AddressBook(lambda *entry: None)
    book.remember(DEVICE, 0x1111)
    book.remember(OTHER, 0x1111)
    assert book.eui64_of(0x1111) == OTHER
    book.remember(DEVICE, 0x1111)
    assert book.eui64_of(0x1111) == DEVICE
