"""Unmodified zigpy-znp as the host: probe, form, resume, back up, join, messages, scans, tools."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zigpy.config as zc
import zigpy.types as zt
import zigpy_znp.commands as c
from ncp_support import fast
from zigpy.exceptions import NetworkNotFormed
from zigpy.zdo.types import SimpleDescriptor
from zigpy_znp.zigbee.application import ControllerApplication
from znp_support import (
    CAD,
    DEFAULT_KEY,
    KEY,
    SE,
    SECOND_KEY,
    STICK,
    Device,
    clean_air,
    connected,
    octets,
    stick,
)

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual import clock
from labctl.virtual.air import Air
from labctl.virtual.interference import channel_hog
from labctl.virtual.node import LinkKey, Status
from labctl.virtual.znp import Memory, VirtualZnpNcp

ENCRYPTED = zt.TransmitOptions.APS_Encryption


def configuration(port: int, **more: Any) -> dict[str, Any]:
    return {
        zc.CONF_DEVICE: {zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{port}"},
        zc.CONF_DATABASE: None,
        zc.CONF_NWK_BACKUP_ENABLED: False,
        zc.CONF_TOPO_SCAN_ENABLED: False,
        zc.CONF_OTA: {zc.CONF_OTA_ENABLED: False},
        **more,
    }


class Hub(ControllerApplication):  # type: ignore[misc]
    """zigpy-znp, with the least that makes it hear Smart Energy."""

    def __init__(self, port: int) -> None:
        super().__init__(configuration(port, znp_config={"prefer_endpoint_1": False}))
        self.heard: list[zt.ZigbeePacket] = []
        self.joined: list[int] = []
        self.left: list[int] = []
        self.lost: list[Any] = []

    async def register_endpoints(self) -> None:
        await self.add_endpoint(
            SimpleDescriptor(
                endpoint=1,
                profile=SE,
                device_type=0x0500,
                device_version=1,
                input_clusters=[0x0702],
                output_clusters=[0x0800],
            )
        )

    async def permit_gp(self, *args: Any, **kwargs: Any) -> None:
        """It would leave from an endpoint that is not registered, and fail."""

    def packet_received(self, packet: zt.ZigbeePacket) -> None:
        if packet.src.address == 0:
            super().packet_received(packet)
        elif packet.src_ep:
            self.heard.append(packet)
        elif packet.cluster_id == 0x0013:  # it takes the place of the driver's own join
            self.joined.append(packet.src.address)

    def handle_join(self, nwk: Any, ieee: Any, *args: Any, **kwargs: Any) -> None:
        self.joined.append(nwk)

    def handle_leave(self, nwk: Any, ieee: Any) -> None:
        self.left.append(nwk)

    def connection_lost(self, exc: Any) -> None:
        self.lost.append(exc)

    async def say(self, device: Device, data: bytes, *, secured: bool = True) -> None:
        await self.send_packet(
            zt.ZigbeePacket(
                src=zt.AddrModeAddress(zt.AddrMode.NWK, 0),
                src_ep=1,
                dst=zt.AddrModeAddress(zt.AddrMode.NWK, device.nwk),
                dst_ep=2,
                tsn=7,
                profile_id=SE,
                cluster_id=0x0702,
                data=zt.SerializableBytes(data),
                tx_options=zt.TransmitOptions.ACK
                | (ENCRYPTED if secured else zt.TransmitOptions.NONE),
            )
        )


async def started(port: int, *, form: bool = True) -> Hub:
    app = Hub(port)
    await app.connect()
    await app.initialize(auto_form=form)
    return app


async def joined(app: Hub, air: Air, key: bytes = KEY) -> Device:
    permit = asyncio.ensure_future(
        app.permit_with_link_key(zt.EUI64.convert(CAD), zt.KeyData(key), 60)
    )
    await asyncio.sleep(1)
    device = Device(air)
    assert await device.join(key, app.state.network_info.channel) is None
    await asyncio.sleep(1)
    permit.cancel()
    await asyncio.gather(permit, return_exceptions=True)
    return device


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "real clock"])
def test_probe_connect_and_form(is_fast: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stick() as (_, port):
            path = {zc.CONF_DEVICE_PATH: f"socket://127.0.0.1:{port}"}
            assert await ControllerApplication.probe(path)
            if not is_fast:
                return
            app = await started(port)
            assert app._znp.version == 3.30
            assert app._znp.nvram.align_structs
            assert app.state.node_info.ieee == zt.EUI64.convert(STICK)
            assert app.state.node_info.version == "Z-Stack 20250321"
            assert app.state.network_info.channel in (11, 15, 20, 25)
            assert app._device.endpoints[1].profile_id == SE
            await app.shutdown()

    caplog.set_level(logging.WARNING)
    clock.run(main(), fast=is_fast)
    assert [each for each in caplog.messages if "arse" in each or "nknown" in each] == []


def test_a_network_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"
    seen: list[Any] = []

    async def once(form: bool) -> None:
        async with stick(memory=Memory(path)) as (_, port):
            app = await started(port, form=form)
            await app.load_network_info(load_devices=True)
            seen.append(app.state.network_info)
            await app.shutdown()

    clock.run(once(True), fast=True)
    clock.run(once(False), fast=True)
    first, second = seen
    assert first.pan_id == second.pan_id
    assert first.extended_pan_id == second.extended_pan_id
    assert first.network_key.key == second.network_key.key
    assert second.network_key.tx_counter > first.network_key.tx_counter


def test_a_reset_network_is_none() -> None:
    async def main() -> None:
        async with stick() as (_, port):
            app = await started(port)
            await app.reset_network_info()
            with pytest.raises(NetworkNotFormed):
                await app.load_network_info()
            await app.disconnect()

    fast(main)


def test_a_backup_goes_into_another_stick() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (ncp, port):
            app = await started(port)
            await joined(app, air)
            # one key that a library has authenticated, as restored ones are
            short = ncp.firmware.network.node.state.addresses[CAD]  # type: ignore[union-attr]
            backup = await app.backups.create_backup(load_devices=True)
            assert backup.network_info.nwk_addresses[zt.EUI64.convert(CAD)] == short
            assert zt.EUI64.convert(CAD) in backup.network_info.children
            (key,) = backup.network_info.key_table
            assert bytes(key.key) != KEY  # an install code's key is none of the backup's
            await app.shutdown()
        async with stick(air=air) as (ncp, port):
            app = Hub(port)
            await app.connect()
            key.key = zt.KeyData(SECOND_KEY)
            await app.backups.restore_backup(backup)
            await app.load_network_info(load_devices=True)
            restored = app.state.network_info
            assert restored.pan_id == backup.network_info.pan_id
            assert restored.network_key.key == backup.network_info.network_key.key
            assert [bytes(each.key) for each in restored.key_table] == [SECOND_KEY]
            await app.start_network()
            node = ncp.firmware.network.node
            assert node is not None
            assert node.state.link_keys[CAD].key == SECOND_KEY
            assert node.state.addresses[CAD] == short
            await app.shutdown()

    fast(main)


def test_a_device_joins_and_messages_go_both_ways(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port):
            app = await started(port)
            device = await joined(app, air)
            assert app.joined == [device.nwk]
            for secured in (True, False):
                assert await device.send(b"up", secured=secured, endpoint=1) is Status.SUCCESS
                await asyncio.sleep(0.5)
                packet = app.heard[-1]
                assert packet.src.address == device.nwk
                assert (packet.profile_id, packet.cluster_id) == (SE, 0x0702)
                assert packet.data.serialize() == b"up"
                assert (ENCRYPTED in packet.tx_options) == secured
                assert packet.lqi > 200
                assert packet.rssi is None
                await app.say(device, b"down", secured=secured)
                heard = device.heard.data[-1]
                assert (heard.payload, heard.aps_secured) == (b"down", secured)
                assert heard.profile_id == SE
            # a message in fragments, both ways
            assert await device.send(bytes(range(200)), endpoint=1) is Status.SUCCESS
            await asyncio.sleep(0.5)
            assert app.heard[-1].data.serialize() == bytes(range(200))
            await app.say(device, bytes(range(220)))
            assert device.heard.data[-1].payload == bytes(range(220))
            assert device.heard.data[-1].aps_secured
            device.node.leave()
            await asyncio.sleep(1)
            assert len(app.left) == 1
            await app.shutdown()

    caplog.set_level(logging.WARNING)
    fast(main)
    assert [each for each in caplog.messages if "xception" in each] == []


def test_who_is_not_on_the_list_is_refused_meanwhile() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port):
            app = await started(port)
            permit = asyncio.ensure_future(
                app.permit_with_link_key(zt.EUI64.convert(CAD), zt.KeyData(KEY), 30)
            )
            await asyncio.sleep(1)
            stranger = Device(air, Eui64("00:12:4b:00:00:00:00:bb"))
            assert await stranger.join(DEFAULT_KEY, app.state.network_info.channel) is not None
            assert app.joined == []
            await permit
            await app.shutdown()

    fast(main)


def test_link_keys_are_installed_and_read_back() -> None:
    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (_, port):
            app = await started(port)
            device = await joined(app, air)
            partner = zt.EUI64.convert(CAD)
            answer = await app._znp.request(
                c.ZDO.SecAddLinkKey.Req(
                    NWK=device.nwk, IEEE=partner, LinkKeyData=zt.KeyData(SECOND_KEY)
                )
            )
            assert answer.Status == 0
            found = await app._znp.request(c.UTIL.APSMELinkKeyDataGet.Req(IEEE=partner))
            assert bytes(found.SecKey) == SECOND_KEY
            device.node.state.link_keys[STICK] = LinkKey(STICK, SECOND_KEY)
            await app.say(device, b"new key")
            assert device.heard.data[-1].aps_secured
            await app.shutdown()

    fast(main)


def test_energy_scan_hears_a_disturber() -> None:
    async def main() -> None:
        air = Air(rng=random.Random(3))
        air.disturb(channel_hog("hog", page=0, channel=15, duty=1.0, level_dbm=-40.0))
        async with stick(air=air) as (_, port):
            app = await started(port)
            energies = await app.energy_scan(
                channels=zt.Channels.from_channel_list([11, 15, 20]), duration_exp=2, count=1
            )
            assert set(energies) == {11, 15, 20}
            assert energies[15] > 100 > energies[11]
            assert app.state.network_info.channel != 15  # nor did it form there
            assert [each async for each in app.network_scan(zt.Channels.ALL_CHANNELS, 2)] == []
            await app.shutdown()

    fast(main)


def test_the_channel_is_moved() -> None:
    async def main() -> None:
        async with stick() as (ncp, port):
            app = await started(port)
            wanted = 25 if app.state.network_info.channel != 25 else 20
            await app.move_network_to_channel(wanted)
            assert ncp.firmware.network.nib.channel == wanted
            await app.shutdown()

    fast(main)


def test_the_watchdog_is_content_for_hours_and_hears_of_a_crash() -> None:
    async def main() -> None:
        async with stick() as (ncp, port):
            app = await started(port)
            await asyncio.sleep(2 * 3600)
            assert app.lost == []
            ncp.hang()
            await asyncio.sleep(300)
            assert app.lost
            ncp.restart()
            await app.disconnect()

    fast(main)


def test_a_pty_on_the_real_clock(tmp_path: Path) -> None:
    async def main() -> None:
        ncp = VirtualZnpNcp(eui64=STICK, air=clean_air(), rng=random.Random(1))
        path = ncp.open_pty(tmp_path / "stick")
        try:
            assert await ControllerApplication.probe({zc.CONF_DEVICE_PATH: str(path)})
        finally:
            await ncp.close()

    asyncio.run(main())


def test_the_command_serves_until_it_is_stopped_and_keeps_its_state(tmp_path: Path) -> None:
    state = tmp_path / "stick.json"
    command = [sys.executable, "-m", "labctl.cli.main", "virtual", "ncp", "--protocol", "znp"]
    words = ["--listen", "127.0.0.1:0", "--state", str(state), "--eui64", STICK]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        path = process.stdout.readline().strip()

        async def talk() -> bytes:
            async with connected(int(path.rpartition(":")[2])) as host:
                return await host.ask(0x2104)

        assert asyncio.run(talk()) == octets(STICK)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.stdout.close()
    assert json.loads(state.read_text())["eui64"] == STICK
    assert state.stat().st_mode & 0o777 == 0o600


# -- python -m zigpy_znp.tools.* -----------------------------------------------------------------


async def tool(ncp: VirtualZnpNcp, port: int, name: str, *arguments: str) -> None:
    """As from the command line; a process that ends also ends its connection."""
    await importlib.import_module(f"zigpy_znp.tools.{name}").main(
        [f"socket://127.0.0.1:{port}", *arguments]
    )
    await asyncio.sleep(2)
    if ncp.host is not None:
        ncp.host.hang_up()
        await asyncio.sleep(1)


@pytest.fixture
def quiet_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools set up logging for their process."""
    monkeypatch.setattr("coloredlogs.install", lambda *args, **kwargs: None)


@pytest.mark.usefixtures("quiet_tools")
def test_the_tools_of_the_driver_complete(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup, items = tmp_path / "backup.json", tmp_path / "items.json"
    again, items_again = tmp_path / "again.json", tmp_path / "items_again.json"

    async def main() -> None:
        air = clean_air()
        async with stick(air=air) as (ncp, port):
            app = await started(port)
            await joined(app, air)
            await app.shutdown()
            await asyncio.sleep(2)
            await tool(ncp, port, "energy_scan", "-n", "1")
            await tool(ncp, port, "network_scan", "-n", "1")
            await tool(ncp, port, "network_backup", "-o", str(backup))
            await tool(ncp, port, "nvram_read", "-o", str(items))
            await tool(ncp, port, "nvram_reset")
            assert not ncp.firmware.network.formed
            await tool(ncp, port, "nvram_write", "-i", str(items))
            assert ncp.firmware.network.formed
            await tool(ncp, port, "nvram_read", "-o", str(items_again))
            await tool(ncp, port, "network_restore", "-i", str(backup), "-c", "1000")
            await tool(ncp, port, "network_backup", "-o", str(again))
            # there is no bootloader behind this firmware
            with pytest.raises(RuntimeError, match="bootloader"):
                await tool(ncp, port, "flash_read", "-o", str(tmp_path / "flash"))

    fast(main)
    assert json.loads(items.read_text()) == json.loads(items_again.read_text())
    before, after = json.loads(backup.read_text()), json.loads(again.read_text())
    for key in ("pan_id", "extended_pan_id", "channel", "coordinator_ieee", "stack_specific"):
        assert before[key] == after[key], key
    assert before["network_key"]["key"] == after["network_key"]["key"]
    assert after["network_key"]["frame_counter"] >= before["network_key"]["frame_counter"] + 1000
    assert len(after["devices"]) == 1
    assert " - 26" in capsys.readouterr().out
