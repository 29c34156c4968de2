"""The loop whose clock jumps: it must jump over waits, and never over bytes or threads."""

from __future__ import annotations

import asyncio
import time

import pytest

from labctl.virtual.clock import FastLoop, run


def test_a_day_of_sleep_takes_no_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        before = loop.time()
        await asyncio.sleep(86_400)
        return loop.time() - before

    started = time.monotonic()
    assert run(main(), fast=True) == pytest.approx(86_400)
    assert time.monotonic() - started < 60


def test_timers_fire_in_order_and_at_their_own_time() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        fired: list[float] = []
        for delay in (3.0, 1.0, 2.0, 1.0):
            loop.call_later(delay, lambda: fired.append(loop.time()))
        await asyncio.sleep(4)
        return fired

    assert run(main(), fast=True) == pytest.approx([1.0, 1.0, 2.0, 3.0])


def test_bytes_on_loopback_tcp_arrive_before_any_timeout() -> None:
    async def main() -> int:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while octets := await reader.read(100):
                writer.write(octets)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answered = 0
        for _ in range(500):
            writer.write(b"x")
            await asyncio.wait_for(reader.read(1), timeout=0.001)
            await asyncio.sleep(10)
            answered += 1
        writer.close()
        server.close()
        return answered

    assert run(main(), fast=True) == 500


def test_the_clock_stands_still_while_a_thread_works() -> None:
    async def main() -> tuple[float, bool]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, FastLoop)
        timer_fired = []
        loop.call_later(5, timer_fired.append, True)
        await loop.run_in_executor(None, time.sleep, 0.02)
        return loop.time(), bool(timer_fired)

    now_s, timer_fired = run(main(), fast=True)
    assert now_s == 0
    assert not timer_fired


def test_the_real_clock_is_asyncios_own() -> None:
    async def main() -> bool:
        return isinstance(asyncio.get_running_loop(), FastLoop)

    assert run(main(), fast=False) is False
