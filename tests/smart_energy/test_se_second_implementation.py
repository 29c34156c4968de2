"""Our curves and key agreement against two implementations that share nothing with them.

PARI/GP knows elliptic curves over any finite field and has its own arithmetic; the formulas of
ECQV and ECMQV are written down a second time in its language. libcrypto has the two curves by
name, where the distribution did not leave binary curves out.
"""

import ctypes
import ctypes.util
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from cbke_support import DEVICE, HUB, initiator, lab_identity, link_key, only_send, responder

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.cbke import Established, Role, Send
from labctl.smart_energy.curves import CURVES, KoblitzCurve, Point, PointError, random_scalar

both = pytest.mark.parametrize("suite", [1, 2])


def missing(what: str) -> None:
    """Skip, but never where the check is counted on."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must not do without it")
    pytest.skip(what)


# -- PARI/GP --------------------------------------------------------------------------------------

GP_PRELUDE = """
U(e) = subst(lift(e.pol), variable(e.pol), 2);
F(n, g) = subst(Pol(binary(n)), 'x, g) + 0*g;
P(v) = if(v == [0], print("O"), print(U(v[1]), " ", U(v[2])));
"""


def gp(script: str) -> list[str]:
    """The lines that PARI/GP prints."""
    program = shutil.which("gp")
    if program is None:
        missing("PARI/GP (Debian: pari-gp) is not installed")
    assert program is not None
    ran = subprocess.run(
        [program, "-q", "-f"],
        input=GP_PRELUDE + script + "\nquit;\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "***" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr
    return ran.stdout.split("\n")[:-1]


def gp_curve(curve: KoblitzCurve) -> str:
    """g, E and G of the curve, in PARI/GP's language."""
    terms = " + ".join(f"x^{power}" for power in (curve.field.m, *curve.field.taps, 0))
    x, y = curve.generator
    return f"""
    g = ffgen(Mod(1, 2)*({terms}), 't);
    E = ellinit([1, {curve.a}, 0, 0, 1], g);
    G = [F({x}, g), F({y}, g)];
    """


def gp_point(point: Point) -> str:
    return f"[F({point.x}, g), F({point.y}, g)]"


def read_point(line: str) -> Point | None:
    return None if line == "O" else Point(*map(int, line.split()))


@both
def test_multiples_and_sums_are_those_of_pari(suite: int) -> None:
    curve = CURVES[suite]
    source = random.Random(80 + suite)
    scalars = [1, 2, 3, curve.n - 1, *(source.randrange(curve.n) for _ in range(12))]
    script = gp_curve(curve) + "".join(f"P(ellmul(E, G, {k}));" for k in scalars)
    script += "print(ellisoncurve(E, G));"
    script += f"P(ellmul(E, G, {curve.n}));"
    pairs = [(source.choice(scalars), source.choice(scalars)) for _ in range(6)]
    script += "".join(f"P(elladd(E, ellmul(E, G, {a}), ellmul(E, G, {b})));" for a, b in pairs)
    lines = gp(script)
    multiples = [read_point(line) for line in lines[: len(scalars)]]
    assert [curve.multiply(k, curve.generator) for k in scalars] == multiples
    assert lines[len(scalars) : len(scalars) + 2] == ["1", "O"]
    sums = [read_point(line) for line in lines[len(scalars) + 2 :]]
    assert len(sums) == len(pairs)
    assert sums == [
        curve.add(curve.multiply(a, curve.generator), curve.multiply(b, curve.generator))
        for a, b in pairs
    ]


@both
def test_decompression_accepts_just_the_points_that_pari_accepts(suite: int) -> None:
    curve = CURVES[suite]
    source = random.Random(90 + suite)
    xs = [source.getrandbits(curve.field.m) for _ in range(24)]
    script = gp_curve(curve)
    for x in xs:
        # The ordinates over x, and for each whether n times the point is the neutral element.
        script += f"v = ellordinate(E, F({x}, g)); print(#v);"
        script += (
            f"for(i = 1, #v, P([F({x}, g), v[i]]); P(ellmul(E, [F({x}, g), v[i]], {curve.n})));"
        )
    lines = iter(gp(script))
    accepted = 0
    for x in xs:
        expected = set()
        for _ in range(int(next(lines))):
            point, times_n = read_point(next(lines)), next(lines)
            if times_n == "O":
                expected.add(point)
        found = set()
        for sign in (b"\x02", b"\x03"):
            try:
                found.add(curve.decompress(sign + x.to_bytes(curve.field.octets, "big")))
            except PointError:
                continue
        assert found == expected
        accepted += len(found)
    assert 0 < accepted < 2 * len(xs)


@both
def test_whole_key_agreement_is_that_of_pari(suite: int) -> None:
    """From certificates and drawn keys to Z by PARI; from Z to the link key by the hash alone."""
    curve = CURVES[suite]
    drawn = {role: random_scalar(curve, random.Random(n).randbytes) for n, role in enumerate(Role)}

    def draw(role: Role) -> Any:
        return lambda count: (drawn[role] - 1).to_bytes(count, "big")

    device = initiator(suite, random_octets=draw(Role.INITIATOR))
    hub = responder(suite, random_octets=draw(Role.RESPONDER))
    messages = [only_send(device.start())]
    keys = []
    receiver, other = hub, device
    while messages:
        message = messages.pop()
        actions = receiver.receive(message.command_id, message.payload)
        messages += [action for action in actions if isinstance(action, Send)]
        keys += [link_key([action]) for action in actions if isinstance(action, Established)]
        receiver, other = other, receiver

    own, partner = lab_identity(suite, DEVICE), lab_identity(suite, HUB)
    half = (curve.n.bit_length() + 1) // 2
    digest = int.from_bytes(aes_mmo(partner.certificate), "big")
    script = (
        gp_curve(curve)
        + f"""
    n = {curve.n};
    avf(Q) = U(Q[1]) % 2^{half} + 2^{half};
    dU = {int.from_bytes(own.private_key.reveal(), "big")};
    kU = {drawn[Role.INITIATOR]};
    QeU = ellmul(E, G, kU);
    QeV = ellmul(E, G, {drawn[Role.RESPONDER]});
    QV = elladd(E, ellmul(E, {gp_point(curve.decompress(partner.parsed.reconstruction_point))},
    {digest} % n), {gp_point(curve.decompress(partner.ca_public_key))});
    P(QV);
    s = (kU + avf(QeU)*dU) % n;
    Z = ellmul(E, ellmul(E, elladd(E, QeV, ellmul(E, QV, avf(QeV))), s), {curve.h});
    P(Z);
    """
    )
    # PARI/GP ends a statement at the line's end, so the one above that is broken is joined.
    public, z = gp(script.replace(",\n", ", "))
    assert read_point(public) == partner.parsed.public_key(partner.ca_public_key)
    secret = read_point(z)
    assert secret is not None
    expected = aes_mmo(secret.x.to_bytes(curve.field.octets, "big") + b"\0\0\0\x02")
    assert keys == [expected, expected]


# -- libcrypto ------------------------------------------------------------------------------------


class LibCrypto:
    """The few functions of libcrypto that it takes to multiply a point."""

    def __init__(self, library: ctypes.CDLL, curve: KoblitzCurve) -> None:
        pointer, octets = ctypes.c_void_p, ctypes.c_char_p
        for name, result, arguments in (
            ("OBJ_sn2nid", ctypes.c_int, [octets]),
            ("EC_GROUP_new_by_curve_name", pointer, [ctypes.c_int]),
            ("EC_GROUP_free", None, [pointer]),
            ("EC_POINT_new", pointer, [pointer]),
            ("EC_POINT_free", None, [pointer]),
            ("EC_POINT_mul", ctypes.c_int, [pointer] * 6),
            (
                "EC_POINT_oct2point",
                ctypes.c_int,
                [pointer, pointer, octets, ctypes.c_size_t, pointer],
            ),
            (
                "EC_POINT_point2oct",
                ctypes.c_size_t,
                [pointer, pointer, ctypes.c_int, octets, ctypes.c_size_t, pointer],
            ),
            ("BN_bin2bn", pointer, [octets, ctypes.c_int, pointer]),
            ("BN_free", None, [pointer]),
        ):
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self.library = library
        self.curve = curve
        self.group = library.EC_GROUP_new_by_curve_name(library.OBJ_sn2nid(curve.name.encode()))

    def multiply(self, k: int, compressed: bytes) -> bytes:
        """k times a compressed point, compressed; one zero octet for infinity."""
        library, group = self.library, self.group
        point, product = library.EC_POINT_new(group), library.EC_POINT_new(group)
        scalar = library.BN_bin2bn(k.to_bytes(64, "big"), 64, None)
        try:
            assert library.EC_POINT_oct2point(group, point, compressed, len(compressed), None)
            assert library.EC_POINT_mul(group, product, None, point, scalar, None)
            buffer = ctypes.create_string_buffer(64)
            length = library.EC_POINT_point2oct(group, product, 2, buffer, len(buffer), None)
            return buffer.raw[:length]
        finally:
            library.BN_free(scalar)
            library.EC_POINT_free(product)
            library.EC_POINT_free(point)


@pytest.fixture(params=[1, 2], ids=["suite1", "suite2"])
def libcrypto(request: pytest.FixtureRequest) -> Iterator[LibCrypto]:
    name = ctypes.util.find_library("crypto")
    if name is None:
        pytest.skip("there is no libcrypto here")
    try:
        crypto = LibCrypto(ctypes.CDLL(name), CURVES[request.param])
    except (OSError, AttributeError) as error:
        pytest.skip(f"this libcrypto cannot be used: {error}")
    if not crypto.group:
        pytest.skip(f"this libcrypto was built without {crypto.curve.name}")
    yield crypto
    crypto.library.EC_GROUP_free(crypto.group)


def test_multiples_of_random_points_are_those_of_libcrypto(libcrypto: LibCrypto) -> None:
    curve = libcrypto.curve
    source = random.Random(100 + curve.h)
    compressed = curve.compress(curve.generator)
    scalars = [1, 2, curve.n - 1, 2**128 - 1, *(source.randrange(curve.n) for _ in range(25))]
    for k in scalars:
        expected = libcrypto.multiply(k, compressed)
        point = curve.multiply(k, curve.decompress(compressed))
        assert point is not None
        assert curve.compress(point) == expected
        compressed = expected


def test_n_times_the_base_point_is_libcryptos_infinity(libcrypto: LibCrypto) -> None:
    curve = libcrypto.curve
    assert libcrypto.multiply(curve.n, curve.compress(curve.generator)) == b"\0"
