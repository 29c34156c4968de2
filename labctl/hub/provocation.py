"""What the hub does wrong on purpose in key establishment, so that a device shows what it does.

A partner that is wrong has to be told so, and its key is not to be taken: whether a device does
that shows only when its hub is wrong. Nothing here is ever on by itself. `Hub.provoke` asks for it,
from inside the process, for one device and one attempt; the record has a note when the wrong
message goes out (`provocation`) and one of what came of it (`provocation-ended`). A join that ends
because of it says so in its cause.

Only messages are changed, and when they go out: the arithmetic is sound, whoever does it. So a
device that does not look is served to the end, and it shows that it took the key.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

from labctl.events import Severity
from labctl.hub.reporter import Reporter
from labctl.smart_energy.cbke import TRANSMISSION_ALLOWANCE_S as ALLOWANCE_S
from labctl.smart_energy.cbke import CommandId, Role, Send, Terminated
from labctl.smart_energy.certificates import (
    KEY_USAGE_AGREEMENT,
    Suite1Certificate,
    Suite2Certificate,
    parse_certificate,
)
from labctl.smart_energy.eui64 import Eui64

BEGAN = "provocation"
"""The note of a wrong message that goes out; its detail has `what` and `begun_by`."""
ENDED = "provocation-ended"
"""The note of what came of it; its detail is that of `Provocations.ended`."""

DECLARED_S = 20
"""What a slow hub declares for each of its two messages."""
SLOW_S = DECLARED_S + ALLOWANCE_S / 2
"""What it takes: in the middle of the 2 s that the partner has to allow on top (C.3.1.1)."""

IN_DOUBT_S = 60.0
"""How long after a wrong confirmation the device may say no, or use the key, before it counts as
silent."""

_UNKNOWN_SUITE = b"\x04\x00"
_CERTIFICATE_AT = 4


class Provocation(enum.StrEnum):
    """What the hub does wrong."""

    UNKNOWN_SUITE = "unknown-suite"
    """Its Initiate names a suite that does not exist."""
    UNKNOWN_ISSUER = "unknown-issuer"
    """Its certificate names another issuer."""
    WRONG_SUBJECT = "wrong-subject"
    """Its certificate names another subject."""
    NO_KEY_AGREEMENT = "no-key-agreement"
    """Its certificate is not for key agreement (suite 2 alone has the field)."""
    CORRUPT_CONFIRMATION = "corrupt-confirmation"
    """One bit of its MACU or MACV is turned over."""
    OUT_OF_ORDER = "out-of-order"
    """Confirm Key comes where its Ephemeral Data is due."""
    SLOW = "slow"
    """Ephemeral Data and Confirm Key take it as long as it declared, and 1 s more."""


@dataclass(slots=True)
class Provoked:
    """One attempt that the hub spoils. `spoiled` once the wrong message was sent.

    `took_s` is the longest time that a slow hub took, from the arrival of a message to the delivery
    of its answer: other things may have kept it too.
    """

    what: Provocation
    device: Eui64
    role: Role
    spoiled: bool = False
    took_s: float = 0.0

    def outgoing(self, action: Send) -> Send:
        """What goes out in place of a message of ours."""
        changed = self._changed(action)
        self.spoiled |= changed != action
        return changed

    def _changed(self, action: Send) -> Send:
        what, payload = self.what, action.payload
        if action.command_id is CommandId.INITIATE:
            return replace(action, payload=self._initiate(payload))
        if action.command_id is CommandId.EPHEMERAL_DATA and what is Provocation.OUT_OF_ORDER:
            return Send(CommandId.CONFIRM_KEY, payload[-16:])
        if action.command_id is CommandId.CONFIRM_KEY and what is Provocation.CORRUPT_CONFIRMATION:
            return replace(action, payload=bytes((payload[0] ^ 0x01,)) + payload[1:])
        return action

    def _initiate(self, payload: bytes) -> bytes:
        if self.what is Provocation.UNKNOWN_SUITE:
            return _UNKNOWN_SUITE + payload[2:]
        if self.what is Provocation.SLOW:
            return payload[:2] + bytes((DECLARED_S, DECLARED_S)) + payload[_CERTIFICATE_AT:]
        suite = int.from_bytes(payload[:2], "little").bit_length()
        certificate = parse_certificate(suite, payload[_CERTIFICATE_AT:])
        return payload[:_CERTIFICATE_AT] + self._certificate(certificate).octets

    def _certificate(
        self, certificate: Suite1Certificate | Suite2Certificate
    ) -> Suite1Certificate | Suite2Certificate:
        if self.what is Provocation.UNKNOWN_ISSUER:
            return replace(certificate, issuer=_other(certificate.issuer))
        if self.what is Provocation.WRONG_SUBJECT:
            return replace(certificate, subject=_other(certificate.subject))
        if self.what is Provocation.NO_KEY_AGREEMENT and isinstance(certificate, Suite2Certificate):
            return replace(certificate, key_usage=certificate.key_usage & ~KEY_USAGE_AGREEMENT)
        return certificate

    def takes_s(self, command: int) -> float:
        """How long the answer to a message of the device takes; 0: as long as it does."""
        if self.what is not Provocation.SLOW:
            return 0.0
        slow = (
            (CommandId.EPHEMERAL_DATA, CommandId.CONFIRM_KEY)
            if self.role is Role.RESPONDER
            else (CommandId.INITIATE, CommandId.EPHEMERAL_DATA)
        )
        return SLOW_S if command in slow else 0.0

    @property
    def leaves_doubt(self) -> bool:
        """Whether the wrong message is the last, so that the device's answer is still to come."""
        return self.what is Provocation.CORRUPT_CONFIRMATION and self.role is Role.RESPONDER

    def cause(self, cause: str) -> str:
        """Why the join failed: for what the hub did."""
        return f"provoked by the hub ({self.what.value}): {cause}"


@dataclass(slots=True)
class Provocations:
    """What is asked for, by device, and the notes of it."""

    reporter: Reporter
    _wanted: dict[Eui64, Provocation] = field(default_factory=dict)

    def want(self, device: Eui64, what: Provocation | None) -> None:
        """Spoil the device's next attempt; None: leave it alone."""
        if what is None:
            self._wanted.pop(device, None)
        else:
            self._wanted[device] = what

    def attempt(self, device: Eui64, role: Role) -> Provoked | None:
        """A new attempt: is it to be spoiled? It stays asked for until one was."""
        what = self._wanted.get(device)
        return None if what is None else Provoked(what, device, role)

    def outgoing(self, provoked: Provoked, action: Send) -> Send:
        """What goes out in place of a message of ours."""
        before = provoked.spoiled
        changed = provoked.outgoing(action)
        if provoked.spoiled and not before:
            self._wanted.pop(provoked.device, None)
            self.reporter.note(
                BEGAN,
                eui64=provoked.device,
                what=provoked.what.value,
                begun_by="hub" if provoked.role is Role.INITIATOR else "device",
            )
        return changed

    def ended(
        self,
        provoked: Provoked,
        end: Terminated | None,
        *,
        suite: int | None,
        undelivered: str = "",
    ) -> None:
        """A spoiled attempt is over; without `end` the device took the key.

        The note has `what`, `begun_by`, `suite`, `key_taken`, `status` (that of the device's
        Terminate, None without one), `undelivered` (why the wrong message did not arrive, if it did
        not), `too_slow` (a slow hub took longer than the device had to wait) and `cause`.
        """
        if not provoked.spoiled:
            return
        said = end.status if end is not None and end.by_partner else None
        self.reporter.note(
            ENDED,
            Severity.INFO,
            provoked.device,
            what=provoked.what.value,
            begun_by="hub" if provoked.role is Role.INITIATOR else "device",
            suite=suite,
            key_taken=end is None,
            status=None if said is None else int(said),
            undelivered=undelivered,
            too_slow=provoked.took_s > DECLARED_S + ALLOWANCE_S,
            cause="" if end is None else end.cause,
        )


def _other(eui64: Eui64) -> Eui64:
    return Eui64.from_big_endian(bytes(octet ^ 0xFF for octet in eui64.big_endian))
