"""What the stick keeps: over a reset, over the loss of power, and where nobody else can read it."""

from __future__ import annotations

import asyncio
import json
import struct
from pathlib import Path

import pytest
from ncp_support import NETWORK_KEY, STICK, connected, fast, stick
from test_ncp_network import CAD, KEY, OK, Device, aps, arm, clean_air, hub, paired, unicast

from labctl.errors import ConfigurationError
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp import Flash
from labctl.virtual.node import Status

OTHER = Eui64("00:0d:6f:99:99:99:99:99")


def test_keys_network_and_children_survive_the_loss_of_power(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"

    async def main() -> None:
        air = clean_air()
        async with stick(air=air, flash=Flash(path)) as (ncp, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device, index=3)
            await host.command(0x34, unicast(device.nwk, aps(0x60), b"x"))
            assert (await host.callback(0x3F))[15] == 0
            used = ncp.firmware.contents.node.outgoing_nwk_counter
            used_aps = ncp.firmware.contents.node.outgoing_aps_counter
        async with stick(air=air, flash=Flash(path)) as (ncp, port), connected(port) as host:
            await host.start()
            await host.add_endpoint(1, 0x0702)
            assert await host.command(0x17, b"\x00\x00") == b"\x00"
            assert await host.callback(0x19) == b"\x90"
            assert ncp.firmware.contents.node.outgoing_nwk_counter > used
            assert ncp.firmware.contents.node.outgoing_aps_counter > used_aps
            assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\x03"
            child = await host.command(0x4A, b"\x00")
            assert child[:9] == b"\x00" + CAD.little_endian
            # the device has noticed nothing, and its counters and ours go on
            assert await device.send(b"question") is Status.SUCCESS
            await host.command(0x34, unicast(device.nwk, aps(0x60), b"answer"))
            assert (await host.callback(0x3F))[15] == 0
            assert device.heard.data[-1].payload == b"answer"
            device.off()

    fast(main)


def test_a_reset_keeps_flash_and_forgets_transient_keys(tmp_path: Path) -> None:
    async def main() -> None:
        flash = Flash(tmp_path / "stick.json")
        async with stick(flash=flash) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            assert await host.command(0x111, OTHER.little_endian + KEY + b"\x00") == OK
            await host.start()
            assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\x00"
            gone = await host.command(0x113, OTHER.little_endian)
            assert gone[-4:] == struct.pack("<I", 0x2D)
            assert await host.command(0x18) == b"\x00"  # off until networkInit

    fast(main)


def test_keys_beyond_the_configured_table_are_out_of_reach_and_not_lost(tmp_path: Path) -> None:
    async def main() -> None:
        flash = Flash(tmp_path / "stick.json")
        async with stick(flash=flash) as (_, port), connected(port) as host:
            await host.start(keys=16)
            assert await host.command(0x10E, b"\x0c" + CAD.little_endian + KEY) == OK
            await host.start(keys=4)
            assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\xff"
            await host.start(keys=16)
            assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\x0c"

    fast(main)


def test_the_file_is_for_its_owner_alone_and_nothing_else_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"

    async def main() -> None:
        async with stick(flash=Flash(path)) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)
            assert path.stat().st_mode & 0o777 == 0o600
            assert json.loads(path.read_text())["link_keys"]["0"]["eui64"] == CAD

    fast(main)
    assert [each.name for each in tmp_path.iterdir()] == ["stick.json"]


def test_frames_do_not_write_the_file(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"

    async def main() -> None:
        air = clean_air()
        async with stick(air=air, flash=Flash(path)) as (_, port), connected(port) as host:
            await hub(host)
            device = Device(air)
            await paired(host, device)
            await asyncio.sleep(5)
            before = path.stat().st_mtime_ns
            for _ in range(100):
                await host.command(0x34, unicast(device.nwk, aps(0x60), b"x"))
                await host.callback(0x3F)
            assert path.stat().st_mtime_ns == before
            device.off()

    fast(main)


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", "{", '{"format": 1}', '{"format": 2}', '{"format": 1, "eui64": 3}'],
)
def test_a_file_that_is_none_of_ours_is_refused_with_a_mend(tmp_path: Path, content: str) -> None:
    path = tmp_path / "stick.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        Flash(path).load(STICK)
    assert str(path) in str(caught.value)
    assert caught.value.mend


def test_another_sticks_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stick.json"

    async def main() -> None:
        async with stick(flash=Flash(path)):
            pass

    fast(main)
    with pytest.raises(ConfigurationError, match=str(OTHER)):
        Flash(path).load(OTHER)
    assert Flash(path).stored_eui64 == STICK


@pytest.mark.parametrize("where", ["node", "link_keys"])
def test_a_damaged_file_is_reported_without_the_keys_in_it(tmp_path: Path, where: str) -> None:
    path = tmp_path / "stick.json"

    async def main() -> None:
        async with stick(flash=Flash(path)) as (_, port), connected(port) as host:
            await hub(host)
            await arm(host)

    fast(main)
    stored = json.loads(path.read_text())
    if where == "node":
        stored["node"]["network_key"] += "zz"
    else:
        stored["link_keys"]["0"]["key"] += "zz"
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigurationError) as caught:
        Flash(path).load(STICK)
    assert str(path) in str(caught.value)
    text = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert KEY.hex() not in text
    assert NETWORK_KEY.hex() not in text


def test_nothing_that_holds_keys_prints_them() -> None:
    async def main() -> None:
        async with stick() as (ncp, port), connected(port) as host:
            await host.start()
            state = struct.pack("<H", 0x0A00) + bytes(16) + NETWORK_KEY + bytes(9)
            assert await host.command(0x68, state) == b"\x00"
            await host.form()
            await arm(host)
            assert await host.command(0x111, OTHER.little_endian + KEY + b"\x00") == OK
            security = ncp.firmware.security
            text = f"{ncp.firmware.contents!r} {security._transient!r} {security.initial!r}"
            for key in (KEY, NETWORK_KEY):
                assert repr(key) not in text
                assert key.hex() not in text

    fast(main)


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "nowhere" / "stick.json")
    flash.load(STICK)
    with pytest.raises(ConfigurationError, match="cannot be written"):
        flash.save()
