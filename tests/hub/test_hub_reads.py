"""The record of reads: schedules, latencies, link samples, and the hub's own reads."""

from __future__ import annotations

import asyncio

from fake_radio import CAD, IHD_EUI64, START_S, Bench, with_hub, with_keys

from labctl.events import DeviceSeen, Direction, LinkSample, Note, ReadServed
from labctl.hub import HUB, ReadSchedule
from labctl.hub.reads import ReadBook


def schedule(name: str, **fields: object) -> ReadSchedule:
    given: dict[str, object] = {"cluster_id": 0x0702, "period_ms": 10_000, "tolerance_ms": 2_000}
    return ReadSchedule(eui64=IHD_EUI64, name=name, **(given | fields))  # type: ignore[arg-type]


SCHEDULES = (
    schedule("electricity", endpoint="electricity", attributes=(0x0000, 0x0400)),
    schedule("summation", endpoint="electricity", attributes=(0x0000,)),
    schedule("gas", endpoint="gas", attributes=(0x0000,)),
    schedule("price", cluster_id=0x0700, command_id=0x00),
    schedule("time", cluster_id=0x000A, endpoint=HUB, attributes=(0x0000,)),
)


def test_each_read_names_the_schedule_it_belongs_to() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await device.read(0x0702, 0x0000, 0x0400)
        await device.read(0x0702, 0x0400, 0x0000, 0x0014)
        await device.read(0x0702, 0x0000)
        await device.read(0x0702, 0x0400)
        await device.read(0x0702, 0x0000, endpoint=3)
        await device.get(0x0700, 0x00, b"\x01", endpoint=3)
        await device.read(0x000A, 0x0000, endpoint=1)
        await device.read(0x000A, 0x0000, endpoint=2)
        assert [read.schedule for read in bench.of(ReadServed)] == [
            "electricity",
            "electricity",
            "summation",
            None,
            "gas",
            "price",
            "time",
            None,
        ]

    with_keys(scenario, schedules=SCHEDULES)


def test_a_schedule_is_of_one_device() -> None:
    async def scenario(bench: Bench) -> None:
        cad = await bench.paired(CAD, nwk=0x0C0C)
        await cad.read(0x0702, 0x0000, 0x0400)
        assert bench.of(ReadServed)[-1].schedule is None

    with_keys(scenario, schedules=SCHEDULES)


def test_a_device_that_reads_at_random_does_not_fill_the_memory() -> None:
    book = ReadBook(SCHEDULES, {HUB: 1, "electricity": 2, "gas": 3})
    for attribute in range(3000):
        book.schedule_of(IHD_EUI64, 2, 0x0702, (attribute,), None)
    assert len(book._cache) <= 512
    assert book.schedule_of(IHD_EUI64, 2, 0x0702, (0x0000,), None) == "summation"


def test_a_read_is_recorded_with_all_that_matters() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await asyncio.sleep(100)
        await device.read(0x0702, 0x0000, 0x0400)
        read = bench.of(ReadServed)[-1]
        assert read == ReadServed(
            at_us=(START_S + 100) * 1_000_000,
            eui64=IHD_EUI64,
            initiator="device",
            endpoint=2,
            cluster_id=0x0702,
            attributes=(0x0000, 0x0400),
            command_id=None,
            status=0,
            latency_us=0,
            aps_encrypted=True,
            schedule=None,
        )

    with_keys(scenario)


def test_latency_runs_from_the_request_to_its_turn_behind_the_device_own_earlier_ones() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        bench.radio.delay_s = 0.25
        for _ in range(3):
            device.command(0x0702, 0x00, b"\x00\x00", secured=True, control=0x00)
        await asyncio.sleep(2)
        assert [read.latency_us for read in bench.of(ReadServed)] == [0, 250_000, 500_000]

    with_keys(scenario)


def test_every_unicast_of_a_known_device_is_a_link_sample() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        before = len(bench.of(LinkSample))
        await device.read(0x0702, 0x0000)
        device.announce()  # a broadcast
        samples = bench.of(LinkSample)
        assert len(samples) == before + 1
        assert (samples[-1].lqi, samples[-1].rssi_dbm) == (200, -60)
        assert (samples[-1].direction, samples[-1].radio) == (Direction.TO_HUB, "fake")
        assert (samples[-1].page, samples[-1].channel) == (0, 20)

    with_keys(scenario)


def test_the_hub_reads_who_the_device_is() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.basic = (
            bytes.fromhex("0400 00 42")
            + b"\x04Acme"
            + bytes.fromhex("0500 00 42")
            + b"\x06IHD\x00\x00 "
            + bytes.fromhex("0100 00 20 07 0300 00 20 02 0040 86")
        )
        await asyncio.sleep(6)
        seen = bench.of(DeviceSeen)[-1]
        assert (seen.manufacturer, seen.model) == ("Acme", "IHD")
        assert (seen.firmware_version, seen.hardware_version) == ("7", "2")
        reads = [read for read in bench.of(ReadServed) if read.initiator == "hub"]
        assert [read.attributes for read in reads] == [(0x0004, 0x0005), (0x0001, 0x0003, 0x4000)]
        assert all(read.cluster_id == 0x0000 and read.endpoint == 1 for read in reads)
        await device.read(0x0702, 0x0000)
        await asyncio.sleep(60)
        assert len([read for read in bench.of(ReadServed) if read.initiator == "hub"]) == 2

    with_hub(scenario)


def test_a_device_that_does_not_say_who_it_is_does_no_harm() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await asyncio.sleep(20)
        kinds = [note.kind for note in bench.of(Note)]
        assert kinds[:3] == ["device-log-changed", "joining-permitted", "practice"]
        assert set(kinds[3:]) == {"not-identified"}
        assert len(kinds[3:]) <= 3, "it is not asked for ever"
        device.basic = b"\x04\x00\x00\x42\xff"  # cut off
        assert await device.read(0x0702, 0x0300) is not None

    with_hub(scenario)


def test_a_device_authorised_before_is_asked_again_in_each_run() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        device.basic = bytes.fromhex("0400 00 42") + b"\x04Acme"
        await device.read(0x0702, 0x0000)
        await asyncio.sleep(6)
        assert bench.of(DeviceSeen)[-1].manufacturer == "Acme"

    with_keys(scenario)
