"""The device log as GBCS has it: places, types, keys that stand, and devices that were there."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fake_radio import (
    CAD,
    CAD_EUI64,
    HUB_EUI64,
    IHD,
    IHD_EUI64,
    IHD_KEY,
    Bench,
    FakeCoordinator,
    with_hub,
)

from labctl.errors import RigError, UsageError
from labctl.events import (
    DeviceKind,
    JoinEnded,
    JoinKind,
    JoinOutcome,
    Note,
    PairingArmed,
    PairingMethod,
)
from labctl.hub import LoggedDevice, PairingRequest
from labctl.hub.device_log import DeviceLog
from labctl.hub.vault import HistoricDevice, KeptLog, KeyState, MemoryVault
from labctl.radio.coordinator import JoinDecision
from labctl.secret import Secret
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.eui64 import Eui64

WINDOW = PairingRequest(eui64=IHD_EUI64, window_s=600)
STRANGER = Eui64("00:0d:6f:00:00:00:00:77")


def logged(number: int, kind: DeviceKind = DeviceKind.CAD, **more: object) -> LoggedDevice:
    return LoggedDevice(
        eui64=Eui64(f"00:0d:6f:00:00:00:01:{number:02x}"),
        name=f"d{number}",
        kind=kind,
        link_key=Secret(bytes([number]) * 16),
        **more,  # type: ignore[arg-type]
    )


def notes(bench: Bench, kind: str) -> list[Note]:
    return [note for note in bench.of(Note) if note.kind == kind]


def filled(count: int, **options: bool) -> DeviceLog:
    log = DeviceLog(16, **options)
    for number in range(count):
        log.admit(log.declare(logged(number)))
    return log


def test_sixteen_devices_have_a_place_and_the_seventeenth_has_none() -> None:
    log = filled(16)
    with pytest.raises(RigError, match="the device log is full: 16 devices are in it"):
        log.admit(log.declare(logged(16)))
    assert len(log) == 16


def test_the_gas_proxy_has_a_channel_of_its_own_even_when_the_log_is_full() -> None:
    log = filled(16)
    proxy = log.declare(logged(99, DeviceKind.OTHER, log_type=DeviceLogType.GPF))
    log.admit(proxy)
    second = log.declare(logged(98, DeviceKind.OTHER, log_type=DeviceLogType.GPF))
    with pytest.raises(RigError, match="taken"):
        log.admit(second)


def test_the_proxy_can_count_as_one_of_the_sixteen() -> None:
    log = filled(15, gas_proxy_counts=True)
    with pytest.raises(RigError, match="one place is kept for the gas proxy"):
        log.admit(log.declare(logged(15)))
    log.admit(log.declare(logged(99, DeviceKind.OTHER, log_type=DeviceLogType.GPF)))


def test_types_beyond_the_usual_only_warn() -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(4):
            device = logged(number, DeviceKind.CAD)
            await bench.hub.pair(PairingRequest(eui64=device.eui64, window_s=60, device=device))
        (warning,) = notes(bench, "device-log-unusual")
        assert warning.eui64 == logged(3).eui64
        assert "4 devices of a kind of which 3 are usual" in str(warning.detail["cause"])

    with_hub(scenario)


def test_a_refused_device_leaves_the_log_as_it_was_and_a_record() -> None:
    async def scenario(bench: Bench) -> None:
        for number in range(16):
            device = logged(number)
            await bench.hub.pair(PairingRequest(eui64=device.eui64, window_s=60, device=device))
        before = set(bench.radio.keys)
        extra = PairingRequest(eui64=IHD_EUI64, window_s=60, device=IHD, requested_by="anna")
        with pytest.raises(RigError, match="full"):
            await bench.hub.pair(extra)
        assert set(bench.radio.keys) == before
        (refused,) = notes(bench, "pairing-refused")
        assert refused.eui64 == IHD_EUI64
        assert refused.detail["requested_by"] == "anna"
        assert "full" in str(refused.detail["cause"])

    with_hub(scenario, devices=())


def test_each_change_raises_the_alert() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await bench.hub.pair(WINDOW)
        await bench.hub.unpair(IHD_EUI64, "over")
        changes = notes(bench, "device-log-changed")
        assert [(c.detail["change"], c.detail["alert"]) for c in changes] == [
            ("added", 0x8F12),
            ("removed", 0x8F12),
        ]
        assert changes[0].detail["device_type"] == 128

    with_hub(scenario)


def test_adding_again_with_another_code_keeps_the_key_and_says_so() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        other = replace(IHD, link_key=Secret(bytes(16)))
        await bench.hub.pair(replace(WINDOW, device=other))
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        (note,) = notes(bench, "key-ignored")
        assert "unpair it first" in str(note.detail["cause"])

    with_hub(scenario)


def test_no_consent_no_pairing_where_the_rig_demands_it() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(UsageError, match="consent"):
            await bench.hub.pair(WINDOW)
        assert bench.radio.keys == {}
        assert bench.radio.permits == []
        await bench.hub.pair(replace(WINDOW, consent_reference="form 17"))
        (armed,) = bench.of(PairingArmed)
        assert armed.consent_reference == "form 17"

    with_hub(scenario, require_consent=True)


# -- historic devices ---------------------------------------------------------------------------


def historic(number: int) -> HistoricDevice:
    return HistoricDevice(
        eui64=logged(number).eui64,
        name="old",
        kind=DeviceKind.CAD,
        log_type=DeviceLogType.CAD,
        key=Secret(bytes([200 + number]) * 16),
        removed_us=number,
        reason="",
    )


def test_fifteen_removed_devices_are_remembered_and_the_oldest_goes_first() -> None:
    vault = MemoryVault(KeptLog(historic=tuple(historic(n) for n in range(15))))

    async def scenario(bench: Bench) -> None:
        await bench.paired()
        await bench.hub.unpair(IHD_EUI64, "over")
        remembered = [each.eui64 for each in vault.kept.historic]
        assert len(remembered) == 15
        assert remembered[-1] == IHD_EUI64
        assert historic(0).eui64 not in remembered

    with_hub(scenario, vault=vault)


def test_a_device_that_never_got_in_is_not_remembered() -> None:
    vault = MemoryVault()

    async def scenario(bench: Bench) -> None:
        await bench.hub.pair(WINDOW)
        await bench.hub.unpair(IHD_EUI64, "a mistake")
        assert vault.kept.historic == ()

    with_hub(scenario, vault=vault)


def test_the_old_key_counts_in_the_first_half_of_the_window_and_the_code_afterwards() -> None:
    vault = MemoryVault()

    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert device.established is not None
        old = device.established.link_key
        await bench.hub.unpair(IHD_EUI64, "moved")
        await bench.hub.pair(WINDOW)
        opened_s = asyncio.get_running_loop().time()
        assert bench.radio.keys == {IHD_EUI64: old}
        await asyncio.sleep(299)
        assert bench.radio.keys == {IHD_EUI64: old}
        await asyncio.sleep(2)
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        await asyncio.sleep(opened_s + 601 - asyncio.get_running_loop().time())
        assert bench.radio.keys == {}
        assert vault.kept.devices[0].state is KeyState.NONE

    with_hub(scenario, vault=vault)


def test_a_historic_device_that_rejoins_with_its_old_key_is_authorised_by_that() -> None:
    vault = MemoryVault()

    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await bench.hub.unpair(IHD_EUI64, "moved")
        await bench.hub.pair(WINDOW)
        assert not bench.hub.authorised(IHD_EUI64)
        device.associate(JoinKind.UNSECURED_REJOIN)
        device.announce()
        await bench.settle()
        assert bench.hub.authorised(IHD_EUI64)
        assert bench.of(JoinEnded)[-1].outcome is JoinOutcome.AUTHORISED
        assert vault.kept.historic == ()
        await asyncio.sleep(400)  # the second half changes nothing any more
        assert await device.read(0x0702, 0x0000) is not None

    with_hub(scenario, vault=vault)


def test_a_fresh_join_in_the_first_half_is_told_about_the_second() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        await bench.hub.unpair(IHD_EUI64, "moved")
        await bench.hub.pair(WINDOW)
        device.associate()
        await asyncio.sleep(11)
        end = bench.of(JoinEnded)[-1]
        assert end.outcome is JoinOutcome.FAILED
        assert "second half of the window" in end.cause
        await asyncio.sleep(300)
        await device.join()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


# -- show the address and confirm ---------------------------------------------------------------


def test_whoever_asks_to_join_is_shown_and_gets_in_only_when_confirmed() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.offer(300)
        assert bench.radio.permits[-1][1] == 254
        device = bench.device()
        device.associate(decision=JoinDecision.DENIED)
        assert bench.hub.offered == (IHD_EUI64,)
        (offered,) = notes(bench, "joiner-offered")
        assert offered.eui64 == IHD_EUI64
        assert bench.of(JoinEnded)[-1].outcome is JoinOutcome.REFUSED
        assert bench.radio.keys == {}
        await bench.hub.confirm(WINDOW)
        assert bench.of(PairingArmed)[-1].method is PairingMethod.CONFIRM
        await device.join()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_nobody_is_confirmed_who_did_not_ask() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.offer(60)
        with pytest.raises(UsageError, match="has not asked to join"):
            await bench.hub.confirm(WINDOW)
        bench.device().associate(decision=JoinDecision.DENIED)
        await asyncio.sleep(61)
        assert bench.radio.permits[-1][1] == 0
        bench.device(CAD, 0x2222).associate(decision=JoinDecision.DENIED)
        assert bench.hub.offered == (IHD_EUI64,)

    with_hub(scenario)


# -- out of the log -------------------------------------------------------------------------------


def test_a_device_that_says_that_it_leaves_is_gone() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        loop = asyncio.get_running_loop()
        loop.call_later(2.0, bench.listener.device_left, IHD_EUI64, device.nwk)
        assert await bench.hub.unpair(IHD_EUI64, "over") is True
        assert not notes(bench, "not-removed")

    with_hub(scenario)


def test_one_that_does_not_answer_is_refused_from_then_on_and_told_again() -> None:
    async def scenario(bench: Bench) -> None:
        device = await bench.paired()
        assert await bench.hub.unpair(IHD_EUI64, "over") is False
        (note,) = notes(bench, "not-removed")
        assert "refused from now on" in str(note.detail["cause"])
        assert bench.radio.removed == [IHD_EUI64]
        device.associate(JoinKind.SECURED_REJOIN, JoinDecision.NO_ACTION)
        await bench.settle()
        assert bench.of(JoinEnded)[-1].outcome is JoinOutcome.REFUSED
        assert bench.radio.removed == [IHD_EUI64, IHD_EUI64]
        device.associate(JoinKind.SECURED_REJOIN, JoinDecision.NO_ACTION)
        await bench.settle()
        assert len(bench.radio.removed) == 2  # not at every try: it may try a thousand times
        assert await device.read(0x0702, 0x0000) is None

    with_hub(scenario)


# -- over a restart -------------------------------------------------------------------------------


def test_a_restart_knows_devices_that_no_rig_file_names() -> None:
    vault, radio = MemoryVault(), FakeCoordinator()

    async def first(bench: Bench) -> None:
        await bench.hub.pair(replace(WINDOW, device=IHD, consent_reference="form 17"))
        await bench.device().join()

    async def second(bench: Bench) -> None:
        assert bench.hub.authorised(IHD_EUI64)
        (entry,) = [device for device in bench.hub.device_log() if device.listed]
        assert entry.name == "ihd"
        assert entry.evidence is not None
        assert entry.evidence.consent_reference == "form 17"

    with_hub(first, vault=vault, radio=radio, devices=())
    with_hub(second, vault=vault, radio=radio, devices=())


def test_a_stick_that_lost_its_keys_gets_them_back() -> None:
    vault, radio = MemoryVault(), FakeCoordinator()

    async def first(bench: Bench) -> None:
        await bench.paired()

    async def second(bench: Bench) -> None:
        assert bench.hub.authorised(IHD_EUI64)
        assert [n.eui64 for n in notes(bench, "key-restored")] == [IHD_EUI64]

    with_hub(first, vault=vault, radio=radio)
    key = radio.keys.pop(IHD_EUI64)
    with_hub(second, vault=vault, radio=radio)
    assert radio.keys == {IHD_EUI64: key}


def test_a_stick_with_another_network_is_not_taken_for_the_one_of_the_log() -> None:
    vault, radio = MemoryVault(), FakeCoordinator()

    async def first(bench: Bench) -> None:
        await bench.paired()

    with_hub(first, vault=vault, radio=radio)
    radio.extended_pan_id = Eui64("00:00:00:00:00:00:12:34")

    async def second(bench: Bench) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(RigError, match="the device log is of 00:0d:6f:00:00:00:00:01"):
        with_hub(second, vault=vault, radio=radio)


def test_an_unpairing_that_was_cut_short_is_finished_at_the_next_start() -> None:
    vault = MemoryVault(KeptLog(hub=HUB_EUI64, historic=(historic(1),)))
    radio = FakeCoordinator({historic(1).eui64: historic(1).key, STRANGER: Secret(b"s" * 16)})

    async def scenario(bench: Bench) -> None:
        assert set(bench.radio.keys) == {STRANGER}
        assert [n.eui64 for n in notes(bench, "key-of-unlisted-device")] == [STRANGER]

    with_hub(scenario, vault=vault, radio=radio)


def test_the_cad_of_another_entry_is_left_alone() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.paired(IHD, 0x1111)
        await bench.paired(CAD, 0x2222)
        await bench.hub.unpair(IHD_EUI64, "over")
        assert set(bench.radio.keys) == {CAD_EUI64}
        assert bench.hub.authorised(CAD_EUI64)

    with_hub(scenario)
