"""The key establishment machine: both sides against each other, and against everything else."""

import dataclasses
import random

import pytest
from cbke_support import (
    DEVICE,
    HUB,
    ISSUER,
    authority,
    ended,
    initiator,
    lab_identity,
    link_key,
    only_send,
    responder,
    run,
    seeded,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.events import Step
from labctl.smart_energy.cbke import (
    Action,
    CommandId,
    Established,
    KeyEstablishment,
    Role,
    Send,
    State,
    Terminated,
    TerminateStatus,
)
from labctl.smart_energy.cbke_messages import Initiate, Terminate
from labctl.smart_energy.certificates import Suite2Certificate
from labctl.smart_energy.curves import CURVES
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.lab_ca import LabCertificateAuthority

suites = pytest.mark.parametrize("suite", [1, 2])
roles = pytest.mark.parametrize("role", list(Role))

INITIATE, EPHEMERAL, CONFIRM, TERMINATE = CommandId


def advanced(
    role: Role, state: State, suite: int = 1
) -> tuple[KeyEstablishment, KeyEstablishment, Send | None]:
    """A machine brought to `state`, its partner, and the partner's message that it awaits.

    The message is None where nothing is awaited, and where a responder has yet to be asked.
    """
    device, hub = initiator(suite), responder(suite)
    subject, partner = (device, hub) if role is Role.INITIATOR else (hub, device)
    if subject.state is state:
        return subject, partner, None
    sender, message = device, only_send(device.start())
    while True:
        receiver = hub if sender is device else device
        if subject.state is state and receiver is subject:
            return subject, partner, message
        actions = receiver.receive(message.command_id, message.payload)
        sends = [action for action in actions if isinstance(action, Send)]
        if not sends:
            return subject, partner, None
        sender, message = receiver, sends[0]


def assert_terminates(
    actions: list[Action], status: TerminateStatus, says: str = "", suites: int = 1
) -> None:
    send, terminated = actions
    assert isinstance(send, Send)
    assert isinstance(terminated, Terminated)
    assert send.command_id is CommandId.TERMINATE
    assert Terminate.decode(send.payload) == Terminate(status, 10, suites)
    assert terminated.status is status
    assert not terminated.by_partner
    assert terminated.wait_s == 10
    assert says in terminated.cause


# -- when all goes well ---------------------------------------------------------------------------


@suites
def test_both_sides_establish_the_same_key(suite: int) -> None:
    device, hub = initiator(suite), responder(suite)
    by_device, by_hub = run(device, hub)
    key = link_key(by_device)
    assert key is not None
    assert len(key) == 16
    assert key == link_key(by_hub)
    assert device.state is hub.state is State.ESTABLISHED
    assert device.is_over
    assert device.deadline_s is hub.deadline_s is None


def test_each_exchange_gives_another_key() -> None:
    keys = {link_key(run(initiator(1, random_octets=seeded(n)), responder(1))[0]) for n in range(3)}
    assert len(keys) == 3


@suites
def test_responder_has_the_key_before_it_sends_its_confirmation(suite: int) -> None:
    hub, _, message = advanced(Role.RESPONDER, State.AWAITING_CONFIRM_KEY, suite)
    assert message is not None
    established, send = hub.receive(message.command_id, message.payload)
    assert isinstance(established, Established)
    assert isinstance(send, Send)
    assert send.command_id is CommandId.CONFIRM_KEY


@suites
def test_established_tells_whose_certificate_it_was(suite: int) -> None:
    by_device, by_hub = run(initiator(suite), responder(suite))
    for actions, partner in ((by_device, HUB), (by_hub, DEVICE)):
        (established,) = (a for a in actions if isinstance(a, Established))
        assert established.suite == suite
        assert established.partner_certificate.subject == partner
        assert established.partner_certificate.issuer == ISSUER


def test_initiator_takes_the_highest_suite_that_it_has() -> None:
    device, hub = initiator(1, 2), responder(1, 2)
    run(device, hub)
    assert device.suite == hub.suite == 2


def test_initiator_takes_the_suite_that_it_is_told() -> None:
    device, hub = initiator(1, 2, suite=1), responder(1, 2)
    assert hub.suite is None
    run(device, hub)
    assert device.suite == hub.suite == 1


@roles
def test_steps_are_told_as_they_are_reached(role: Role) -> None:
    for state, step in (
        (State.AWAITING_INITIATE, Step.KEY_INITIATE),
        (State.AWAITING_EPHEMERAL_DATA, Step.KEY_EPHEMERAL),
        (State.AWAITING_CONFIRM_KEY, Step.KEY_CONFIRM),
        (State.ESTABLISHED, Step.KEY_CONFIRM),
    ):
        machine, _, _ = advanced(role, state)
        assert machine.state is state
        assert machine.step is step


def test_keys_do_not_print() -> None:
    device, hub = initiator(2), responder(2)
    by_device, by_hub = run(device, hub)
    key = link_key(by_device)
    assert key is not None
    text = repr(by_device) + repr(by_hub) + repr(vars(device)) + repr(vars(hub))
    for secret in (key, lab_identity(2, HUB).private_key.reveal()):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text


# -- time -----------------------------------------------------------------------------------------


def test_each_side_waits_what_the_other_declared_and_two_seconds_more() -> None:
    device = initiator(1, ephemeral_time_s=5, confirm_time_s=7)
    hub = responder(1, ephemeral_time_s=20, confirm_time_s=30)
    assert device.deadline_s is None
    assert hub.deadline_s is None
    message = only_send(device.start())
    assert device.deadline_s == 10
    for by_hub, by_device in ((7, 22), (9, 32)):
        message = only_send(hub.receive(message.command_id, message.payload))
        assert hub.deadline_s == by_hub
        message = only_send(device.receive(message.command_id, message.payload))
        assert device.deadline_s == by_device


@roles
@pytest.mark.parametrize("state", [State.AWAITING_EPHEMERAL_DATA, State.AWAITING_CONFIRM_KEY])
def test_timeout_ends_it_in_silence_and_says_what_was_missing(role: Role, state: State) -> None:
    machine, _, _ = advanced(role, state)
    (terminated,) = machine.timed_out()
    assert isinstance(terminated, Terminated)
    assert terminated.status is None
    assert not terminated.by_partner
    awaited = "Ephemeral Data" if state is State.AWAITING_EPHEMERAL_DATA else "Confirm Key"
    seconds = 13 if state is State.AWAITING_EPHEMERAL_DATA else 18
    assert terminated.cause == f"{awaited} did not come within {seconds} s"
    assert machine.state is State.TERMINATED
    assert machine.step is (
        Step.KEY_EPHEMERAL if state is State.AWAITING_EPHEMERAL_DATA else Step.KEY_CONFIRM
    )
    assert machine.timed_out() == []


def test_first_response_that_does_not_come_is_a_timeout_too() -> None:
    device = initiator(1)
    device.start()
    assert "Initiate Key Establishment did not come within 10 s" in ended(device.timed_out()).cause


def test_nothing_times_out_while_nothing_is_awaited() -> None:
    for machine in (initiator(1), responder(1)):
        assert machine.timed_out() == []
        assert not machine.is_over
    device, hub = initiator(1), responder(1)
    run(device, hub)
    assert device.timed_out() == hub.timed_out() == []
    assert hub.state is State.ESTABLISHED


@roles
def test_message_after_the_timeout_is_answered_bad_message(role: Role) -> None:
    machine, _, message = advanced(role, State.AWAITING_CONFIRM_KEY)
    assert message is not None
    machine.timed_out()
    send = only_send(machine.receive(message.command_id, message.payload))
    assert Terminate.decode(send.payload).status is TerminateStatus.BAD_MESSAGE
    assert machine.state is State.TERMINATED


# -- suites ---------------------------------------------------------------------------------------


def test_suite_that_the_hub_lacks_is_unsupported() -> None:
    by_device, by_hub = run(initiator(1), responder(2))
    assert_terminates(
        by_hub,
        TerminateStatus.UNSUPPORTED_SUITE,
        "the partner asked for suite 1; supported here: 2",
        suites=2,
    )
    terminated = ended(by_device)
    assert terminated.by_partner
    assert terminated.status is TerminateStatus.UNSUPPORTED_SUITE
    assert "supports the suites of bitmap 0002" in terminated.cause


def test_suite_that_the_hub_was_told_not_to_offer_is_unsupported() -> None:
    _, by_hub = run(initiator(1), responder(1, 2, suite=2))
    assert_terminates(by_hub, TerminateStatus.UNSUPPORTED_SUITE, "supported here: 2", suites=2)


def test_hub_without_certificates_supports_no_suite() -> None:
    _, by_hub = run(initiator(1), responder())
    assert_terminates(by_hub, TerminateStatus.UNSUPPORTED_SUITE, "supported here: none", suites=0)


def test_terminate_names_all_suites_of_the_sender() -> None:
    actions = responder(1, 2).receive(INITIATE, b"\x04\x00")
    assert_terminates(actions, TerminateStatus.UNSUPPORTED_SUITE, "bitmap 0004", suites=3)


def test_more_than_one_suite_is_a_bad_message() -> None:
    payload = b"\x03" + only_send(initiator(1).start()).payload[1:]
    actions = responder(1).receive(INITIATE, payload)
    assert_terminates(actions, TerminateStatus.BAD_MESSAGE, "more than one suite")


def test_answer_with_another_suite_than_asked_is_a_bad_message() -> None:
    device = initiator(1, 2)
    device.start()
    answer = Initiate(1, 1, 1, lab_identity(1, HUB).certificate).encode()
    actions = device.receive(INITIATE, answer)
    assert_terminates(
        actions,
        TerminateStatus.BAD_MESSAGE,
        "answered with suite 1 where suite 2 was asked",
        suites=3,
    )


# -- certificates ---------------------------------------------------------------------------------


@roles
@suites
def test_unknown_issuer_is_told_with_both_issuers(role: Role, suite: int) -> None:
    other_issuer = Eui64("a1a2a3a4a5a6a7a8")
    foreign = LabCertificateAuthority.generate(suite, other_issuer, seeded(31))
    if role is Role.RESPONDER:
        device = initiator(identities={suite: foreign.issue(DEVICE, seeded(32))})
        hub = responder(suite)
        refused, told = reversed(run(device, hub))
    else:
        device = initiator(suite)
        hub = responder(identities={suite: foreign.issue(HUB, seeded(32))})
        # This hub would refuse first: let it take the device for one of its own.
        disguise = foreign.issue(DEVICE, seeded(33))

        def disguised(sender: KeyEstablishment, send: Send) -> Send:
            if sender is device and send.command_id is INITIATE:
                return Send(INITIATE, Initiate(suite, 1, 1, disguise.certificate).encode())
            return send

        refused, told = run(device, hub, disguised)
    ours = ended(refused)
    assert ours.status is TerminateStatus.UNKNOWN_ISSUER
    assert not ours.by_partner
    assert str(other_issuer) in ours.cause
    assert str(ISSUER) in ours.cause
    theirs = ended(told)
    assert theirs.status is TerminateStatus.UNKNOWN_ISSUER
    assert theirs.by_partner
    assert link_key(refused) is link_key(told) is None


def test_partner_who_does_not_know_our_issuer_is_quoted_with_both() -> None:
    hub, _, _ = advanced(Role.RESPONDER, State.AWAITING_EPHEMERAL_DATA)
    cause = ended(hub.receive(TERMINATE, b"\x01\x1e\x01\x00")).cause
    assert f"does not accept certificates issued by {ISSUER}" in cause
    assert f"its own certificate is from {ISSUER}" in cause
    device, _, _ = advanced(Role.INITIATOR, State.AWAITING_INITIATE)
    cause = ended(device.receive(TERMINATE, b"\x01\x1e\x01\x00")).cause
    assert "the issuer of its own certificate did not become known" in cause


@suites
def test_certificate_of_another_device_is_invalid(suite: int) -> None:
    stolen = authority(suite).issue(Eui64("2" * 16), seeded(41))
    hub = responder(suite)
    actions = hub.receive(INITIATE, Initiate(suite, 1, 1, stolen.certificate).encode())
    assert_terminates(
        actions,
        TerminateStatus.INVALID_CERTIFICATE,
        f"the certificate is of 22:22:22:22:22:22:22:22, but {DEVICE} sent it",
        suites=suite,
    )
    assert hub.partner_certificate is not None
    assert hub.partner_certificate.subject == Eui64("2" * 16)


@roles
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"key_usage": 0x80}, "lacks key agreement"),
        ({"type": 1}, "type is 01"),
        ({"curve": 0x0C}, "curve is 0c"),
        ({"hash": 0x09}, "hash is 09"),
        ({"reconstruction_point": bytes(37)}, "reconstruction point: a compressed point starts"),
    ],
)
def test_certificate_unfit_for_key_agreement_is_invalid(
    role: Role, change: dict, says: str
) -> None:
    machine, partner, _ = advanced(role, State.AWAITING_INITIATE, 2)
    good = lab_identity(2, partner.own_eui64).parsed
    assert isinstance(good, Suite2Certificate)
    bad = dataclasses.replace(good, **change).octets
    actions = machine.receive(INITIATE, Initiate(2, 1, 1, bad).encode())
    assert_terminates(actions, TerminateStatus.INVALID_CERTIFICATE, says, suites=2)


def test_certificate_of_the_right_issuers_name_but_another_key_fails_the_confirmation() -> None:
    impostor = LabCertificateAuthority.generate(1, ISSUER, seeded(51))
    device = initiator(identities={1: impostor.issue(DEVICE, seeded(52))})
    by_device, by_hub = run(device, responder(1))
    assert ended(by_hub).status is TerminateStatus.BAD_KEY_CONFIRM
    assert ended(by_device).by_partner
    assert link_key(by_device) is link_key(by_hub) is None


# -- confirmation ---------------------------------------------------------------------------------


def test_wrong_macu_ends_it_before_any_key() -> None:
    hub, _, message = advanced(Role.RESPONDER, State.AWAITING_CONFIRM_KEY)
    assert message is not None
    wrong = bytes([message.payload[0] ^ 1]) + message.payload[1:]
    actions = hub.receive(CONFIRM, wrong)
    assert_terminates(actions, TerminateStatus.BAD_KEY_CONFIRM, "(MACU) is wrong")
    # ... and the right one does not help any more.
    send = only_send(hub.receive(CONFIRM, message.payload))
    assert send.command_id is CommandId.TERMINATE


def test_wrong_macv_ends_it_on_both_sides_and_the_hub_takes_its_key_back() -> None:
    def corrupted(sender: KeyEstablishment, send: Send) -> Send:
        if sender.role is Role.RESPONDER and send.command_id is CONFIRM:
            return Send(CONFIRM, bytes(16))
        return send

    by_device, by_hub = run(initiator(1), responder(1), corrupted)
    assert ended(by_device).status is TerminateStatus.BAD_KEY_CONFIRM
    assert "(MACV) is wrong" in ended(by_device).cause
    assert link_key(by_device) is None
    established, terminated = (a for a in by_hub if not isinstance(a, Send))
    assert isinstance(established, Established)
    assert isinstance(terminated, Terminated)
    assert terminated.by_partner
    assert terminated.status is TerminateStatus.BAD_KEY_CONFIRM


@suites
def test_macu_echoed_as_macv_is_not_accepted(suite: int) -> None:
    device, hub = initiator(suite), responder(suite)
    message = only_send(device.start())
    for _ in range(2):
        message = only_send(hub.receive(message.command_id, message.payload))
        message = only_send(device.receive(message.command_id, message.payload))
    assert message.command_id is CommandId.CONFIRM_KEY
    actions = device.receive(CONFIRM, message.payload)
    assert_terminates(actions, TerminateStatus.BAD_KEY_CONFIRM, suites=suite)


# -- bad messages ---------------------------------------------------------------------------------

AWAITED = {
    State.AWAITING_INITIATE: INITIATE,
    State.AWAITING_EPHEMERAL_DATA: EPHEMERAL,
    State.AWAITING_CONFIRM_KEY: CONFIRM,
}


@roles
@pytest.mark.parametrize(
    ("state", "command"),
    [
        (state, command)
        for state, awaited in AWAITED.items()
        for command in (INITIATE, EPHEMERAL, CONFIRM)
        if command is not awaited
    ],
)
def test_message_out_of_order_is_a_bad_message(
    role: Role, state: State, command: CommandId
) -> None:
    machine, _, _ = advanced(role, state)
    actions = machine.receive(command, b"whatever is in it")
    assert_terminates(
        actions,
        TerminateStatus.BAD_MESSAGE,
        f"{command.label} came while {AWAITED[state].label} was awaited",
    )


@roles
@pytest.mark.parametrize("state", AWAITED)
@pytest.mark.parametrize("extra", [-1, 1])
def test_message_of_a_wrong_length_is_a_bad_message(role: Role, state: State, extra: int) -> None:
    machine, _, message = advanced(role, state)
    payload = only_send(initiator(1).start()).payload if message is None else message.payload
    payload = payload[:-1] if extra < 0 else payload + b"\0"
    actions = machine.receive(AWAITED[state], payload)
    assert_terminates(actions, TerminateStatus.BAD_MESSAGE, f"{len(payload)} octets")


@roles
@suites
def test_ephemeral_data_that_is_no_public_key_is_a_bad_message(role: Role, suite: int) -> None:
    curve = CURVES[suite]
    small = curve.add(curve.generator, type(curve.generator)(0, 1))
    assert small is not None
    for payload, says in (
        (bytes(curve.point_octets), "starts with 02 or 03"),
        (b"\x02" + bytes(curve.field.octets), "order 2"),
        (curve.compress(small), "not of the order of the base point"),
    ):
        machine, _, _ = advanced(role, State.AWAITING_EPHEMERAL_DATA, suite)
        actions = machine.receive(EPHEMERAL, payload)
        assert_terminates(actions, TerminateStatus.BAD_MESSAGE, says, suites=suite)


def test_ephemeral_data_that_cancels_the_certificates_key_is_a_bad_message() -> None:
    """Q_E = -avf(Q_E)·Q makes Z the point at infinity; it can be made for a chosen avf alone."""
    curve = CURVES[1]
    hub, _, _ = advanced(Role.RESPONDER, State.AWAITING_EPHEMERAL_DATA)
    ephemeral = curve.multiply(5, curve.generator)
    assert ephemeral is not None
    half = (ephemeral.x & (1 << 82) - 1) | 1 << 82
    # Choose the static key so that it fits the ephemeral one: Q = -avf^-1 · Q_E.
    hub._partner_public_key = curve.multiply(-pow(half, -1, curve.n), ephemeral)
    actions = hub.receive(EPHEMERAL, curve.compress(ephemeral))
    assert_terminates(actions, TerminateStatus.BAD_MESSAGE, "point at infinity")


# -- repetitions and latecomers -------------------------------------------------------------------


@suites
def test_exchange_survives_every_message_arriving_twice(suite: int) -> None:
    device, hub = initiator(suite), responder(suite)
    seen: list[Action] = []
    message = only_send(device.start())
    receiver, other = hub, device
    while True:
        actions = receiver.receive(message.command_id, message.payload)
        again = receiver.receive(message.command_id, message.payload)
        seen += actions
        assert again == [action for action in actions if isinstance(action, Send)]
        sends = [action for action in actions if isinstance(action, Send)]
        if not sends:
            break
        message = sends[0]
        receiver, other = other, receiver
    keys = [a.link_key for a in seen if isinstance(a, Established)]
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_repeated_confirmation_request_is_answered_without_another_key() -> None:
    hub, _, message = advanced(Role.RESPONDER, State.AWAITING_CONFIRM_KEY)
    assert message is not None
    _, first = hub.receive(message.command_id, message.payload)
    assert hub.receive(message.command_id, message.payload) == [first]
    assert hub.state is State.ESTABLISHED


def test_repeated_bad_message_gets_the_same_terminate_once_more() -> None:
    hub = responder(1)
    send, _ = hub.receive(INITIATE, b"\x04\x00")
    assert hub.receive(INITIATE, b"\x04\x00") == [send]


@roles
def test_latecomers_do_not_disturb_an_established_key(role: Role) -> None:
    machine, _, _ = advanced(role, State.ESTABLISHED)
    assert machine.receive(EPHEMERAL, bytes(22)) == []
    assert machine.receive(INITIATE, bytes(52)) == []
    assert machine.state is State.ESTABLISHED


def test_machine_that_has_not_begun_ignores_what_is_left_of_an_older_attempt() -> None:
    device, hub = initiator(1), responder(1)
    for command in (INITIATE, EPHEMERAL, CONFIRM, TERMINATE):
        assert device.receive(command, bytes(16)) == []
    assert hub.receive(TERMINATE, b"\x03\x0a\x01\x00") == []
    assert device.state is State.IDLE
    assert hub.state is State.AWAITING_INITIATE


@roles
def test_frames_of_the_other_direction_and_unknown_commands_are_ignored(role: Role) -> None:
    machine, _, message = advanced(role, State.AWAITING_EPHEMERAL_DATA)
    assert message is not None
    for command in (INITIATE, EPHEMERAL, CONFIRM):
        assert machine.receive(command, message.payload, role is Role.RESPONDER) == []
    for command in (4, 0x7F, 0xFF, -1, 1000):
        assert machine.receive(command, b"") == []
    assert machine.receive(message.command_id, message.payload, role is Role.INITIATOR) != []


# -- the partner ends it --------------------------------------------------------------------------


@roles
@pytest.mark.parametrize("status", [*TerminateStatus, TerminateStatus(0), TerminateStatus(0x77)])
def test_partners_terminate_is_told_and_never_answered(role: Role, status: TerminateStatus) -> None:
    machine, _, _ = advanced(role, State.AWAITING_EPHEMERAL_DATA)
    (terminated,) = machine.receive(TERMINATE, Terminate(status, 77, 2).encode())
    assert isinstance(terminated, Terminated)
    assert terminated.status == status
    assert terminated.by_partner
    assert terminated.wait_s == 77
    assert status.name in terminated.cause
    assert machine.state is State.TERMINATED
    assert machine.receive(TERMINATE, Terminate(status, 77, 2).encode()) == []


def test_terminate_that_is_malformed_ends_it_as_well() -> None:
    machine, _, _ = advanced(Role.RESPONDER, State.AWAITING_EPHEMERAL_DATA)
    (terminated,) = machine.receive(TERMINATE, b"\x01")
    assert isinstance(terminated, Terminated)
    assert terminated.status is None
    assert terminated.by_partner
    assert "1 octets" in terminated.cause


# -- the owner ends it ----------------------------------------------------------------------------


def test_busy_hub_refuses_with_no_resources() -> None:
    actions = responder(1, wait_s=10).abort("another device is being dealt with")
    assert_terminates(actions, TerminateStatus.NO_RESOURCES, "another device")


def test_key_that_could_not_be_installed_is_taken_back_and_not_confirmed_later() -> None:
    hub, _, message = advanced(Role.RESPONDER, State.AWAITING_CONFIRM_KEY)
    assert message is not None
    hub.receive(message.command_id, message.payload)
    assert_terminates(hub.abort("key table full"), TerminateStatus.NO_RESOURCES, "key table full")
    send = only_send(hub.receive(message.command_id, message.payload))
    assert send.command_id is CommandId.TERMINATE
    assert hub.abort("again") == []
    assert hub.lost("again") == []


@roles
@pytest.mark.parametrize("state", [*AWAITED, State.ESTABLISHED])
def test_lost_link_ends_it_without_a_word(role: Role, state: State) -> None:
    machine, _, _ = advanced(role, state)
    (terminated,) = machine.lost("no acknowledgement")
    assert terminated == Terminated(None, by_partner=False, wait_s=10, cause="no acknowledgement")
    assert machine.state is State.TERMINATED


# -- misuse by the owner --------------------------------------------------------------------------


def test_only_an_initiator_starts_and_only_once() -> None:
    device = initiator(1)
    device.start()
    for machine in (device, responder(1)):
        with pytest.raises(RuntimeError, match="only once"):
            machine.start()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"identities": {1: lab_identity(1, HUB)}}, f"is of {HUB}, not of {DEVICE}"),
        ({"identities": {2: lab_identity(1, DEVICE)}}, "under suite 2 is of suite 1"),
        ({"suite": 2}, "no certificate of suite 2"),
        ({"identities": {}}, "needs a certificate"),
        ({"ephemeral_time_s": 255}, "ephemeral_time_s must be between 0 and 254"),
        ({"confirm_time_s": -1}, "confirm_time_s must be between 0 and 254"),
        ({"wait_s": 300}, "wait_s must be between 0 and 254"),
    ],
)
def test_machine_that_cannot_work_is_refused_at_once(options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        initiator(1, **options)


# -- anything at all ------------------------------------------------------------------------------

payloads = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([4, 16, 22, 52, 78]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
)


def assert_sound(machine: KeyEstablishment, actions: list[Action]) -> None:
    """Whatever came: nothing, an answer with the machine going on, or the end told once."""
    terminated = [a for a in actions if isinstance(a, Terminated)]
    assert len(terminated) <= 1
    if terminated:
        assert machine.state is State.TERMINATED
        assert terminated[0].cause
    assert (machine.deadline_s is None) or not machine.is_over


@given(st.sampled_from(Role), st.sampled_from(State), st.integers(0, 5), payloads)
@settings(max_examples=40, deadline=None)
def test_no_payload_raises_or_establishes_a_key(
    role: Role, state: State, command: int, payload: bytes
) -> None:
    if state is State.TERMINATED or (role is Role.RESPONDER and state is State.IDLE):
        return
    machine, _, _ = advanced(role, state)
    actions = machine.receive(command, payload)
    assert not any(isinstance(action, Established) for action in actions)
    assert_sound(machine, actions)


@given(
    st.sampled_from(Role),
    st.sampled_from(list(AWAITED)),
    st.integers(min_value=0),
    st.integers(min_value=1, max_value=255),
)
@settings(max_examples=20, deadline=None)
def test_no_single_changed_octet_of_a_good_message_establishes_a_key(
    role: Role, state: State, place: int, change: int
) -> None:
    machine, partner, message = advanced(role, state)
    if message is None:
        message = only_send(partner.start())
    payload = bytearray(message.payload)
    payload[place % len(payload)] ^= change
    todo: list[tuple[KeyEstablishment, Action]] = [
        (machine, a) for a in machine.receive(message.command_id, bytes(payload))
    ]
    established = 0
    while todo:
        sender, action = todo.pop(0)
        established += isinstance(action, Established)
        if isinstance(action, Send):
            receiver = partner if sender is machine else machine
            answers = receiver.receive(action.command_id, action.payload)
            assert_sound(receiver, answers)
            todo.extend((receiver, answer) for answer in answers)
    declared_times = message.command_id is INITIATE and place % len(payload) in (2, 3)
    assert established == (2 if declared_times else 0)


def test_a_long_quarrel_comes_to_an_end() -> None:
    """Two machines that are fed nonsense never make each other send for ever."""
    source = random.Random(71)
    for _ in range(30):
        device, hub = initiator(1), responder(1)

        def nonsense(_: KeyEstablishment, send: Send) -> Send:
            if source.random() < 0.4:
                return Send(source.choice(list(CommandId)), source.randbytes(source.randrange(60)))
            return send

        by_device, by_hub = run(device, hub, nonsense)
        assert len(by_device) + len(by_hub) < 40
