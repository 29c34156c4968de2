"""A certificate authority for the laboratory: certificates for virtual and lab-built devices.

Commercial devices carry certificates of the production authority and will answer these with
UNKNOWN_ISSUER; that is what certificates are for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.certificates import (
    FOREVER_S,
    Certificate,
    CertificateError,
    Suite1Certificate,
    Suite2Certificate,
)
from labctl.smart_energy.curves import CURVES, random_scalar
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity

DEFAULT_ATTRIBUTES = bytes.fromhex("01090000000000000000")
"""Suite 1: the Smart Energy profile, and nothing else."""


@dataclass(frozen=True, slots=True)
class LabCertificateAuthority:
    """An issuer of ECQV certificates (SEC 4 2.4) of one suite."""

    suite: int
    issuer: Eui64
    private_key: Secret

    def __post_init__(self) -> None:
        if self.suite not in CURVES:
            raise CertificateError(f"there is no cryptographic suite {self.suite}")
        curve = CURVES[self.suite]
        if len(self.private_key) != curve.scalar_octets:
            raise CertificateError(
                f"the authority's private key must have {curve.scalar_octets} octets"
            )
        if not 0 < int.from_bytes(self.private_key.reveal(), "big") < curve.n:
            raise CertificateError("the authority's private key is out of range")

    @classmethod
    def generate(
        cls,
        suite: int,
        issuer: Eui64,
        random_octets: Callable[[int], bytes] = os.urandom,
    ) -> LabCertificateAuthority:
        """A new authority for cryptographic suite 1 or 2. Raises `CertificateError`."""
        if suite not in CURVES:
            raise CertificateError(f"there is no cryptographic suite {suite}")
        curve = CURVES[suite]
        scalar = random_scalar(curve, random_octets)
        return cls(suite, issuer, Secret(scalar.to_bytes(curve.scalar_octets, "big")))

    @property
    def public_key(self) -> bytes:
        """The compressed public key, which every device of this authority holds."""
        curve = CURVES[self.suite]
        point = curve.multiply(int.from_bytes(self.private_key.reveal(), "big"), curve.generator)
        assert point is not None  # the private key is not a multiple of n
        return curve.compress(point)

    def issue(
        self,
        subject: Eui64,
        random_octets: Callable[[int], bytes] = os.urandom,
        *,
        attributes: bytes = DEFAULT_ATTRIBUTES,
        valid_from_s: int = 0,
        validity_s: int = FOREVER_S,
    ) -> Identity:
        """A certificate and its private key for the device `subject`.

        `attributes` (10 octets) go into a suite 1 certificate; `valid_from_s` (Unix time) and
        `validity_s` into one of suite 2, which also gets a random serial number.
        """
        curve = CURVES[self.suite]
        ca_public_key = self.public_key
        ca_private_key = int.from_bytes(self.private_key.reveal(), "big")
        while True:
            ephemeral = random_scalar(curve, random_octets)
            point = curve.multiply(ephemeral, curve.generator)
            assert point is not None  # 0 < ephemeral < n
            reconstruction_point = curve.compress(point)
            certificate: Certificate
            if self.suite == 1:
                certificate = Suite1Certificate(
                    reconstruction_point, subject, self.issuer, attributes
                )
            else:
                certificate = Suite2Certificate(
                    reconstruction_point=reconstruction_point,
                    subject=subject,
                    issuer=self.issuer,
                    serial_number=random_octets(8),
                    valid_from_s=valid_from_s,
                    validity_s=validity_s,
                )
            digest = int.from_bytes(aes_mmo(certificate.octets), "big")
            private_key = (digest * ephemeral + ca_private_key) % curve.n
            if private_key:  # SEC 4 2.4: otherwise the key would be the point at infinity
                break
        return Identity(
            self.suite,
            certificate.octets,
            Secret(private_key.to_bytes(curve.scalar_octets, "big")),
            ca_public_key,
        )

    def to_dict(self) -> dict[str, object]:
        """For a file, which must be of mode 0600: the private key is in it."""
        return {
            "suite": self.suite,
            "issuer": str(self.issuer),
            "private_key": self.private_key.reveal().hex(),
            "public_key": self.public_key.hex(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> LabCertificateAuthority:
        """From what `to_dict` gave. Raises `CertificateError`, without the key in its text."""
        suite, issuer = stored.get("suite"), stored.get("issuer")
        private_key, public_key = stored.get("private_key"), stored.get("public_key")
        if not isinstance(suite, int) or isinstance(suite, bool):
            raise CertificateError("a stored certificate authority needs a suite: 1 or 2")
        if not isinstance(issuer, str):
            raise CertificateError("a stored certificate authority needs an issuer: an EUI-64")
        if not isinstance(private_key, str):
            raise CertificateError("a stored certificate authority needs its private_key")
        try:
            address = Eui64(issuer)
        except ValueError as error:
            raise CertificateError(f"a stored certificate authority's issuer: {error}") from None
        try:
            octets = bytes.fromhex(private_key)
        except ValueError:
            raise CertificateError(
                "a stored certificate authority's private_key is not hexadecimal"
            ) from None
        authority = cls(suite, address, Secret(octets))
        if public_key is not None and public_key != authority.public_key.hex():
            raise CertificateError(
                "a stored certificate authority's public_key does not belong to its private_key"
            )
        return authority
