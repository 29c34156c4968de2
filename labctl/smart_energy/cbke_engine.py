"""Where the arithmetic of key establishment is done: here, or by somebody else beforehand.

The state machine of `cbke` asks an engine for three things: the partner's public key out of its
certificate, an ephemeral key pair, and the keys that both sides come to. `HostEngine` calculates
them. `PreparedEngine` hands out what an NCP calculated before the machine got to see the message
that makes it ask.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from labctl.secret import Secret
from labctl.smart_energy.certificates import Certificate
from labctl.smart_energy.curves import CURVES, Point, PointError
from labctl.smart_energy.ecmqv import EphemeralKey
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity


class Agreement(Protocol):
    """What both sides come to (SE 1.4a C.4.2.4)."""

    @property
    def link_key(self) -> Secret:
        """The link key; no octets when it stays where it was calculated."""

    def macu(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """The initiator's confirmation, 16 octets."""

    def macv(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """The responder's confirmation, 16 octets."""


class Ephemeral(Protocol):
    """A key pair for one exchange."""

    @property
    def point(self) -> bytes:
        """The public key, compressed: 22 or 37 octets."""

    def agree(
        self, private_key: Secret, partner_public_key: Point | None, partner_ephemeral: bytes
    ) -> Agreement:
        """The keys. Raises `PointError` when the partner's ephemeral public key is none."""


class Engine(Protocol):
    """Does the arithmetic of one exchange."""

    def public_key(self, certificate: Certificate, identity: Identity) -> Point | None:
        """The partner's public key; None where `Ephemeral.agree` does without.

        Raises `CertificateError`.
        """

    def ephemeral(self, suite: int) -> Ephemeral:
        """The key pair of this exchange."""


@dataclass(frozen=True, slots=True)
class _HostEphemeral:
    pair: EphemeralKey

    @property
    def point(self) -> bytes:
        return self.pair.public_key

    def agree(
        self, private_key: Secret, partner_public_key: Point | None, partner_ephemeral: bytes
    ) -> Agreement:
        assert partner_public_key is not None  # HostEngine.public_key gave it
        return self.pair.agree(private_key, partner_public_key, partner_ephemeral)


@dataclass(frozen=True, slots=True)
class HostEngine:
    """Calculates with plain integers: some 10 ms a multiplication on K-283."""

    random_octets: Callable[[int], bytes] = os.urandom

    def public_key(self, certificate: Certificate, identity: Identity) -> Point | None:
        """Out of the certificate and the authority's public key."""
        return certificate.public_key(identity.ca_public_key)

    def ephemeral(self, suite: int) -> Ephemeral:
        """A new pair."""
        return _HostEphemeral(EphemeralKey.generate(CURVES[suite], self.random_octets))


@dataclass(slots=True)
class PreparedEngine:
    """Hands out what an NCP calculated. Fill it in before the machine receives the message.

    `point` is the NCP's ephemeral public key. `macs` are MACU and MACV, None when the NCP could do
    nothing with the partner's data.
    """

    point: bytes = b""
    macs: tuple[bytes, bytes] | None = None

    def public_key(self, certificate: Certificate, identity: Identity) -> Point | None:
        """The NCP takes the certificate itself."""
        return None

    def ephemeral(self, suite: int) -> Ephemeral:
        """The pair whose private half is in the NCP."""
        return self

    @property
    def link_key(self) -> Secret:
        """It stays in the NCP."""
        return Secret(b"")

    def agree(
        self, private_key: Secret, partner_public_key: Point | None, partner_ephemeral: bytes
    ) -> Agreement:
        """What the NCP came to."""
        if self.macs is None:
            raise PointError("the NCP could not use the partner's certificate or point")
        return self

    def macu(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """As the NCP calculated it."""
        assert self.macs is not None  # agree() looked
        return self.macs[0]

    def macv(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """As the NCP calculated it."""
        assert self.macs is not None
        return self.macs[1]
