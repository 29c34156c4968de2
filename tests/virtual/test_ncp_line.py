"""The stick as something to plug in: TCP, pty, reconnecting, the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tty
from pathlib import Path

import pytest
from click.testing import CliRunner
from ncp_support import RESET, RSTACK, STICK, RawHost, connected, fast, framed, stick

from labctl.cli.virtual import virtual
from labctl.errors import ConfigurationError, RigError, UsageError
from labctl.virtual.ncp.ash import ResetCode


def test_one_host_at_a_time_and_the_next_after_it() -> None:
    async def main() -> None:
        async with stick() as (_, port):
            async with connected(port) as first:
                await first.start()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                assert await reader.read() == b""  # turned away
                writer.close()
                assert await first.command(0x05) == b""
            await asyncio.sleep(0.1)
            async with connected(port) as second:
                await second.start()
                assert await second.command(0x26) == STICK.little_endian

    fast(main)


def test_the_network_goes_on_while_no_host_is_connected() -> None:
    async def main() -> None:
        async with stick() as (ncp, port):
            async with connected(port) as host:
                await host.start()
                await host.form()
            await asyncio.sleep(60)
            assert ncp.firmware.network.up

    fast(main)


def test_a_host_that_vanished_leaves_a_failed_link_that_a_reset_mends() -> None:
    async def main() -> None:
        async with stick() as (_, port):
            async with connected(port) as host:
                await host.start()
                await host.form()
                await host.command(0x22, b"\x05")
            await asyncio.sleep(60)  # NETWORK_CLOSED was said to nobody, four times
            async with connected(port) as host:
                host._writer.write(framed(b"\x81"))
                await asyncio.sleep(1)
                assert host.raw == bytes.fromhex("c20251a8bd7e")
                await host.start()
                assert await host.command(0x05) == b""

    fast(main)


def test_noise_on_the_line_is_answered_with_nak_and_forgotten() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            host._writer.write(b"\x00\xff\x42garbage\x7e")
            await asyncio.sleep(0.1)
            assert host.controls[-1] & 0xE0 == 0xA0
            assert await host.command(0x05) == b""

    fast(main)


def test_a_crash_says_why_without_being_asked() -> None:
    async def main() -> None:
        async with stick() as (ncp, port), connected(port) as host:
            await host.start()
            host.raw = b""
            ncp.crash(ResetCode.WATCHDOG)
            await asyncio.sleep(1)
            assert host.raw == framed(bytes([0xC1, 0x02, 0x03]))

    fast(main)


def test_reset_node_restarts_without_an_answer() -> None:
    async def main() -> None:
        async with stick() as (_, port), connected(port) as host:
            await host.start()
            host.raw = b""
            host._writer.write(b"")
            with pytest.raises(TimeoutError):
                await host.command(0x104)
            assert host.raw.endswith(RSTACK)

    fast(main)


def test_a_port_in_use_is_a_clear_error() -> None:
    async def main() -> None:
        async with stick() as (_, port), stick() as (second, _):
            with pytest.raises(RigError) as caught:
                await second.listen("127.0.0.1", port)
            assert str(port) in str(caught.value)

    fast(main)


async def _talk_over(descriptor: int) -> bytes:
    """Reset and version over a pty, real clock."""
    loop = asyncio.get_running_loop()
    got = b""
    arrived = asyncio.Event()

    def readable() -> None:
        nonlocal got
        got += os.read(descriptor, 4096)
        arrived.set()

    loop.add_reader(descriptor, readable)
    try:
        os.write(descriptor, RESET)
        async with asyncio.timeout(5):
            while not got.endswith(RSTACK):
                arrived.clear()
                await arrived.wait()
    finally:
        loop.remove_reader(descriptor)
    return got


def test_a_pty_under_a_name_is_served_again_after_the_host_has_closed_it(tmp_path: Path) -> None:
    async def main() -> None:
        link = tmp_path / "stick"
        async with stick() as (ncp, _):
            assert ncp.open_pty(link) == link
            for _ in range(3):
                descriptor = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
                tty.setraw(descriptor)
                assert await _talk_over(descriptor) == RSTACK
                os.close(descriptor)
                await asyncio.sleep(0.15)
        assert not link.is_symlink()

    asyncio.run(main())


def test_a_pty_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    async def main() -> None:
        taken = tmp_path / "stick"
        taken.write_text("precious")
        async with stick() as (ncp, _):
            with pytest.raises(RigError, match="name cannot be made"):
                ncp.open_pty(taken)
        assert taken.read_text() == "precious"

    asyncio.run(main())


# -- the command -----------------------------------------------------------------------------------


def test_the_command_serves_until_it_is_stopped_and_keeps_its_state(tmp_path: Path) -> None:
    state = tmp_path / "stick.json"
    command = [sys.executable, "-m", "labctl.cli.main", "virtual", "ncp", "--json"]
    words = ["--listen", "127.0.0.1:0", "--state", str(state), "--eui64", STICK]
    process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = ""
        while not lines.endswith("\n}\n"):
            lines += process.stdout.readline()
        path = json.loads(lines)["data"]["path"]
        port = int(path.rpartition(":")[2])

        async def talk() -> bytes:
            host = RawHost(*await asyncio.open_connection("127.0.0.1", port))
            await host.start()
            answer = await host.command(0x26)
            host.close()
            return answer

        assert asyncio.run(talk()) == STICK.little_endian
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
        process.stdout.close()
    assert json.loads(state.read_text())["eui64"] == STICK


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
        (["--eui64", "zz", "--pty"], "EUI-64"),
        (["--listen", "127.0.0.1:0", "--protocol", "zigate"], "znp"),
    ],
)
def test_wrong_options_are_usage_errors(words: list[str], complaint: str) -> None:
    result = CliRunner().invoke(virtual, ["ncp", *words])
    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.parametrize("words", [[], ["--listen", "127.0.0.1:0", "--pty"]])
def test_exactly_one_way_to_reach_it_is_asked_for(words: list[str]) -> None:
    result = CliRunner().invoke(virtual, ["ncp", *words])
    assert isinstance(result.exception, UsageError)


def test_a_state_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    words = ["--listen", "127.0.0.1:0", "--state", str(tmp_path / "nowhere" / "stick.json")]
    result = CliRunner().invoke(virtual, ["ncp", *words])
    assert isinstance(result.exception, ConfigurationError)
    assert "nowhere" in str(result.exception)
