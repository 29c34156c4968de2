"""Asking virtual sticks what they are, over loopback TCP; and the network that they hold."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from labctl.config.inventory import Driver
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
from labctl.radio.ezsp import EzspCoordinator, EzspPort
from labctl.radio.held import forget_network, held_network
from labctl.radio.probe import Attempt, probe
from labctl.radio.sticks import Line
from labctl.radio.znp import ZnpCoordinator, ZnpPort
from labctl.secret import Secret
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.clock import run
from labctl.virtual.line import SerialStick
from labctl.virtual.ncp import (
    RETAIL,
    SUB_GHZ_KIT,
    SWITCH_COORDINATOR,
    Flash,
    Hardware,
    Identity,
    VirtualEzspNcp,
)
from labctl.virtual.znp import Memory, VirtualZnpNcp

STICK = Eui64("00:00:5e:ef:10:00:00:01")
PARTNER = Eui64("00:00:5e:ef:10:00:00:02")
EZSP = Attempt(driver=Driver.EZSP, line=Line())
ZNP = Attempt(driver=Driver.ZNP, line=Line())
SETTINGS = NetworkSettings((PhySettings(Channel(0, 15), 0),), max_devices=4)


def ezsp(version: int = 13, hardware: Hardware = RETAIL) -> VirtualEzspNcp:
    rng = random.Random(version)
    return VirtualEzspNcp(
        air=Air(rng=rng),
        eui64=STICK,
        flash=Flash(None),
        rng=rng,
        identity=Identity.speaking(version),
        hardware=hardware,
    )


def znp() -> VirtualZnpNcp:
    rng = random.Random(1)
    return VirtualZnpNcp(air=Air(rng=rng), eui64=STICK, memory=Memory(None), rng=rng)


@asynccontextmanager
async def plugged_in(stick: SerialStick) -> AsyncIterator[str]:
    try:
        yield f"socket://127.0.0.1:{await stick.listen('127.0.0.1', 0)}"
    finally:
        await stick.close()


class Quiet(CoordinatorListener):
    def packet_received(self, packet: Incoming) -> None: ...

    def join_seen(self, join: JoinSeen) -> None: ...

    def device_left(self, eui64: Eui64, nwk: int) -> None: ...

    def connection_lost(self, cause: str, bearer: int = 0) -> None: ...


@pytest.mark.parametrize(
    ("version", "hardware", "bands", "both"),
    [
        (8, RETAIL, (Band.GHZ_2_4,), False),
        (13, RETAIL, (Band.GHZ_2_4,), False),
        (14, RETAIL, (Band.GHZ_2_4,), False),
        (19, SUB_GHZ_KIT, (Band.MHZ_868,), False),
        (13, SWITCH_COORDINATOR, (Band.GHZ_2_4, Band.MHZ_868), True),
    ],
)
def test_an_ezsp_stick_tells_what_it_is(
    version: int, hardware: Hardware, bands: tuple[Band, ...], both: bool
) -> None:
    async def scenario() -> None:
        async with plugged_in(ezsp(version, hardware)) as path:
            found = await probe(path, [EZSP])
        assert found.driver is Driver.EZSP
        assert found.protocol_version == version
        assert found.eui64 == STICK
        assert (found.bands, found.both_at_once) == (bands, both)
        assert found.key_table_size is not None
        assert found.key_table_size >= 16
        assert len(found.firmware_key) == 4
        assert found.usable

    run(scenario(), fast=True)


def test_a_znp_stick_tells_what_it_is_and_what_it_cannot() -> None:
    async def scenario() -> None:
        async with plugged_in(znp()) as path:
            found = await probe(path, [EZSP, ZNP])
        assert found.driver is Driver.ZNP
        assert found.protocol == "Z-Stack 3.30"
        assert found.eui64 == STICK
        assert found.bands == (Band.GHZ_2_4,)
        assert found.key_table_size == 40
        assert found.firmware_key == (20250321,)
        assert any("RSSI" in remark for remark in found.remarks)

    run(scenario(), fast=True)


def test_probing_leaves_the_port_and_the_stick_as_they_were() -> None:
    """Ten times over: the port is closed each time, and nothing is kept."""

    async def scenario() -> None:
        async with plugged_in(ezsp()) as path:
            first = await probe(path, [EZSP])
            for _ in range(10):
                assert await probe(path, [EZSP]) == first
            assert await held_network(path, Driver.EZSP, Line()) is None

    run(scenario(), fast=True)


def test_a_port_that_answers_nothing_is_told_with_what_was_tried() -> None:
    async def scenario() -> None:
        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(100):
                pass
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            with pytest.raises(RigError, match="nothing on this port speaks EZSP or ZNP") as e:
                await probe(f"socket://127.0.0.1:{port}", [EZSP, ZNP])
        finally:
            server.close()
        assert "EZSP at 115200" in e.value.mend

    run(scenario(), fast=True)


@pytest.mark.parametrize("attempt", [EZSP, ZNP], ids=["ezsp", "znp"])
def test_garbage_is_no_stick(attempt: Attempt) -> None:
    async def scenario() -> None:
        rng = random.Random(5)

        async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.read(100):
                writer.write(rng.randbytes(40))
            writer.close()

        server = await asyncio.start_server(babble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            with pytest.raises(RigError):
                await probe(f"socket://127.0.0.1:{port}", [attempt])
        finally:
            server.close()

    run(scenario(), fast=True)


@pytest.mark.parametrize("attempt", [EZSP, ZNP], ids=["ezsp", "znp"])
def test_a_port_that_is_not_there_is_told_at_once(attempt: Attempt, tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(RigError, match="there is no such port"):
            await probe(str(tmp_path / "ttyUSB0"), [attempt, attempt])

    run(scenario(), fast=True)


@pytest.mark.parametrize("driver", list(Driver))
def test_a_network_is_seen_kept_and_forgotten_only_when_asked(driver: Driver) -> None:
    async def scenario() -> None:
        stick: Any = ezsp() if driver is Driver.EZSP else znp()
        async with plugged_in(stick) as path:
            assert await held_network(path, driver, Line()) is None
            coordinator: Any = (
                EzspCoordinator(EzspPort("s", path))
                if driver is Driver.EZSP
                else ZnpCoordinator(ZnpPort("s", path))
            )
            coordinator.listen(Quiet())
            (state,) = await coordinator.start(SETTINGS, (EndpointDescriptor(1, 0x0508, (0,)),))
            await coordinator.install_link_key(PARTNER, Secret(bytes(range(16))))
            await coordinator.stop()
            for _ in range(2):
                found = await held_network(path, driver, Line())
                assert found is not None
                assert (found.channel, found.pan_id, found.extended_pan_id, found.ours) == (
                    state.at,
                    state.pan_id,
                    state.extended_pan_id,
                    True,
                )
            await probe(path, [Attempt(driver=driver, line=Line())])
            assert await held_network(path, driver, Line()) == found
            await forget_network(path, driver, Line())
            assert await held_network(path, driver, Line()) is None

    run(scenario(), fast=True)
