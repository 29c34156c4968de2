"""A host written from the documents alone: raw MT octets, no driver, no codec of ours."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import AsyncIterator
from typing import Any

from node_pair import CLEAN, SE, Listener

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.air import Air
from labctl.virtual.node import JoinFailure, Node, NodeState, Role, SimpleDescriptor, Status
from labctl.virtual.znp import Memory, VirtualZnpNcp

STICK = Eui64("00:12:4b:00:11:22:33:44")
CAD = Eui64("00:12:4b:00:00:00:00:aa")
OTHER = Eui64("00:12:4b:00:00:00:00:bb")
KEY = bytes(range(0x40, 0x50))
SECOND_KEY = bytes(range(0x70, 0x80))
DEFAULT_KEY = b"ZigBeeAlliance09"
OK = b"\x00"

Frame = tuple[int, bytes]
"""Both command octets, and the data."""


def octets(eui64: Eui64) -> bytes:
    """As on the line."""
    return bytes.fromhex(eui64.replace(":", ""))[::-1]


def framed(command: int, data: bytes = b"") -> bytes:
    """FE, length, command, data, exclusive or."""
    body = bytes([len(data)]) + struct.pack(">H", command) + data
    check = 0
    for octet in body:
        check ^= octet
    return b"\xfe" + body + bytes([check])


class RawHost:
    """Sends requests, and keeps what the stick says by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.order: list[int] = []
        self.notices: list[Frame] = []
        self._responses: asyncio.Queue[Frame] = asyncio.Queue()
        self._heard = asyncio.Event()
        self._task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                start = await self._reader.readexactly(4)
                assert start[0] == 0xFE
                assert start[1] <= 250
                rest = await self._reader.readexactly(start[1] + 1)
                assert framed(struct.unpack(">H", start[2:])[0], rest[:-1]) == start + rest
                frame = struct.unpack(">H", start[2:])[0], rest[:-1]
                self.order.append(frame[0])
                if start[2] & 0xE0 == 0x60:
                    self._responses.put_nowait(frame)
                else:
                    self.notices.append(frame)
                    self._heard.set()

    def write(self, data: bytes) -> None:
        """Any octets."""
        self._writer.write(data)

    async def exchange(self, command: int, data: bytes = b"") -> Frame:
        """A request, and whatever response comes."""
        self.write(framed(command, data))
        return await asyncio.wait_for(self._responses.get(), 5)

    async def ask(self, command: int, data: bytes = b"") -> bytes:
        """The data of the response; asserts that it is the response."""
        found, answer = await self.exchange(command, data)
        assert found == command | 0x4000, hex(found)
        return answer

    async def do(self, command: int, data: bytes = b"") -> None:
        """A request that succeeds."""
        assert await self.ask(command, data) == OK

    async def silence(self, command: int, data: bytes = b"") -> bool:
        """Whether nothing at all answers."""
        self.write(framed(command, data))
        await asyncio.sleep(5)
        return self._responses.empty()

    async def notice(self, command: int, seconds: float = 30.0) -> bytes:
        """The data of the next notice of this kind; others before it stay."""

        async def wait() -> bytes:
            while True:
                for index, (found, data) in enumerate(self.notices):
                    if found == command:
                        del self.notices[index]
                        return data
                self._heard.clear()
                await self._heard.wait()

        return await asyncio.wait_for(wait(), seconds)

    def heard(self, command: int) -> list[bytes]:
        """All notices of this kind that nobody has taken."""
        return [data for found, data in self.notices if found == command]

    async def reset(self) -> bytes:
        """Soft reset; the data of the reset indication."""
        self.write(framed(0x4100, b"\x01"))
        return await self.notice(0x4180)

    async def register(self, endpoint: int = 2, profile: int = SE, *inputs: int) -> bytes:
        """An energy service interface."""
        clusters = struct.pack(f"<B{len(inputs)}HBH", len(inputs), *inputs, 1, 0x0800)
        return await self.ask(
            0x2400, struct.pack("<BHHBB", endpoint, profile, 0x0500, 1, 0) + clusters
        )

    async def form(self, channel: int = 20) -> None:
        """A new network there."""
        await self.do(0x2F08, struct.pack("<BI", 1, 1 << channel))
        await self.do(0x2F05, b"\x04")
        while (await self.notice(0x4F80))[2]:
            pass

    async def resume(self) -> None:
        """The network in memory."""
        await self.form(20)

    async def permit(self, seconds: int = 60) -> None:
        """At the coordinator."""
        await self.do(0x2536, struct.pack("<BHBB", 2, 0x0000, seconds, 1))
        assert await self.notice(0x45B6) == b"\0\0\0"

    async def add_code(self, eui64: Eui64 = CAD, key: bytes = KEY) -> None:
        """A key for one device."""
        await self.do(0x2F04, b"\x02" + octets(eui64) + key)

    async def send(
        self, short: int, payload: bytes, *, options: int = 0x50, endpoint: int = 2, tag: int = 7
    ) -> int:
        """AF_DATA_REQUEST to endpoint 2; the status in the response."""
        head = struct.pack("<HBBHBBB", short, 2, endpoint, 0x0702, tag, options, 0)
        return (await self.ask(0x2401, head + bytes([len(payload)]) + payload))[0]

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()


class Device:
    """An end device with endpoint 2, and what it was told."""

    def __init__(self, air: Air, eui64: Eui64 = CAD, *, rx_on: bool = True) -> None:
        self.heard = Listener()
        self.node = Node(
            air,
            NodeState(eui64, Role.END_DEVICE),
            self.heard,
            rng=random.Random(str(eui64)),
            position=(3.0, 0.0, 0.0),
            rx_on_when_idle=rx_on,
        )
        self.node.endpoints[2] = SimpleDescriptor(2, SE, 0x0502, 0, (), (0x0702,))
        self.node.power_on()

    @property
    def nwk(self) -> int:
        return self.node.state.nwk

    async def join(self, key: bytes = KEY, channel: int = 20) -> JoinFailure | None:
        beacons = await self.node.active_scan([channel])
        assert beacons
        return await self.node.join(beacons[0], link_key=key)

    async def send(
        self, payload: bytes, *, secured: bool = True, endpoint: int = 2, profile: int = SE
    ) -> Status:
        return await self.node.send(
            0x0000,
            source_endpoint=2,
            destination_endpoint=endpoint,
            profile_id=profile,
            cluster_id=0x0702,
            payload=payload,
            aps_secured=secured,
        )


def clean_air() -> Air:
    return Air(rng=random.Random(1), propagation=CLEAN)


@contextlib.asynccontextmanager
async def stick(
    *, air: Air | None = None, memory: Memory | None = None, **more: Any
) -> AsyncIterator[tuple[VirtualZnpNcp, int]]:
    """A virtual stick and its TCP port."""
    ncp = VirtualZnpNcp(
        eui64=STICK, air=air or clean_air(), memory=memory, rng=random.Random(2), **more
    )
    try:
        yield ncp, await ncp.listen()
    finally:
        await ncp.close()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[RawHost]:
    """A raw host on that port; nothing sent yet."""
    host = RawHost(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield host
    finally:
        host.close()


@contextlib.asynccontextmanager
async def hub(air: Air | None = None, **more: Any) -> AsyncIterator[tuple[RawHost, VirtualZnpNcp]]:
    """A raw host whose stick has a network on channel 20, with endpoint 2 and all responses."""
    async with stick(air=air, **more) as (ncp, port), connected(port) as host:
        assert await host.register(2, SE, 0x0702) == OK
        await host.do(0x253E, b"\xff\xff")
        await host.form()
        yield host, ncp


@contextlib.asynccontextmanager
async def hub_with_device(
    *, key: bytes = KEY, rx_on: bool = True, **more: Any
) -> AsyncIterator[tuple[RawHost, Device, VirtualZnpNcp]]:
    """The same, and a device that has joined with its install code."""
    air = clean_air()
    async with hub(air, **more) as (host, ncp):
        await host.add_code(CAD, key)
        await host.permit()
        device = Device(air, rx_on=rx_on)
        assert await device.join(key) is None
        await host.notice(0x45CA)
        await host.notice(0x45C1)
        yield host, device, ncp
        device.node.power_off()
