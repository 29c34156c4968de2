"""The protocol versions beside 13: layouts against the driver's own, statuses, handlers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import bellows.types as t
import pytest
from bellows.ezsp import EZSP
from ncp_support import NETWORK_KEY, RawHost, connected, fast, stick
from test_ncp_network import CAD, KEY, Device, aps, clean_air

from labctl.config.inventory import EZSP_VERSIONS
from labctl.virtual.ncp import Identity
from labctl.virtual.ncp.codec import Layout
from labctl.virtual.ncp.status import Ember, Ezsp, Sl
from labctl.virtual.ncp.status_codes import as_octet, as_sl
from labctl.virtual.ncp.versions import FIRMWARE, NEWEST, table
from labctl.virtual.node import Status

VERSIONS = sorted(FIRMWARE)
_GREEDY = {"addEndpoint", "readCounters", "readAndClearCounters"}
"""The driver's layouts of these take all there is; the tests on the line cover them."""

_OTHERWISE = {"getDutyCycleLimits", "setDutyCycleLimitsInStack"}
"""The driver has another structure in their place (a vendor's number and name for three limits)."""

_STUBS = range(0x009F, 0x00A7)
_STUBS_283K1 = (0x00B0, *range(0x00E8, 0x00EF))
"""Key establishment without its library: one status, whatever the frame's layout."""


def octets_of_ours(layout: Layout) -> int:
    """How long the frame is when everything in it is zero."""
    values: dict[str, Any] = {}
    offset = 0
    for part in layout._parts:
        offset = part.unpack(bytes(500), offset, values)
    return offset


def octets_of_theirs(schema: Any) -> int:
    if isinstance(schema, dict):
        _, rest = t.deserialize_dict(bytes(500), schema)
    elif schema == ():
        return 0
    else:
        _, rest = schema.deserialize(bytes(500))
    return 500 - len(rest)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_frame_is_as_long_as_the_driver_has_it(version: int) -> None:
    theirs = {
        frame_id: (name, request, response)
        for name, (frame_id, request, response) in EZSP._BY_VERSION[version].COMMANDS.items()
    }
    wrong = []
    for frame_id, frame in table(version).items():
        assert frame_id in theirs, f"EZSP {version} has no 0x{frame_id:04X} {frame.name}"
        name, request, response = theirs[frame_id]
        if name in _GREEDY | _OTHERWISE or frame_id in _STUBS or frame_id in _STUBS_283K1:
            continue
        ours = [octets_of_ours(frame.response)]
        expected = [octets_of_theirs(response)]
        if frame.request is not None:
            ours.append(octets_of_ours(frame.request))
            expected.append(octets_of_theirs(request))
        if ours != expected:
            wrong.append((frame.name, ours, expected))
    assert wrong == []


@pytest.mark.parametrize("version", VERSIONS)
def test_key_establishment_is_as_long_as_the_driver_has_it(version: int) -> None:
    theirs = {
        frame_id: (request, response)
        for frame_id, request, response in EZSP._BY_VERSION[version].COMMANDS.values()
    }
    frames = table(version, key_establishment=True)
    checked = [*range(0x009E, 0x00A2), 0x00A5, 0x00E8, 0x00E9, 0x00EA, 0x00EB, 0x00EC, 0x00EE]
    for frame_id in checked:
        frame, (request, response) = frames[frame_id], theirs[frame_id]
        assert octets_of_ours(frame.response) == octets_of_theirs(response), frame.name
        if frame.request is not None:
            assert octets_of_ours(frame.request) == octets_of_theirs(request), frame.name


def test_the_newest_version_is_the_drivers_newest() -> None:
    assert max(EZSP._BY_VERSION) == NEWEST
    assert set(VERSIONS) == {version for version in EZSP._BY_VERSION if version >= 8}


def test_a_version_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"EZSP 15 is not emulated.* 14, 16"):
        table(15)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_command_of_every_version_has_a_handler(version: int) -> None:
    async def main() -> None:
        async with stick(identity=Identity.speaking(version)) as (ncp, _):
            missing = [
                frame.name
                for frame_id, frame in table(version).items()
                if frame.request is not None and frame_id not in ncp.firmware._handlers
            ]
            assert missing == []

    fast(main)


def test_every_status_has_a_translation_and_nothing_else_passes() -> None:
    assert {as_sl(status) is Sl.OK for status in (Ember.SUCCESS, Ezsp.SUCCESS, Sl.OK)} == {True}
    for status in (*Ember, *Ezsp):
        assert (as_sl(status) is Sl.OK) == (status == 0)
        named = getattr(t, "EmberStatus" if isinstance(status, Ember) else "EzspStatus")(status)
        known = t.sl_Status.from_ember_status(named)
        if known != t.sl_Status.FAIL and isinstance(status, Ember):
            assert int(known) == int(as_sl(status)), status
    for foreign in (0, 0x70, "OK", None):
        with pytest.raises(TypeError):
            as_sl(foreign)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        as_octet(Sl.NOT_FOUND)  # type: ignore[arg-type]


def test_the_inventory_offers_the_versions_that_are_emulated() -> None:
    assert list(EZSP_VERSIONS) == VERSIONS


# -- on the line, octet for octet ----------------------------------------------------------------


def with_a_device(version: int, work: Callable[[RawHost, Device], Awaitable[None]]) -> None:
    """A raw host that has formed a network, and a device that is not on it yet."""

    async def main() -> None:
        air = clean_air()
        async with (
            stick(air=air, identity=Identity.speaking(version)) as (_, port),
            connected(port, version) as host,
        ):
            await host.start()
            await host.add_endpoint(1, 0x0702, 0x0700)
            await host.form()
            device = Device(air)
            await work(host, device)
            device.off()

    fast(main)


def sl(code: int) -> bytes:
    return struct.pack("<I", code)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_version_is_agreed_and_the_release_fits_it(version: int) -> None:
    async def main() -> None:
        async with (
            stick(identity=Identity.speaking(version)) as (_, port),
            connected(port, version) as host,
        ):
            await host.reset()
            major, minor, patch, special = FIRMWARE[version]
            stack = struct.pack("<H", major << 12 | minor << 8 | patch << 4 | special)
            answer = bytes([version, 2]) + stack
            assert await host.exchange(bytes([0, 0, 0, 4])) == bytes([0, 0x80, 0]) + answer
            # our number is not agreed on yet: in the header of this version, whatever it is
            refused = await host.exchange(bytes([1, 0, 1, 0x26, 0]))
            reason = b"\x30" if version < 14 else sl(Sl.NOT_INITIALIZED)
            assert refused == bytes([1, 0x80, 1, 0x58, 0]) + reason
            host.sequence = 2
            assert await host.command(0x0000, bytes([version])) == answer

    fast(main)


def test_messages_of_version_14_octet_for_octet() -> None:
    async def work(host: RawHost, device: Device) -> None:
        entry = bytes([0]) + CAD.little_endian + KEY
        assert await host.command(0x10E, entry) == sl(0)
        assert await host.command(0x22, b"\xfe") == sl(0)
        assert await device.join() is None
        await asyncio.sleep(1)
        host.callbacks.clear()

        assert await device.send(b"hello") is Status.SUCCESS
        message = await host.callback(0x45)
        assert message[0] == 0x00  # unicast
        assert message[1:8] == struct.pack("<HHBBB", 0x0109, 0x0702, 2, 1, 0x60)  # options, low
        assert message[12:14] == struct.pack("<H", device.nwk)
        assert message[14:22] == CAD.little_endian
        assert message[22:24] == b"\xff\xff"  # neither a binding nor the address table
        lqi, rssi = struct.unpack_from("<Bb", message, 24)
        assert (lqi > 200, -80 < rssi < 0) == (True, True)
        assert message[30:] == b"\x05hello"

        head = bytes([0]) + struct.pack("<H", device.nwk) + aps(0x0060) + struct.pack("<H", 0x1234)
        answer = await host.command(0x34, head + b"\x02hi")
        assert answer[:4] == sl(0)
        sent = await host.callback(0x3F)
        assert sent[:4] == sl(0)
        assert sent[4:7] == b"\x00" + struct.pack("<H", device.nwk)
        assert sent[7 + 10] == answer[4]  # the APS counter that the NCP chose
        assert sent[18:] == struct.pack("<H", 0x1234) + b"\x00"
        assert [frame.payload for frame in device.heard.data] == [b"hi"]

        # who is who
        assert await host.command(0x60, CAD.little_endian) == sl(0) + struct.pack("<H", device.nwk)
        nobody = await host.command(0x60, bytes(range(8)))
        assert nobody == sl(0x2D) + b"\xff\xff"
        info = bytes([3]) + CAD.little_endian + struct.pack("<H", device.nwk)
        assert await host.command(0x5C, info) == sl(0)
        assert await host.command(0x5E, b"\x03") == sl(0) + info[9:] + info[1:9]
        assert await host.command(0x5E, b"\xf0") == sl(0x28) + b"\xff\xff" + bytes(8)
        assert await host.command(0x7F, CAD.little_endian) == sl(1)  # FAIL is no
        assert await host.command(0x7E, CAD.little_endian + b"\x01") == sl(0)
        assert await host.command(0x7F, CAD.little_endian) == sl(0)

        device.off()
        await host.command(0x34, head + b"\x02hi")
        assert (await host.callback(0x3F))[:4] == sl(0x0C02)  # ZIGBEE_DELIVERY_FAILED

    with_a_device(14, work)


def test_keys_of_version_14_octet_for_octet() -> None:
    async def work(host: RawHost, _: Device) -> None:
        assert await host.command(0x10E, b"\x05" + CAD.little_endian + KEY) == sl(0)
        found = await host.command(0x10F, b"\x05")
        context = bytes([4, 5, 0, 0]) + CAD.little_endian + bytes([0, 3, 0, 0, 0, 0])
        assert found[:38] == sl(0) + context + KEY
        assert len(found) == 50
        assert (await host.command(0x10F, b"\x06"))[:4] == sl(0x2D)
        assert (await host.command(0x10F, b"\x7f"))[:4] == sl(0x27)
        asked = bytes([1, 0, 0, 0]) + bytes(8) + bytes(6)
        assert await host.command(0x114, asked) == sl(0) + NETWORK_KEY + asked
        refused = await host.command(0x34, bytes([0, 0x34, 0x12]) + aps(0x0060) + bytes(4))
        assert refused == sl(0x0C0A) + b"\x00"  # ZIGBEE_APS_ENCRYPTION_ERROR
        assert await host.refused_with(0x66, bytes(40)) == sl(0x48)  # the older commands are gone

    with_a_device(14, work)


def test_keys_of_version_8_octet_for_octet() -> None:
    async def work(host: RawHost, device: Device) -> None:
        assert await host.command(0x66, CAD.little_endian + b"\x01" + KEY) == b"\x00"
        assert await host.command(0x75, CAD.little_endian + b"\x01") == b"\x00"
        entry = await host.command(0x71, b"\x00")
        assert (entry[0], entry[3], entry[4:20]) == (0, 5, KEY)  # an application link key
        assert entry[29:] == CAD.little_endian
        assert (await host.command(0x71, b"\x01"))[0] == 0xB6  # TABLE_ENTRY_ERASED
        assert (await host.command(0x71, b"\x7f"))[0] == 0xB1  # INDEX_OUT_OF_RANGE
        other = bytes(range(8))
        assert await host.command(0x72, b"\x03" + other + b"\x01" + KEY) == b"\x00"
        assert await host.command(0x75, other + b"\x01") == b"\x03"
        assert (await host.command(0x6A, b"\x01"))[0] == 0xB2  # no trust centre link key
        network = await host.command(0x6A, b"\x03")
        assert (network[0], network[3], network[4:20]) == (0, 3, NETWORK_KEY)
        assert await host.command(0xAF, other + KEY) == b"\x00"
        transient = await host.command(0x6D, b"\x00")
        assert transient[:25] == b"\x00" + other + KEY
        assert 290 <= struct.unpack_from("<H", transient, 27)[0] <= 300
        assert await host.command(0xCE, other) == transient
        assert (await host.command(0xCE, CAD.little_endian))[0] == 0x03  # NOT_FOUND
        assert await host.refused(0x10E, bytes(40)) == 0x31  # nor are the later ones there yet
        assert await host.refused(0x102, bytes(8)) == 0x31

        assert await host.command(0x22, b"\xfe") == b"\x00"
        assert await device.join() is None
        await asyncio.sleep(1)
        child = await host.command(0x4A, b"\x00")
        assert child[:9] == b"\x00" + CAD.little_endian
        assert len(child) == 15  # without the time that remains, which came with 10

    with_a_device(8, work)


def test_a_full_table_of_version_8_says_so() -> None:
    async def main() -> None:
        async with (
            stick(identity=Identity.speaking(8)) as (_, port),
            connected(port, 8) as host,
        ):
            await host.start(keys=2)
            for number, status in ((1, 0), (2, 0), (3, 0xB4), (2, 0)):
                eui64 = bytes([number]) * 8
                assert await host.command(0x66, eui64 + b"\x01" + KEY) == bytes([status])

    fast(main)
