"""Key establishment with the hub as responder: what goes wrong, and what is left of it."""

from __future__ import annotations

import asyncio
import random

import pytest
from fake_radio import (
    AUTHORITY,
    CAD,
    CAD_EUI64,
    HUB_EUI64,
    IHD_EUI64,
    IHD_KEY,
    OTHER_AUTHORITY,
    Bench,
    FakeCoordinator,
    FakeDevice,
    with_hub,
)

from labctl.errors import ConfigurationError, RigError
from labctl.events import DeviceSeen, JoinEnded, JoinOutcome, JoinStepTaken, Refused, StepStatus
from labctl.hub import PairingRequest
from labctl.radio.coordinator import Outgoing
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

WINDOW = PairingRequest(eui64=IHD_EUI64, window_s=600)
KE = 0x0800


async def joined(bench: Bench) -> FakeDevice:
    device = bench.device()
    await bench.hub.pair(WINDOW)
    device.associate()
    device.announce()
    await bench.settle()
    return device


def last(bench: Bench) -> tuple[JoinOutcome, str]:
    end = bench.of(JoinEnded)[-1]
    return end.outcome, end.cause


def terminate_in(answers: list[Outgoing]) -> int | None:
    """The status of the last Terminate among what was sent."""
    for answer in reversed(answers):
        if answer.cluster_id == KE and answer.data[2] == 0x03 and answer.data[0] & 1:
            return answer.data[3]
    return None


def test_both_sides_hold_one_key_and_the_certificate_is_recorded() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert device.established is not None
        assert bench.radio.keys[IHD_EUI64] == device.established.link_key
        seen = bench.of(DeviceSeen)[-1]
        assert (seen.certificate_suite, seen.certificate_issuer) == (2, AUTHORITY.issuer)

    with_hub(scenario)


def test_no_key_establishment_frame_is_secured_and_no_default_response_is_asked_for() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        frames = [packet for packet in bench.radio.sent if packet.cluster_id == KE]
        assert [frame.data[:3] for frame in frames] == [
            b"\x19\x01\x00",
            b"\x19\x02\x01",
            b"\x19\x03\x02",
        ]
        assert not any(frame.aps_encrypt for frame in frames)
        assert all(frame.aps_ack for frame in frames)
        assert len(frames[0].data) == 81

    with_hub(scenario)


def test_the_key_is_in_place_before_the_confirmation_leaves() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        keys_at_confirmation: list[Secret] = []

        def delivers(packet: Outgoing) -> bool:
            if packet.cluster_id == KE and packet.data[2] == 0x02:
                keys_at_confirmation.append(bench.radio.keys[IHD_EUI64])
            return True

        bench.radio.delivers = delivers
        await device.establish()
        assert device.established is not None
        assert keys_at_confirmation == [device.established.link_key]

    with_hub(scenario)


def test_an_unknown_issuer_is_an_outcome_of_its_own_that_names_both() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        device.identities = {2: OTHER_AUTHORITY.issue(IHD_EUI64, random.Random(1).randbytes)}
        await device.establish()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "UNKNOWN_ISSUER" in cause
        assert OTHER_AUTHORITY.issuer in cause
        assert AUTHORITY.issuer in cause
        assert terminate_in(device.answers) == 0x01
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert [s.status for s in bench.of(JoinStepTaken)][-1] is StepStatus.FAILED

    with_hub(scenario)


def test_a_certificate_of_another_device_is_invalid() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        foreign = AUTHORITY.issue(CAD_EUI64, random.Random(1).randbytes)
        initiate = bytes.fromhex("0200 0b 10") + foreign.certificate
        device.command(KE, 0x00, initiate, endpoint=1)
        await bench.settle()
        assert terminate_in(device.answers) == 0x06
        assert "INVALID_CERTIFICATE" in last(bench)[1]

    with_hub(scenario)


def test_a_suite_that_is_not_on_offer_is_told_so() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        device.command(KE, 0x00, bytes.fromhex("0100 0b 10") + bytes(48), endpoint=1)
        await bench.settle()
        assert terminate_in(device.answers) == 0x05
        assert device.answers[-1].data[3:] == bytes.fromhex("05 0a 0200")
        assert "UNSUPPORTED_SUITE" in last(bench)[1]

    with_hub(scenario)


def test_a_wrong_confirmation_leaves_the_old_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        real_packet = device.packet

        def corrupting(data: bytes, **where: object) -> None:
            if where.get("cluster") == KE and data[2] == 0x02:
                data = data[:-1] + bytes([data[-1] ^ 1])
            real_packet(data, **where)  # type: ignore[arg-type]

        device.packet = corrupting  # type: ignore[method-assign]
        await device.establish()
        assert terminate_in(device.answers) == 0x02
        assert "BAD_KEY_CONFIRM" in last(bench)[1]
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert not bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_a_message_out_of_order_is_answered_bad_message_and_recorded() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        device.command(KE, 0x02, bytes(16), endpoint=1)
        await bench.settle()
        assert terminate_in(device.answers) == 0x03
        (refused,) = bench.of(Refused)
        assert "without an exchange under way" in refused.cause
        assert bench.of(JoinEnded) == [], "it may still begin as it should"

    with_hub(scenario)


def test_the_partner_may_take_its_declared_time_and_two_seconds() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        # On a second attempt the device stops after its first message.
        initiate = bytes.fromhex("0200 05 10") + device.identities[2].certificate
        device.machine = None
        device.command(KE, 0x00, initiate, endpoint=1)
        await asyncio.sleep(6.9)
        assert last(bench)[0] is JoinOutcome.AUTHORISED
        await asyncio.sleep(0.2)
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "Ephemeral Data did not come within 7 s" in cause
        assert bench.hub.authorised(IHD_EUI64), "the key from before is untouched"

    with_hub(scenario)


def test_a_confirmation_that_is_not_delivered_takes_the_key_back() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        bench.radio.delivers = lambda p: not (p.cluster_id == KE and p.data[2] == 0x02)
        await device.establish()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "the confirmation was not delivered" in cause
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert not bench.hub.authorised(IHD_EUI64)
        bench.radio.delivers = lambda p: True
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)
        assert [end.outcome for end in bench.of(JoinEnded)] == [
            JoinOutcome.FAILED,
            JoinOutcome.AUTHORISED,
        ]

    with_hub(scenario)


def test_unless_the_device_has_spoken_under_the_new_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)

        def delivers(packet: Outgoing) -> bool:
            if packet.cluster_id == KE and packet.data[2] == 0x02:
                # Only the acknowledgement is lost; the device has the key and uses it.
                device.receive(packet)
                device.command(0x0702, 0x00, b"\x00\x00", secured=True, control=0x00)
                return False
            return True

        bench.radio.delivers = delivers
        await device.establish()
        assert device.established is not None
        assert bench.radio.keys == {IHD_EUI64: device.established.link_key}
        assert last(bench)[0] is JoinOutcome.AUTHORISED
        assert device.answers[-1].cluster_id == 0x0702, "and its read was answered after that"

    with_hub(scenario)


def test_a_failed_renewal_keeps_the_established_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert device.established is not None
        first = device.established.link_key
        bench.radio.delivers = lambda p: not (p.cluster_id == KE and p.data[2] == 0x02)
        await device.establish(ephemeral_time_s=12)
        assert bench.radio.keys == {IHD_EUI64: first}
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_a_terminate_by_the_device_has_its_own_cause() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        initiate = bytes.fromhex("0200 0b 10") + device.identities[2].certificate
        device.command(KE, 0x00, initiate, endpoint=1)
        await bench.settle()
        device.command(KE, 0x03, bytes.fromhex("01 1e 0200"), endpoint=1)
        await bench.settle()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "the partner ended it with UNKNOWN_ISSUER" in cause
        assert AUTHORITY.issuer in cause
        assert terminate_in(device.answers) is None, "a Terminate is not answered with one"

    with_hub(scenario)


def test_a_default_response_that_is_no_success_ends_it() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        initiate = bytes.fromhex("0200 0b 10") + device.identities[2].certificate
        device.command(KE, 0x00, initiate, endpoint=1)
        await bench.settle()
        device.command(KE, 0x0B, b"\x00\x00", endpoint=1, control=0x10)
        await bench.settle()
        assert bench.of(JoinEnded) == []
        device.command(KE, 0x0B, b"\x00\x89", endpoint=1, control=0x10)
        await bench.settle()
        assert "answered command 0x00 with status 0x89" in last(bench)[1]

    with_hub(scenario)


def test_a_repeated_initiate_gets_the_same_answer_and_no_second_row() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        initiate = bytes.fromhex("0200 0b 10") + device.identities[2].certificate
        for _ in range(3):
            device.command(KE, 0x00, initiate, endpoint=1)
            await bench.settle()
        payloads = {answer.data[3:] for answer in device.answers}
        assert len(device.answers) == 3
        assert len(payloads) == 1
        assert bench.of(JoinEnded) == []

    with_hub(scenario)


def test_beginning_anew_in_the_middle_is_a_new_attempt() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        initiate = bytes.fromhex("0200 0b 10") + device.identities[2].certificate
        device.command(KE, 0x00, initiate, endpoint=1)
        await bench.settle()
        await device.establish(ephemeral_time_s=9)
        assert [(end.outcome, end.cause) for end in bench.of(JoinEnded)] == [
            (JoinOutcome.FAILED, "the device began key establishment anew"),
            (JoinOutcome.AUTHORISED, ""),
        ]

    with_hub(scenario)


def test_outside_a_window_there_is_no_key_establishment() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        initiate = bytes.fromhex("0200 0b 10") + device.identities[2].certificate
        device.command(KE, 0x00, initiate, endpoint=1)
        await bench.settle()
        assert terminate_in(device.answers) == 0x03
        (refused,) = bench.of(Refused)
        assert "outside a pairing window" in refused.cause
        assert bench.radio.keys == {}

    with_hub(scenario)


def test_a_radio_without_room_for_the_key_terminates_with_no_resources() -> None:
    class Full(FakeCoordinator):
        async def install_link_key(
            self, eui64: Eui64, key: Secret, *, bearer: int | None = None
        ) -> None:
            if key != IHD_KEY:
                raise RigError("the key table is full")
            await super().install_link_key(eui64, key, bearer=bearer)

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert terminate_in(device.answers) == 0x04
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "the key table is full" in cause
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}

    with_hub(scenario, radio=Full())


def test_two_devices_establish_keys_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        ihd, cad = bench.device(), bench.device(CAD, nwk=0x0C0C)
        await bench.hub.pair(WINDOW)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=600))
        for device in (ihd, cad):
            device.associate()
            device.announce()
        await asyncio.gather(ihd.establish(), cad.establish())
        assert bench.hub.authorised(IHD_EUI64)
        assert bench.hub.authorised(CAD_EUI64)
        assert bench.radio.keys[IHD_EUI64] != bench.radio.keys[CAD_EUI64]

    with_hub(scenario)


def test_stopping_while_the_confirmation_is_under_way_keeps_no_unconfirmed_key() -> None:
    radio = FakeCoordinator()

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)

        def delivers(packet: Outgoing) -> bool:
            if packet.cluster_id == KE and packet.data[2] == 0x01:
                bench.radio.delay_s = 1000.0  # for what comes next: the confirmation
            return True

        bench.radio.delivers = delivers
        await device.establish()
        assert bench.radio.keys[IHD_EUI64] != IHD_KEY
        await bench.hub.stop()

    with_hub(scenario, radio=radio)
    assert radio.keys == {}


def test_the_suite_is_readable_without_security_even_before_a_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        answer = await device.read(KE, 0x0000, endpoint=1, secured=False)
        assert answer == bytes.fromhex("0000 00 19 0200")

    with_hub(scenario)


def test_unknown_commands_and_answers_to_nothing_are_refused() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        (answer,) = await device.ask(b"\x01\x33\x09", cluster=KE, endpoint=1)
        assert answer == b"\x18\x33\x0b\x09\x81"
        assert await device.ask(b"\x09\x34\x00" + bytes(78), cluster=KE, endpoint=1) == []
        assert len(bench.of(Refused)) == 2
        assert bench.of(JoinEnded) == []

    with_hub(scenario)


def test_certificates_must_be_the_hubs_own_and_of_each_suite() -> None:
    async def scenario(bench: Bench) -> None:
        raise AssertionError("the hub must not start")

    foreign = AUTHORITY.issue(CAD_EUI64, random.Random(1).randbytes)
    with pytest.raises(ConfigurationError, match=f"is of {CAD_EUI64}, the radio is {HUB_EUI64}"):
        with_hub(scenario, identities={2: foreign})
    with pytest.raises(ConfigurationError, match="offer suite 1"):
        with_hub(scenario, suites=(1, 2))
