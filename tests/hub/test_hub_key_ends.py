"""Key establishment: begun by the hub, taken back, put off, cut off by a kill, done in the NCP."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest
from fake_radio import (
    AUTHORITY,
    CAD,
    CAD_EUI64,
    HUB_EUI64,
    IDENTITIES,
    IHD_EUI64,
    IHD_KEY,
    Bench,
    FakeCoordinator,
    FakeDevice,
    with_hub,
)

from labctl.errors import ConfigurationError, RigError
from labctl.events import JoinEnded, JoinOutcome, Note, Refused
from labctl.hub import PairingRequest, Patience
from labctl.hub.settings import KeyEngine
from labctl.hub.vault import KeptLog, KeyState, MemoryVault, Vault
from labctl.radio.coordinator import Outgoing, RadioKeyEngine
from labctl.secret import Secret
from labctl.smart_energy.cbke import (
    CommandId,
    Established,
    KeyEstablishment,
    Role,
    Send,
    TerminateStatus,
)
from labctl.smart_energy.cbke_messages import Terminate
from labctl.smart_energy.certificates import CertificateError, parse_certificate
from labctl.smart_energy.curves import CURVES, PointError
from labctl.smart_energy.ecmqv import EphemeralKey, KeyMaterial
from labctl.smart_energy.eui64 import Eui64

KE = 0x0800


def causes(bench: Bench) -> list[str]:
    return [event.cause for event in bench.of(Refused)]


def last(bench: Bench) -> tuple[JoinOutcome, str]:
    end = bench.of(JoinEnded)[-1]
    return end.outcome, end.cause


def statuses(packets: Sequence[Outgoing]) -> list[tuple[int, int]]:
    """Status and waiting time of each Terminate."""
    return [
        (packet.data[3], packet.data[4])
        for packet in packets
        if packet.cluster_id == KE and packet.data[0] & 1 and packet.data[2] == 0x03
    ]


async def joined(bench: Bench, window_s: int = 600) -> FakeDevice:
    device = bench.device()
    await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=window_s))
    device.associate()
    device.announce()
    await bench.settle()
    return device


# -- after the end --------------------------------------------------------------------------------


def terminate(device: FakeDevice, status: TerminateStatus) -> None:
    payload = Terminate(status, 10, 0x0002).encode()
    device.command(KE, int(CommandId.TERMINATE), payload, endpoint=1)


def test_a_terminate_after_the_confirmation_takes_the_key_back() -> None:
    vault = MemoryVault()

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)
        terminate(device, TerminateStatus.BAD_KEY_CONFIRM)
        await bench.settle()
        assert not bench.hub.authorised(IHD_EUI64)
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert vault.kept.devices[0].state is KeyState.INSTALL_CODE
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "BAD_KEY_CONFIRM" in cause
        assert "withdrawn" in cause
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, vault=vault)


@pytest.mark.parametrize("status", [*TerminateStatus, TerminateStatus(0x77)])
def test_each_status_of_a_terminate_is_a_cause_of_its_own(status: TerminateStatus) -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        certificate = IDENTITIES[IHD_EUI64][2].certificate
        device.command(KE, 0x00, b"\x02\x00\x0b\x10" + certificate, endpoint=1)
        await bench.settle()
        terminate(device, status)
        await bench.settle()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert f"the partner ended it with {status.name}" in cause
        if status is TerminateStatus.UNKNOWN_ISSUER:
            assert str(AUTHORITY.issuer) in cause
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}

    with_hub(scenario)


def test_but_not_from_a_device_that_has_used_the_key() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert await device.read(0x0702, 0x0000) is not None
        key = bench.radio.keys[IHD_EUI64]
        terminate(device, TerminateStatus.BAD_KEY_CONFIRM)
        await bench.settle()
        assert bench.radio.keys == {IHD_EUI64: key}
        assert bench.hub.authorised(IHD_EUI64)
        assert "Terminate after the device has used the key" in causes(bench)

    with_hub(scenario)


def test_a_key_that_is_withdrawn_after_the_window_leaves_none_behind() -> None:
    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=30))
        await device.join()
        await asyncio.sleep(31)
        terminate(device, TerminateStatus.NO_RESOURCES)
        await bench.settle()
        assert bench.radio.keys == {}
        assert bench.radio.removed == [IHD_EUI64]

    with_hub(scenario)


def test_a_confirmation_that_was_not_heard_is_sent_again() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        confirmations = [p for p in device.answers if p.cluster_id == KE and p.data[2] == 0x02]
        (first,) = confirmations
        keys = dict(bench.radio.keys)
        confirm = next(payload for command, payload in device.sent_key_messages if command == 0x02)
        device.command(KE, 0x02, confirm, endpoint=1)
        await bench.settle()
        again = [p for p in device.answers if p.cluster_id == KE and p.data[2] == 0x02]
        assert [p.data[3:] for p in again] == [first.data[3:]] * 2
        assert bench.radio.keys == keys
        assert causes(bench) == []

    with_hub(scenario)


def test_exchanges_are_forgotten_after_a_while() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        await asyncio.sleep(30)
        device.command(KE, 0x02, device.sent_key_messages[-1][1], endpoint=1)
        await bench.settle()
        assert len(bench.hub._key_establishments) == 1
        await asyncio.sleep(60)
        assert len(bench.hub._key_establishments) == 0

    with_hub(scenario)


# -- ten failures in a row ------------------------------------------------------------------------


def test_ten_failures_in_a_row_are_followed_by_a_quarter_of_an_hour_of_rest() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench, 3600)
        initiate = b"\x05\x00\x0b\x10" + bytes(74)  # an unknown suite
        for number in range(10):
            device.command(KE, 0x00, initiate + bytes([number]), endpoint=1)
            await bench.settle()
        assert [note.kind for note in bench.of(Note)].count("key-establishment-paused") == 1
        device.answers.clear()
        await device.establish()
        assert statuses(device.answers) == [(TerminateStatus.NO_RESOURCES, 254)]
        assert "10 failures of key establishment in a row" in causes(bench)[-1]
        assert device.established is None
        with pytest.raises(RigError, match="put off"):
            await bench.hub.establish_key(IHD_EUI64)
        await asyncio.sleep(15 * 60)
        await device.establish()
        assert device.established is not None

    with_hub(scenario, patience=Patience(begin_key_establishment_s=3600.0))


def test_a_success_ends_the_row() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        for number in range(12):
            device.command(KE, 0x00, b"\x05\x00\x0b\x10" + bytes([number]) * 74, endpoint=1)
            await bench.settle()
            if number == 6:
                await device.establish()
                assert device.established is not None
        assert "key-establishment-paused" not in [note.kind for note in bench.of(Note)]

    with_hub(scenario)


# -- the hub begins -------------------------------------------------------------------------------


class Responder(FakeDevice):
    """A device that answers key establishment rather than beginning it."""

    responder: KeyEstablishment | None = None

    def receive(self, packet: Outgoing) -> None:
        if packet.cluster_id != KE or packet.data[0] & 0x08:
            super().receive(packet)
            return
        self.answers.append(packet)
        if packet.data[2] == 0x00:
            self.responder = KeyEstablishment(
                Role.RESPONDER,
                self.identities,
                own_eui64=self.eui64,
                partner=HUB_EUI64,
                random_octets=random.Random(5).randbytes,
            )
        assert self.responder is not None
        for action in self.responder.receive(packet.data[2], packet.data[3:]):
            if isinstance(action, Send):
                frame = bytes((0x19, packet.data[1], int(action.command_id))) + action.payload
                self.packet(frame, cluster=KE, endpoint=packet.source_endpoint)
            elif isinstance(action, Established):
                self.established = action


def test_the_hub_can_begin_key_establishment_itself() -> None:
    async def scenario(bench: Bench) -> None:
        device = Responder(bench, CAD, 0x3333)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=600))
        device.associate()
        device.announce()
        await bench.settle()
        await bench.hub.establish_key(CAD_EUI64)
        await bench.settle()
        assert device.established is not None
        assert bench.radio.keys == {CAD_EUI64: device.established.link_key}
        assert last(bench) == (JoinOutcome.AUTHORISED, "")
        sent = [p for p in bench.radio.sent if p.cluster_id == KE]
        assert [p.data[2] for p in sent] == [0x00, 0x01, 0x02]
        assert all(p.data[0] == 0x11 for p in sent)  # requests, no Default Response wanted
        assert len({p.data[1] for p in sent}) == 3
        assert not any(p.aps_encrypt for p in sent)

    with_hub(scenario)


def test_a_device_that_does_not_answer_the_hub_fails_with_the_step() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await bench.hub.establish_key(IHD_EUI64)
        with pytest.raises(RigError, match="under way"):
            await bench.hub.establish_key(IHD_EUI64)
        await asyncio.sleep(11)
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert "Initiate Key Establishment did not come within 10 s" in cause
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_the_hub_begins_nothing_with_a_device_that_is_not_there() -> None:
    async def scenario(bench: Bench) -> None:
        with pytest.raises(RigError, match="on the network"):
            await bench.hub.establish_key(IHD_EUI64)
        with pytest.raises(RigError, match="not in the device log"):
            await bench.hub.establish_key(Eui64("00:00:00:00:00:00:00:99"))

    with_hub(scenario)


# -- killed between the key and its confirmation ---------------------------------------------------


class Frozen(Vault):
    """Keeps what was saved up to an instant: what a kill leaves of a file."""

    def __init__(self) -> None:
        self.kept = KeptLog()
        self.frozen: KeptLog | None = None

    def load(self) -> KeptLog:
        return self.frozen or self.kept

    def save(self, log: KeptLog) -> None:
        self.kept = log


def killed_before_the_confirmation() -> tuple[Frozen, dict[Eui64, Secret], Secret]:
    """Vault and key table at the instant at which the confirmation would have left."""
    vault, radio = Frozen(), FakeCoordinator()
    table: dict[Eui64, Secret] = {}
    derived: list[Secret] = []

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)

        def delivers(packet: Outgoing) -> bool:
            if packet.cluster_id == KE and packet.data[2] == 0x02:
                vault.frozen = vault.kept
                table.update(bench.radio.keys)
            return True

        bench.radio.delivers = delivers
        await device.establish()
        assert device.established is not None
        derived.append(device.established.link_key)

    with_hub(scenario, vault=vault, radio=radio)
    assert table == {IHD_EUI64: derived[0]}
    return vault, table, derived[0]


def test_a_key_whose_confirmation_was_cut_off_does_not_count_until_it_is_used() -> None:
    vault, table, key = killed_before_the_confirmation()

    async def scenario(bench: Bench) -> None:
        assert not bench.hub.authorised(IHD_EUI64)
        assert bench.radio.keys == {IHD_EUI64: key}
        device = bench.device()
        assert await device.read(0x0702, 0x0000) is not None  # it has the key after all
        assert bench.hub.authorised(IHD_EUI64)
        assert vault.kept.devices[0].state is KeyState.ESTABLISHED

    with_hub(scenario, vault=vault, radio=FakeCoordinator(table))


def test_a_device_that_did_not_get_it_may_begin_again() -> None:
    vault, table, _ = killed_before_the_confirmation()

    async def scenario(bench: Bench) -> None:
        device = bench.device()
        await device.establish()
        assert device.established is not None
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, vault=vault, radio=FakeCoordinator(table))


def test_and_one_that_never_comes_leaves_no_key() -> None:
    vault, table, _ = killed_before_the_confirmation()

    async def scenario(bench: Bench) -> None:
        await asyncio.sleep(3601)
        assert bench.radio.keys == {}
        assert vault.kept.devices[0].state is KeyState.NONE

    with_hub(scenario, vault=vault, radio=FakeCoordinator(table))


# -- in the NCP -----------------------------------------------------------------------------------


class Engine(RadioKeyEngine):
    """An NCP's key establishment, with the mathematics of the host."""

    suites = frozenset({2})

    def __init__(self, radio: FakeCoordinator) -> None:
        self.radio = radio
        self.identity = IDENTITIES[HUB_EUI64][2]
        self.calls: list[str] = []
        self.fails = ""
        self.delay_s = 0.0

    async def certificate(self, suite: int) -> bytes:
        return self.identity.certificate

    async def generate(self, suite: int) -> bytes:
        await self._do("generate")
        self.pair = EphemeralKey.generate(CURVES[2], random.Random(9).randbytes)
        return self.pair.public_key

    async def calculate(
        self, suite: int, *, initiator: bool, certificate: bytes, ephemeral: bytes
    ) -> tuple[bytes, bytes] | None:
        await self._do("calculate")
        try:
            partner = parse_certificate(2, certificate)
            public = partner.public_key(self.identity.ca_public_key)
            self.keys: KeyMaterial = self.pair.agree(self.identity.private_key, public, ephemeral)
        except (CertificateError, PointError):
            return None
        own = self.pair.public_key
        parties: tuple[Any, ...] = (partner.subject, HUB_EUI64, ephemeral, own)
        if initiator:
            parties = (HUB_EUI64, partner.subject, own, ephemeral)
        return self.keys.macu(*parties), self.keys.macv(*parties)

    async def store(self, suite: int, partner: Eui64) -> Secret:
        await self._do("store")
        self.radio.keys[partner] = self.keys.link_key
        return self.keys.link_key

    async def discard(self, suite: int) -> None:
        await self._do("discard")

    async def _do(self, what: str) -> None:
        self.calls.append(what)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if what == self.fails:
            raise RigError(f"no {what}", where="ncp")


def no_file(own: Eui64) -> dict[int, Any]:
    """No certificate in a file: the NCP's own has to do."""
    return {}


def with_engine() -> tuple[FakeCoordinator, Engine]:
    radio = FakeCoordinator()
    engine = radio.engine = Engine(radio)
    return radio, engine


def test_the_ncp_does_the_arithmetic_when_it_can() -> None:
    radio, engine = with_engine()

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert device.established is not None
        assert radio.keys == {IHD_EUI64: device.established.link_key}
        assert engine.calls == ["generate", "calculate", "store"]
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=radio, identities=no_file)


def test_a_spoiled_point_is_refused_and_the_ncp_freed() -> None:
    radio, engine = with_engine()

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        certificate = IDENTITIES[IHD_EUI64][2].certificate
        device.command(KE, 0x00, b"\x02\x00\x0b\x10" + certificate, endpoint=1)
        await bench.settle()
        device.command(KE, 0x01, b"\x02" + b"\xff" * 36, endpoint=1)
        await bench.settle()
        assert statuses(device.answers)[-1][0] == TerminateStatus.BAD_MESSAGE
        assert engine.calls == ["generate", "calculate", "discard"]
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=radio, identities=no_file)


def test_a_second_device_is_told_to_wait_while_the_ncp_is_busy() -> None:
    radio, engine = with_engine()
    engine.delay_s = 1.0

    async def scenario(bench: Bench) -> None:
        ihd = await joined(bench)
        cad = bench.device(CAD, 0x2222)
        await bench.hub.pair(PairingRequest(eui64=CAD_EUI64, window_s=600))
        cad.associate()
        cad.announce()
        await ihd.establish()
        await cad.establish()
        assert statuses(cad.answers) == [(TerminateStatus.NO_RESOURCES, 10)]
        await asyncio.sleep(5)
        assert bench.hub.authorised(IHD_EUI64)
        await cad.establish()
        await asyncio.sleep(5)
        assert bench.hub.authorised(CAD_EUI64)

    with_hub(scenario, radio=radio, identities=no_file)


@pytest.mark.parametrize("step", ["generate", "calculate", "store"])
def test_an_ncp_that_fails_ends_the_attempt_and_says_where(step: str) -> None:
    radio, engine = with_engine()
    engine.fails = step

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert f"no {step}" in cause
        assert radio.keys == {IHD_EUI64: IHD_KEY}
        assert statuses(device.answers)[-1][0] == TerminateStatus.NO_RESOURCES
        engine.fails = ""
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=radio, identities=no_file)


def test_the_host_can_be_told_to_do_it_all_the_same() -> None:
    radio, engine = with_engine()

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert engine.calls == []
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=radio, key_engine=KeyEngine.HOST)


def test_a_radio_that_must_and_cannot_is_refused() -> None:
    async def scenario(bench: Bench) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(ConfigurationError, match="no key establishment of its own for suite 2"):
        with_hub(scenario, key_engine=KeyEngine.RADIO)


def test_the_issuer_is_compared_with_the_ncps_own_certificate() -> None:
    radio, engine = with_engine()
    engine.identity = AUTHORITY.issue(HUB_EUI64, random.Random(3).randbytes)

    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, radio=radio, identities=no_file)
