"""What virtual devices do once they are registered, on real frames, against scripted servers."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest
from device_air import Coordinator, on_air
from device_bench import OCTETS, UINT24, UINT32, ScriptedHub, string, typed, uint

from labctl.virtual.devices import (
    Behaviour,
    Burst,
    Button,
    Fuel,
    Press,
    Product,
    Timings,
    VirtualDevice,
    What,
    load_picture,
    picture_path,
)

Then = Callable[[Coordinator, ScriptedHub, VirtualDevice], Awaitable[None]]


def live(
    kind: str,
    then: Then,
    prepare: Callable[[ScriptedHub], None] = lambda hub: None,
    **settings: object,
) -> None:
    async def main(coordinator: Coordinator) -> None:
        hub = coordinator.list_device()
        prepare(hub)
        coordinator.list_device_endpoints(hub)
        device = coordinator.device(kind, **settings)
        device.power_on()
        await then(coordinator, hub, device)
        await device.power_off()

    on_air(main)


def asked(hub: ScriptedHub, cluster_id: int, command: int) -> list[bytes]:
    return [
        r.payload
        for r in hub.requests
        if r.cluster_id == cluster_id and r.command == command and r.control & 1
    ]


# -- displays -------------------------------------------------------------------------------------


def tariff(_: bytes) -> list[tuple[int, bytes]]:
    body = struct.pack("<IIIIB", 1, 2, 77, 0, 0) + b"\x08Standard"
    body += struct.pack("<BBBHBIB", 1, 0, 0, 826, 0x50, 54_794, 0xFF) + b"\x01\0\0\xe8\x03\0"
    return [(0x04, body)]


def sampled(payload: bytes) -> list[tuple[int, bytes]]:
    number, start, kind, count = struct.unpack("<HIBH", payload)
    head = struct.pack("<HIBHH", number, start, kind, 1800, count)
    return [(0x07, head + b"".join((100 + n).to_bytes(3, "little") for n in range(count)))]


def furnished(hub: ScriptedHub) -> None:
    """A hub that serves what a display wants, on its electricity endpoint."""
    hub.servers[2] += [0x0705, 0x0707, 0x0708]
    hub.commands |= {
        (0x0700, 0x06): tariff,
        (0x0700, 0x0A): lambda p: [
            (0x08, struct.pack("<II", 1, 2) + p + b"\x00\x01\x01" + b"\x01\x05Night")
        ],
        (0x0702, 0x08): sampled,
        (0x0707, 0x00): lambda p: [
            (0x00, struct.pack("<IIIIBB", 1, 3, 9, 0, 0, 0) + b"\x03GB!" + b"\x01\x01\x01")
        ],
        (0x0705, 0x08): lambda p: [
            (0x05, b"\x00\x01" + 5 * (b"\x14" + b"1" * 20 + struct.pack("<iI", 500_000, 7)))
        ],
    }
    hub.attributes[2, 0x0702] |= {
        0x0401: uint(UINT24, 5_000, 3),
        0x0403: uint(UINT24, 8_250, 3),
        0x0207: uint(0x30, 1, 1),
    }
    hub.attributes[2, 0x0705] = {
        0x0000: uint(0x19, 0x0497, 2),
        0x0001: typed(0x2B, (-123_000).to_bytes(4, "little", signed=True)),
        0x0002: uint(0x2B, 900_000, 4),
        0x0003: uint(0x18, 0x22, 1),
        0x0005: uint(0x2B, 250_000, 4),
        0x0010: uint(UINT32, 1_000_000, 4),
    }
    hub.attributes[2, 0x0708] = {0x0101: string(OCTETS, "Supplier")}


def test_the_first_contact_asks_for_everything_that_a_display_shows() -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(400)
        assert device.observations.counts[What.EXPLORED] == 1
        for cluster_id, command in (
            *((0x0700, c) for c in (0x03, 0x06, 0x07, 0x08, 0x0A, 0x0B, 0x0C)),
            *((0x0705, c) for c in (0x08, 0x0A)),
            *((0x0707, c) for c in (0x00, 0x01, 0x02, 0x03, 0x04)),
            *((0x0708, c) for c in (0x00, 0x01)),
            *((0x0702, c) for c in (0x00, 0x08)),
        ):
            assert asked(hub, cluster_id, command), f"{cluster_id:04x} {command:02x}"
        assert asked(hub, 0x0700, 0x07)[0] == struct.pack("<I", 77)
        assert asked(hub, 0x0700, 0x04), "the gas meter's conversion factor"
        # What was refused (nearly all of it) disturbed nothing.
        count = device.observations.reads["electricity"]
        assert count.ok > 30
        assert (count.failed, count.lost) == (0, 0)
        meter = device.screen.meter(Fuel.ELECTRICITY)
        assert meter is not None
        samples = device.screen.published(meter.peer, "SampledData")
        assert samples is not None
        assert samples.fields["oldest_first"][:3] == [100, 101, 102]
        assert {
            len(p.fields["oldest_first"]) for p in device.screen.told[meter.peer, "SampledData"]
        } == {48, 31}

    live("ppmid", then, furnished)


def test_the_screen_shows_what_the_device_computed_and_outlasts_it(tmp_path: Path) -> None:
    flash = tmp_path / "ppmid.json"

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(400)
        shown = load_picture(picture_path(flash))
        assert shown is not None
        assert shown["kind"] == "ppmid"
        electricity = shown["electricity"]
        assert electricity["reading"] == "1234.567 kWh"
        assert electricity["demand_kw"] == 1.5
        assert electricity["today_kwh"] == 5.0
        assert electricity["yesterday_kwh"] == 8.25
        assert electricity["price"] == 0.245
        assert electricity["standing_charge"] == 0.54794
        assert electricity["today_cost"] == pytest.approx(5 * 0.245 + 0.54794, abs=1e-4)
        assert electricity["ambient"] == "medium"
        assert electricity["supply"] == "on"
        prepayment = electricity["prepayment"]
        assert prepayment["balance"] == -1.23
        assert prepayment["emergency_credit"] == 9.0
        assert prepayment["status"] == "emergency credit in use"
        assert prepayment["debt"] == 2.5
        assert len(prepayment["top_ups"]) == 5
        assert prepayment["top_ups"][0]["amount"] == 5.0
        assert shown["message"] == "Hello"
        # The register moves on, and with it today's consumption and its cost.
        hub.attributes[2, 0x0702][0x0000] = uint(0x25, 1_235_567, 6)
        await asyncio.sleep(30)
        assert device.picture is not None
        assert device.picture["electricity"]["today_kwh"] == 6.0

    live("ppmid", then, furnished, flash=flash)


def test_a_change_of_tenancy_clears_what_is_the_consumers() -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(400)
        meter = device.screen.meter(Fuel.ELECTRICITY)
        assert meter is not None
        assert meter.history(0x0403) == 8.25
        change = struct.pack("<IIBII", 1, 2, 0, hub.utc, 0x200)
        coordinator.push(2, 0x0708, b"\x09\x01\x00" + change)
        await asyncio.sleep(1)
        assert device.observations.counts[What.CONSUMER_DATA_CLEARED] == 1
        assert meter.history(0x0403) is None
        assert device.picture is not None
        assert device.picture["electricity"]["prepayment"]["top_ups"] == []
        assert device.picture["electricity"]["reading"] == "1234.567 kWh"
        assert device.picture["message"] is None

    live("ppmid", then, furnished)


@pytest.mark.parametrize(("kind", "confirms"), [("ihd", True), ("cad", False)])
def test_a_person_confirms_a_message_and_a_cad_has_none(kind: str, confirms: bool) -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(60)
        message = struct.pack("<IBIHB", 99, 0x80, 0, 0xFFFF, 4) + b"Read"
        for sequence in (1, 2):  # once more: it was confirmed already
            coordinator.push(2, 0x0703, bytes((0x09, sequence, 0x00)) + message)
            await asyncio.sleep(30)
        confirmations = asked(hub, 0x0703, 0x01)
        assert len(confirmations) == (1 if confirms else 0)
        if confirms:
            number, utc, control, length = struct.unpack("<IIBB", confirmations[0])
            assert (number, control, length) == (99, 0x02, 0)
            assert abs(utc - hub.utc) < 60

    live(kind, then)


def test_a_price_that_wants_an_acknowledgement_gets_one() -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(60)
        price = struct.pack("<IB", 1, 0) + struct.pack(
            "<IIBHBBIHI", 5, hub.utc, 0, 826, 0x51, 0x11, 0, 0xFFFF, 30_000
        )
        coordinator.push(2, 0x0700, b"\x09\x01\x00" + price)
        await asyncio.sleep(1)
        assert not asked(hub, 0x0700, 0x02)
        coordinator.push(2, 0x0700, b"\x09\x02\x00" + price + b"\xff" * 13 + b"\x01")
        await asyncio.sleep(1)
        (acknowledgement,) = asked(hub, 0x0700, 0x02)
        assert struct.unpack("<IIIB", acknowledgement)[:2] == (1, 5)
        assert device.screen.price_per_unit(Fuel.ELECTRICITY) == 0.3

    live("cad", then)


def test_a_cad_polls_fast_for_as_long_as_it_was_granted() -> None:
    def grant(hub: ScriptedHub) -> None:
        hub.commands[0x0702, 0x03] = lambda p: [(0x03, struct.pack("<BI", 5, hub.utc + 60))]

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(250)
        assert asked(hub, 0x0702, 0x03) == [b"\x02\x0f"]
        fast = [r.at_s for r in hub.reads(2, 0x0400) if r.at_s > 100]
        assert len(fast) == pytest.approx(12, abs=2)
        assert device.observations.tally["fast read"] == len(fast)

    live("cad", then, grant, behaviour=Behaviour(fast_poll_every_s=150))


def test_the_buttons_of_a_ppmid() -> None:
    def sell(hub: ScriptedHub) -> None:
        hub.commands |= {
            (0x0705, 0x00): lambda p: [],
            (0x0705, 0x04): lambda p: [(0x03, struct.pack("<BiBi", 0, 500_000, 2, 600_000))],
        }

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(150)
        (selected,) = asked(hub, 0x0705, 0x00)
        utc, originator = struct.unpack("<IB", selected)
        assert (originator, abs(utc - hub.utc) < 200) == (2, True)
        assert asked(hub, 0x0705, 0x04) == [b"\x02\x14" + b"01234567890123456789"]
        assert asked(hub, 0x0702, 0x0C) == [b"\x02"]
        assert [seen.detail for seen in device.observations.of(What.PRESSED)] == [
            "emergency-credit: accepted",
            "top-up: accepted",
            "enable-supply: refused with status 0x81",
        ]

    presses = (
        Press(button=Button.EMERGENCY_CREDIT, after_s=20),
        Press(button=Button.TOP_UP, after_s=30, code="01234567890123456789"),
        Press(button=Button.ENABLE_SUPPLY, after_s=40),
    )
    live("ppmid", then, sell, behaviour=Behaviour(presses=presses))


# -- tunnels and loads ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ppmid", "load-switch"])
def test_the_hub_opens_a_tunnel_and_long_messages_go_both_ways(kind: str) -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(60)
        heard: list[bytes] = []
        plain = hub.zcl

        def listen(endpoint: int, cluster: int, frame: bytes, secured: bool) -> list[bytes]:
            if cluster == 0x0704:
                assert secured
                heard.append(frame)
                return []
            return plain(endpoint, cluster, frame, secured)

        hub.zcl = listen  # type: ignore[method-assign]
        coordinator.push(1, 0x0704, b"\x01\x01\x06\x00")  # GetSupportedTunnelProtocols
        await asyncio.sleep(2)
        assert heard.pop() == b"\x19\x01\x05\x01\x01\xff\xff\x06"
        coordinator.push(1, 0x0704, b"\x01\x02\x00" + struct.pack("<BHBH", 5, 0xFFFF, 0, 1500))
        await asyncio.sleep(2)
        assert heard.pop()[3:] == struct.pack("<HBH", 0xFFFF, 3, 1500)
        coordinator.push(1, 0x0704, b"\x01\x03\x00" + struct.pack("<BHBH", 6, 0xFFFF, 0, 1500))
        await asyncio.sleep(2)
        assert heard.pop() == b"\x19\x03\x00" + struct.pack("<HBH", 0, 0, 1500)
        message = bytes(range(250)) * 4
        coordinator.push(1, 0x0704, b"\x11\x04\x02\x00\x00" + message)
        await asyncio.sleep(10)
        assert [frame[2:] for frame in heard] == [b"\x01\x00\x00" + message]
        heard.clear()
        coordinator.push(1, 0x0704, b"\x11\x05\x02\x07\x00x")  # no such tunnel
        await asyncio.sleep(2)
        assert heard.pop() == b"\x19\x05\x02\x07\x00\x00"
        coordinator.push(1, 0x0704, b"\x01\x06\x01\x00\x00")
        await asyncio.sleep(2)
        assert heard.pop() == b"\x18\x06\x0b\x01\x00"
        details = [seen.detail for seen in device.observations.of(What.TUNNEL)]
        assert details == ["opened 0", "1000 octets through 0", "closed 0"]

    live(kind, then)


@pytest.mark.parametrize(
    ("kind", "its"),
    [
        ("load-switch", {0x0000, 0x000A, 0x0025, 0x0701, 0x0800}),
        ("hand-held-terminal", {0x0000, 0x000A, 0x0025, 0x0800}),
    ],
)
def test_who_is_no_display_does_not_ask_for_what_displays_show(kind: str, its: set[int]) -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(600)
        assert {r.cluster_id for r in hub.requests} == its
        assert device.observations.reads["time"].ok == 1

    live(kind, then)


def test_a_load_switch_follows_an_event_and_reports_each_step() -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(60)
        event = struct.pack(
            "<IHBIHBBBHHBBB", 5, 0x80, 0, 0, 2, 1, 0xFF, 0xFF, 0x8000, 0x8000, 0x80, 0xFF, 0
        )
        assert len(event) == 23
        coordinator.push(2, 0x0701, b"\x09\x01\x00" + event)
        await asyncio.sleep(5)
        assert device.application is not None
        assert device.application.load is not None
        assert device.application.load.is_shed
        coordinator.push(2, 0x0701, b"\x09\x02\x01" + struct.pack("<IBI", 6, 0, 0))
        await asyncio.sleep(125)
        assert not device.application.load.is_shed
        reports = [(p[0], p[4]) for p in asked(hub, 0x0701, 0x00)]
        assert reports == [(5, 0x01), (5, 0x02), (6, 0xF8), (5, 0x03)]

    live("load-switch", then)


# -- firmware -------------------------------------------------------------------------------------


def image(version: int, size: int = 2000) -> bytes:
    body = bytes(n * 7 & 0xFF for n in range(size - 56))
    return (
        struct.pack(
            "<IHHHHHIH32sI", 0x0BEEF11E, 0x0100, 56, 0, 0xFFF1, 2, version, 2, b"test", size
        )
        + body
    )


def ota_server(octets: bytes, version: int) -> tuple[Callable[[ScriptedHub], None], list[int]]:
    offsets: list[int] = []

    def block(payload: bytes) -> list[tuple[int, bytes]]:
        _, head, offset, most = struct.unpack("<B8sIB", payload)
        offsets.append(offset)
        if len(offsets) == 5:
            return [(0x05, b"\x97" + struct.pack("<IIH", 0, 40, 0))]  # WAIT_FOR_DATA
        part = octets[offset : offset + most]
        return [(0x05, b"\x00" + head + struct.pack("<IB", offset, len(part)) + part)]

    def prepare(hub: ScriptedHub) -> None:
        hub.servers[1].append(0x0019)

        def query(payload: bytes) -> list[tuple[int, bytes]]:
            _, manufacturer, kind, running = struct.unpack("<BHHI", payload)
            if running == version:
                return [(0x02, b"\x98")]
            new = struct.pack("<HHII", manufacturer, kind, version, len(octets))
            return [(0x02, b"\x00" + new)]

        hub.commands |= {
            (0x0019, 0x01): query,
            (0x0019, 0x03): block,
            (0x0019, 0x06): lambda p: [(0x07, p[1:9] + struct.pack("<II", 0, 30))],
        }

    return prepare, offsets


OTA_TIMINGS = Timings(ota_first_query_s=60, ota_query_s=300)


def test_firmware_is_loaded_waits_for_data_and_goes_on_after_a_power_cut(tmp_path: Path) -> None:
    prepare, offsets = ota_server(image(3), 3)

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        while len(offsets) < 20:  # noqa: ASYNC110 - power may go at any instant, not at events
            await asyncio.sleep(0.1)
        await device.power_off()
        reached = offsets[-1]
        device.power_on()
        await asyncio.sleep(900)
        assert offsets[:4] == [0, 48, 96, 144]
        assert offsets[4] == offsets[5] == 192  # asked again after the wait
        assert offsets[20] in (reached, reached + 48)
        ends = asked(hub, 0x0019, 0x06)
        assert ends == [b"\x00" + struct.pack("<HHI", 0xFFF1, 2, 3)]
        details = [seen.detail for seen in device.observations.of(What.OTA)]
        assert "waits 40 s at 192" in details
        assert details[-1] == "installed version 3"
        # The hub reads the new version, and the device does not ask for it again.
        last = asked(hub, 0x0019, 0x01)[-1]
        assert struct.unpack("<BHHI", last)[3] == 3
        assert len(asked(hub, 0x0019, 0x06)) == 1

    live(
        "ihd",
        then,
        prepare,
        timings=OTA_TIMINGS,
        flash=tmp_path / "ihd.json",
        product=Product("Virtual IHD", image_type=2),
    )


def test_an_image_that_is_none_is_refused() -> None:
    prepare, _ = ota_server(b"\x00" * 500, 3)

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(300)
        assert asked(hub, 0x0019, 0x06)[0][0] == 0x96
        assert "invalid image" in {seen.detail for seen in device.observations.of(What.OTA)}

    live("ihd", then, prepare, timings=OTA_TIMINGS)


# -- the gas meter --------------------------------------------------------------------------------


def test_a_gas_meter_sleeps_wakes_each_half_hour_and_tells_its_mirror() -> None:
    def mirror(hub: ScriptedHub) -> None:
        hub.clients[2] = (0x0702, 0x0800)
        hub.flags = 1 << 21 | 1 << 2

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(2 * 3600)
        assert device.node is not None
        assert not device.node.rx_on_when_idle
        reports = [r for r in hub.requests if r.control & 9 == 8 and r.command == 0x0A]
        assert {r.endpoint for r in reports} == {2}
        complete = [r.at_s for r in reports if r.payload.endswith(b"\xfe\xff\x30\x01")]
        gaps = [b - a for a, b in pairwise(complete)]
        assert gaps == pytest.approx([1800] * 3, abs=5)
        assert {r.cluster_id for r in reports} == {0x0000, 0x0702, 0x0705}
        assert all(r.payload[-4:-1] == b"\xfe\xff\x30" for r in reports)
        assert all(r.aps_secured for r in reports if r.cluster_id != 0x0000)
        summations = [
            int.from_bytes(r.payload[3:9], "little")
            for r in reports
            if r.cluster_id == 0x0702 and r.payload[:3] == b"\x00\x00\x25"
        ]
        assert len(summations) == 4
        assert sorted(set(summations)) == summations
        flags = device.observations.of(What.MIRROR_FLAGS)
        assert len(flags) == 4
        assert flags[0].detail == "0x00200004 check the time, tunnel message pending"
        # It slept: between two pushes its radio asked for next to nothing.
        assert coordinator.node.counters["mac_rx"] < 1500

    live("gas-meter", then, mirror)


def test_a_gas_meter_without_room_for_it_asks_again() -> None:
    def full(hub: ScriptedHub) -> None:
        hub.clients[2] = (0x0702, 0x0800)
        hub.mirror = 0xFFFF

    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(180)
        requests = [r.at_s for r in hub.requests if r.control & 9 == 9 and r.command == 0x01]
        assert len(requests) > 8
        assert requests[2] - requests[1] == pytest.approx(10, abs=3)
        hub.mirror = 2
        await asyncio.sleep(60)
        assert device.observations.of(What.MIRROR)[-1].detail == "at endpoint 2"

    live("gas-meter", then, full)


def test_a_flood_does_not_keep_a_screen_from_being_right() -> None:
    async def then(coordinator: Coordinator, hub: ScriptedHub, device: VirtualDevice) -> None:
        await asyncio.sleep(200)
        assert device.picture is not None
        assert device.picture["electricity"]["demand_kw"] == 1.5

    live("ihd", then, behaviour=Behaviour(flood=Burst(per_second=15)))
