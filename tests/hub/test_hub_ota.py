"""Images: asked for, fetched block by block and page by page, interrupted and taken up again."""

from __future__ import annotations

import asyncio
import struct

import pytest
from fake_radio import CAD, IHD, IHD_EUI64, START_S, Bench, FakeDevice, with_hub, with_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.events import Note, Refused, Severity
from labctl.hub import OtaSettings
from labctl.hub.services.time import ZIGBEE_EPOCH_S
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import OtaImage, parse

OTA = 0x0019
NOW = (START_S - ZIGBEE_EPOCH_S).to_bytes(4, "little")
KIND = struct.pack("<HH", 0x10D7, 0x0502)


def image(version: int, *, octets: int = 200, destination: Eui64 | None = None) -> OtaImage:
    content = bytes(n % 251 for n in range(octets))
    optional = b"" if destination is None else destination.little_endian
    header = struct.pack(
        "<IHHHHHIH32sI",
        0x0BEEF11E,
        0x0100,
        56 + len(optional),
        2 if destination else 0,
        0x10D7,
        0x0502,
        version,
        2,
        b"it",
        56 + len(optional) + 6 + octets,
    )
    return parse(header + optional + struct.pack("<HI", 0, octets) + content)


OLD, NEW = image(1), image(2)


def serving(*images: OtaImage, **more: object) -> dict[str, OtaSettings]:
    given = {"images": images or (OLD, NEW), "notify": False} | more
    return {"ota": OtaSettings(**given)}  # type: ignore[arg-type]


def block(offset: int, *, version: int = 2, size: int = 64, period: int | None = None) -> bytes:
    control = 0 if period is None else 2
    tail = b"" if period is None else period.to_bytes(2, "little")
    return bytes([control]) + KIND + struct.pack("<IIB", version, offset, size) + tail


def answer(offset: int, data: bytes, version: int = 2) -> bytes:
    return b"\x19\x77\x05\x00" + KIND + struct.pack("<IIB", version, offset, len(data)) + data


async def ask(device: FakeDevice, command: int, payload: bytes) -> list[bytes]:
    """The answers; what the hub asks of the device meanwhile (Basic) is none."""
    answers = await device.get(OTA, command, payload, endpoint=1)
    return [frame for frame in answers if frame[0] & 0x10]


def notes(bench: Bench, kind: str) -> list[dict[str, object]]:
    return [note.detail for note in bench.of(Note) if note.kind == kind]


@pytest.mark.parametrize(
    ("query", "offered"),
    [
        (b"\x00" + KIND + struct.pack("<I", 0), NEW),
        (b"\x00" + KIND + struct.pack("<I", 1), NEW),
        (b"\x00" + KIND + struct.pack("<I", 2), None),
        (b"\x01" + KIND + struct.pack("<IH", 0, 7), NEW),
        (b"\x00" + struct.pack("<HHI", 0x10D7, 0x0501, 0), None),
        (b"\x00" + struct.pack("<HHI", 0x10D8, 0x0502, 0), None),
    ],
)
def test_the_newest_image_that_fits_is_offered(query: bytes, offered: OtaImage | None) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        (got,) = await ask(device, 0x01, query)
        if offered is None:
            assert got == b"\x19\x77\x02\x98"
        else:
            assert got == b"\x19\x77\x02\x00" + KIND + struct.pack(
                "<II", offered.version, offered.size
            )

    with_keys(scenario, **serving())


def test_an_image_for_one_device_is_offered_to_it_alone() -> None:
    async def scenario(bench: Bench) -> None:
        query = b"\x00" + KIND + struct.pack("<I", 0)
        ihd = await bench.paired()
        cad = await bench.paired(CAD, nwk=0x0C0C)
        assert (await ask(ihd, 0x01, query))[0][3] == 0x00
        assert await ask(cad, 0x01, query) == [b"\x19\x77\x02\x98"]
        assert await ask(cad, 0x03, block(0, version=5)) == [b"\x18\x77\x0b\x03\x98"]
        specific = IHD_EUI64.little_endian + KIND + struct.pack("<IH", 5, 2)
        assert (await ask(cad, 0x08, specific)) == [b"\x18\x77\x0b\x08\x7e"], "not in the table"

    with_keys(scenario, **serving(image(5, destination=IHD_EUI64)))


def test_a_download_goes_block_by_block_to_its_end() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        fetched = b""
        while len(fetched) < NEW.size:
            (got,) = await ask(device, 0x03, block(len(fetched)))
            data = NEW.data[len(fetched) :][:48]
            assert got == answer(len(fetched), data)
            fetched += data
            await asyncio.sleep(1)
        assert fetched == NEW.data
        (end,) = await ask(device, 0x06, b"\x00" + KIND + struct.pack("<I", 2))
        now = (bench.clock.now_us() // 1_000_000 - ZIGBEE_EPOCH_S).to_bytes(4, "little")
        assert end == b"\x19\x77\x07" + KIND + struct.pack("<I", 2) + now + now
        percents = [detail["percent"] for detail in notes(bench, "ota-progress")]
        assert percents[-1] == 100
        assert percents == sorted(percents)
        assert len(notes(bench, "ota-started")) == len(notes(bench, "ota-finished")) == 1
        await asyncio.sleep(120)
        assert notes(bench, "ota-interrupted") == []

    with_keys(scenario, **serving())


def test_a_device_may_ask_for_fewer_octets_and_gets_what_is_left_at_the_end() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await ask(device, 0x03, block(10, size=7)) == [answer(10, NEW.data[10:17])]
        last = NEW.size - 3
        assert await ask(device, 0x03, block(last)) == [answer(last, NEW.data[last:])]
        assert await ask(device, 0x03, block(NEW.size)) == [b"\x18\x77\x0b\x03\x80"]
        assert await ask(device, 0x03, block(0, size=0)) == [b"\x18\x77\x0b\x03\x80"]
        assert await ask(device, 0x03, block(0, version=9)) == [b"\x18\x77\x0b\x03\x98"]
        assert await ask(device, 0x03, block(0)[:-1]) == [b"\x18\x77\x0b\x03\x80"]

    with_keys(scenario, **serving())


def test_an_interrupted_download_is_noticed_and_taken_up_again() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await ask(device, 0x03, block(0))
        await asyncio.sleep(300)
        (interrupted,) = [n for n in bench.of(Note) if n.kind == "ota-interrupted"]
        assert (interrupted.severity, interrupted.detail["offset"]) == (Severity.WARNING, 48)
        assert await ask(device, 0x03, block(48)) == [answer(48, NEW.data[48:96])]
        assert notes(bench, "ota-resumed")[0]["after_s"] == 300

    with_keys(scenario, **serving())


def test_a_download_that_began_under_another_hub_goes_on_here() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await ask(device, 0x03, block(96)) == [answer(96, NEW.data[96:144])]
        assert notes(bench, "ota-resumed")[0]["offset"] == 96

    with_keys(scenario, **serving())


def test_a_device_that_asks_too_fast_is_told_to_wait() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await ask(device, 0x03, block(0))
        wait = b"\x19\x77\x05\x97" + NOW + (START_S + 2 - ZIGBEE_EPOCH_S).to_bytes(4, "little")
        assert await ask(device, 0x03, block(48)) == [wait + b"\xdc\x05"]
        await asyncio.sleep(2)
        assert await ask(device, 0x03, block(48)) == [answer(48, NEW.data[48:96])]

    with_keys(scenario, **serving(block_period_ms=1500))


def test_a_device_that_keeps_a_period_is_told_the_hubs_once() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await ask(device, 0x03, block(0, period=0))
        told = b"\x19\x77\x05\x97" + NOW + NOW + b"\xdc\x05"
        assert await ask(device, 0x03, block(48, period=0)) == [told]
        for period in (1500, 0):
            assert await ask(device, 0x03, block(48, period=period)) == [
                answer(48, NEW.data[48:96])
            ]

    with_keys(scenario, **serving(block_period_ms=1500))


def test_one_device_too_many_waits() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        cad = await bench.paired(CAD, nwk=0x0C0C)
        await ask(ihd, 0x03, block(0))
        (wait,) = await ask(cad, 0x03, block(0))
        assert wait[3] == 0x97
        assert int.from_bytes(wait[8:12], "little") - int.from_bytes(wait[4:8], "little") == 60
        await asyncio.sleep(61)
        (got,) = await ask(cad, 0x03, block(0))
        assert got == answer(0, NEW.data[:48])

    with_keys(scenario, **serving(simultaneous=1))


def page(offset: int, size: int, spacing_ms: int, most: int = 48) -> bytes:
    return b"\x00" + KIND + struct.pack("<IIBHH", 2, offset, most, size, spacing_ms)


def test_a_page_comes_in_blocks_as_far_apart_as_asked() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        assert len(await ask(device, 0x04, page(0, 100, 500))) == 1
        await asyncio.sleep(0.4)
        assert len(device.answers) == 1
        await asyncio.sleep(5)
        pieces = [a.data[3:] for a in device.answers]
        expected = [(0, 48), (48, 96), (96, 100)]
        assert pieces == [answer(a, NEW.data[a:b])[3:] for a, b in expected]
        assert [a.data[0] for a in device.answers] == [0x19] * 3
        assert await ask(device, 0x04, page(0, 0, 500)) == [b"\x18\x77\x0b\x04\x80"]

    with_keys(scenario, **serving())


def test_a_new_page_ends_the_one_before() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        await ask(device, 0x04, page(0, 200, 1000))
        await ask(device, 0x04, page(144, 96, 1000))
        await asyncio.sleep(10)
        offsets = [int.from_bytes(a.data[12:16], "little") for a in device.answers]
        assert offsets == [0, 144, 192]

    with_keys(scenario, **serving())


@pytest.mark.parametrize(("status", "word"), [(0x95, "ABORT"), (0x96, "INVALID_IMAGE")])
def test_a_device_that_gives_up_is_answered_and_recorded(status: int, word: str) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await ask(device, 0x03, block(0))
        end = bytes([status]) + KIND + struct.pack("<I", 2)
        assert await ask(device, 0x06, end) == [b"\x18\x77\x0b\x06\x00"]
        (failed,) = notes(bench, "ota-failed")
        assert (failed["status"], failed["offset"]) == (word, 48)

    with_keys(scenario, **serving())


def test_a_device_may_have_to_wait_with_its_image_until_it_is_told() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        assert not await bench.hub.publisher.upgrade_now(IHD_EUI64)
        end = b"\x00" + KIND + struct.pack("<I", 2)
        (later,) = await ask(device, 0x06, end)
        assert later[-4:] == b"\xff\xff\xff\xff"
        assert await bench.hub.publisher.upgrade_now(IHD_EUI64)
        await bench.settle()
        word = device.answers[-1].data
        assert (word[0], word[2]) == (0x09, 0x07)
        assert word[3:] == KIND + struct.pack("<I", 2) + NOW + NOW

    with_keys(scenario, **serving(upgrade_after_s=None))


def test_devices_are_told_of_images_under_their_link_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await asyncio.sleep(6)
        (word,) = [a for a in device.answers if a.cluster_id == OTA]
        assert (word.data[0], word.data[2:], word.aps_encrypt) == (0x09, b"\x00\x00\x64", True)
        assert await bench.hub.publisher.notify_image(IHD_EUI64, NEW)
        await bench.settle()
        assert device.answers[-1].data[2:] == b"\x00\x03\x64" + KIND + struct.pack("<I", 2)

    with_hub(scenario, devices=(IHD,), **serving(notify=True))


@given(st.lists(st.tuples(st.sampled_from([1, 3, 4, 6, 8]), st.binary(max_size=30)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_payload_makes_the_server_raise(commands: list[tuple[int, bytes]]) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        for command, payload in commands:
            await ask(device, command, payload)
        await asyncio.sleep(70)
        assert await ask(device, 0x03, block(0)) == [answer(0, NEW.data[:48])]
        assert all(refused.layer != "bug" for refused in bench.of(Refused))

    with_keys(scenario, **serving())
