"""A second virtual stick as sniffer: unmodified bellows' packet capture on the virtual air."""

from __future__ import annotations

import asyncio
import io
import random
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from labctl.capture import TapWriter, wireshark_key_rows
from labctl.errors import RigError
from labctl.events import Band
from labctl.radio.coordinator import (
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    PhySettings,
)
from labctl.radio.ezsp import EzspCoordinator, EzspPort, EzspSniffer
from labctl.radio.ezsp.versions import KNOWN
from labctl.radio.sniffer import Overheard
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.ncp import Identity, VirtualEzspNcp
from labctl.virtual.ncp.hardware import RETAIL, SUB_GHZ_KIT, Hardware
from labctl.virtual.node import Node, NodeListener, NodeState, Role, SimpleDescriptor, Status
from labctl.virtual.propagation import Propagation

STICK = Eui64("00:00:5e:ef:10:00:00:01")
DEVICE = Eui64("00:00:5e:ef:10:00:00:02")
SNIFFER = Eui64("00:00:5e:ef:10:00:00:03")
KEY = Secret(bytes(range(16)))
CHANNEL = Channel(0, 15)
ENDPOINTS = (EndpointDescriptor(1, 0x0508, (0x0000, 0x000A), (0x0800,)),)
READ = bytes.fromhex("0001000000")
NO_SPREAD = Propagation(shadowing_db=0.0, asymmetry_db=0.0)


class Deaf(CoordinatorListener):
    def packet_received(self, packet: Incoming) -> None: ...

    def join_seen(self, join: JoinSeen) -> None: ...

    def device_left(self, eui64: Eui64, nwk: int) -> None: ...

    def connection_lost(self, cause: str, bearer: int = 0) -> None: ...


@dataclass
class Lab:
    """A hub, a device, and a sniffer in another corner of the room."""

    air: Air
    hub: VirtualEzspNcp
    stick: VirtualEzspNcp
    coordinator: EzspCoordinator
    sniffer: EzspSniffer
    device: Node
    channel: Channel
    heard: list[Overheard] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    async def start_hub(self) -> None:
        self.coordinator.listen(Deaf())
        settings = NetworkSettings((PhySettings(self.channel, tx_power_dbm=8),))
        await self.coordinator.start(settings, ENDPOINTS)

    async def sniff(self, channel: Channel | None = None) -> None:
        await self.sniffer.start(channel or self.channel, self.heard.append, self.lost.append)

    async def join(self) -> None:
        await self.coordinator.install_link_key(DEVICE, KEY)
        await self.coordinator.permit_joining(60)
        for _ in range(5):
            beacons = await self.device.active_scan([(self.channel.page, self.channel.number)])
            if beacons:
                break
        assert await self.device.join(beacons[0], link_key=KEY.reveal()) is None

    async def send(self) -> Status:
        return await self.device.send(
            0x0000,
            profile_id=0x0109,
            cluster_id=0x0702,
            source_endpoint=1,
            destination_endpoint=1,
            payload=READ,
        )


@asynccontextmanager
async def lab(
    channel: Channel = CHANNEL, hardware: Hardware = RETAIL, version: int = 13
) -> AsyncIterator[Lab]:
    air = Air(rng=random.Random(5), propagation=NO_SPREAD)
    hub = VirtualEzspNcp(air=air, eui64=STICK, rng=random.Random(6), hardware=hardware)
    stick = VirtualEzspNcp(
        air=air,
        eui64=SNIFFER,
        rng=random.Random(7),
        position=(1.0, 3.0, 0.0),
        hardware=hardware,
        identity=Identity.speaking(version),
    )
    device = Node(
        air,
        NodeState(eui64=DEVICE, role=Role.END_DEVICE),
        NodeListener(),
        rng=random.Random(8),
        position=(4.0, 0.0, 0.0),
    )
    device.endpoints[1] = SimpleDescriptor(1, 0x0109, 0x0502, 0, (0x0000,), (0x0702,))
    ports = [await each.listen() for each in (hub, stick)]
    coordinator = EzspCoordinator(
        EzspPort("hub", f"socket://127.0.0.1:{ports[0]}"), random.Random(9).randbytes
    )
    sniffer = EzspSniffer(EzspPort("second", f"socket://127.0.0.1:{ports[1]}", eui64=SNIFFER))
    device.power_on()
    try:
        yield Lab(air, hub, stick, coordinator, sniffer, device, channel)
    finally:
        await sniffer.stop()
        await coordinator.stop()
        device.power_off()
        await hub.close()
        await stick.close()


def on_lab(
    main: Callable[[Lab], Coroutine[Any, Any, None]],
    channel: Channel = CHANNEL,
    hardware: Hardware = RETAIL,
    version: int = 13,
) -> None:
    async def wrapped() -> None:
        async with lab(channel, hardware, version) as made:
            await main(made)

    run(wrapped(), fast=True)


def truth(octets: bytes) -> Iterator[tuple[int, int, float, int, bytes]]:
    """Page, channel, level, quality and PSDU of what the air itself wrote down."""
    at = 24
    while at < len(octets):
        (length,) = struct.unpack_from("<I", octets, at + 8)
        body = octets[at + 16 : at + 16 + length]
        at += 16 + length
        rss, channel, page = struct.unpack_from("<16xf4xHB", body)
        yield page, channel, rss, body[32], body[36:]


@pytest.mark.parametrize("version", [8, 13, max(KNOWN)])
def test_the_sniffer_hears_what_is_on_the_air_as_it_arrives_there(version: int) -> None:
    async def main(lab: Lab) -> None:
        file = io.BytesIO()
        await lab.start_hub()
        await lab.sniff()
        lab.air.capture_to(TapWriter(file, lambda: 10**15), beside=[SNIFFER])
        await lab.join()
        for _ in range(5):
            assert await lab.send() is Status.SUCCESS
        await asyncio.sleep(1)
        wanted = [each for each in truth(file.getvalue()) if each[1] == CHANNEL.number]
        assert [each.psdu for each in lab.heard] == [psdu for *_, psdu in wanted]
        assert {each.psdu[0] & 7 for each in lab.heard} == {0, 1, 2, 3}  # all kinds, acks too
        assert {each.channel for each in lab.heard} == {CHANNEL}
        # An acknowledgement's level at a bystander is not in the air's own capture.
        levels = [(each.rssi_dbm, each.lqi) for each in lab.heard if each.psdu[0] & 7 != 2]
        assert levels == [(round(rss), lqi) for _, _, rss, lqi, p in wanted if p[0] & 7 != 2]
        assert len({rssi for rssi, _ in levels}) > 2
        assert not lab.lost

    on_lab(main, version=version)


def test_a_sniffer_disturbs_nobody() -> None:
    async def main(lab: Lab) -> None:
        await lab.start_hub()
        await lab.sniff()
        await lab.join()
        assert await lab.send() is Status.SUCCESS
        before = lab.stick.firmware.mfglib
        assert before.running
        assert before._radio is not None
        assert before._radio.airtime_us == 0

    on_lab(main)


def test_868_mhz_is_captured_by_a_stick_that_has_it() -> None:
    channel = Channel(28, 10)

    async def main(lab: Lab) -> None:
        await lab.start_hub()
        await lab.sniff()
        await lab.join()
        assert await lab.send() is Status.SUCCESS
        assert len(lab.heard) > 10
        assert {each.channel for each in lab.heard} == {channel}

    on_lab(main, channel, SUB_GHZ_KIT)


def test_868_mhz_on_a_stick_without_it_is_refused_with_a_reason() -> None:
    async def main(lab: Lab) -> None:
        with pytest.raises(RigError) as raised:
            await lab.sniff(Channel(28, 10))
        assert "does not have 865.25 MHz (page 28, channel 10)" in raised.value.what
        assert not lab.stick.firmware.mfglib.running

    assert Band.MHZ_868 not in RETAIL.bands
    on_lab(main)


def test_a_change_of_channel_is_followed() -> None:
    async def main(lab: Lab) -> None:
        await lab.start_hub()
        await lab.sniff(Channel(0, 25))
        await lab.join()
        assert not lab.heard
        await lab.sniffer.change_channel(CHANNEL)
        assert await lab.send() is Status.SUCCESS
        assert lab.heard
        assert {each.channel for each in lab.heard} == {CHANNEL}

    on_lab(main)


def test_the_network_that_a_sniffer_holds_survives() -> None:
    async def main(lab: Lab) -> None:
        lab.channel = Channel(0, 20)
        await lab.start_hub()
        network = lab.hub.firmware.contents.node.extended_pan_id
        await lab.coordinator.stop()
        spare = EzspSniffer(lab.coordinator._port)
        await spare.start(CHANNEL, lab.heard.append, lab.lost.append)
        await spare.stop()
        again = EzspCoordinator(lab.coordinator._port)
        again.listen(Deaf())
        settings = NetworkSettings((PhySettings(lab.channel, tx_power_dbm=8),))
        (state,) = await again.start(settings, ENDPOINTS)
        assert state.resumed
        assert lab.hub.firmware.contents.node.extended_pan_id == network
        await again.stop()

    on_lab(main)


def test_a_stick_that_is_pulled_out_is_told_once() -> None:
    async def main(lab: Lab) -> None:
        await lab.sniff()
        await lab.stick.close()
        await asyncio.sleep(60)
        assert len(lab.lost) == 1

    on_lab(main)


def test_a_stick_that_hangs_is_told() -> None:
    async def main(lab: Lab) -> None:
        await lab.sniff()
        lab.stick.hang()
        await asyncio.sleep(120)
        assert len(lab.lost) == 1

    on_lab(main)


def test_firmware_without_the_library_is_named() -> None:
    async def main(lab: Lab) -> None:
        handlers = lab.stick.firmware._handlers
        del handlers[0x83]
        with pytest.raises(RigError, match="manufacturing library"):
            await lab.sniff()

    on_lab(main)


def test_another_stick_than_the_inventorys_is_refused() -> None:
    async def main(lab: Lab) -> None:
        wrong = EzspSniffer(EzspPort("second", lab.sniffer._port.path, eui64=STICK))
        with pytest.raises(RigError, match="the inventory says"):
            await wrong.start(CHANNEL, lab.heard.append, lab.lost.append)

    on_lab(main)


@pytest.mark.tshark
@pytest.mark.parametrize("channel", [CHANNEL, Channel(28, 10), Channel(29, 30)])
def test_tshark_reads_what_a_sniffer_wrote(channel: Channel, tmp_path: Path) -> None:
    path = tmp_path / "air.pcap"

    async def main(lab: Lab) -> None:
        loop = asyncio.get_running_loop()
        writer = TapWriter(path, lambda: 1_750_000_000_000_000 + round(loop.time() * 1e6))

        def write(frame: Overheard) -> None:
            writer.frame(
                frame.psdu,
                page=frame.channel.page,
                channel=frame.channel.number,
                rss_dbm=frame.rssi_dbm,
                lqi=frame.lqi,
            )

        await lab.start_hub()
        await lab.sniffer.start(lab.channel, write, lab.lost.append)
        await lab.join()
        for _ in range(3):
            assert await lab.send() is Status.SUCCESS
        await asyncio.sleep(1)
        writer.close()

    on_lab(main, channel, RETAIL if channel.page == 0 else SUB_GHZ_KIT)
    home = tmp_path / "home"
    (home / ".config" / "wireshark").mkdir(parents=True)
    keys = home / ".config" / "wireshark" / "zigbee_pc_keys"
    keys.write_text("".join(row + "\n" for row in wireshark_key_rows([(KEY.reveal(), "cad")])))
    tshark = shutil.which("tshark")
    assert tshark
    wanted = ["wpan.fcs_ok", "wpan-tap.ch_page", "wpan-tap.ch_num", "_ws.malformed"]
    wanted += ["zbee_aps.cluster", "zbee_aps.cmd.id"]
    told = subprocess.run(
        [tshark, "-r", str(path), "-Tfields", *(x for each in wanted for x in ("-e", each))],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [line.split("\t") for line in told.stdout.splitlines()]
    assert len(rows) > 15
    assert {tuple(row[:4]) for row in rows} == {
        ("True", str(channel.page), str(channel.number), "")
    } or {tuple(row[:4]) for row in rows} == {("1", str(channel.page), str(channel.number), "")}
    # The transport key was deciphered with the link key, and what it carried opened the rest.
    assert "0x05" in {row[5] for row in rows}
    assert [row[4] for row in rows].count("0x0702") >= 3


@pytest.mark.parametrize("version", [8, 12, 13, max(KNOWN)])
def test_the_network_key_is_read_out_of_the_hubs_stick(version: int) -> None:
    async def main(lab: Lab) -> None:
        lab.coordinator = EzspCoordinator(
            EzspPort("spare", lab.sniffer._port.path), random.Random(9).randbytes
        )
        await lab.start_hub()
        (key,) = await lab.coordinator.network_keys()
        assert key.reveal() == lab.stick.firmware.contents.node.network_key
        assert str(key) == "<secret>"

    on_lab(main, version=version)
