"""Keys on the air: swap-out, network key update, partner keys, and the NCP that makes them."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from labs import OTHER_STICK, STICK, PairingLab, both_drivers, in_a_lab

from labctl.errors import RigError
from labctl.events import DeviceKind, JoinEnded, JoinKind, JoinOutcome, JoinStarted, Note, Refused
from labctl.hub import LoggedDevice, PairingRequest
from labctl.hub.key_engine import RadioArithmetics
from labctl.hub.settings import KeyEngine
from labctl.hub.vault import KeyState
from labctl.rig.key_store import KeyStore, for_another_stick
from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.cbke import Established, KeyEstablishment, Role, Send
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import InstallCode
from labctl.virtual.devices import VirtualDevice
from labctl.virtual.devices.observations import What

IHD = Eui64("00:00:5e:ef:10:00:00:02")
CAD = Eui64("00:00:5e:ef:10:00:00:03")
GSME = Eui64("00:00:5e:ef:10:00:00:04")
HOUR_S = 3600.0


def code_of(eui64: Eui64) -> InstallCode:
    return InstallCode.from_octets_without_crc(bytes([eui64.big_endian[-1]]) * 16)


async def paired(lab: PairingLab, kind: str, eui64: Eui64) -> VirtualDevice:
    """Another device that is authorised."""
    assert lab.hub is not None
    hub = lab.hub
    device = lab.device(kind, eui64, code_of(eui64))
    await hub.pair(
        PairingRequest(
            eui64=eui64,
            window_s=600,
            device=LoggedDevice(
                eui64=eui64,
                name=f"{kind}-{eui64[-2:]}",
                kind=DeviceKind(kind),
                link_key=code_of(eui64).link_key(),
            ),
        )
    )
    device.power_on()
    assert await lab.until(lambda: hub.authorised(eui64) and device.is_authorised, 600)
    return device


def good_reads(device: VirtualDevice) -> int:
    return sum(count.ok for count in device.observations.reads.values())


def kinds_of_joins(lab: PairingLab, eui64: Eui64, since: int = 0) -> list[JoinKind]:
    return [e.kind for e in lab.events[since:] if isinstance(e, JoinStarted) and e.eui64 == eui64]


# -- swap-out -----------------------------------------------------------------------------------


@both_drivers
def test_another_stick_takes_over_with_hashed_keys(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        await lab.start_hub()
        device = await paired(lab, "ihd", IHD)
        old = lab.keys_in_the_stick()[IHD]
        await lab.stop_hub()
        await lab.pull_out()
        export = KeyStore(tmp_path / "export.json")
        export.save(for_another_stick(lab.vault.load()))
        assert (tmp_path / "export.json").stat().st_mode & 0o777 == 0o600
        (entry,) = export.load().devices
        assert entry.key == Secret(aes_mmo(old.reveal()))
        assert entry.state is KeyState.HASHED

        lab.vault.save(export.load())
        await lab.plug_in(OTHER_STICK)
        since = len(lab.events)
        hub = await lab.start_hub()
        assert hub.radio.eui64 == OTHER_STICK
        assert hub.radio.extended_pan_id == STICK
        assert lab.keys_in_the_stick() == {IHD: entry.key}
        assert not hub.authorised(IHD)
        assert await lab.until(lambda: hub.authorised(IHD), HOUR_S)
        assert kinds_of_joins(lab, IHD, since)[0] is JoinKind.UNSECURED_REJOIN
        assert device.observations.counts[What.HUB_SWAPPED] == 1
        assert device.node is not None
        assert device.node.state.trust_centre == OTHER_STICK
        assert set(device.node.state.link_keys) == {OTHER_STICK}
        new = lab.keys_in_the_stick()[IHD]
        assert new not in (old, entry.key)
        kept = lab.vault.load()
        assert (kept.hub, kept.restore) == (OTHER_STICK, False)
        assert kept.devices[0].state is KeyState.ESTABLISHED
        reads = good_reads(device)
        assert await lab.until(lambda: good_reads(device) > reads, 300)

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_the_stick_that_was_exported_is_not_restored_on_itself(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        await lab.start_hub()
        await paired(lab, "ihd", IHD)
        await lab.stop_hub()
        keys = lab.keys_in_the_stick()
        lab.vault.save(for_another_stick(lab.vault.load()))
        with pytest.raises(RigError, match="the device log was exported from"):
            await lab.start_hub()
        assert lab.keys_in_the_stick() == keys

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_restoration_that_was_killed_is_done_at_the_next_start(
    tmp_path: Path, driver: str
) -> None:
    async def scenario(lab: PairingLab) -> None:
        await lab.start_hub()
        device = await paired(lab, "ihd", IHD)
        await lab.stop_hub()
        await lab.pull_out()
        export = for_another_stick(lab.vault.load())
        lab.vault.save(export)
        await lab.plug_in(OTHER_STICK)
        await lab.start_hub()
        await lab.kill_hub()
        lab.vault.save(export)  # as if it had been killed before it wrote that it was done
        hub = await lab.start_hub()
        assert await lab.until(lambda: hub.authorised(IHD) and device.is_authorised, HOUR_S)

    in_a_lab(tmp_path, scenario, driver=driver)


@both_drivers
def test_a_stick_that_was_emptied_gets_network_and_keys_back(tmp_path: Path, driver: str) -> None:
    async def scenario(lab: PairingLab) -> None:
        await lab.start_hub()
        device = await paired(lab, "ihd", IHD)
        key = lab.keys_in_the_stick()[IHD]
        await lab.stop_hub()
        await lab.pull_out()
        (tmp_path / f"stick-{STICK.replace(':', '')}.json").unlink()
        since = len(lab.events)
        hub = await lab.start_hub()
        assert hub.authorised(IHD)
        assert lab.keys_in_the_stick() == {IHD: key}
        reads = good_reads(device)
        assert await lab.until(lambda: good_reads(device) > reads + 3, HOUR_S)
        assert JoinKind.UNSECURED_REJOIN in kinds_of_joins(lab, IHD, since)
        assert device.observations.counts[What.HUB_SWAPPED] == 0

    in_a_lab(tmp_path, scenario, driver=driver)


# -- the network key ------------------------------------------------------------------------------


@both_drivers
def test_a_new_network_key_and_what_becomes_of_those_who_missed_it(
    tmp_path: Path, driver: str
) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        ihd = await paired(lab, "ihd", IHD)
        cad = await paired(lab, "cad", CAD)
        gas = await paired(lab, "gas-meter", GSME)
        old = lab.network_key()
        await cad.power_off()
        since = len(lab.events)
        await hub.update_network_key()
        new = lab.network_key()
        assert new != old
        missed = [e for e in lab.of(Note) if e.kind == "network-key-missed"]
        assert [note.eui64 for note in missed] == [GSME]

        await asyncio.sleep(1)  # the broadcast is on its way
        assert ihd.node is not None
        assert ihd.node.state.network_key == new
        reads = good_reads(ihd)
        await asyncio.sleep(60)
        assert good_reads(ihd) > reads
        assert kinds_of_joins(lab, IHD, since) == []

        cad.power_on()
        assert await lab.until(
            lambda: cad.node is not None and cad.node.state.network_key == new, HOUR_S
        )
        assert await lab.until(
            lambda: gas.node is not None and gas.node.state.network_key == new,
            3 * HOUR_S,
        )
        for eui64 in (CAD, GSME):
            last = [e for e in lab.of(JoinStarted) if e.eui64 == eui64][-1]
            assert last.kind is JoinKind.UNSECURED_REJOIN
            (ended,) = [e for e in lab.of(JoinEnded) if e.join == last.join]
            assert ended.outcome is JoinOutcome.AUTHORISED
            assert hub.authorised(eui64)

    in_a_lab(tmp_path, scenario, driver=driver)


# -- partner link keys -----------------------------------------------------------------------------


def test_two_authorised_devices_get_a_link_key_between_them(tmp_path: Path) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        ihd = await paired(lab, "ihd", IHD)
        cad = await paired(lab, "cad", CAD)
        assert ihd.node is not None
        assert cad.node is not None
        ihd.node.request_link_key(CAD)
        await asyncio.sleep(5)
        between = ihd.node.state.link_keys[CAD].key
        assert cad.node.state.link_keys[IHD].key == between
        assert [e.eui64 for e in lab.of(Note) if e.kind == "partner-key-sent"] == [IHD]

        await hub.pair(PairingRequest(eui64=GSME, window_s=600, device=_gas_meter()))
        cad.node.request_link_key(IHD)
        await asyncio.sleep(5)
        assert cad.node.state.link_keys[IHD].key == between
        assert [e.cause for e in lab.of(Refused) if "partner" in e.cause] == [
            "partner link key: TC_REJECTED_APP_KEY_REQUEST"
        ]

    in_a_lab(tmp_path, scenario)


def _gas_meter() -> LoggedDevice:
    return LoggedDevice(
        eui64=GSME,
        name="gas",
        kind=DeviceKind("gas-meter"),
        link_key=code_of(GSME).link_key(),
    )


# -- unpairing ------------------------------------------------------------------------------------


@both_drivers
def test_an_unpaired_device_leaves_and_one_that_was_off_is_thrown_out_later(
    tmp_path: Path, driver: str
) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        ihd = await paired(lab, "ihd", IHD)
        cad = await paired(lab, "cad", CAD)
        assert await hub.unpair(IHD, "over") is True
        assert ihd.observations.counts[What.LEFT] == 1
        await cad.power_off()
        assert await hub.unpair(CAD, "over") is False
        assert lab.keys_in_the_stick() == {}
        cad.power_on()
        await asyncio.sleep(600)
        assert cad.node is not None
        assert not cad.is_authorised or not cad.node.state.joined
        refused = [e for e in lab.of(JoinEnded) if e.outcome is JoinOutcome.REFUSED]
        assert {e.cause for e in refused} == {"not in the device log"}

    in_a_lab(tmp_path, scenario, driver=driver)


# -- in the NCP -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", [1, 2])
def test_ncp_and_host_come_to_the_same_keys_from_the_same_inputs(
    tmp_path: Path, suite: int
) -> None:
    """The same certificates, the same ephemeral private keys: once in the host, once in the NCP."""

    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        assert lab.stick is not None
        engine = hub._coordinator.key_engine
        assert engine is not None
        own = lab.identity(suite, STICK)
        assert await engine.certificate(suite) == own.certificate

        def device() -> KeyEstablishment:
            return KeyEstablishment(
                Role.INITIATOR,
                {suite: lab.identity(suite, IHD)},
                own_eui64=IHD,
                partner=STICK,
                random_octets=random.Random("device").randbytes,
            )

        def machine(**more: Any) -> KeyEstablishment:
            return KeyEstablishment(
                Role.RESPONDER, {suite: own}, own_eui64=STICK, partner=IHD, **more
            )

        async def nothing(hub: KeyEstablishment, command: int, payload: bytes) -> None:
            """The host calculates when it is asked."""

        in_host = await exchange(
            device(), machine(random_octets=random.Random("hub").randbytes), nothing
        )
        arithmetic = RadioArithmetics(engine).begin()
        assert arithmetic is not None
        lab.stick.firmware.rng = random.Random("hub")
        in_ncp = await exchange(device(), machine(engine=arithmetic.engine), arithmetic.prepare)
        link_key, _ = await arithmetic.link_key(IHD, Secret(b""))
        assert in_ncp[1:] == in_host[1:]  # ephemeral public key and MACV, octet for octet
        assert link_key == in_host[0]
        assert lab.keys_in_the_stick() == {IHD: link_key}

    in_a_lab(tmp_path, scenario, suites=(suite,), stick_suites=(suite,))


async def exchange(
    device: KeyEstablishment,
    hub: KeyEstablishment,
    prepare: Callable[[KeyEstablishment, int, bytes], Awaitable[None]],
) -> tuple[Secret, bytes, bytes]:
    """Let two machines talk. The hub's key, its ephemeral public key, and its confirmation."""
    answers: dict[int, bytes] = {}
    key: Secret | None = None
    requests = device.start()
    while requests:
        (request,) = requests
        if isinstance(request, Established):
            break
        assert isinstance(request, Send)
        command, payload = int(request.command_id), request.payload
        await prepare(hub, command, payload)
        requests = []
        for action in hub.receive(command, payload):
            if isinstance(action, Established):
                key = action.link_key
            elif isinstance(action, Send):
                answers[int(action.command_id)] = action.payload
                requests = device.receive(int(action.command_id), action.payload)
    assert key is not None
    return key, answers[1], answers[2]


def test_an_ncp_with_the_library_takes_no_data_under_keys_that_the_host_made(
    tmp_path: Path,
) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub(key_engine=KeyEngine.HOST)
        await paired(lab, "ihd", IHD)
        await asyncio.sleep(60)
        device = lab.devices[0]
        assert good_reads(device) == 0
        assert lab.stick is not None
        not_authorised = lab.stick.firmware.counters.read_counters()["values"][24]
        assert not_authorised > 0
        assert [e for e in lab.of(Note) if e.kind == "answer-not-delivered"] == []
        assert hub.authorised(IHD)

    in_a_lab(tmp_path, scenario, stick_suites=(2,))


def test_but_under_keys_that_it_made_itself_it_does(tmp_path: Path) -> None:
    async def scenario(lab: PairingLab) -> None:
        await lab.start_hub()
        device = await paired(lab, "ihd", IHD)
        await asyncio.sleep(120)
        assert good_reads(device) > 0
        assert lab.stick is not None
        assert lab.stick.firmware.counters.read_counters()["values"][24] == 0

    in_a_lab(tmp_path, scenario, stick_suites=(2,))


def test_the_radio_is_deaf_while_it_calculates(tmp_path: Path) -> None:
    async def scenario(lab: PairingLab) -> None:
        hub = await lab.start_hub()
        engine = hub._coordinator.key_engine
        assert engine is not None
        assert lab.stick is not None
        node = lab.stick.firmware.network.node
        assert node is not None
        heard: list[tuple[float, bool]] = []
        began_s = lab.loop.time()
        generating = asyncio.ensure_future(engine.generate(2))
        while not generating.done():
            heard.append((lab.loop.time() - began_s, node.mac.radio.listening_since < math.inf))
            await asyncio.sleep(0.1)
        deaf = [at for at, listening in heard if not listening]
        assert len(deaf) >= 8
        assert max(deaf) < 1.5
        assert node.mac.radio.listening_since < math.inf

    in_a_lab(tmp_path, scenario, stick_suites=(2,))
