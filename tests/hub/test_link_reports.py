"""How well devices hear the hub, what was delivered, the noise, and which band a device is on."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from fake_radio import CAD, HUB_EUI64, IHD, Bench, FakeDevice
from hypothesis import given, settings
from hypothesis import strategies as st
from sub_ghz_bench import DUAL, HERE, METERING, SubGhzRadio, details, with_sub_ghz

from labctl.errors import DeliveryError
from labctl.events import Band, BandUse, Deliveries, LinkReport, LinkSource, NoiseSample
from labctl.hub import LoggedDevice
from labctl.hub.bearer_settings import LinkSettings
from labctl.radio.coordinator import Outgoing
from labctl.smart_energy.airtime import DutyCycleState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

ASKING = LinkSettings(ask_every_s=600.0, noise_every_s=None)
OTHER = Eui64("00:0d:6f:00:00:00:00:77")
LQI, MATCH, DIAGNOSTICS = 0x0031, 0x0006, 0x0B05


def neighbour(eui64: Eui64, nwk: int, lqi: int) -> bytes:
    return bytes(8) + eui64.little_endian + struct.pack("<HBBBB", nwk, 4, 2, 0, lqi)


def answering(
    device: FakeDevice,
    *,
    tables: list[bytes] | None = None,
    status: int = 0,
    endpoints: tuple[int, ...] = (),
    diagnostics: bytes = b"",
) -> list[Outgoing]:
    """Let a device answer the hub's questions; what it was asked."""
    asked: list[Outgoing] = []
    before: Callable[[Outgoing], None] = device.receive

    def receive(packet: Outgoing) -> None:
        before(packet)
        cluster, data = packet.cluster_id, packet.data
        if packet.profile_id == 0 and cluster == LQI:
            asked.append(packet)
            entries = [] if tables is None else tables
            page = entries[data[1] : data[1] + 1]
            body = bytes((status, len(entries), data[1], len(page))) + b"".join(page)
            zdo(device, cluster, data[:1] + (body if not status else bytes((status,))))
        elif packet.profile_id == 0 and cluster == MATCH:
            asked.append(packet)
            body = bytes((0,)) + bytes(2) + bytes((len(endpoints),)) + bytes(endpoints)
            zdo(device, cluster, data[:1] + body)
        elif cluster == DIAGNOSTICS:
            asked.append(packet)
            answer = bytes((0x18, data[1], 0x01)) + diagnostics
            device.packet(answer, cluster=DIAGNOSTICS, endpoint=1, secured=False)

    device.bench.radio.receivers[device.nwk] = receive
    return asked


def zdo(device: FakeDevice, cluster: int, data: bytes) -> None:
    device.packet(data, cluster=cluster | 0x8000, endpoint=0, profile=0, source=0)


def test_a_device_tells_how_it_hears_the_hub() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        asked = answering(
            ihd,
            tables=[neighbour(OTHER, 0x1111, 90), neighbour(HUB_EUI64, 0x0000, 201)],
            endpoints=(3,),
            diagnostics=bytes.fromhex("1b01 00 21 0200 1c01 00 20 c8 1d01 00 28 b0"),
        )
        await ihd.read(METERING, 0x0000)
        await asyncio.sleep(700)
        table, levels = bench.of(LinkReport)
        assert (table.source, table.lqi, table.rssi_dbm) == (LinkSource.MGMT_LQI, 201, None)
        assert (levels.lqi, levels.rssi_dbm, levels.mac_retries) == (200, -80, 2)
        assert levels.source is LinkSource.DIAGNOSTICS
        assert [p.cluster_id for p in asked] == [LQI, LQI, MATCH, DIAGNOSTICS]
        assert asked[-1].destination_endpoint == 3
        await asyncio.sleep(600)
        assert [p.cluster_id for p in asked[4:]] == [LQI, LQI, DIAGNOSTICS]

    with_sub_ghz(scenario, links=ASKING)


def test_a_device_that_cannot_tell_is_not_asked_again() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        asked = answering(ihd, status=0x84)
        await ihd.read(METERING, 0x0000)
        await asyncio.sleep(4000)
        assert [p.cluster_id for p in asked] == [LQI, MATCH]
        assert bench.of(LinkReport) == []

    with_sub_ghz(scenario, links=ASKING)


def test_nobody_is_asked_while_airtime_is_short_nor_in_its_sleep() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = await bench.paired(), await bench.paired(CAD, 0x2222)
        cad.packet(
            b"\x01\x22\x22" + CAD.eui64.little_endian + b"\x80",
            profile=0,
            cluster=0x0013,
            source=0,
            endpoint=0,
            broadcast=True,
        )
        asked = answering(ihd, tables=[neighbour(HUB_EUI64, 0, 1)])
        sleeping = answering(cad, tables=[neighbour(HUB_EUI64, 0, 1)])
        await ihd.read(METERING, 0x0000)
        bench.listener.duty_cycle_changed(0, DutyCycleState.LIMITED)
        await asyncio.sleep(700)
        assert asked == []
        bench.listener.duty_cycle_changed(0, DutyCycleState.NORMAL)
        await asyncio.sleep(600)
        assert asked
        assert sleeping == []

    with_sub_ghz(scenario, links=ASKING)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=60))
def test_answers_of_any_kind_are_taken(table: bytes, diagnostics: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        answering(ihd, tables=[table], endpoints=(3,), diagnostics=diagnostics)
        await ihd.read(METERING, 0x0000)
        await asyncio.sleep(700)
        assert not details(bench, "internal-error")

    with_sub_ghz(scenario, links=ASKING)


def test_noise_is_measured_on_each_bearers_own_channel() -> None:
    async def scenario(bench: Bench) -> None:
        assert isinstance(bench.radio, SubGhzRadio)
        bench.radio.levels = {HERE: -93, Channel(0, 20): -88}
        await asyncio.sleep(70)
        assert [(s.page, s.channel, s.level_dbm) for s in bench.of(NoiseSample)] == [
            (0, 20, -88),
            (28, 5, -93),
        ]
        assert bench.radio.scans == [((Channel(0, 20),), 3)] * 3 + [((HERE,), 3)] * 3

    links = LinkSettings(ask_every_s=None, noise_every_s=60.0)
    with_sub_ghz(scenario, network=DUAL, links=links)


def test_a_radio_without_scans_says_so_once() -> None:
    async def scenario(bench: Bench) -> None:
        assert isinstance(bench.radio, SubGhzRadio)
        bench.radio.cannot = {"scan"}
        await asyncio.sleep(400)
        assert details(bench, "no-energy-scans") == [{"cause": "no scan"}]

    with_sub_ghz(scenario, links=LinkSettings(ask_every_s=None, noise_every_s=60.0))


@pytest.mark.parametrize("status", ["DELIVERY_FAILED", "SUSPENDED"])
def test_what_was_delivered_is_told(status: str) -> None:
    async def scenario(bench: Bench) -> None:
        ihd = await bench.paired()
        for _ in range(3):
            await ihd.read(METERING, 0x0000)
        lost = bench.radio.send

        async def send(packet: Outgoing) -> None:
            if packet.cluster_id == METERING:
                raise DeliveryError("gone", status=status)
            await lost(packet)

        bench.radio.send = send  # type: ignore[method-assign]
        await ihd.read(METERING, 0x0000)
        await asyncio.sleep(601)
        (told,) = bench.of(Deliveries)
        # What the hub held back itself was not lost on the way.
        assert told.attempts - told.delivered == (status == "DELIVERY_FAILED")
        assert told.delivered >= 3
        await asyncio.sleep(601)
        assert len(bench.of(Deliveries)) == 1, "nothing happened since"

    with_sub_ghz(scenario)


# -- bands ----------------------------------------------------------------------------------------


def both(device: LoggedDevice, *bands: Band) -> LoggedDevice:
    return LoggedDevice(
        eui64=device.eui64,
        name=device.name,
        kind=device.kind,
        link_key=device.link_key,
        bands=bands,
    )


@pytest.mark.parametrize(
    ("bands", "bearer", "could", "words"),
    [
        ((), 0, (Band.GHZ_2_4,), "nobody said"),
        ((Band.GHZ_2_4,), 0, (Band.GHZ_2_4,), "no radio on 868 MHz"),
        ((Band.GHZ_2_4, Band.MHZ_868), 0, (Band.GHZ_2_4, Band.MHZ_868), "goes first"),
        ((Band.GHZ_2_4, Band.MHZ_868), 1, (Band.GHZ_2_4, Band.MHZ_868), "should go first"),
        ((Band.MHZ_868,), 1, (Band.MHZ_868,), "no radio on 2.4 GHz"),
    ],
)
def test_which_band_a_device_uses_and_which_it_could(
    bands: tuple[Band, ...], bearer: int, could: tuple[Band, ...], words: str
) -> None:
    async def scenario(bench: Bench) -> None:
        ihd = bench.device(IHD)
        ihd.bearer = bearer
        await ihd.read(METERING, 0x0000)
        (use,) = bench.of(BandUse)
        assert use.used is (Band.GHZ_2_4, Band.MHZ_868)[bearer]
        assert use.could == could
        assert words in use.why

    with_sub_ghz(scenario, network=DUAL, devices=(both(IHD, *bands), CAD))


def test_a_device_that_changes_its_band_is_told_of_again() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = bench.device(IHD)
        await ihd.read(METERING, 0x0000)
        ihd.bearer = 1
        await ihd.read(METERING, 0x0000)
        first, second = bench.of(BandUse)
        assert (first.used, second.used) == (Band.GHZ_2_4, Band.MHZ_868)
        assert "heard it on 2.4 GHz before at -60 dBm" in second.why

    with_sub_ghz(scenario, network=DUAL, devices=(both(IHD, Band.GHZ_2_4, Band.MHZ_868), CAD))


def test_a_hub_with_one_band_says_that_there_was_no_choice() -> None:
    async def scenario(bench: Bench) -> None:
        ihd = bench.device(IHD)
        await ihd.read(METERING, 0x0000)
        (use,) = bench.of(BandUse)
        assert use.why == "the hub has no radio on 2.4 GHz"

    with_sub_ghz(scenario)


def test_noise_is_the_least_of_some_scans_so_that_a_frame_of_our_own_is_none() -> None:
    """A scan tells its peak: a device that talks in one of them is no disturber."""

    async def scenario(bench: Bench) -> None:
        heard = iter((-45, -112, -60))

        async def scan(channels: Sequence[Channel], *, exponent: int = 5) -> dict[Channel, int]:
            return dict.fromkeys(channels, next(heard))

        bench.radio.energy_scan = scan  # type: ignore[method-assign]
        await bench.hub.care.links.measure_noise()
        assert [sample.level_dbm for sample in bench.of(NoiseSample)] == [-112]
        assert not list(heard)

    with_sub_ghz(scenario)


def test_what_is_known_of_a_bands_reach_is_said_where_there_was_a_choice() -> None:
    reach = {Band.GHZ_2_4: "2.4 GHz ends at the wall", Band.MHZ_868: "868 MHz goes through"}

    async def scenario(bench: Bench) -> None:
        for logged in (chooser, only):
            device = bench.device(logged, nwk=0x1000 + len(logged.bands))
            device.bearer = 1
            await device.read(METERING, 0x0000)
        first, second = bench.of(BandUse)
        assert first.why.endswith("; 2.4 GHz ends at the wall; 868 MHz goes through")
        assert "wall" not in second.why

    chooser = replace(both(IHD, *Band), reach=reach)
    only = replace(both(CAD, Band.MHZ_868), reach=reach)
    with_sub_ghz(scenario, network=DUAL, devices=(chooser, only))
