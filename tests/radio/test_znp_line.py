"""Garbage on a ZNP stick's line, and a stick that starts over while it is asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from labctl.radio.coordinator import (
    CoordinatorListener,
    EndpointDescriptor,
    Incoming,
    JoinSeen,
    NetworkSettings,
    PhySettings,
    RadioState,
)
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.radio.znp.line import FRAME_S
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.znp import VirtualZnpNcp

STICK = Eui64("00:00:5e:ef:10:00:00:01")
SETTINGS = NetworkSettings((PhySettings(Channel(0, 15), tx_power_dbm=5),))
ENDPOINTS = (EndpointDescriptor(1, 0x0508, (0x0000,)),)


class Owner(CoordinatorListener):
    def __init__(self) -> None:
        self.lost: list[str] = []

    def packet_received(self, packet: Incoming) -> None: ...

    def join_seen(self, join: JoinSeen) -> None: ...

    def device_left(self, eui64: Eui64, nwk: int) -> None: ...

    def connection_lost(self, cause: str, bearer: int = 0) -> None:
        self.lost.append(cause)

    async def connection_restored(self, states: Sequence[RadioState], bearer: int = 0) -> None: ...


Make = Callable[[], ZnpCoordinator]


def with_stick(scenario: Callable[[VirtualZnpNcp, Make], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        stick = VirtualZnpNcp(eui64=STICK, rng=random.Random(1), air=Air(rng=random.Random(2)))
        path = f"socket://127.0.0.1:{await stick.listen()}"
        radios: list[ZnpCoordinator] = []

        def make() -> ZnpCoordinator:
            radios.append(ZnpCoordinator(ZnpPort("stick", path), random.Random(3).randbytes))
            radios[-1].listen(Owner())
            return radios[-1]

        try:
            await scenario(stick, make)
        finally:
            for radio in radios:
                await radio.stop()
            await stick.close()

    run(main(), fast=True)


@pytest.mark.parametrize("garbage", [b"\xfe\xfa", b"\xfe\xf0\xfe\xf0\xfe", b"\xfe", b"\xfe\x28ab"])
def test_what_looks_like_the_head_of_a_frame_keeps_nothing_back_for_long(garbage: bytes) -> None:
    async def scenario(stick: VirtualZnpNcp, make: Make) -> None:
        radio = make()
        await radio.start(SETTINGS, ENDPOINTS)
        stick.garbage(garbage)
        async with asyncio.timeout(FRAME_S + 0.1):
            await radio.check_alive()

    with_stick(scenario)


def test_a_stick_that_starts_over_is_found_within_a_second() -> None:
    async def scenario(stick: VirtualZnpNcp, make: Make) -> None:
        now_s = asyncio.get_running_loop().time
        first = make()
        await first.start(SETTINGS, ENDPOINTS)
        await first.stop()
        began_s, second = now_s(), make()
        await second.start(SETTINGS, ENDPOINTS)
        took_s = now_s() - began_s
        await second.stop()
        stick.hang()
        starting = asyncio.create_task(make().start(SETTINGS, ENDPOINTS))
        await asyncio.sleep(1.5)
        stick.restart()
        began_s = now_s()
        await starting
        assert now_s() - began_s < took_s + 1.5

    with_stick(scenario)
