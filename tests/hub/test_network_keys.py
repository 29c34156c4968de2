"""The network key's change, and link keys between devices."""

from __future__ import annotations

import asyncio

import pytest
from fake_radio import CAD, CAD_EUI64, IHD, IHD_EUI64, Bench, FakeCoordinator, with_hub

from labctl.errors import RigError
from labctl.events import Note, Refused
from labctl.hub import PairingRequest
from labctl.radio.coordinator import PartnerKey
from labctl.secret import Secret


def kinds(bench: Bench) -> list[str]:
    return [note.kind for note in bench.of(Note)]


def test_every_device_that_listens_gets_the_key_and_then_all_switch() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired(IHD, 0x1111)
        await bench.paired(CAD, 0x2222)
        began_s = asyncio.get_running_loop().time()
        await bench.hub.update_network_key()
        assert set(bench.radio.network_keys) == {IHD_EUI64, CAD_EUI64}
        (key,) = set(bench.radio.network_keys.values())
        assert len(key) == 16
        (switched_s,) = bench.radio.switched_s
        assert switched_s - began_s > 9.0  # sooner the NCP refuses: TOO_SOON_FOR_SWITCH_KEY
        assert kinds(bench)[-1] == "network-key-switched"
        await bench.hub.update_network_key()
        assert key not in bench.radio.network_keys.values()

    with_hub(scenario)


def test_sleepers_and_those_out_of_reach_miss_it_and_are_named() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired(IHD, 0x1111)
        cad = await bench.paired(CAD, 0x2222)
        sleepy = b"\x01" + cad.nwk.to_bytes(2, "little") + CAD_EUI64.little_endian + b"\x80"
        cad.packet(sleepy, profile=0, cluster=0x0013, source=0, endpoint=0, broadcast=True)
        await bench.hub.update_network_key()
        assert set(bench.radio.network_keys) == {IHD_EUI64}
        missed = [note for note in bench.of(Note) if note.kind == "network-key-missed"]
        assert [(note.eui64, note.detail["cause"]) for note in missed] == [(CAD_EUI64, "it sleeps")]
        bench.radio.deaf.add(0x1111)
        with pytest.raises(RigError, match="no device took"):
            await bench.hub.update_network_key()
        assert len(bench.radio.switched_s) == 1

    with_hub(scenario)


def test_two_updates_do_not_mix() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired(IHD, 0x1111)
        await asyncio.gather(bench.hub.update_network_key(), bench.hub.update_network_key())
        first, second = bench.radio.switched_s
        assert second - first > 9.0

    with_hub(scenario)


def test_partner_keys_are_for_established_devices() -> None:
    async def scenario(bench: Bench) -> None:
        assert bench.radio.partner_keys is True
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=600))
        assert bench.radio.partner_keys is False  # its key is its install code's
        await bench.device().join()
        assert bench.radio.partner_keys is True

    with_hub(scenario)


def test_what_came_of_a_request_for_one_is_recorded() -> None:
    radio = FakeCoordinator({IHD_EUI64: Secret(b"\xe1" * 16)})

    async def scenario(bench: Bench) -> None:
        bench.listener.partner_key(PartnerKey(IHD_EUI64))
        bench.listener.partner_key(PartnerKey(None, "TC_REJECTED_APP_KEY_REQUEST"))
        assert "partner-key-sent" in kinds(bench)
        (refused,) = bench.of(Refused)
        assert refused.layer == "aps"
        assert refused.cause == "partner link key: TC_REJECTED_APP_KEY_REQUEST"

    with_hub(scenario, radio=radio)
