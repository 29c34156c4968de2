"""The key establishment suites that the hub offers to one device and not to another."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from fake_radio import (
    AUTHORITY,
    CAD,
    CAD_EUI64,
    HUB_EUI64,
    IDENTITIES,
    IHD,
    IHD_EUI64,
    Bench,
    FakeDevice,
    with_hub,
)

from labctl.errors import ConfigurationError
from labctl.events import JoinEnded, JoinOutcome, Note
from labctl.hub import LoggedDevice, PairingRequest
from labctl.smart_energy.cbke import Identity, KeyEstablishment, Role, Send, TerminateStatus
from labctl.smart_energy.cbke_messages import Terminate
from labctl.smart_energy.disagreements import DeviceSettings
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority

KE = 0x0800
_random = random.Random(20261120)
SUITE_1_AUTHORITY = LabCertificateAuthority.generate(1, AUTHORITY.issuer, _random.randbytes)


def both(eui64: Eui64) -> dict[int, Identity]:
    return {
        1: SUITE_1_AUTHORITY.issue(eui64, _random.randbytes),
        2: IDENTITIES[eui64][2],
    }


OF_HUB = both(HUB_EUI64)
OF_DEVICE = {IHD_EUI64: both(IHD_EUI64), CAD_EUI64: both(CAD_EUI64)}


def offered(device: LoggedDevice, *suites: int) -> LoggedDevice:
    return replace(device, settings=DeviceSettings(suites=suites))


def run(scenario: Any, *devices: LoggedDevice, **settings: Any) -> None:
    with_hub(scenario, devices=devices, identities=OF_HUB, suites=(1, 2), **settings)


async def joined(bench: Bench, logged: LoggedDevice, nwk: int = 0x1A2B) -> FakeDevice:
    device = bench.device(logged, nwk)
    device.identities = OF_DEVICE[logged.eui64]
    await bench.hub.pair(PairingRequest(eui64=logged.eui64, window_s=600))
    device.associate()
    device.announce()
    await bench.settle()
    return device


def practices(bench: Bench, of: Eui64) -> list[tuple[object, object]]:
    return [
        (note.detail["what"], note.detail["how"])
        for note in bench.of(Note)
        if note.kind == "practice" and note.eui64 == of
    ]


def initiates(device: FakeDevice) -> list[int]:
    """The suite bitmaps of the Initiates that the hub sent, as client or server."""
    return [
        int.from_bytes(answer.data[3:5], "little")
        for answer in device.answers
        if answer.cluster_id == KE and answer.data[0] & 1 and answer.data[2] == 0x00
    ]


def test_each_device_reads_the_suites_that_are_on_offer_to_it() -> None:
    ihd = offered(IHD, 1)

    async def scenario(bench: Bench) -> None:
        display, cad = await joined(bench, ihd), await joined(bench, CAD, 0x2B3C)
        assert await display.read(KE, 0x0000, endpoint=1, secured=False) == bytes.fromhex(
            "0000 00 19 0100"
        )
        assert await cad.read(KE, 0x0000, 0x0001, endpoint=1, secured=False) == bytes.fromhex(
            "0000 00 19 0300  0100 86"
        )

    run(scenario, ihd, CAD)


@pytest.mark.parametrize(("own", "other"), [(1, 2), (2, 1)])
def test_a_suite_that_is_not_on_offer_to_the_device_is_refused(own: int, other: int) -> None:
    ihd = offered(IHD, own)

    async def scenario(bench: Bench) -> None:
        device = await joined(bench, ihd)
        await device.establish(suite=other)
        end = bench.of(JoinEnded)[-1]
        assert end.outcome is JoinOutcome.FAILED
        assert "UNSUPPORTED_SUITE" in end.cause
        assert f"supported here: {own}" in end.cause
        terminate = Terminate.decode(device.answers[-1].data[3:])
        assert (terminate.status, terminate.suites) == (TerminateStatus.UNSUPPORTED_SUITE, own)
        await device.establish(suite=own)
        assert bench.hub.authorised(IHD_EUI64)
        assert practices(bench, IHD_EUI64) == [
            ("suite-asked", str(other)),
            ("suite-asked", str(own)),
        ]

    run(scenario, ihd)


def test_without_the_setting_the_device_takes_either() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench, IHD)
        for suite in (1, 2):
            await device.establish(suite=suite)
            assert device.established is not None
            assert device.established.suite == suite

    run(scenario, IHD)


async def _begun_by_the_hub(bench: Bench, device: FakeDevice) -> None:
    """The device as responder, as far as its first answer."""
    machine = KeyEstablishment(
        Role.RESPONDER,
        device.identities,
        own_eui64=device.eui64,
        partner=HUB_EUI64,
        random_octets=random.Random(3).randbytes,
    )
    before = len(device.answers)
    await bench.hub.establish_key(device.eui64)
    await bench.settle()
    for packet in device.answers[before:]:
        for action in machine.receive(packet.data[2], packet.data[3:]):
            if isinstance(action, Send):
                command = int(action.command_id)
                device.command(KE, command, action.payload, endpoint=1, control=0x19)
    await bench.settle()


def test_the_hub_begins_with_the_highest_suite_on_offer() -> None:
    ihd = offered(IHD, 1)

    async def scenario(bench: Bench) -> None:
        display, cad = await joined(bench, ihd), await joined(bench, CAD, 0x2B3C)
        await _begun_by_the_hub(bench, display)
        await _begun_by_the_hub(bench, cad)
        assert (initiates(display), initiates(cad)) == ([1], [2])
        assert practices(bench, IHD_EUI64) == [("suite-answered", "1")]
        assert practices(bench, CAD_EUI64) == [("suite-answered", "2")]
        with pytest.raises(ValueError, match="suite 2 is not on offer to ihd"):
            await bench.hub.establish_key(IHD_EUI64, suite=2)

    run(scenario, ihd, CAD)


def test_what_a_device_says_that_it_supports_is_noted() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench, IHD)
        device.identities = {1: device.identities[1]}
        await _begun_by_the_hub(bench, device)
        assert "UNSUPPORTED_SUITE" in bench.of(JoinEnded)[-1].cause
        assert practices(bench, IHD_EUI64) == [("suites-supported", "1")]

    run(scenario, IHD)


@pytest.mark.parametrize(
    ("bitmap", "how"), [(b"\x03\x00", "1 and 2"), (b"\x04\x00", "bitmap 0x0004")]
)
def test_a_suite_bitmap_that_names_no_one_suite_is_noted_as_it_is(bitmap: bytes, how: str) -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench, IHD)
        device.command(KE, 0x00, bitmap + b"\x0b\x10" + bytes(74), endpoint=1)
        await bench.settle()
        assert practices(bench, IHD_EUI64) == [("suite-asked", how)]

    run(scenario, IHD)


def test_a_suite_on_offer_must_be_one_that_the_hub_has() -> None:
    async def scenario(bench: Bench) -> None:
        raise AssertionError("the hub must not start")

    with pytest.raises(ConfigurationError, match="suite 1 is to be on offer to ihd"):
        with_hub(scenario, devices=(offered(IHD, 1, 2),), suites=(2,))
