"""Bindings and the other ZDO requests that the NCP leaves to the hub."""

from __future__ import annotations

import pytest
from fake_radio import CAD_EUI64, HUB_EUI64, IHD_EUI64, Bench, FakeDevice, with_hub, with_keys

from labctl.events import JoinStepTaken, Refused, Step
from labctl.hub import PairingRequest
from labctl.smart_energy.eui64 import Eui64


async def zdo(device: FakeDevice, cluster: int, data: bytes) -> list[bytes]:
    return await device.ask(data, cluster=cluster, profile=0, source=0, endpoint=0)


def bind(
    endpoint: int = 2,
    cluster: int = 0x0700,
    *,
    source: Eui64 = HUB_EUI64,
    partner: Eui64 = IHD_EUI64,
    mode: int = 3,
) -> bytes:
    return (
        b"\x42"
        + source.little_endian
        + bytes([endpoint])
        + cluster.to_bytes(2, "little")
        + bytes([mode])
        + partner.little_endian
        + b"\x01"
    )


def test_a_device_binds_lists_and_unbinds() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        for cluster in (0x0700, 0x0701, 0x0702, 0x0703):
            assert await zdo(device, 0x0021, bind(cluster=cluster)) == [b"\x42\x00"]
        assert await zdo(device, 0x0021, bind()) == [b"\x42\x00"], "bound already"
        entry = bind()[1:]
        assert (device.answers[-1].cluster_id, device.answers[-1].profile_id) == (0x8021, 0)
        (first,) = await zdo(device, 0x0033, b"\x07\x00")
        assert first[:5] == b"\x07\x00\x04\x00\x03"
        assert first[5:26] == entry
        (rest,) = await zdo(device, 0x0033, b"\x08\x03")
        assert rest[:5] == b"\x08\x00\x04\x03\x01"
        assert len(rest) == 5 + 21
        assert await zdo(device, 0x0022, bind()) == [b"\x42\x00"]
        assert await zdo(device, 0x0022, bind()) == [b"\x42\x88"], "no entry"
        (left,) = await zdo(device, 0x0033, b"\x09\x00")
        assert left[2] == 3
        assert Step.DISCOVERY in [step.step for step in bench.of(JoinStepTaken)]

    with_hub(scenario)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (bind(endpoint=9), 0x82),
        (bind(cluster=0x0706), 0x84),  # the hub is a client of it
        (bind(source=CAD_EUI64), 0x84),
        (bind(partner=CAD_EUI64), 0x8D),
        (bind(mode=1), 0x84),
        (bind()[:-2], 0x80),
    ],
)
def test_bindings_that_cannot_be_are_refused(request_: bytes, status: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await zdo(device, 0x0021, request_) == [bytes([0x42, status])]
        (refused,) = bench.of(Refused)
        assert (refused.layer, refused.status, refused.cluster_id) == ("zdo", status, 0x0021)

    with_keys(scenario)


def test_no_binding_before_key_establishment() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=60))
        device.associate()
        device.announce()
        assert await zdo(device, 0x0021, bind()) == [b"\x42\x8d"]
        assert await zdo(device, 0x0033, b"\x01\x00") == [b"\x01\x8d"]

    with_hub(scenario)


def test_the_binding_table_has_an_end() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await zdo(device, 0x0021, bind()) == [b"\x42\x00"]
        assert await zdo(device, 0x0021, bind(cluster=0x0702)) == [b"\x42\x8c"]
        await bench.hub.unpair(IHD_EUI64, "moved")
        again = await bench.paired()
        assert await zdo(again, 0x0021, bind(cluster=0x0702)) == [b"\x42\x00"]

    with_hub(scenario, bindings_limit=1)


@pytest.mark.parametrize("cluster", [0x0015, 0x0020, 0x0030, 0x0038])
def test_unsupported_requests_are_told_so(cluster: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await zdo(device, cluster, b"\x33\x01") == [b"\x33\x84"]
        assert device.answers[-1].cluster_id == cluster | 0x8000
        assert device.answers[-1].source_endpoint == 0

    with_keys(scenario)


@pytest.mark.parametrize(
    "cluster", [0x0000, 0x0002, 0x0004, 0x0006, 0x0031, 0x0036, 0x8005, 0x001F]
)
def test_what_the_ncp_answers_and_what_answers_us_gets_no_second_reply(cluster: int) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await zdo(device, cluster, b"\x33\x00\x00") == []
        assert await zdo(device, 0x0021, b"") == []

    with_keys(scenario)
