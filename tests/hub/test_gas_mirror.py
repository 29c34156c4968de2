"""A gas meter that sleeps, its mirror, and the gas endpoint that serves what it said."""

from __future__ import annotations

import asyncio
from typing import Any

from fake_radio import CAD_EUI64, CAD_KEY, IHD, Bench, FakeDevice, with_keys
from hypothesis import given, settings
from hypothesis import strategies as st
from service_bench import EPOCH_S, START_S, gas, number, published, u, value

from labctl.events import DeviceKind, Refused
from labctl.hub import LoggedDevice
from labctl.hub.services.metering import MeteringService
from labctl.hub.services.mirror import TUNNEL_MESSAGE_PENDING, GasMirror
from labctl.meters.mirrored import MirroredGas
from labctl.radio.coordinator import EndpointDescriptor

GAS, MIRROR = 3, 4
METER = LoggedDevice(eui64=CAD_EUI64, name="meter", kind=DeviceKind.GAS_METER, link_key=CAD_KEY)
"""A gas meter with the address of the tests' CAD, whose key the radio has."""
US = 1_000_000


def summation(litres: int) -> bytes:
    return bytes.fromhex("0000 25") + u(litres, 6)


COMPLETE, PENDING = bytes.fromhex("feff 30 01"), bytes.fromhex("feff 30 00")


async def tell(device: FakeDevice, payload: bytes, cluster: int = 0x0702) -> list[bytes]:
    """Report attributes to the mirror; no Default Response wanted."""
    return await device.ask(
        b"\x18\x42\x0a" + payload, cluster=cluster, endpoint=MIRROR, secured=True
    )


async def claim(device: FakeDevice) -> list[bytes]:
    return await device.ask(b"\x19\x41\x01", cluster=0x0702, endpoint=MIRROR, secured=True)


def scene(scenario: Any) -> None:
    with_keys(scenario, devices=(IHD, METER))


def test_the_mirror_is_there_when_a_gas_meter_is_in_the_log() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.radio.endpoints[-1] == EndpointDescriptor(
            MIRROR, 0x0501, (0, 0x0800), (0, 0x0702, 0x0705, 0x0800)
        )

    scene(scenario)

    async def without(bench: Bench) -> None:
        assert [e.endpoint for e in bench.radio.endpoints] == [1, 2, 3]

    with_keys(without)


def test_a_meter_gets_its_mirror_and_what_it_says_is_served() -> None:
    async def scenario(bench: Bench) -> None:
        meter, ihd = await bench.paired(METER, 0x2222), await bench.paired(IHD)
        before = await ihd.read(0x0702, 0x0000, 0x0014, endpoint=GAS)
        assert before == bytes.fromhex("0000 00 25 ffffffffffff 1400 00 30 02")
        assert await claim(meter) == [b"\x11\x41\x01" + u(MIRROR, 2)]
        assert await tell(meter, bytes.fromhex("0400 42 03") + b"VGM", 0x0000) == []
        assert await tell(meter, summation(7_654_321) + PENDING) == []
        answer = await tell(meter, bytes.fromhex("0803 41 04") + b"SN01" + COMPLETE)
        assert answer == [b"\x11\x42\x09\x02" + bytes(20)]
        served = await ihd.read(0x0702, 0x0000, 0x0308, endpoint=GAS)
        assert served == (
            bytes.fromhex("0000 00 25") + u(7_654_321, 6) + bytes.fromhex("0803 00 41 04") + b"SN01"
        )
        mirrored = await ihd.read(0x0000, 0x0004, endpoint=MIRROR)
        assert mirrored == bytes.fromhex("0400 00 42 03") + b"VGM"
        await asyncio.sleep(1800)
        await tell(meter, summation(7_654_351) + COMPLETE)
        assert await ihd.read(0x0702, 0x0000, 0x0401, endpoint=GAS) == (
            bytes.fromhex("0000 00 25") + u(7_654_351, 6) + bytes.fromhex("0104 00 22") + u(30, 3)
        )

    scene(scenario)


def test_nobody_else_gets_the_mirror_or_writes_into_it() -> None:
    async def scenario(bench: Bench) -> None:
        meter, ihd = await bench.paired(METER, 0x2222), await bench.paired(IHD)
        assert await claim(ihd) == [b"\x11\x41\x01\xff\xff"]
        assert await tell(meter, summation(5) + COMPLETE) == [b"\x10\x42\x0b\x0a\x7e"]
        await claim(meter)
        assert await tell(ihd, summation(5) + COMPLETE) == [b"\x10\x42\x0b\x0a\x7e"]
        assert len(bench.of(Refused)) == 2
        before = await ihd.read(0x0702, 0x0000, endpoint=GAS)
        assert before is not None
        assert before[4:] != u(5, 6)

    scene(scenario)


def test_a_meter_gives_its_mirror_back_and_what_it_said_last_stays() -> None:
    async def scenario(bench: Bench) -> None:
        meter, ihd = await bench.paired(METER, 0x2222), await bench.paired(IHD)
        await claim(meter)
        await tell(meter, summation(77) + COMPLETE)
        removed = await meter.ask(b"\x19\x43\x02", cluster=0x0702, endpoint=MIRROR, secured=True)
        assert removed == [b"\x11\x43\x02" + u(MIRROR, 2)]
        assert await tell(meter, summation(78)) == [b"\x10\x42\x0b\x0a\x7e"]
        assert await ihd.read(0x0702, 0x0000, endpoint=GAS) == (
            bytes.fromhex("0000 00 25") + u(77, 6)
        )

    scene(scenario)


def test_malformed_reports_are_refused() -> None:
    async def scenario(bench: Bench) -> None:
        meter = await bench.paired(METER, 0x2222)
        await claim(meter)
        for payload in (b"", b"\x00", bytes.fromhex("0000 25 01"), bytes.fromhex("0000 ee 01")):
            assert await tell(meter, payload) == [b"\x10\x42\x0b\x0a\x80"]
        assert await tell(meter, bytes.fromhex("0000 41 01 00")) == [b"\x10\x42\x0b\x0a\x85"]

    scene(scenario)


def test_flags_are_told_once() -> None:
    mirror = GasMirror(gas(), MIRROR, [])
    mirror.notify(TUNNEL_MESSAGE_PENDING)
    assert mirror.answer().payload == b"\x02" + u(1 << 21, 4) + bytes(16)
    assert mirror.answer().payload == b"\x02" + bytes(20)


def test_logs_are_made_of_the_reports() -> None:
    meter = MirroredGas(gas(), (START_S + 5) * US, 1_000_000)
    for n in range(1, 49):
        meter.report((START_S + 5 + 1800 * n) * US, 1_000_000 + 60 * n)
    service = MeteringService(meter)
    at_s = START_S + 86_400 + 10
    assert number(service, 0x0000, at_s=at_s) == 1_000_000 + 60 * 48
    assert number(service, 0x0007, at_s=at_s) == START_S + 5 + 86_400 - EPOCH_S
    assert number(service, 0x0403, at_s=at_s) in (1919, 1920), "from 08:00 to midnight"
    assert value(service, 0x0420, at_s=at_s) == b"\xff\xff\xff", "before it was there"
    (log,) = published(service, 0x08, u(0, 2) + u(0, 4) + b"\x00" + u(100, 2), at_s=at_s)
    assert log[2:6] == u(START_S - EPOCH_S, 4)
    samples = [int.from_bytes(log[i : i + 3], "little") for i in range(11, len(log), 3)]
    assert len(samples) == 48
    assert all(abs(sample - 60) <= 1 for sample in samples)
    assert number(service, 0x0C01, at_s=at_s)


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 100_000), st.integers(-500, 5000)), max_size=20))
def test_what_was_read_before_stays_true_and_the_register_never_falls(
    steps: list[tuple[int, int]],
) -> None:
    meter = MirroredGas(gas(), START_S * US, 10_000)
    service = MeteringService(meter)
    at_s, litres = START_S, 10_000
    seen: list[tuple[int, int]] = []
    for seconds, more in steps:
        at_s += seconds
        litres += more
        meter.report(at_s * US, litres)
        now = number(service, 0x0000, at_s=at_s)
        assert now is not None
        seen.append((at_s, now))
        number(service, 0x0401, at_s=at_s)
    assert [reading for _, reading in seen] == sorted(reading for _, reading in seen)
    fresh = MeteringService(meter)
    last = dict(seen)
    for when, reading in last.items():
        assert number(fresh, 0x0000, at_s=when) == reading
