"""Faults that a virtual stick can be given, seen with raw octets from the host's side."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest
from ncp_support import RESET, RSTACK, fast

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.ncp import VirtualEzspNcp

STICK = Eui64("00:0d:6f:00:11:22:33:44")


def a_stick() -> VirtualEzspNcp:
    return VirtualEzspNcp(eui64=STICK, rng=random.Random(1), air=Air(rng=random.Random(2)))


async def heard(reader: asyncio.StreamReader, seconds: float = 2.0) -> bytes:
    """All that comes within so long."""
    found = bytearray()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while octets := await reader.read(4096):
                found += octets
    return bytes(found)


def test_a_stick_that_is_pulled_is_gone_and_one_that_is_plugged_is_where_it_was() -> None:
    async def main() -> None:
        stick = a_stick()
        port = await stick.listen()
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        await stick.pull()
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await stick.plug()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(RESET)
        assert RSTACK in await heard(reader)
        await stick.close()

    fast(main)


def test_a_pulled_pty_comes_back_under_its_name(tmp_path: Path) -> None:
    link = tmp_path / "stick"

    async def main() -> None:
        stick = a_stick()
        stick.open_pty(link)
        assert link.exists()
        await stick.pull()
        assert not link.exists()
        await stick.plug()
        assert link.exists()
        await stick.close()

    asyncio.run(main())


def test_a_hung_stick_keeps_its_port_and_says_nothing_until_it_restarts() -> None:
    async def main() -> None:
        stick = a_stick()
        port = await stick.listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(RESET)
        assert RSTACK in await heard(reader)
        stick.hang()
        writer.write(RESET)
        assert await heard(reader, 60) == b""
        assert not reader.at_eof()
        stick.restart()
        assert b"\xc1\x02\x03" in await heard(reader), "RSTACK: the watchdog"
        await stick.close()

    fast(main)


def test_garbage_reaches_the_host_and_nothing_else_does_at_a_dead_port() -> None:
    async def main() -> None:
        stick = a_stick()
        port = await stick.listen()
        reader, _ = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.1)
        stick.garbage(b"\x00\x11\x7e\xff")
        assert await heard(reader) == b"\x00\x11\x7e\xff"
        await stick.pull()
        stick.garbage(b"nobody is there")
        await stick.close()

    fast(main)
