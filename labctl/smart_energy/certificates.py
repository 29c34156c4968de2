"""Implicit certificates (ECQV, SEC 4) in the two forms that Smart Energy uses.

Suite 1 has 48 octets (SE 1.4a C.4.2.2.4), suite 2 has 74 (SE 1.4a C.4.2.3.3). Neither contains a
signature: the subject's public key is *computed* from the certificate and the issuer's public
key, and only the holder of the matching private key gets through key establishment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.curves import CURVES, Point, PointError
from labctl.smart_energy.eui64 import Eui64

CERTIFICATE_OCTETS: Mapping[int, int] = MappingProxyType({1: 48, 2: 74})
"""Octets of a certificate of each cryptographic suite."""

TYPE_IMPLICIT = 0x00
"""Suite 2: an implicit certificate without extensions."""
CURVE_SECT283K1 = 0x0D
"""Suite 2: the curve's identifier."""
HASH_AES_MMO = 0x08
"""Suite 2: the hash's identifier."""
KEY_USAGE_AGREEMENT = 0x08
"""Suite 2: the key may be used for key agreement."""
KEY_USAGE_SIGNATURE = 0x80
"""Suite 2: the key may be used for signatures."""
FOREVER_S = 0xFFFFFFFF
"""Suite 2: the validity that never ends."""


class CertificateError(ValueError):
    """A certificate that cannot be used; the text says why. Certificates are no secrets."""


@dataclass(frozen=True, slots=True)
class Suite1Certificate:
    """A certificate on sect163k1. The attributes start with the profile id (SE: 0109)."""

    suite: ClassVar[int] = 1

    reconstruction_point: bytes
    subject: Eui64
    issuer: Eui64
    attributes: bytes

    def __post_init__(self) -> None:
        _demand_length("reconstruction point", self.reconstruction_point, 22)
        _demand_length("attributes", self.attributes, 10)

    @classmethod
    def parse(cls, octets: bytes) -> Suite1Certificate:
        """From the 48 octets. Raises `CertificateError` for any other number."""
        _demand_length("suite 1 certificate", octets, CERTIFICATE_OCTETS[1])
        return cls(
            reconstruction_point=octets[:22],
            subject=Eui64.from_big_endian(octets[22:30]),
            issuer=Eui64.from_big_endian(octets[30:38]),
            attributes=octets[38:],
        )

    @property
    def octets(self) -> bytes:
        """The 48 octets."""
        return (
            self.reconstruction_point
            + self.subject.big_endian
            + self.issuer.big_endian
            + self.attributes
        )

    @property
    def profile_id(self) -> int:
        """The profile that the certificate was issued for (0x0109 is Smart Energy)."""
        return int.from_bytes(self.attributes[:2], "big")

    def check(self) -> None:
        """Nothing: this form has no field that key establishment could object to."""

    def public_key(self, ca_public_key: bytes) -> Point:
        """The subject's public key. Raises `CertificateError`."""
        return _reconstruct(self, ca_public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite2Certificate:
    """A certificate on sect283k1.

    `serial_number` has 8 octets; `valid_from_s` is Unix time in seconds (0 to 2^40 - 1);
    `validity_s` is the time from then on, `FOREVER_S` meaning without end. labctl shows them and
    enforces neither: laboratory certificates are old, and meters have no clock when they join.
    """

    suite: ClassVar[int] = 2

    reconstruction_point: bytes
    subject: Eui64
    issuer: Eui64
    serial_number: bytes = bytes(8)
    valid_from_s: int = 0
    validity_s: int = FOREVER_S
    key_usage: int = KEY_USAGE_AGREEMENT | KEY_USAGE_SIGNATURE
    type: int = TYPE_IMPLICIT
    curve: int = CURVE_SECT283K1
    hash: int = HASH_AES_MMO

    def __post_init__(self) -> None:
        _demand_length("reconstruction point", self.reconstruction_point, 37)
        _demand_length("serial number", self.serial_number, 8)
        for name, value, bits in (
            ("valid from", self.valid_from_s, 40),
            ("validity", self.validity_s, 32),
            ("key usage", self.key_usage, 8),
            ("type", self.type, 8),
            ("curve", self.curve, 8),
            ("hash", self.hash, 8),
        ):
            if value >> bits:
                raise CertificateError(f"the certificate's {name} does not fit into {bits} bits")

    @classmethod
    def parse(cls, octets: bytes) -> Suite2Certificate:
        """From the 74 octets. Raises `CertificateError` for any other number."""
        _demand_length("suite 2 certificate", octets, CERTIFICATE_OCTETS[2])
        return cls(
            type=octets[0],
            serial_number=octets[1:9],
            curve=octets[9],
            hash=octets[10],
            issuer=Eui64.from_big_endian(octets[11:19]),
            valid_from_s=int.from_bytes(octets[19:24], "big"),
            validity_s=int.from_bytes(octets[24:28], "big"),
            subject=Eui64.from_big_endian(octets[28:36]),
            key_usage=octets[36],
            reconstruction_point=octets[37:],
        )

    @property
    def octets(self) -> bytes:
        """The 74 octets."""
        return b"".join(
            (
                bytes([self.type]),
                self.serial_number,
                bytes([self.curve, self.hash]),
                self.issuer.big_endian,
                self.valid_from_s.to_bytes(5, "big"),
                self.validity_s.to_bytes(4, "big"),
                self.subject.big_endian,
                bytes([self.key_usage]),
                self.reconstruction_point,
            )
        )

    def check(self) -> None:
        """Whether the certificate is one for key agreement on this curve (SE 1.4a C.3.1.2.3.1.2).

        Raises `CertificateError` naming the first field that is not.
        """
        for name, found, demanded in (
            ("type", self.type, TYPE_IMPLICIT),
            ("curve", self.curve, CURVE_SECT283K1),
            ("hash", self.hash, HASH_AES_MMO),
        ):
            if found != demanded:
                raise CertificateError(
                    f"the certificate's {name} is {found:02x}, where {demanded:02x} is demanded"
                )
        if not self.key_usage & KEY_USAGE_AGREEMENT:
            raise CertificateError(
                f"the certificate's key usage {self.key_usage:02x} lacks key agreement (bit 08)"
            )

    def public_key(self, ca_public_key: bytes) -> Point:
        """The subject's public key. Raises `CertificateError`."""
        return _reconstruct(self, ca_public_key)


Certificate = Suite1Certificate | Suite2Certificate
"""A certificate of either suite."""


def parse_certificate(suite: int, octets: bytes) -> Certificate:
    """A certificate of cryptographic suite 1 or 2. Raises `CertificateError`.

    Only the length is looked at; `check` and `public_key` look at the rest.
    """
    if suite == 1:
        return Suite1Certificate.parse(octets)
    if suite == 2:
        return Suite2Certificate.parse(octets)
    raise CertificateError(f"there is no cryptographic suite {suite}")


def _demand_length(name: str, octets: bytes, length: int) -> None:
    if len(octets) != length:
        raise CertificateError(f"the {name} has {len(octets)} octets instead of {length}")


def _reconstruct(certificate: Certificate, ca_public_key: bytes) -> Point:
    """Q = H(certificate)·P + Q_CA (SEC 4 2.5; the hash is over the whole certificate)."""
    curve = CURVES[certificate.suite]
    try:
        point = curve.decompress(certificate.reconstruction_point)
    except PointError as error:
        raise CertificateError(f"the certificate's reconstruction point: {error}") from None
    try:
        ca_point = curve.decompress(ca_public_key)
    except PointError as error:
        raise CertificateError(f"the certificate authority's public key: {error}") from None
    digest = int.from_bytes(aes_mmo(certificate.octets), "big")
    public_key = curve.add(curve.multiply(digest, point), ca_point)
    if public_key is None:
        raise CertificateError("the certificate stands for the point at infinity")
    return public_key
