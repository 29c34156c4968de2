"""A host written from the documents alone: raw ASH and EZSP octets, no driver, no codec of ours."""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual import clock
from labctl.virtual.air import Air
from labctl.virtual.ncp import Flash, VirtualEzspNcp

STICK = Eui64("00:0d:6f:00:11:22:33:44")
NETWORK_KEY = bytes.fromhex("00112233445566778899aabbccddeeff")
EXTENDED_PAN = bytes.fromhex("8877665544332211")
RESET = bytes.fromhex("1a" * 32 + "c038bc7e")
RSTACK = bytes.fromhex("c1020b0a527e")

_RESERVED = b"\x7e\x7d\x11\x13\x18\x1a"


def fast(main: Callable[[], Awaitable[None]]) -> None:
    """Run a test on the clock that jumps."""

    async def wrapped() -> None:
        await main()

    clock.run(wrapped(), fast=True)


def masked(body: bytes) -> bytes:
    """The pseudo-random sequence of UG101 4.3, by the book."""
    mask, octets = 0x42, bytearray()
    for octet in body:
        octets.append(octet ^ mask)
        mask = mask >> 1 ^ 0xB8 if mask & 1 else mask >> 1
    return bytes(octets)


def framed(octets: bytes) -> bytes:
    """CRC, byte stuffing and flag."""
    octets += binascii.crc_hqx(octets, 0xFFFF).to_bytes(2, "big")
    stuffed = bytearray()
    for octet in octets:
        stuffed += bytes([0x7D, octet ^ 0x20]) if octet in _RESERVED else bytes([octet])
    return bytes(stuffed) + b"\x7e"


def data_frame(number: int, ack: int, body: bytes, *, again: bool = False) -> bytes:
    """DATA(number, ack, again)."""
    return framed(bytes([number << 4 | again << 3 | ack]) + masked(body))


class FrameReader:
    """Takes the NCP's octets apart."""

    def __init__(self) -> None:
        self._rest = b""

    def frames(self, octets: bytes) -> list[tuple[int, bytes]]:
        """(control byte, body without the mask) of each frame that is complete now."""
        *complete, self._rest = (self._rest + octets).split(b"\x7e")
        found = []
        for each in complete:
            plain, escaped = bytearray(), False
            for octet in each:
                if octet == 0x7D:
                    escaped = True
                else:
                    plain.append(octet ^ 0x20 if escaped else octet)
                    escaped = False
            assert binascii.crc_hqx(bytes(plain), 0xFFFF) == 0
            body = bytes(plain[1:-2])
            found.append((plain[0], masked(body) if plain[0] < 0x80 else body))
        return found


class RawHost:
    """Speaks one version of EZSP over TCP, one command at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, version: int = 13
    ) -> None:
        self.version = version
        self.ok = b"\x00" if version < 14 else bytes(4)
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._number = 0
        self._expected = 0
        self._started = asyncio.Event()
        self.sequence = 0
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.callbacks: list[tuple[int, int, bytes]] = []  # sequence, frame id, parameters
        self._called = asyncio.Event()
        self.controls: list[int] = []
        self.raw = b""
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while octets := await self._reader.read(4096):
            self.raw += octets
            for control, body in self._frames.frames(octets):
                self.controls.append(control)
                if control == 0xC1:
                    self._number = self._expected = 0
                    self._started.set()
                if control >= 0x80:
                    continue
                assert control >> 4 == self._expected
                self._expected = (self._expected + 1) % 8
                self._writer.write(framed(bytes([0x80 | self._expected])))
                self._take(body)

    def _take(self, body: bytes) -> None:
        if body[1] & 0x18 and body[2] == 0x01:
            frame_id = struct.unpack_from("<H", body, 3)[0]
            self.callbacks.append((body[0], frame_id, body[5:]))
            self._called.set()
        else:
            self._answers.put_nowait(body)

    async def reset(self) -> None:
        """RST, and wait for RSTACK."""
        self.raw = b""
        self._number = self._expected = 0
        self.callbacks.clear()
        self._started.clear()
        self._writer.write(RESET)
        await asyncio.wait_for(self._started.wait(), 5)
        assert self.raw.endswith(RSTACK)

    async def exchange(self, frame: bytes) -> bytes:
        """A whole EZSP frame, and the one that answers it."""
        self._writer.write(data_frame(self._number, self._expected, frame))
        self._number = (self._number + 1) % 8
        return await asyncio.wait_for(self._answers.get(), 5)

    async def command(self, frame_id: int, parameters: bytes = b"") -> bytes:
        """The parameters of the response; asserts that it is the response."""
        sequence, self.sequence = self.sequence, (self.sequence + 1) % 256
        body = await self.exchange(struct.pack("<BBBH", sequence, 0, 1, frame_id) + parameters)
        assert body[:3] == bytes([sequence, 0x80, 0x01]), body.hex()
        assert struct.unpack_from("<H", body, 3)[0] == frame_id, body.hex()
        return body[5:]

    async def refused(self, frame_id: int, parameters: bytes = b"") -> int:
        """The reason in invalidCommand."""
        (reason,) = await self.refused_with(frame_id, parameters)
        return reason

    async def refused_with(self, frame_id: int, parameters: bytes = b"") -> bytes:
        """The reason in invalidCommand, as long as this version has it."""
        sequence, self.sequence = self.sequence, (self.sequence + 1) % 256
        body = await self.exchange(struct.pack("<BBBH", sequence, 0, 1, frame_id) + parameters)
        assert body[:5] == bytes([sequence, 0x80, 0x01, 0x58, 0x00]), body.hex()
        return body[5:]

    async def callback(self, frame_id: int, seconds: float = 20.0) -> bytes:
        """The parameters of the next callback of this kind; others before it are dropped."""

        async def wait() -> bytes:
            while True:
                while self.callbacks:
                    _, found, parameters = self.callbacks.pop(0)
                    if found == frame_id:
                        return parameters
                self._called.clear()
                await self._called.wait()

        return await asyncio.wait_for(wait(), seconds)

    async def start(self, *, keys: int = 16, zdo_flags: int = 0x03) -> None:
        """Reset, agree on the version, configure as a Smart Energy hub does."""
        await self.reset()
        self.sequence = 0
        version = bytes([self.version])
        assert (await self.exchange(bytes([0, 0, 0, 4])))[:4] == bytes([0, 0x80, 0]) + version
        assert (await self.command(0x0000, version))[:1] == version
        for config_id, value in ((0x0C, 2), (0x1E, keys), (0x2A, zdo_flags), (0x05, 16)):
            assert await self.command(0x53, struct.pack("<BH", config_id, value)) == self.ok

    async def add_endpoint(self, endpoint: int, *inputs: int) -> None:
        """An energy service interface with these server clusters."""
        head = struct.pack("<BHHBBB", endpoint, 0x0109, 0x0500, 1, len(inputs), 1)
        clusters = struct.pack(f"<{len(inputs) + 1}H", *inputs, 0x0800)
        assert await self.command(0x02, head + clusters) == self.ok

    async def form(self, *, channel: int = 20, bitmask: int = 0x0A00, key: bytes = b"") -> None:
        """setInitialSecurityState, formNetwork, NETWORK_UP."""
        state = (
            struct.pack("<H", bitmask) + (key or bytes(16)) + NETWORK_KEY + bytes([0]) + bytes(8)
        )
        assert await self.command(0x68, state) == self.ok
        parameters = EXTENDED_PAN + struct.pack("<HbBBHBI", 0x1A2B, 8, channel, 0, 0, 0, 0)
        assert await self.command(0x1E, parameters) == self.ok
        up = b"\x90" if self.version < 14 else struct.pack("<I", 0x15)
        assert await self.callback(0x19) == up

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()


@contextlib.asynccontextmanager
async def stick(
    *, air: Air | None = None, flash: Flash | None = None, **more: Any
) -> AsyncIterator[tuple[VirtualEzspNcp, int]]:
    """A virtual NCP and its TCP port."""
    ncp = VirtualEzspNcp(
        eui64=STICK,
        air=air or Air(rng=random.Random(1)),
        flash=flash,
        rng=random.Random(2),
        **more,
    )
    try:
        yield ncp, await ncp.listen()
    finally:
        await ncp.close()


@contextlib.asynccontextmanager
async def connected(port: int, version: int = 13) -> AsyncIterator[RawHost]:
    """A raw host on that port; nothing sent yet."""
    host = RawHost(*await asyncio.open_connection("127.0.0.1", port), version)
    try:
        yield host
    finally:
        host.close()
