"""A hub that is wrong on purpose: once, with one device, and nobody else is to blame."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_radio import (
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

from labctl.errors import RigError
from labctl.events import JoinEnded, JoinOutcome, Note
from labctl.hub import PairingRequest, Patience
from labctl.hub.provocation import (
    BEGAN,
    DECLARED_S,
    ENDED,
    IN_DOUBT_S,
    SLOW_S,
    Provocation,
    Provoked,
)
from labctl.smart_energy.cbke import (
    CommandId,
    Established,
    Identity,
    KeyEstablishment,
    Role,
    Send,
    State,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.certificates import KEY_USAGE_AGREEMENT, Suite2Certificate
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority
from labctl.virtual.devices import KeyCheck
from labctl.virtual.devices.key_leniency import LenientKeyEstablishment

DEVICE_SAYS = {
    Provocation.UNKNOWN_SUITE: TerminateStatus.UNSUPPORTED_SUITE,
    Provocation.UNKNOWN_ISSUER: TerminateStatus.UNKNOWN_ISSUER,
    Provocation.WRONG_SUBJECT: TerminateStatus.INVALID_CERTIFICATE,
    Provocation.NO_KEY_AGREEMENT: TerminateStatus.INVALID_CERTIFICATE,
    Provocation.CORRUPT_CONFIRMATION: TerminateStatus.BAD_KEY_CONFIRM,
    Provocation.OUT_OF_ORDER: TerminateStatus.BAD_MESSAGE,
}
OVERLOOKS = {
    Provocation.UNKNOWN_SUITE: KeyCheck.SUITE,
    Provocation.UNKNOWN_ISSUER: KeyCheck.ISSUER,
    Provocation.WRONG_SUBJECT: KeyCheck.SUBJECT,
    Provocation.NO_KEY_AGREEMENT: KeyCheck.KEY_USAGE,
    Provocation.CORRUPT_CONFIRMATION: KeyCheck.CONFIRMATION,
}
SUITE_1 = LabCertificateAuthority.generate(1, Eui64("4c:41:42:43:54:4c:43:41"))


def of_suite(suite: int, eui64: Eui64) -> dict[int, Identity]:
    return {1: SUITE_1.issue(eui64)} if suite == 1 else IDENTITIES[eui64]


# -- the messages, against a device that looks and one that does not -------------------------------


def exchange(
    what: Provocation, hub_role: Role, suite: int, overlooks: frozenset[KeyCheck] | None = None
) -> tuple[KeyEstablishment, KeyEstablishment, Terminated | Established | None]:
    """The whole of an exchange with a hub that spoils it: both machines, and the device's end."""
    other = Role.INITIATOR if hub_role is Role.RESPONDER else Role.RESPONDER
    sides: dict[str, Any] = {"own_eui64": IHD_EUI64, "partner": HUB_EUI64}
    identities = of_suite(suite, IHD_EUI64)
    device: KeyEstablishment
    if overlooks is None:
        device = KeyEstablishment(other, identities, **sides)
    else:
        device = LenientKeyEstablishment(
            other, identities, **sides, overlooks=overlooks, keeps_key=False
        )
    hub = KeyEstablishment(
        hub_role, of_suite(suite, HUB_EUI64), own_eui64=HUB_EUI64, partner=IHD_EUI64
    )
    provoked = Provoked(what, IHD_EUI64, hub_role)
    end: Terminated | Established | None = None
    first = hub if hub_role is Role.INITIATOR else device
    waiting = [(first, action) for action in first.start()]
    while waiting:
        sender, action = waiting.pop(0)
        if not isinstance(action, Send):
            end = action if sender is device else end
            continue
        sent = provoked.outgoing(action) if sender is hub else action
        receiver = device if sender is hub else hub
        waiting += [(receiver, each) for each in receiver.receive(sent.command_id, sent.payload)]
    return hub, device, end


@pytest.mark.parametrize("suite", [1, 2])
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("what", list(DEVICE_SAYS))
def test_each_provocation_is_answered_by_a_device_that_looks(
    what: Provocation, role: Role, suite: int
) -> None:
    _, device, end = exchange(what, role, suite)
    if what is Provocation.NO_KEY_AGREEMENT and suite == 1:
        assert isinstance(end, Established)  # there is no such field: nothing is spoiled
        return
    assert device.state is State.TERMINATED
    assert isinstance(end, Terminated)
    assert (end.status, end.by_partner) == (DEVICE_SAYS[what], False)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("what", list(OVERLOOKS))
def test_a_device_that_does_not_look_comes_to_the_hubs_own_key(
    what: Provocation, role: Role
) -> None:
    hub, device, end = exchange(what, role, 2, frozenset({OVERLOOKS[what]}))
    assert isinstance(end, Established)
    assert hub.state is device.state is State.ESTABLISHED


@pytest.mark.parametrize("role", list(Role))
def test_a_device_that_passes_over_what_is_out_of_order_goes_on_waiting(role: Role) -> None:
    _, device, end = exchange(Provocation.OUT_OF_ORDER, role, 2, frozenset({KeyCheck.ORDER}))
    assert end is None
    assert device.deadline_s is not None


def test_a_certificate_differs_in_the_one_field_alone() -> None:
    sound = IDENTITIES[HUB_EUI64][2].certificate
    initiate = Send(CommandId.INITIATE, b"\x02\x00\x0b\x10" + sound)
    for what, field in (
        (Provocation.UNKNOWN_ISSUER, "issuer"),
        (Provocation.WRONG_SUBJECT, "subject"),
        (Provocation.NO_KEY_AGREEMENT, "key_usage"),
    ):
        provoked = Provoked(what, IHD_EUI64, Role.RESPONDER)
        changed = provoked.outgoing(initiate)
        assert provoked.spoiled
        was, now = Suite2Certificate.parse(sound), Suite2Certificate.parse(changed.payload[4:])
        assert [name for name in was.__slots__ if getattr(was, name) != getattr(now, name)] == [
            field
        ]
    assert not now.key_usage & KEY_USAGE_AGREEMENT


# -- the hub ---------------------------------------------------------------------------------------


def last(bench: Bench) -> tuple[JoinOutcome, str]:
    end = bench.of(JoinEnded)[-1]
    return end.outcome, end.cause


def notes(bench: Bench, kind: str) -> list[dict[str, object]]:
    return [note.detail for note in bench.of(Note) if note.kind == kind]


async def joined(bench: Bench) -> FakeDevice:
    device = bench.device()
    await bench.hub.pair(PairingRequest(eui64=IHD_EUI64, window_s=600))
    device.associate()
    device.announce()
    await bench.settle()
    return device


def test_nothing_is_ever_wrong_unasked_and_nobody_else_is_meant() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(CAD_EUI64, Provocation.UNKNOWN_ISSUER)
        device = await joined(bench)
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)
        assert not notes(bench, BEGAN)
        assert not notes(bench, ENDED)

    with_hub(scenario)


def test_what_is_taken_back_does_not_happen() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.CORRUPT_CONFIRMATION)
        bench.hub.provoke(IHD_EUI64, None)
        device = await joined(bench)
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario)


def test_a_hub_that_is_not_running_provokes_nobody() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.hub.stop()
        with pytest.raises(RigError):
            bench.hub.provoke(IHD_EUI64, Provocation.SLOW)

    with_hub(scenario)


@pytest.mark.parametrize("what", [p for p in DEVICE_SAYS if p is not Provocation.UNKNOWN_SUITE])
def test_a_join_that_fails_for_it_says_so_and_the_next_attempt_is_sound(what: Provocation) -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, what)
        device = await joined(bench)
        await device.establish()
        outcome, cause = last(bench)
        assert outcome is JoinOutcome.FAILED
        assert cause.startswith(f"key establishment: provoked by the hub ({what.value}): ")
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert not bench.hub.authorised(IHD_EUI64)
        assert notes(bench, BEGAN) == [{"what": what.value, "begun_by": "device"}]
        (ended,) = notes(bench, ENDED)
        assert ended["status"] == DEVICE_SAYS[what]
        assert not ended["key_taken"]
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)
        assert len(notes(bench, BEGAN)) == 1

    with_hub(scenario)


def test_what_the_hub_provoked_is_not_counted_against_the_device() -> None:
    async def scenario(bench: Bench) -> None:
        device = await joined(bench)
        for _ in range(5):
            bench.hub.provoke(IHD_EUI64, Provocation.WRONG_SUBJECT)
            await device.establish()
        assert len(notes(bench, ENDED)) == 5
        assert not notes(bench, "key-establishment-paused")
        await device.establish()
        assert bench.hub.authorised(IHD_EUI64)

    with_hub(scenario, patience=Patience(failures_in_a_row=3))


def deaf_to_the_confirmation(device: FakeDevice) -> None:
    """It gets our confirmation, and does nothing with it."""
    hears = device.receive

    def receive(packet: Any) -> None:
        if packet.cluster_id == 0x0800 and packet.data[2] == CommandId.CONFIRM_KEY:
            device.answers.append(packet)
        else:
            hears(packet)

    device.bench.radio.receivers[device.nwk] = receive


def test_a_wrong_confirmation_that_the_device_says_nothing_to_leaves_the_old_key() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.CORRUPT_CONFIRMATION)
        device = await joined(bench)
        deaf_to_the_confirmation(device)
        await device.establish()
        assert not bench.hub.authorised(IHD_EUI64)
        assert bench.radio.keys != {IHD_EUI64: IHD_KEY}  # to hear whether it takes it
        await asyncio.sleep(IN_DOUBT_S + 1)
        assert bench.radio.keys == {IHD_EUI64: IHD_KEY}
        assert not bench.hub.authorised(IHD_EUI64)
        assert "neither refused the wrong confirmation nor used the key" in last(bench)[1]
        (ended,) = notes(bench, ENDED)
        assert (ended["status"], ended["key_taken"]) == (None, False)

    with_hub(scenario)


def test_a_device_that_uses_the_key_of_a_wrong_confirmation_has_it() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.CORRUPT_CONFIRMATION)
        device = await joined(bench)
        deaf_to_the_confirmation(device)
        await device.establish()
        await device.ask(b"\x00\x5a\x00\x00\x00", cluster=0x0702, endpoint=2, secured=True)
        assert bench.hub.authorised(IHD_EUI64)
        (ended,) = notes(bench, ENDED)
        assert ended["key_taken"]
        assert last(bench)[0] is JoinOutcome.AUTHORISED
        assert await device.read(0x0702, 0x0000) is not None

    with_hub(scenario)


def test_a_device_that_begins_anew_did_not_take_the_key() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.CORRUPT_CONFIRMATION)
        device = await joined(bench)
        deaf_to_the_confirmation(device)
        await device.establish()
        bench.radio.receivers[device.nwk] = device.receive
        await device.establish(ephemeral_time_s=12)
        (ended,) = notes(bench, ENDED)
        assert not ended["key_taken"]
        assert bench.hub.authorised(IHD_EUI64)
        assert device.established is not None
        assert bench.radio.keys == {IHD_EUI64: device.established.link_key}

    with_hub(scenario)


def test_a_slow_hub_takes_what_it_declared_and_a_second() -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.SLOW)
        device = await joined(bench)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await device.establish()
        assert tuple(device.answers[-1].data[5:7]) == (DECLARED_S, DECLARED_S)
        assert device.machine is not None
        assert device.machine.deadline_s == DECLARED_S + 2
        for state in (State.AWAITING_EPHEMERAL_DATA, State.AWAITING_CONFIRM_KEY):
            assert device.machine.state is state
            device.command(0x0800, *device.sent_key_messages[-1], endpoint=1)  # a repetition
            await asyncio.sleep(SLOW_S + 0.01)
            await bench.settle()
        assert bench.hub.authorised(IHD_EUI64)
        assert loop.time() - began_s == pytest.approx(2 * SLOW_S, abs=0.1)

    with_hub(scenario)


@pytest.mark.parametrize(("delay_s", "too_slow"), [(0.5, False), (1.5, True)])
def test_a_hub_that_was_kept_from_answering_says_so(delay_s: float, too_slow: bool) -> None:
    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.SLOW)
        device = await joined(bench)
        bench.radio.delay_s = delay_s
        await device.establish()
        await asyncio.sleep(4 * SLOW_S)
        await bench.settle()
        (ended,) = notes(bench, ENDED)
        assert ended["key_taken"]
        assert ended["too_slow"] is too_slow

    with_hub(scenario)


def test_nothing_is_left_of_a_wrong_confirmation_when_the_hub_stops() -> None:
    radio = FakeCoordinator()

    async def scenario(bench: Bench) -> None:
        bench.hub.provoke(IHD_EUI64, Provocation.CORRUPT_CONFIRMATION)
        device = await joined(bench)
        deaf_to_the_confirmation(device)
        await device.establish()

    with_hub(scenario, radio=radio)
    assert radio.keys in ({}, {IHD_EUI64: IHD_KEY})
