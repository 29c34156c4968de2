"""The hub reads attributes of a device because somebody asked it to."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import IHD_EUI64, Bench, FakeDevice, with_keys

from labctl.errors import DeliveryError, RigError, UsageError
from labctl.events import ReadServed
from labctl.hub.device_reads import Reading
from labctl.radio.coordinator import Outgoing
from labctl.smart_energy.eui64 import Eui64

MANUFACTURER = b"\x04\x00\x00\x42\x04Acme"
UNSUPPORTED = b"\x05\x00\x86"


def answers(device: FakeDevice, payload: bytes, *, command: int = 0x01) -> list[Outgoing]:
    """Let the device answer each read of the hub's with this payload; returns what it was asked."""
    asked: list[Outgoing] = []

    def receive(packet: Outgoing) -> None:
        asked.append(packet)
        device.packet(
            bytes((0x18, packet.data[1], command)) + payload,
            cluster=packet.cluster_id,
            endpoint=packet.source_endpoint,
            source=packet.destination_endpoint,
            secured=packet.aps_encrypt,
        )

    device.bench.radio.receivers[device.nwk] = receive
    return asked


def located(bench: Bench) -> FakeDevice:
    """A device that the hub knows, and knows where it is."""
    device = bench.device()
    device.announce()
    return device


def test_values_come_with_their_types_and_what_is_missing_with_its_status() -> None:
    async def scenario(bench: Bench) -> None:
        device = located(bench)
        asked = answers(device, MANUFACTURER + UNSUPPORTED)
        found = await bench.hub.read_device(IHD_EUI64, 0x0000, (0x0004, 0x0005), endpoint=1)
        assert found == [
            Reading(0x0004, 0, "CharacterString", "Acme"),
            Reading(0x0005, 0x86, None, None),
        ]
        (request,) = asked
        assert request.data[0] == 0x00
        assert request.data[2:] == b"\x00\x04\x00\x05\x00"
        assert not request.aps_encrypt, "Basic needs no APS security (SE 1.4a 5.4.6)"
        (read,) = [event for event in bench.of(ReadServed) if event.initiator == "hub"]
        assert (read.cluster_id, read.attributes) == (0x0000, (0x0004, 0x0005))

    with_keys(scenario)


def test_smart_energy_clusters_are_read_under_the_link_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = located(bench)
        asked = answers(device, b"\x00\x00\x00\x25\x01\x02\x03\x04\x05\x06")
        (found,) = await bench.hub.read_device(IHD_EUI64, 0x0702, (0x0000,), endpoint=1)
        assert found.value == 0x060504030201
        assert asked[0].aps_encrypt

    with_keys(scenario)


def test_a_default_response_is_an_answer_too() -> None:
    async def scenario(bench: Bench) -> None:
        answers(located(bench), b"\x00\x7e", command=0x0B)
        found = await bench.hub.read_device(IHD_EUI64, 0x0702, (0x0000, 0x0001), endpoint=1)
        assert [(each.attribute, each.status) for each in found] == [(0, 0x7E), (1, 0x7E)]

    with_keys(scenario)


def test_what_cannot_be_read_says_why() -> None:
    async def scenario(bench: Bench) -> None:
        stranger = Eui64("00:0d:6f:00:0a:90:69:ff")
        with pytest.raises(UsageError, match="not in the device log"):
            await bench.hub.read_device(stranger, 0, (4,))
        with pytest.raises(RigError, match="not known where"):
            await bench.hub.read_device(IHD_EUI64, 0, (4,))
        located(bench)
        with pytest.raises(RigError, match="no answer"):
            await bench.hub.read_device(IHD_EUI64, 0, (4,), endpoint=1)
        bench.radio.delivers = lambda packet: False
        with pytest.raises(DeliveryError):
            await bench.hub.read_device(IHD_EUI64, 0, (4,), endpoint=1)

    with_keys(scenario)


@pytest.mark.parametrize(
    "payload", [b"", b"\x04", b"\x04\x00\x00\xee", b"\x04\x00\x00\x42\xff\x00"]
)
def test_a_malformed_answer_is_said_to_be_one(payload: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        answers(located(bench), payload)
        with pytest.raises(RigError, match=r"malformed|did not answer"):
            await bench.hub.read_device(IHD_EUI64, 0, (4,), endpoint=1)

    with_keys(scenario)


def test_answers_find_their_question_in_any_order() -> None:
    async def scenario(bench: Bench) -> None:
        device = located(bench)
        asked: list[Outgoing] = []
        bench.radio.receivers[device.nwk] = asked.append
        reads = [
            asyncio.create_task(bench.hub.read_device(IHD_EUI64, 0, (number,), endpoint=1))
            for number in range(5)
        ]
        await bench.settle()
        for packet in reversed(asked):
            attribute = packet.data[3:5]
            device.packet(
                bytes((0x18, packet.data[1], 0x01)) + attribute + b"\x00\x20" + attribute[:1],
                cluster=0,
                endpoint=1,
            )
        await bench.settle()
        assert [(await read)[0].value for read in reads] == list(range(5))

    with_keys(scenario)
