"""Arithmetic in GF(2^m) with plain Python integers.

An element is an integer whose bit i is the coefficient of x^i. Addition is ``^`` and needs no
method. Python has no carry-less multiplication, so two things that its integers do fast stand in:

* a product is made digit by digit of one factor in hexadecimal, with the sixteen small multiples
  of the other in a table (compare Hankerson, Menezes, Vanstone, *Guide to Elliptic Curve
  Cryptography*, algorithm 2.36);
* a square merely spreads the bits, and reading the binary digits in base 4 does that.

None of it runs in constant time. That is right for a laboratory's certificates, and one more
reason never to put a production private key into labctl.
"""

from __future__ import annotations

from functools import cached_property


class BinaryField:
    """GF(2^m) with the reduction polynomial x^m + (the sum of x^t for t in `taps`) + 1.

    `m` must be odd (the half-trace needs it), and the taps so small that two folds reduce any
    product: all below m/2.
    """

    def __init__(self, m: int, taps: tuple[int, ...]) -> None:
        if m % 2 == 0 or any(not 0 < tap < m // 2 for tap in taps):
            raise ValueError("m must be odd and every tap between 1 and m/2")
        self.m = m
        self.taps = taps
        self.octets = (m + 7) // 8
        """Octets of an element's fixed-length form (SEC 1 2.3.5)."""
        self._low = (1 << m) - 1

    def reduce(self, value: int) -> int:
        """The element congruent to `value`, a polynomial of degree at most 2m - 2."""
        m, low = self.m, self._low
        high = value >> m
        while high:
            value = (value & low) ^ high
            for tap in self.taps:
                value ^= high << tap
            high = value >> m
        return value

    def multiply(self, a: int, b: int) -> int:
        """The product of two elements."""
        a2, a4, a8 = a << 1, a << 2, a << 3
        a3, a6, a12 = a ^ a2, a2 ^ a4, a4 ^ a8
        table = {
            "0": 0,
            "1": a,
            "2": a2,
            "3": a3,
            "4": a4,
            "5": a4 ^ a,
            "6": a6,
            "7": a6 ^ a,
            "8": a8,
            "9": a8 ^ a,
            "a": a8 ^ a2,
            "b": a8 ^ a3,
            "c": a12,
            "d": a12 ^ a,
            "e": a12 ^ a2,
            "f": a12 ^ a3,
        }
        product = 0
        for digit in f"{b:x}":
            product = product << 4 ^ table[digit]
        return self.reduce(product)

    def square(self, a: int) -> int:
        """The square of an element."""
        return self.reduce(int(f"{a:b}", 4))

    def square_times(self, a: int, times: int) -> int:
        """`a` to the power 2^times."""
        for _ in range(times):
            a = self.square(a)
        return a

    def invert(self, a: int) -> int:
        """1/a, by Itoh and Tsujii's chain for a^(2^m - 2). Raises `ZeroDivisionError` for 0."""
        if a == 0:
            raise ZeroDivisionError("0 has no inverse in GF(2^m)")
        # `power` is a^(2^length - 1), with `length` running through the binary prefixes of m - 1.
        power, length = a, 1
        for bit in f"{self.m - 1:b}"[1:]:
            power = self.multiply(self.square_times(power, length), power)
            length *= 2
            if bit == "1":
                power = self.multiply(self.square(power), a)
                length += 1
        return self.square(power)

    def sqrt(self, a: int) -> int:
        """The one square root of an element."""
        return self.square_times(a, self.m - 1)

    def trace(self, a: int) -> int:
        """Tr(a) = a + a^2 + a^4 + … + a^(2^(m-1)): 0 or 1."""
        return (a & self._trace_mask).bit_count() & 1

    @cached_property
    def _trace_mask(self) -> int:
        """Bit k is Tr(x^k): the trace is linear, so these m bits are all there is to it.

        Tr(x^k) is the sum of the k-th powers of the roots of the reduction polynomial, which
        Newton's identities give from its coefficients, of which few are not 0.
        """
        distances = [self.m - tap for tap in self.taps]
        traces = [self.m & 1]
        for k in range(1, self.m):
            total = 0
            for distance in distances:
                if distance < k:
                    total ^= traces[k - distance]
                elif distance == k:
                    total ^= k & 1
            traces.append(total)
        return sum(trace << k for k, trace in enumerate(traces))

    def half_trace(self, a: int) -> int:
        """A root z of z^2 + z = a, where Tr(a) = 0; the other root is z + 1 (SEC 1, IEEE 1363)."""
        root = a
        for _ in range((self.m - 1) // 2):
            root = self.square(self.square(root)) ^ a
        return root
