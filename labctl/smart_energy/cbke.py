"""Certificate-based key establishment as a state machine without I/O, for both sides.

The exchange (SE 1.4a, annex C) has three requests by the initiator, each with its response::

    initiator (client, a CAD)                       responder (server, the hub)
    Initiate: suite, times, certificate  ------->   checks the certificate
    checks the certificate               <-------   Initiate: suite, times, certificate
    Ephemeral Data: QEU                  ------->   derives the keys
    derives the keys                     <-------   Ephemeral Data: QEV
    Confirm Key: MACU                    ------->   checks MACU, *installs the link key*
    checks MACV, installs the link key   <-------   Confirm Key: MACV

Feed what arrives to `KeyEstablishment.receive` and carry out the actions that it returns, in their
order. Nothing here knows time: `deadline_s` says how long to wait for the partner, and
`timed_out` is to be called when that is over. Whatever the partner sends, `receive` never raises.

One machine is one attempt with one partner. Another attempt takes another machine.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping

from labctl.events import Step
from labctl.smart_energy.cbke_actions import Action, Established, Role, Send, State, Terminated
from labctl.smart_energy.cbke_engine import Agreement, Engine, Ephemeral, HostEngine
from labctl.smart_energy.cbke_messages import (
    CommandId,
    ConfirmKey,
    EphemeralData,
    Initiate,
    MessageError,
    Terminate,
    TerminateStatus,
    suite_bitmap,
)
from labctl.smart_energy.certificates import Certificate, CertificateError, parse_certificate
from labctl.smart_energy.curves import Point, PointError
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity

__all__ = [
    "BASE_TIMEOUT_S",
    "TRANSMISSION_ALLOWANCE_S",
    "Action",
    "CommandId",
    "Established",
    "Identity",
    "KeyEstablishment",
    "Role",
    "Send",
    "State",
    "TerminateStatus",
    "Terminated",
]

BASE_TIMEOUT_S = 10.0
"""How long the initiator waits for the first response, for which no time was declared yet."""

TRANSMISSION_ALLOWANCE_S = 2.0
"""Added to every time that the partner declared (SE 1.4a C.3.1.1: at least 2 s)."""

DEFAULT_WAIT_S = 10
"""What a Terminate of ours asks the partner to wait before another attempt."""


_AWAITED = {
    State.AWAITING_INITIATE: CommandId.INITIATE,
    State.AWAITING_EPHEMERAL_DATA: CommandId.EPHEMERAL_DATA,
    State.AWAITING_CONFIRM_KEY: CommandId.CONFIRM_KEY,
}

_STEPS = {
    State.AWAITING_INITIATE: Step.KEY_INITIATE,
    State.AWAITING_EPHEMERAL_DATA: Step.KEY_EPHEMERAL,
    State.AWAITING_CONFIRM_KEY: Step.KEY_CONFIRM,
}


class _Refusal(Exception):
    """Ends the exchange with a Terminate. Never leaves this module."""

    def __init__(self, status: TerminateStatus, cause: str) -> None:
        super().__init__(cause)
        self.status = status
        self.cause = cause


class KeyEstablishment:
    """One attempt at key establishment with one partner.

    `identities` are this side's certificates by suite. `suite` narrows them to one; without it the
    initiator takes the highest, and the responder whichever it is asked for. `ephemeral_time_s`
    and `confirm_time_s` (0 to 254) are declared to the partner, who waits that long and 2 s more;
    `wait_s` (0 to 254) goes into each Terminate. `random_octets` supplies the ephemeral key, unless
    an `engine` does the arithmetic elsewhere.

    Raises `ValueError` when an identity is not of `own_eui64`, when the suite is not among the
    identities, or when an initiator has none at all.
    """

    def __init__(
        self,
        role: Role,
        identities: Mapping[int, Identity],
        *,
        own_eui64: Eui64,
        partner: Eui64,
        random_octets: Callable[[int], bytes] = os.urandom,
        ephemeral_time_s: int = 11,
        confirm_time_s: int = 16,
        suite: int | None = None,
        wait_s: int = DEFAULT_WAIT_S,
        engine: Engine | None = None,
    ) -> None:
        for number, identity in identities.items():
            if identity.suite != number:
                raise ValueError(f"the identity under suite {number} is of suite {identity.suite}")
            if identity.subject != own_eui64:
                raise ValueError(
                    f"the suite {number} certificate is of {identity.subject}, not of {own_eui64}"
                )
        if suite is not None:
            if suite not in identities:
                raise ValueError(f"there is no certificate of suite {suite}")
            identities = {suite: identities[suite]}
        if role is Role.INITIATOR and not identities:
            raise ValueError("an initiator needs a certificate")
        for name, seconds in (
            ("ephemeral_time_s", ephemeral_time_s),
            ("confirm_time_s", confirm_time_s),
            ("wait_s", wait_s),
        ):
            if not 0 <= seconds <= 254:
                raise ValueError(f"{name} must be between 0 and 254, not {seconds}")

        self.role = role
        self.own_eui64 = own_eui64
        self.partner = partner
        self._identities = dict(identities)
        self._engine = engine or HostEngine(random_octets)
        self._ephemeral_time_s = ephemeral_time_s
        self._confirm_time_s = confirm_time_s
        self._wait_s = wait_s

        initiator = role is Role.INITIATOR
        self._state = State.IDLE if initiator else State.AWAITING_INITIATE
        self._step = Step.KEY_INITIATE
        self._deadline_s: float | None = None
        self._suite = max(self._identities) if initiator else None
        self._last_received: tuple[int, bytes] | None = None
        self._last_answer: list[Send] = []
        self._partner_times_s = (0, 0)
        self._partner_certificate: Certificate | None = None
        self._partner_public_key: Point | None = None
        self._ephemeral: Ephemeral | None = None
        self._keys: Agreement | None = None
        self._macu = b""
        self._macv = b""

    @property
    def state(self) -> State:
        """Where the exchange stands."""
        return self._state

    @property
    def step(self) -> Step:
        """The step that is under way; after the end, the last one reached."""
        return self._step

    @property
    def is_over(self) -> bool:
        """Whether it ended, well or not. Another attempt takes another machine."""
        return self._state in (State.ESTABLISHED, State.TERMINATED)

    @property
    def suite(self) -> int | None:
        """The suite in use: None as long as a responder does not know it."""
        return self._suite

    @property
    def _settled_suite(self) -> int:
        """The suite, where it is known: from the start (initiator) or since Initiate."""
        assert self._suite is not None
        return self._suite

    @property
    def partner_certificate(self) -> Certificate | None:
        """The partner's certificate as soon as it arrived, be it acceptable or not."""
        return self._partner_certificate

    @property
    def deadline_s(self) -> float | None:
        """How long to wait for the partner, counted from the delivery of the last `Send`.

        For what the partner declared a time for, that time and 2 s; 10 s for the first response.
        None when nothing is awaited, or (responder) nothing has begun: the time until a joiner
        begins is the trust centre's policy.
        """
        return self._deadline_s

    def start(self) -> list[Action]:
        """The initiator's first request. Raises `RuntimeError` for a responder or a second call."""
        if self.role is not Role.INITIATOR or self._state is not State.IDLE:
            raise RuntimeError("only an initiator starts, and only once")
        self._advance(State.AWAITING_INITIATE, BASE_TIMEOUT_S)
        return [Send(CommandId.INITIATE, self._initiate_payload())]

    def receive(
        self, command_id: int, payload: bytes, from_server: bool | None = None
    ) -> list[Action]:
        """A command of cluster 0x0800 from the partner. Never raises.

        `from_server` is the direction bit of the ZCL frame, None when it is of no interest. A
        command of the other direction belongs to an exchange that the partner has with our other
        side, and is ignored here; so are ids that the cluster does not have.
        """
        payload = bytes(payload)
        if command_id == CommandId.TERMINATE:
            return self._receive_terminate(payload)
        if from_server is not None and from_server is not (self.role is Role.INITIATOR):
            return []
        if command_id not in (
            CommandId.INITIATE,
            CommandId.EPHEMERAL_DATA,
            CommandId.CONFIRM_KEY,
        ):
            return []
        if (command_id, payload) == self._last_received:
            # The same message once more: our answer, or the acknowledgement of it, was lost on the
            # way, and a sender that repeats itself is not out of order. BAD_MESSAGE would end a
            # sound exchange on just those links where a repetition is most likely.
            return list(self._last_answer)
        if self._state in (State.IDLE, State.ESTABLISHED):
            # A latecomer of an attempt before this one, or of this one. A Terminate could make
            # the partner throw a good key away.
            return []
        try:
            actions = self._dispatch(CommandId(command_id), payload)
        except (_Refusal, MessageError) as refusal:
            actions = self._terminate(refusal.status, refusal.cause)
        self._last_received = (command_id, payload)
        self._last_answer = [action for action in actions if isinstance(action, Send)]
        return actions

    def timed_out(self) -> list[Action]:
        """The deadline passed without a message from the partner.

        Nothing is sent: the partner declared its times itself and knows that they are over, and
        commercial stacks keep silent here too.
        """
        if self._deadline_s is None:
            return []
        awaited = _AWAITED[self._state].label
        return self.lost(f"{awaited} did not come within {self._deadline_s:g} s")

    def lost(self, cause: str) -> list[Action]:
        """End it without a word: the link failed, or the partner answered with a Default Response.

        Also takes back an exchange that is ESTABLISHED. Does nothing when it is TERMINATED.
        """
        if self._state is State.TERMINATED:
            return []
        self._end(State.TERMINATED)
        return [Terminated(None, by_partner=False, wait_s=self._wait_s, cause=cause)]

    def abort(
        self, cause: str, status: TerminateStatus = TerminateStatus.NO_RESOURCES
    ) -> list[Action]:
        """End it with a Terminate, for a reason that the machine cannot know.

        The hub uses it when it is busy with another device, has no room for the key, or could not
        install it. Also takes back an exchange that is ESTABLISHED; does nothing when TERMINATED.
        """
        if self._state is State.TERMINATED:
            return []
        return self._terminate(status, cause)

    # -- what arrives ----------------------------------------------------------------------------

    def _dispatch(self, command: CommandId, payload: bytes) -> list[Action]:
        awaited = _AWAITED.get(self._state)
        if awaited is None:
            # Over already; tell the partner, who would wait in vain otherwise.
            return [self._terminate_message(TerminateStatus.BAD_MESSAGE)]
        if command is not awaited:
            raise _Refusal(
                TerminateStatus.BAD_MESSAGE,
                f"{command.label} came while {awaited.label} was awaited",
            )
        if command is CommandId.INITIATE:
            return self._receive_initiate(Initiate.decode(payload))
        if command is CommandId.EPHEMERAL_DATA:
            return self._receive_ephemeral(EphemeralData.decode(payload, self._settled_suite))
        return self._receive_confirm(ConfirmKey.decode(payload))

    def _receive_initiate(self, message: Initiate) -> list[Action]:
        self._accept_suite(message.suite)
        certificate = parse_certificate(message.suite, message.certificate)
        self._partner_certificate = certificate
        self._partner_public_key = self._accept_certificate(certificate)
        self._partner_times_s = (message.ephemeral_time_s, message.confirm_time_s)
        if self.role is Role.INITIATOR:
            self._ephemeral = self._generate_ephemeral()
            ephemeral_data = EphemeralData(self._ephemeral.point)
            answer = Send(CommandId.EPHEMERAL_DATA, ephemeral_data.encode())
        else:
            answer = Send(CommandId.INITIATE, self._initiate_payload())
        self._advance(
            State.AWAITING_EPHEMERAL_DATA, self._partner_times_s[0] + TRANSMISSION_ALLOWANCE_S
        )
        return [answer]

    def _accept_suite(self, suite: int) -> None:
        if self.role is Role.INITIATOR:
            if suite != self._suite:
                raise _Refusal(
                    TerminateStatus.BAD_MESSAGE,
                    f"the partner answered with suite {suite} where suite {self._suite} was asked",
                )
        elif suite not in self._identities:
            supported = " and ".join(map(str, sorted(self._identities))) or "none"
            raise _Refusal(
                TerminateStatus.UNSUPPORTED_SUITE,
                f"the partner asked for suite {suite}; supported here: {supported}",
            )
        self._suite = suite

    def _accept_certificate(self, certificate: Certificate) -> Point | None:
        """The partner's public key (SE 1.4a C.3.1.2.3.1.2).

        The issuer is looked at before the subject: with an authority that is not ours, nothing
        that the certificate says has any weight, and the issuer is what its owner must know of.
        """
        identity = self._identities[certificate.suite]
        try:
            certificate.check()
            if certificate.issuer != identity.issuer:
                raise _Refusal(
                    TerminateStatus.UNKNOWN_ISSUER,
                    f"the partner's certificate was issued by {certificate.issuer}; "
                    f"the certificate here is from {identity.issuer}",
                )
            if certificate.subject != self.partner:
                raise CertificateError(
                    f"the certificate is of {certificate.subject}, but {self.partner} sent it"
                )
            return self._engine.public_key(certificate, identity)
        except CertificateError as error:
            raise _Refusal(TerminateStatus.INVALID_CERTIFICATE, str(error)) from None

    def _receive_ephemeral(self, message: EphemeralData) -> list[Action]:
        ephemeral = self._ephemeral or self._generate_ephemeral()
        try:
            keys = ephemeral.agree(
                self._identities[self._settled_suite].private_key,
                self._partner_public_key,
                message.public_key,
            )
        except PointError as error:
            raise _Refusal(TerminateStatus.BAD_MESSAGE, f"Ephemeral Data: {error}") from None
        self._ephemeral, self._keys = None, keys
        if self.role is Role.INITIATOR:
            parties = self.own_eui64, self.partner, ephemeral.point, message.public_key
        else:
            parties = self.partner, self.own_eui64, message.public_key, ephemeral.point
        self._macu, self._macv = keys.macu(*parties), keys.macv(*parties)
        self._advance(
            State.AWAITING_CONFIRM_KEY, self._partner_times_s[1] + TRANSMISSION_ALLOWANCE_S
        )
        if self.role is Role.INITIATOR:
            return [Send(CommandId.CONFIRM_KEY, ConfirmKey(self._macu).encode())]
        return [Send(CommandId.EPHEMERAL_DATA, EphemeralData(ephemeral.point).encode())]

    def _receive_confirm(self, message: ConfirmKey) -> list[Action]:
        assert self._keys is not None  # settled by Ephemeral Data
        assert self._partner_certificate is not None  # settled by Initiate
        initiator = self.role is Role.INITIATOR
        if not hmac.compare_digest(message.mac, self._macv if initiator else self._macu):
            raise _Refusal(
                TerminateStatus.BAD_KEY_CONFIRM,
                f"the partner's confirmation ({'MACV' if initiator else 'MACU'}) is wrong: "
                "it derived another key, as when its private key or its authority's public key "
                "does not belong to its certificate",
            )
        established = Established(
            self._keys.link_key, self._settled_suite, self._partner_certificate
        )
        answer = Send(CommandId.CONFIRM_KEY, ConfirmKey(self._macv).encode())
        self._end(State.ESTABLISHED)
        # The initiator may encrypt with the key as soon as it has MACV, so it must be in place
        # here before MACV leaves.
        return [established] if initiator else [established, answer]

    def _receive_terminate(self, payload: bytes) -> list[Action]:
        begun = self.role is Role.INITIATOR or self._suite is not None
        if not begun or self._state in (State.IDLE, State.TERMINATED):
            return []  # it speaks of an attempt before this one
        try:
            message = Terminate.decode(payload)
        except MessageError as error:
            # It is over for the partner whatever it meant to say. A Terminate is never answered
            # with one: two sides doing that would not stop.
            return self._ended_by_partner(None, self._wait_s, error.cause)
        return self._ended_by_partner(message.status, message.wait_s, self._explain(message))

    def _ended_by_partner(
        self, status: TerminateStatus | None, wait_s: int, cause: str
    ) -> list[Action]:
        self._end(State.TERMINATED)
        return [Terminated(status, by_partner=True, wait_s=wait_s, cause=cause)]

    def _explain(self, message: Terminate) -> str:
        text = f"the partner ended it with {message.status.name}"
        if message.status is TerminateStatus.UNKNOWN_ISSUER and self._suite is not None:
            own = self._identities[self._suite].issuer
            partner = self._partner_certificate
            theirs = (
                f"its own certificate is from {partner.issuer}"
                if partner
                else "the issuer of its own certificate did not become known"
            )
            text += f": it does not accept certificates issued by {own}; {theirs}"
        elif message.status is TerminateStatus.UNSUPPORTED_SUITE:
            text += f": it supports the suites of bitmap {message.suites:04x}"
        return text

    # -- what is sent ----------------------------------------------------------------------------

    def _initiate_payload(self) -> bytes:
        suite = self._settled_suite
        certificate = self._identities[suite].certificate
        return Initiate(suite, self._ephemeral_time_s, self._confirm_time_s, certificate).encode()

    def _generate_ephemeral(self) -> Ephemeral:
        return self._engine.ephemeral(self._settled_suite)

    def _terminate(self, status: TerminateStatus, cause: str) -> list[Action]:
        self._end(State.TERMINATED)
        return [
            self._terminate_message(status),
            Terminated(status, by_partner=False, wait_s=self._wait_s, cause=cause),
        ]

    def _terminate_message(self, status: TerminateStatus) -> Send:
        suites = suite_bitmap(frozenset(self._identities))
        return Send(CommandId.TERMINATE, Terminate(status, self._wait_s, suites).encode())

    # -- where it stands -------------------------------------------------------------------------

    def _advance(self, state: State, deadline_s: float) -> None:
        self._state = state
        self._step = _STEPS[state]
        self._deadline_s = deadline_s

    def _end(self, state: State) -> None:
        self._state = state
        self._deadline_s = None
        self._ephemeral = None
        self._keys = None
        # A confirmation that was taken back must not go out again to a partner who repeats itself.
        self._last_received = None
