"""The OTA Upgrade client (ZCL 11): looks for new firmware, loads it block by block, installs it.

What was loaded outlasts a power cut, so that the download goes on where it was. The image's
header is checked; signatures are not, since the image is not run.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from labctl.errors import ConfigurationError
from labctl.virtual.devices import zcl, zdp
from labctl.virtual.devices.cursor import Cursor
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.servers import Product
from labctl.virtual.devices.settings import OTA, SMART_ENERGY_PROFILE, Timings
from labctl.virtual.devices.silence import Silence
from labctl.virtual.node import Node

_NOTIFY, _QUERY, _BLOCK, _UPGRADE_END = 0x00, 0x01, 0x03, 0x06
_ABORT, _INVALID_IMAGE, _WAIT_FOR_DATA, _NO_IMAGE = 0x95, 0x96, 0x97, 0x98
_FILE_IDENTIFIER = 0x0BEEF11E
_HEADER = struct.Struct("<IHHHHHIH32sI")
_HURRY_S = 1.0
_SLOT = struct.Struct("<HHII")  # manufacturer, image type, version, size
_WAIT = 0xFFFFFFFF


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class ImageSlot:
    """The part of flash that new firmware is loaded into: a file, or memory alone.

    Every method raises `ConfigurationError` where the file cannot be used.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._octets: bytes | None = None

    def offset_of(self, image: ImageId) -> int:
        """How much of that image is here already."""
        octets, key = self._loaded(), image.key
        return len(octets) - len(key) if octets[: len(key)] == key else 0

    def begin(self, image: ImageId) -> None:
        """Erase, and load that image from its start."""
        self._octets = image.key
        self._write("wb", self._octets)

    def append(self, octets: bytes) -> None:
        """The next octets of the image."""
        self._octets = self._loaded() + octets
        self._write("ab", octets)

    def image(self) -> bytes:
        """What was loaded."""
        return self._loaded()[_SLOT.size :]

    def erase(self) -> None:
        """Nothing is here any more."""
        self._octets = b""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _loaded(self) -> bytes:
        if self._octets is None:
            self._octets = b""
            if self._path is not None:
                try:
                    self._octets = self._path.read_bytes()
                except FileNotFoundError:
                    pass  # nothing was loaded yet
                except OSError as error:
                    raise self._unusable(error) from error
        return self._octets

    def _write(self, mode: str, octets: bytes) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, mode, opener=_private) as file:
                file.write(octets)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"a virtual device's firmware slot cannot be used: {error.strerror}",
            where=str(self._path),
            mend="make the folder writable",
        )


@dataclass(frozen=True, slots=True)
class ImageId:
    """Which image: manufacturer code, image type, file version, and how long it is."""

    manufacturer: int
    image_type: int
    version: int
    size: int

    @property
    def key(self) -> bytes:
        """As the slot remembers it."""
        return _SLOT.pack(self.manufacturer, self.image_type, self.version, self.size)

    @property
    def head(self) -> bytes:
        """As requests name it."""
        return struct.pack("<HHI", self.manufacturer, self.image_type, self.version)


class _Given(Exception):
    """The download ended; the text says why. What was loaded stays, but for an invalid image."""


@dataclass(slots=True)
class OtaClient:
    """Upgrades one device while it is on the network. `install(version)` restarts the device."""

    node: Node
    port: ZclPort
    timings: Timings
    rng: random.Random
    saw: Observations
    product: Product
    firmware: Callable[[], int]
    install: Callable[[int], None]
    slot: ImageSlot
    silence: Silence
    hurries: bool = False
    """It does not wait for the next block, whatever the server says."""
    _notified: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Ask now and then, or when told. Never returns."""
        t = self.timings
        wait = t.ota_first_query_s
        while True:
            try:
                async with asyncio.timeout(wait * self.rng.uniform(0.9, 1.1)):
                    await self._notified.wait()
            except TimeoutError:
                pass  # its own time has come
            self._notified.clear()
            await self.silence.over()  # a download that is under way may go on, a new one waits
            server = await self._find()
            if server is None:
                wait = t.ota_server_retry_s
                continue
            wait = t.ota_query_s
            try:
                await self._upgrade(server)
            except (_Given, NoAnswer, RequestRefused, zcl.ZclError) as end:
                self.saw.note(What.OTA, str(end))

    def notified(self, frame: zcl.Frame) -> None:
        """An ImageNotify: ask, or not, as its jitter has it. Raise `ZclError` when it is broken."""
        if frame.command != _NOTIFY:
            return
        cursor = Cursor(frame.payload)
        kind, jitter = cursor.unsigned(1), cursor.unsigned(1)
        if kind >= 1 and cursor.unsigned(2) not in (self.product.manufacturer_code, 0xFFFF):
            return
        if kind >= 2 and cursor.unsigned(2) not in (self.product.image_type, 0xFFFF):
            return
        if self.rng.randint(1, 100) <= jitter:
            self._notified.set()

    async def _find(self) -> Peer | None:
        body = await self.node.zdo(
            TRUST_CENTRE,
            zdp.MATCH_DESC,
            zdp.match_desc(TRUST_CENTRE, SMART_ENERGY_PROFILE, OTA),
            timeout_s=self.timings.zdo_timeout_s,
        )
        endpoints = zdp.matched_endpoints(body)
        return Peer(TRUST_CENTRE, endpoints[0]) if endpoints else None

    async def _upgrade(self, server: Peer) -> None:
        image = await self._query(server)
        if image is None:
            return
        offset = self.slot.offset_of(image)
        if offset:
            self.saw.note(What.OTA, f"goes on at {offset} of {image.size}")
        else:
            self.slot.begin(image)
            self.saw.note(What.OTA, f"version {image.version}, {image.size} octets")
        await self._download(server, image)
        if not self._is_sound(image):
            self.slot.erase()
            await self._end(server, image, _INVALID_IMAGE)
            raise _Given("invalid image")
        self.saw.note(What.OTA, "loaded")
        await self._await_upgrade(server, image)
        self.slot.erase()
        self.saw.note(What.OTA, f"installed version {image.version}")
        self.install(image.version)

    async def _query(self, server: Peer) -> ImageId | None:
        product = self.product
        payload = struct.pack(
            "<BHHI", 0, product.manufacturer_code, product.image_type, self.firmware()
        )
        answer = await self.port.command(server, OTA, _QUERY, payload)
        cursor = Cursor(answer.payload)
        if (status := cursor.unsigned(1)) != zcl.Status.SUCCESS:
            return None if status == _NO_IMAGE else self._refused(status)
        image = ImageId(
            cursor.unsigned(2), cursor.unsigned(2), cursor.unsigned(4), cursor.unsigned(4)
        )
        theirs = (image.manufacturer, image.image_type)
        if theirs != (product.manufacturer_code, product.image_type):
            raise _Given("offered an image of another product")
        return None if image.version == self.firmware() else image

    @staticmethod
    def _refused(status: int) -> None:
        raise _Given(f"status 0x{status:02X}")

    async def _download(self, server: Peer, image: ImageId) -> None:
        errors = 0
        while (offset := self.slot.offset_of(image)) < image.size:
            payload = (
                b"\x00"
                + image.head
                + struct.pack(
                    "<IB", offset, min(self.timings.ota_block_octets, image.size - offset)
                )
            )
            try:
                answer = await self.port.command(server, OTA, _BLOCK, payload)
                wait = self._block(image, offset, Cursor(answer.payload))
            except (NoAnswer, RequestRefused, zcl.ZclError) as error:
                errors += 1
                if errors >= self.timings.ota_errors:
                    raise _Given(f"gave up at {offset}: {error}") from error
                wait = self.timings.retry_s
            else:
                errors = 0
            if wait:
                await asyncio.sleep(wait)

    def _block(self, image: ImageId, offset: int, cursor: Cursor) -> float:
        """Take a block; how long to wait before the next request, s. May raise."""
        status = cursor.unsigned(1)
        if status == _WAIT_FOR_DATA:
            now, later = cursor.unsigned(4), cursor.unsigned(4)
            wait = later if now == 0 else later - now  # an offset, or a point in time
            if self.hurries:
                self.saw.note(What.PROVOKED, f"does not wait {wait} s at {offset}")
                return _HURRY_S
            self.saw.note(What.OTA, f"waits {wait} s at {offset}")
            return float(max(wait, 0))
        if status != zcl.Status.SUCCESS:
            self.slot.erase()
            raise _Given("aborted by the server" if status == _ABORT else f"0x{status:02X}")
        if cursor.take(8) != image.head:
            raise zcl.ZclError("a block of another image")
        if cursor.unsigned(4) != offset:
            raise zcl.ZclError("a block from another place")
        octets = cursor.take(cursor.unsigned(1))
        if not octets or offset + len(octets) > image.size:
            raise zcl.ZclError("a block of no use")
        self.slot.append(octets)
        return 0.0

    def _is_sound(self, image: ImageId) -> bool:
        octets = self.slot.image()
        if len(octets) < _HEADER.size:
            return False
        identifier, _, _, _, manufacturer, image_type, version, _, _, total = _HEADER.unpack_from(
            octets
        )
        return (
            identifier == _FILE_IDENTIFIER
            and (manufacturer, image_type, version)
            == (image.manufacturer, image.image_type, image.version)
            and total == len(octets)
        )

    async def _await_upgrade(self, server: Peer, image: ImageId) -> None:
        """Until the server says when; in vain, the device upgrades by itself."""
        for _ in range(self.timings.ota_upgrade_waits):
            wait = self.timings.ota_upgrade_wait_s
            try:
                now, when = await self._end(server, image, zcl.Status.SUCCESS)
            except (NoAnswer, RequestRefused, zcl.ZclError) as error:
                self.saw.note(What.OTA, f"upgrade end: {error}")
            else:
                if when != _WAIT:
                    if when > now:
                        await asyncio.sleep(when - now)
                    return
            await asyncio.sleep(wait)

    async def _end(self, server: Peer, image: ImageId, status: int) -> tuple[int, int]:
        answer = await self.port.command(server, OTA, _UPGRADE_END, bytes((status,)) + image.head)
        if not answer.cluster_specific:
            return 0, 0  # a Default Response is the answer to a failure
        cursor = Cursor(answer.payload)
        cursor.take(8)
        return cursor.unsigned(4), cursor.unsigned(4)
