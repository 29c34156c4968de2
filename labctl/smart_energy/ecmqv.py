"""The mathematics of key establishment: ECMQV, key derivation, confirmation (SE 1.4a C.4.2.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo, hmac_mmo
from labctl.smart_energy.curves import KoblitzCurve, Point, PointError, random_scalar
from labctl.smart_energy.eui64 import Eui64

CONFIRMATION_OCTETS = 16
_TAG_INITIATOR = b"\x02"
_TAG_RESPONDER = b"\x03"


def _associate_value(curve: KoblitzCurve, point: Point) -> int:
    """The lower half of x with a 1 put before it (SEC 1 3.4, step 2)."""
    half = (curve.n.bit_length() + 1) // 2
    return point.x & (1 << half) - 1 | 1 << half


def shared_secret(
    curve: KoblitzCurve,
    *,
    private_key: int,
    ephemeral_private_key: int,
    ephemeral_public_key: Point,
    partner_public_key: Point,
    partner_ephemeral_public_key: Point,
) -> bytes:
    """Z of ECMQV with cofactor (SEC 1 6.2): the x of a point, 21 or 36 octets.

    Raises `PointError` when the partner's keys lead to the point at infinity.
    """
    n = curve.n
    implicit = (
        ephemeral_private_key + _associate_value(curve, ephemeral_public_key) * private_key
    ) % n
    partner = curve.add(
        partner_ephemeral_public_key,
        curve.multiply(_associate_value(curve, partner_ephemeral_public_key), partner_public_key),
    )
    # Every point here is of order n, so that h and the implicit key can be multiplied first.
    point = curve.multiply(curve.h * implicit % n, partner)
    if point is None:
        raise PointError("the keys lead to the point at infinity")
    return point.x.to_bytes(curve.field.octets, "big")


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """What both sides derive from Z: the key of the confirmations, and the link key."""

    mac_key: Secret
    link_key: Secret

    @classmethod
    def derive(cls, z: bytes) -> KeyMaterial:
        """ANSI X9.63 key derivation with AES-MMO and no SharedInfo (SE 1.4a C.4.2.4.3)."""
        return cls(
            mac_key=Secret(aes_mmo(z + (1).to_bytes(4, "big"))),
            link_key=Secret(aes_mmo(z + (2).to_bytes(4, "big"))),
        )

    def macu(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """The initiator's confirmation, over the identities and both ephemeral public keys."""
        data = _TAG_INITIATOR + initiator.big_endian + responder.big_endian + qeu + qev
        return hmac_mmo(self.mac_key.reveal(), data)

    def macv(self, initiator: Eui64, responder: Eui64, qeu: bytes, qev: bytes) -> bytes:
        """The responder's confirmation."""
        data = _TAG_RESPONDER + responder.big_endian + initiator.big_endian + qev + qeu
        return hmac_mmo(self.mac_key.reveal(), data)


@dataclass(frozen=True, slots=True)
class EphemeralKey:
    """A key pair for one exchange."""

    curve: KoblitzCurve
    private_key: Secret
    point: Point

    @classmethod
    def generate(cls, curve: KoblitzCurve, random_octets: Callable[[int], bytes]) -> EphemeralKey:
        """A new pair."""
        scalar = random_scalar(curve, random_octets)
        point = curve.multiply(scalar, curve.generator)
        assert point is not None  # 0 < scalar < n
        return cls(curve, Secret(scalar.to_bytes(curve.scalar_octets, "big")), point)

    @property
    def public_key(self) -> bytes:
        """The compressed point, 22 or 37 octets: what Ephemeral Data carries."""
        return self.curve.compress(self.point)

    def agree(
        self, private_key: Secret, partner_public_key: Point, partner_ephemeral: bytes
    ) -> KeyMaterial:
        """The keys that this pair, the own private key and the partner's two public keys give.

        Raises `PointError` when the partner's ephemeral public key is none.
        """
        z = shared_secret(
            self.curve,
            private_key=int.from_bytes(private_key.reveal(), "big"),
            ephemeral_private_key=int.from_bytes(self.private_key.reveal(), "big"),
            ephemeral_public_key=self.point,
            partner_public_key=partner_public_key,
            partner_ephemeral_public_key=self.curve.decompress(partner_ephemeral),
        )
        return KeyMaterial.derive(z)
