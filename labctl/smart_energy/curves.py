"""The two Koblitz curves of Smart Energy: sect163k1 (suite 1) and sect283k1 (suite 2).

``y^2 + xy = x^3 + a·x^2 + 1`` over GF(2^m), with a in {0, 1}. On such a curve the Frobenius map
τ(x, y) = (x^2, y^2) is an endomorphism that costs next to nothing and fulfils τ^2 + 2 = μτ with
μ = (-1)^(1-a). A scalar is therefore written in base τ with digits -1, 0 and 1 (Solinas,
*Efficient arithmetic on Koblitz curves*, 2000): every doubling of the school method becomes three
squarings, and only every third digit costs an addition.

The domain parameters are those of SEC 2 v2.0, 3.2.1 (sect163k1) and 3.5.1 (sect283k1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from labctl.smart_energy.binary_field import BinaryField


class PointError(ValueError):
    """Octets that are no public key of the curve; the text says in which way."""


class Point(NamedTuple):
    """An affine point other than the one at infinity (which is None)."""

    x: int
    y: int


class KoblitzCurve:
    """A curve with its base point, the order `n` of that point, and the cofactor `h`."""

    def __init__(
        self, name: str, field: BinaryField, *, a: int, generator: Point, n: int, h: int
    ) -> None:
        self.name = name
        self.field = field
        self.a = a
        self.generator = generator
        self.n = n
        self.h = h
        self.point_octets = 1 + field.octets
        """Octets of a compressed point."""
        self.scalar_octets = (n.bit_length() + 7) // 8
        """Octets of a private key."""
        self._mu = 1 if a else -1
        self._delta = self._sum_of_tau_powers()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def contains(self, point: Point) -> bool:
        """Whether the point fulfils the curve's equation."""
        field, (x, y) = self.field, point
        if x >> field.m or y >> field.m:
            return False
        xx = field.square(x)
        left = field.square(y) ^ field.multiply(x, y)
        return left == field.multiply(xx, x) ^ (xx if self.a else 0) ^ 1

    def in_subgroup(self, point: Point) -> bool:
        """Whether a point *of the curve* lies in the subgroup of order n.

        The group is cyclic of order h·n with h = 2 or 4, so the subgroup is what remains after
        halving as often as h has factors 2. A point can be halved if and only if
        Tr(x) = Tr(a) (Knudsen, *Elliptic scalar multiplication using point halving*, 1999);
        that costs a hundredth of multiplying by n.
        """
        field = self.field
        halvings = self.h.bit_length() - 1
        while True:
            x, y = point
            if x == 0:
                return False  # the point of order 2
            if field.trace(x) != self.a:  # Tr(a) = a, m being odd
                return False
            halvings -= 1
            if halvings == 0:
                return True
            slope = field.half_trace(x ^ self.a)
            half_x = field.sqrt(y ^ field.multiply(x, slope ^ 1))
            half_y = field.multiply(half_x, half_x ^ slope)
            point = Point(half_x, half_y)

    def negate(self, point: Point) -> Point:
        """The inverse of a point."""
        return Point(point.x, point.x ^ point.y)

    def add(self, p: Point | None, q: Point | None) -> Point | None:
        """The sum of any two points of the curve."""
        if p is None:
            return q
        if q is None:
            return p
        field = self.field
        if p.x == q.x:
            return self._double(p) if p.y == q.y else None
        slope = field.multiply(p.y ^ q.y, field.invert(p.x ^ q.x))
        x = field.square(slope) ^ slope ^ p.x ^ q.x ^ self.a
        return Point(x, field.multiply(slope, p.x ^ x) ^ x ^ p.y)

    def _double(self, p: Point) -> Point | None:
        if p.x == 0:
            return None
        field = self.field
        slope = p.x ^ field.multiply(p.y, field.invert(p.x))
        x = field.square(slope) ^ slope ^ self.a
        return Point(x, field.square(p.x) ^ field.multiply(slope ^ 1, x))

    def multiply(self, k: int, point: Point | None) -> Point | None:
        """k times a point *of the subgroup of order n*; `k` may be any integer."""
        k %= self.n
        if k == 0 or point is None:
            return None
        return self._evaluate(_tau_digits(*self._reduce_scalar(k), self._mu), point)

    def compress(self, point: Point) -> bytes:
        """The octets of a point: 02 or 03, then x (SEC 1 2.3.3)."""
        field = self.field
        sign = field.multiply(point.y, field.invert(point.x)) & 1 if point.x else 0
        return bytes([2 | sign]) + point.x.to_bytes(field.octets, "big")

    def decompress(self, octets: bytes) -> Point:
        """The point of the subgroup of order n that the octets stand for (SEC 1 2.3.4, 3.2.2.1).

        Raises `PointError` when the length or the first octet is wrong, when no point of the
        curve has this x, or when the point is of a small or mixed order.
        """
        field = self.field
        if len(octets) != self.point_octets:
            raise PointError(f"a point of {self.name} has {self.point_octets} octets")
        if octets[0] not in (2, 3):
            raise PointError(f"a compressed point starts with 02 or 03, not {octets[0]:02x}")
        x = int.from_bytes(octets[1:], "big")
        if x >> field.m:
            raise PointError(f"x has more than the field's {field.m} bits")
        if x == 0:
            raise PointError("the point is the one of order 2")
        beta = x ^ self.a ^ field.square(field.invert(x))
        if field.trace(beta):
            raise PointError("the point is not on the curve")
        z = field.half_trace(beta)
        if z & 1 != octets[0] & 1:
            z ^= 1
        point = Point(x, field.multiply(x, z))
        if not self.in_subgroup(point):
            raise PointError("the point is not of the order of the base point")
        return point

    def _sum_of_tau_powers(self) -> tuple[int, int]:
        """δ = (τ^m - 1)/(τ - 1), as r + sτ: of norm n, and δ·P = O for P in the subgroup."""
        r = s = 0
        power = (1, 0)
        for _ in range(self.field.m):
            r, s = r + power[0], s + power[1]
            power = (-2 * power[1], power[0] + self._mu * power[1])
        return r, s

    def _reduce_scalar(self, k: int) -> tuple[int, int]:
        """A short r + sτ congruent to k modulo δ, by rounding k/δ = k·conj(δ)/n."""
        d0, d1 = self._delta
        q0 = _round_div(k * (d0 + self._mu * d1), self.n)
        q1 = _round_div(-k * d1, self.n)
        return (
            k - q0 * d0 + 2 * q1 * d1,
            -(q0 * d1 + q1 * d0 + self._mu * q1 * d1),
        )

    def _evaluate(self, digits: list[int], point: Point) -> Point | None:
        """Horner's rule in τ, over López-Dahab coordinates: x = X/Z, y = Y/Z^2, Z = 0 at O."""
        field = self.field
        square = field.square
        plus, minus = point, self.negate(point)
        x, y, z = 1, 0, 0
        for digit in reversed(digits):
            if z:
                x, y, z = square(x), square(y), square(z)
            if digit:
                x, y, z = self._add_mixed(x, y, z, plus if digit > 0 else minus)
        if z == 0:
            return None
        inverse = field.invert(z)
        return Point(field.multiply(x, inverse), field.multiply(y, square(inverse)))

    def _add_mixed(self, x1: int, y1: int, z1: int, q: Point) -> tuple[int, int, int]:
        """(x1 : y1 : z1) + q (Al-Daoud and others 2002; 8 products, 5 squares)."""
        if z1 == 0:
            return q.x, q.y, 1
        field = self.field
        multiply, square = field.multiply, field.square
        a = y1 ^ multiply(q.y, square(z1))
        b = x1 ^ multiply(q.x, z1)
        if b == 0:
            double = self._double(q) if a == 0 else None
            return (double.x, double.y, 1) if double else (1, 0, 0)
        c = multiply(b, z1)
        z3 = square(c)
        d = multiply(q.x, z3)
        x3 = square(a) ^ multiply(c, a ^ square(b) ^ (c if self.a else 0))
        y3 = multiply(d ^ x3, multiply(a, c) ^ z3) ^ multiply(q.y ^ q.x, square(z3))
        return x3, y3, z3


def _round_div(numerator: int, denominator: int) -> int:
    """The integer nearest to the quotient."""
    return (2 * numerator + denominator) // (2 * denominator)


def _tau_digits(r: int, s: int, mu: int) -> list[int]:
    """The τ-adic non-adjacent form of r + sτ, least significant digit first (Solinas 2000)."""
    return list(_generate_tau_digits(r, s, mu))


def _generate_tau_digits(r: int, s: int, mu: int) -> Iterator[int]:
    while r or s:
        digit = 0
        if r & 1:
            digit = 2 - ((r - 2 * s) & 3)
            r -= digit
        yield digit
        half = r >> 1
        r, s = s + mu * half, -half


SECT163K1 = KoblitzCurve(
    "sect163k1",
    BinaryField(163, (7, 6, 3)),
    a=1,
    generator=Point(
        0x02FE13C0537BBC11ACAA07D793DE4E6D5E5C94EEE8,
        0x0289070FB05D38FF58321F2E800536D538CCDAA3D9,
    ),
    n=0x04000000000000000000020108A2E0CC0D99F8A5EF,
    h=2,
)
"""K-163 (SEC 2 v2.0, 3.2.1): cryptographic suite 1."""

SECT283K1 = KoblitzCurve(
    "sect283k1",
    BinaryField(283, (12, 7, 5)),
    a=0,
    generator=Point(
        0x0503213F78CA44883F1A3B8162F188E553CD265F23C1567A16876913B0C2AC2458492836,
        0x01CCDA380F1C9E318D90F95D07E5426FE87E45C0E8184698E45962364E34116177DD2259,
    ),
    n=0x01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFE9AE2ED07577265DFF7F94451E061E163C61,
    h=4,
)
"""K-283 (SEC 2 v2.0, 3.5.1): cryptographic suite 2."""

CURVES = {1: SECT163K1, 2: SECT283K1}
"""The curve of each cryptographic suite (SE 1.4a C.4.2)."""


def random_scalar(curve: KoblitzCurve, random_octets: Callable[[int], bytes]) -> int:
    """A private key between 1 and n - 1, from 64 bits more than it needs (FIPS 186-5 A.2.1)."""
    drawn = int.from_bytes(random_octets(curve.scalar_octets + 8), "big")
    return drawn % (curve.n - 1) + 1
