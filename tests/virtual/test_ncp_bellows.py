"""Unmodified bellows as the host: connect, form, resume, send, receive, scan, back up."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import bellows.types as t
import pytest
import zigpy.config as zc
import zigpy.types as zt
from bellows.ezsp import EZSP
from bellows.zigbee.application import ControllerApplication
from ncp_support import STICK, stick
from node_pair import CLEAN
from test_ncp_network import CAD, KEY, Device

from labctl.virtual import clock
from labctl.virtual.air import Air
from labctl.virtual.ncp import Flash, Identity
from labctl.virtual.ncp.ash import ResetCode
from labctl.virtual.ncp.versions import FIRMWARE, NEWEST
from labctl.virtual.node import Status

VERSIONS = [8, 13, 14, NEWEST]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=[f"EZSP {v}" for v in VERSIONS])


def configuration(port: int, **more: Any) -> dict[str, Any]:
    return {
        zc.CONF_DEVICE: {zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{port}"},
        zc.CONF_DATABASE: None,
        zc.CONF_NWK_BACKUP_ENABLED: False,
        zc.CONF_TOPO_SCAN_ENABLED: False,
        zc.CONF_OTA: {zc.CONF_OTA_ENABLED: False},
        "use_thread": False,
        **more,
    }


class Hub(ControllerApplication):  # type: ignore[misc]
    """bellows, with the least that makes it hear Smart Energy."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.heard: list[zt.ZigbeePacket] = []
        self.lost: list[Any] = []

    def packet_received(self, packet: zt.ZigbeePacket) -> None:
        self.heard.append(packet)
        if packet.src.address == 0:
            super().packet_received(packet)

    def handle_join(self, *args: Any, **kwargs: Any) -> None:
        pass

    def connection_lost(self, exc: Any) -> None:
        self.lost.append(exc)

    async def cleanup_tc_link_key(self, ieee: Any) -> None:
        pass

    async def permit(self, time_s: int = 60, node: Any = None) -> None:
        await self.permit_ncp(time_s)


async def started(port: int, **more: Any) -> Hub:
    app = Hub(configuration(port, **more))
    await app.connect()
    await app.initialize(auto_form=True)
    return app


@pytest.mark.parametrize(
    ("fast", "version"),
    [(False, 13), *((True, version) for version in VERSIONS)],
    ids=["real clock", *(f"EZSP {version}" for version in VERSIONS)],
)
def test_connect_and_form(fast: bool, version: int, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stick(identity=Identity.speaking(version)) as (_, port):
            ezsp = EZSP(
                {
                    zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{port}",
                    zc.CONF_DEVICE_BAUDRATE: 115200,
                    zc.CONF_DEVICE_FLOW_CONTROL: None,
                }
            )
            await ezsp.connect(use_thread=False)
            assert ezsp.ezsp_version == version
            assert (await ezsp.getEui64())[0] == t.EUI64.convert(STICK)
            _, _, release = await ezsp.get_board_info()
            assert release == ".".join(map(str, FIRMWARE[version])) + " build 0"
            await ezsp.disconnect()
            if not fast:
                return  # what follows waits 2 s for each of five resets
            app = await started(port)
            assert app.state.node_info.ieee == t.EUI64.convert(STICK)
            assert app.state.node_info.nwk == 0
            assert 11 <= app.state.network_info.channel <= 26
            assert app.state.network_info.network_key.key != t.KeyData(bytes(16))
            await app.shutdown()

    caplog.set_level(logging.WARNING)
    clock.run(main(), fast=fast)
    assert [each for each in caplog.messages if "parse" in each or "Unknown" in each] == []


@every_version
def test_a_network_is_resumed_from_flash(tmp_path: Path, version: int) -> None:
    path = tmp_path / "stick.json"

    async def first() -> tuple[Any, Any, int]:
        async with stick(flash=Flash(path), identity=Identity.speaking(version)) as (_, port):
            app = await started(port)
            await app.load_network_info(load_devices=True)
            network = app.state.network_info
            await app.shutdown()
            return network.extended_pan_id, network.network_key.key, network.network_key.tx_counter

    async def second() -> tuple[Any, Any, int]:
        async with stick(flash=Flash(path), identity=Identity.speaking(version)) as (_, port):
            app = Hub(configuration(port))
            await app.connect()
            await app.initialize(auto_form=False)
            network = app.state.network_info
            await app.shutdown()
            return network.extended_pan_id, network.network_key.key, network.network_key.tx_counter

    before = clock.run(first(), fast=True)
    assert path.stat().st_mode & 0o777 == 0o600
    after = clock.run(second(), fast=True)
    assert after[:2] == before[:2]
    assert after[2] > before[2]  # a counter is never used twice


@every_version
def test_a_backup_is_restored_into_another_stick(version: int) -> None:
    async def main() -> None:
        air = Air(rng=random.Random(3), propagation=CLEAN)
        speaking = Identity.speaking(version)
        async with stick(air=air, identity=speaking) as (_, port):
            app = await started(port)
            backup = await app.backups.create_backup(load_devices=True)
            await app.shutdown()
        async with stick(air=air, identity=speaking) as (_, port):
            app = Hub(configuration(port))
            await app.connect()
            await app.backups.restore_backup(backup)
            await app.load_network_info(load_devices=True)
            restored = app.state.network_info
            assert restored.pan_id == backup.network_info.pan_id
            assert restored.network_key.key == backup.network_info.network_key.key
            assert restored.stack_specific == backup.network_info.stack_specific
            await app.shutdown()

    clock.run(main(), fast=True)


def test_messages_both_ways_encrypted_with_the_devices_own_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        air = Air(rng=random.Random(3), propagation=CLEAN)
        async with stick(air=air) as (_, port):
            config = configuration(port, ezsp_policies={"TRUST_CENTER_POLICY": 0x03})
            # bellows resets the stick to form, which takes the endpoints: connect a second time
            await (await started(port)).shutdown()
            app = Hub(config)
            await app.connect()
            await app.initialize()
            channel = app.state.network_info.channel
            ezsp = app._ezsp
            await ezsp.importLinkKey(index=0, address=t.EUI64.convert(CAD), key=t.KeyData(KEY))
            await ezsp.permitJoining(60)
            device = Device(air)
            (beacon,) = await device.node.active_scan([channel])
            assert await device.node.join(beacon, link_key=KEY) is None
            await asyncio.sleep(1)

            assert (
                await device.node.send(
                    0,
                    source_endpoint=2,
                    destination_endpoint=1,
                    profile_id=0x0109,
                    cluster_id=0x0702,
                    payload=b"\x00\x01\x00\x00\x00",
                    aps_secured=True,
                )
                is Status.SUCCESS
            )
            await asyncio.sleep(0.5)
            packet = app.heard[-1]
            assert packet.src.address == device.nwk
            assert packet.profile_id == 0x0109
            assert packet.cluster_id == 0x0702
            assert packet.data.serialize() == b"\x00\x01\x00\x00\x00"
            assert zt.TransmitOptions.APS_Encryption in packet.tx_options
            assert packet.lqi > 200
            assert packet.rssi is not None

            await app.send_packet(
                zt.ZigbeePacket(
                    src=zt.AddrModeAddress(zt.AddrMode.NWK, 0),
                    src_ep=1,
                    dst=zt.AddrModeAddress(zt.AddrMode.NWK, device.nwk),
                    dst_ep=2,
                    tsn=7,
                    profile_id=0x0109,
                    cluster_id=0x0702,
                    data=zt.SerializableBytes(b"answer"),
                    tx_options=zt.TransmitOptions.ACK | zt.TransmitOptions.APS_Encryption,
                )
            )
            (got,) = device.heard.data
            assert (got.payload, got.aps_secured) == (b"answer", True)

            # a long message comes in fragments, which bellows acknowledges and reassembles
            sending = asyncio.ensure_future(device.send(bytes(range(150))))
            assert await sending is Status.SUCCESS
            await asyncio.sleep(0.5)
            assert app.heard[-1].data.serialize() == bytes(range(150))
            device.off()
            await app.shutdown()

    caplog.set_level(logging.WARNING)
    clock.run(main(), fast=True)
    assert [each for each in caplog.messages if "parse" in each] == []


@every_version
def test_energy_and_network_scans(version: int) -> None:
    async def main() -> None:
        air = Air(rng=random.Random(3), propagation=CLEAN)
        async with stick(air=air, identity=Identity.speaking(version)) as (_, port):
            app = await started(port)
            energies = await app.energy_scan(
                channels=t.Channels.from_channel_list([11, 15, 20]), duration_exp=2, count=1
            )
            assert set(energies) == {11, 15, 20}
            beacons = [
                beacon
                async for beacon in app.network_scan(
                    channels=t.Channels.ALL_CHANNELS, duration_exp=2
                )
            ]
            assert beacons == []
            await app.shutdown()

    clock.run(main(), fast=True)


def test_the_watchdog_is_content_for_hours() -> None:
    async def main() -> None:
        async with stick() as (_, port):
            app = await started(port)
            await asyncio.sleep(2 * 3600)
            assert app.lost == []
            assert app._watchdog_failures == 0
            await app.shutdown()

    clock.run(main(), fast=True)


def test_a_crash_of_the_firmware_reaches_the_application() -> None:
    async def main() -> None:
        async with stick() as (ncp, port):
            app = await started(port)
            ncp.crash(ResetCode.WATCHDOG)
            await asyncio.sleep(1)
            assert app.lost
            await app.shutdown()

    clock.run(main(), fast=True)
