"""What devices may not do: refused, recorded, and nothing changed by it."""

from __future__ import annotations

from typing import Any

import pytest
from fake_radio import CAD, IHD, IHD_EUI64, Bench, with_hub, with_keys

from labctl.events import JoinStepTaken, LinkSample, Note, ReadServed, Refused, Step
from labctl.hub import PairingRequest
from labctl.radio.coordinator import Incoming
from labctl.smart_energy.eui64 import Eui64

WINDOW = PairingRequest(eui64=IHD_EUI64, window_s=600)
METERING = {"cluster": 0x0702, "endpoint": 2}
READ_SUMMATION = bytes.fromhex("00 5a 00 0000")


def refusal(bench: Bench) -> tuple[str, str, int | None]:
    (refused,) = bench.of(Refused)
    return refused.layer, refused.cause, refused.status


@pytest.mark.parametrize("secured", [False, True])
@pytest.mark.parametrize("cluster", [0x000A, 0x0025, 0x0700, 0x0701, 0x0702, 0x0703])
def test_before_key_establishment_application_data_gets_nothing(
    cluster: int, secured: bool
) -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(WINDOW)
        device.associate()
        device.announce()
        endpoint = 1 if cluster in (0x000A, 0x0025) else 2
        answers = await device.ask(
            READ_SUMMATION, cluster=cluster, endpoint=endpoint, secured=secured
        )
        assert answers == []
        layer, cause, status = refusal(bench)
        assert (layer, status) == ("aps", None)
        assert ("install-code key" if secured else "before key establishment") in cause
        assert bench.of(ReadServed) == []

    with_hub(scenario)


def test_afterwards_an_unsecured_frame_is_answered_failure_under_the_network_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        answers = await device.ask(READ_SUMMATION, **METERING, secured=False)
        assert answers == [bytes.fromhex("18 5a 0b 00 01")]
        assert not device.answers[-1].aps_encrypt
        assert refusal(bench)[0] == "aps"

    with_keys(scenario)


def test_a_device_without_any_key_is_not_even_told_who_the_hub_is() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        assert await device.read(0x0000, 0x0004, endpoint=1, secured=False) is None
        assert "not paired" in refusal(bench)[1]

    with_hub(scenario)


def test_an_unlisted_device_is_refused_at_the_network_layer() -> None:
    async def scenario(bench: Bench) -> None:
        def packet(eui64: Eui64 | None) -> Incoming:
            return Incoming(
                0x9999, eui64, 1, 2, 0x0109, 0x0702, READ_SUMMATION, True, False, 9, -90, 1
            )

        stranger = Eui64("00:0d:6f:00:0a:90:69:ff")
        bench.listener.packet_received(packet(stranger))
        bench.listener.packet_received(packet(None))
        await bench.settle()
        assert bench.radio.sent == []
        (refused,) = bench.of(Refused)
        assert (refused.eui64, refused.layer) == (stranger, "nwk")
        assert [note.kind for note in bench.of(Note)] == ["unknown-sender"]
        assert bench.of(LinkSample) == []

    with_keys(scenario)


def test_a_sender_may_be_known_by_its_short_address_alone() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        device.announce()
        bench.listener.packet_received(
            Incoming(device.nwk, None, 1, 2, 0x0109, 0x0702, READ_SUMMATION, True, False, 9, -90, 1)
        )
        await bench.settle()
        assert device.answers[-1].data[:3] == bytes.fromhex("18 5a 01")

    with_keys(scenario)


@pytest.mark.parametrize("command", [0x02, 0x03])
@pytest.mark.parametrize("logged", [IHD, CAD])
def test_writes_are_refused_attribute_by_attribute(command: int, logged: Any) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired(logged)
        before = await device.read(0x000A, 0x0005, endpoint=1)
        write = bytes([0x00, 0x5A, command]) + bytes.fromhex("0500 2b 00000000 ffff 20 01")
        answers = await device.ask(write, cluster=0x000A, endpoint=1, secured=True)
        assert answers == [bytes.fromhex("18 5a 04 88 0500 86 ffff")]
        layer, cause, status = refusal(bench)
        assert (layer, status) == ("application", 0x88)
        assert "0x0005" in cause
        assert await device.read(0x000A, 0x0005, endpoint=1) == before

    with_keys(scenario)


def test_a_write_without_response_gets_none_and_is_recorded() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        write = bytes.fromhex("00 5a 05 0000 25 000000000000")
        assert await device.ask(write, **METERING, secured=True) == []
        assert refusal(bench)[0] == "application"

    with_keys(scenario)


@pytest.mark.parametrize(
    ("command", "payload"),
    [
        (0x01, b"\x00\x00"),  # Request Mirror Response
        (0x04, bytes(20)),  # Schedule Snapshot
        (0x05, bytes(4)),  # Take Snapshot
        (0x0B, bytes(18)),  # Change Supply
        (0x0C, b"\x02"),  # Local Change Supply
        (0x0D, bytes(8)),  # Set Supply Status
    ],
)
def test_commands_that_change_something_are_not_authorised(command: int, payload: bytes) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired(CAD)
        before = await device.read(0x0702, 0x0014)
        answers = await device.get(0x0702, command, payload)
        assert answers == [bytes([0x18, 0x77, 0x0B, command, 0x7E])]
        (refused,) = bench.of(Refused)
        assert (refused.layer, refused.command_id, refused.status) == ("application", command, 0x7E)
        assert (refused.endpoint, refused.cluster_id) == (2, 0x0702)
        assert await device.read(0x0702, 0x0014) == before

    with_keys(scenario)


def test_reporting_an_event_status_is_not_authorised() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0701, 0x00, bytes(20)) == [b"\x18\x77\x0b\x00\x7e"]

    with_keys(scenario)


def test_what_a_refused_device_hears_is_a_setting() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0702, 0x0C, b"\x02") == [b"\x18\x77\x0b\x0c\xc0"]
        write = bytes.fromhex("00 5a 02 0000 25 000000000000")
        answers = await device.ask(write, **METERING, secured=True)
        assert answers == [bytes.fromhex("18 5a 04 7e 0000")]

    with_keys(scenario, refusal_status=0xC0, write_status=0x7E)


@pytest.mark.parametrize(
    ("frame", "answer", "cause"),
    [
        ("01 5a 7f", "18 5a 0b 7f 81", "there is no command 0x7F"),
        ("00 5a 06 00 0000", "18 5a 0b 06 82", "general command 0x06 is not supported"),
        ("00 5a 7f", "18 5a 0b 7f 82", "general command 0x7F is not supported"),
        ("08 5a 0a 0000 20 01", "10 5a 0b 0a c3", "client side"),
        ("04 3412 5a 00 0000", "1c 3412 5a 0b 00 84", "manufacturer 0x1234"),
        ("05 3412 5a 00", "1c 3412 5a 0b 00 83", "manufacturer 0x1234"),
        ("00 5a 00 00", "18 5a 0b 00 80", "malformed Read Attributes"),
        ("00 5a 00", "18 5a 0b 00 80", "malformed Read Attributes"),
        ("00 5a 02 00", "18 5a 0b 02 80", "malformed Write Attributes"),
        ("00 5a 02", "18 5a 0b 02 80", "Write Attributes of nothing"),
        ("00 5a 0c 00", "18 5a 0b 0c 80", "malformed Discover Attributes"),
        ("00 5a 11", "18 5a 0b 11 80", "malformed Discover Commands"),
    ],
)
def test_what_makes_no_sense_is_answered_as_the_zcl_says(
    frame: str, answer: str, cause: str
) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        answers = await device.ask(bytes.fromhex(frame), **METERING, secured=True)
        assert [a.hex() for a in answers] == [bytes.fromhex(answer).hex()]
        assert cause in refusal(bench)[1]

    with_keys(scenario)


@pytest.mark.parametrize("frame", ["", "00", "0000", "02 5a 00", "03 5a 00", "04 34 12 00"])
def test_what_is_no_frame_gets_no_answer_and_is_recorded(frame: str) -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.ask(bytes.fromhex(frame), **METERING, secured=True) == []
        assert refusal(bench)[0] == "zcl"

    with_keys(scenario)


def test_a_malformed_command_is_told_so() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.get(0x0700, 0x06, b"\x00") == [b"\x18\x77\x0b\x06\x80"]
        assert "malformed command 0x06" in refusal(bench)[1]

    with_keys(scenario)


def test_clusters_endpoints_and_profiles_that_are_not_there() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        answers = await device.ask(READ_SUMMATION, cluster=0x0B04, endpoint=2, secured=True)
        assert answers == [bytes.fromhex("18 5a 0b 00 c3")]
        assert await device.ask(READ_SUMMATION, cluster=0x0702, endpoint=9, secured=True) == []
        assert await device.ask(READ_SUMMATION, **METERING, profile=0x0104, secured=True) == []
        wildcard = await device.ask(READ_SUMMATION, **METERING, profile=0xFFFF, secured=True)
        assert wildcard[0][:3] == bytes.fromhex("18 5a 01")
        assert device.answers[-1].profile_id == 0x0109
        assert len(bench.of(Refused)) == 3

    with_keys(scenario)


def test_default_responses_and_broadcasts_are_never_answered() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await device.ask(bytes.fromhex("00 5a 0b 00 86"), **METERING, secured=True) == []
        assert bench.of(Refused) == []
        assert await device.ask(READ_SUMMATION, **METERING, secured=True, broadcast=True) == []
        assert await device.ask(b"\x01\x5a\x7f", **METERING, secured=True, broadcast=True) == []
        assert [refused.status for refused in bench.of(Refused)] == [None, None]

    with_keys(scenario)


def test_a_refused_request_is_not_a_first_read() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await device.get(0x0702, 0x0C, b"\x02")
        steps = [step.step for step in bench.of(JoinStepTaken)]
        assert Step.DISCOVERY in steps
        assert Step.FIRST_READ not in steps

    with_hub(scenario)
