"""Who a device is in key establishment: certificate, private key, and the authority it trusts."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.secret import Secret
from labctl.smart_energy.certificates import Certificate, CertificateError, parse_certificate
from labctl.smart_energy.curves import CURVES, PointError
from labctl.smart_energy.eui64 import Eui64


@dataclass(frozen=True, slots=True)
class Identity:
    """Everything that one side of a key establishment brings along, for one suite.

    `certificate` has 48 octets (suite 1) or 74 (suite 2), `private_key` 21 or 36, `ca_public_key`
    22 or 37. Construction raises `CertificateError` when a length is wrong, when the certificate
    is not for key agreement, or when the private key is not between 1 and n - 1. Whether the
    private key belongs to the certificate costs a calculation: call `verify` for that.
    """

    suite: int
    certificate: bytes
    private_key: Secret
    ca_public_key: bytes

    def __post_init__(self) -> None:
        self.parsed.check()
        curve = CURVES[self.suite]
        if len(self.private_key) != curve.scalar_octets:
            raise CertificateError(
                f"a suite {self.suite} private key has {curve.scalar_octets} octets, "
                f"not {len(self.private_key)}"
            )
        if not 0 < int.from_bytes(self.private_key.reveal(), "big") < curve.n:
            raise CertificateError("the private key is not between 1 and the order of the curve")
        try:
            curve.decompress(self.ca_public_key)
        except PointError as error:
            raise CertificateError(f"the certificate authority's public key: {error}") from None

    @property
    def parsed(self) -> Certificate:
        """The certificate's fields."""
        return parse_certificate(self.suite, self.certificate)

    @property
    def subject(self) -> Eui64:
        """The device that the certificate speaks of."""
        return self.parsed.subject

    @property
    def issuer(self) -> Eui64:
        """The certificate authority that issued it, and the only one this identity trusts."""
        return self.parsed.issuer

    @classmethod
    def in_radio(cls, suite: int, certificate: bytes) -> Identity:
        """The identity of an NCP that keeps its private key, and its authority's, to itself.

        Good for exchanges whose arithmetic the NCP does. Raises `CertificateError`.
        """
        return _RadioIdentity(suite, certificate, Secret(b""), b"")

    def verify(self) -> None:
        """Whether private key, certificate and authority belong together.

        Raises `CertificateError`. Takes one or two multiplications on the curve (10 to 20 ms).
        """
        curve = CURVES[self.suite]
        expected = self.parsed.public_key(self.ca_public_key)
        private_key = int.from_bytes(self.private_key.reveal(), "big")
        if curve.multiply(private_key, curve.generator) != expected:
            raise CertificateError(
                "the private key does not belong to this certificate under this certificate "
                "authority: one of the three is from another device or another authority"
            )


@dataclass(frozen=True, slots=True)
class _RadioIdentity(Identity):
    def __post_init__(self) -> None:
        self.parsed.check()
