import random

import pytest
from cbke_support import seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.smart_energy.binary_field import BinaryField
from labctl.smart_energy.curves import (
    CURVES,
    SECT163K1,
    SECT283K1,
    KoblitzCurve,
    Point,
    PointError,
    random_scalar,
)

both = pytest.mark.parametrize("curve", CURVES.values(), ids=repr)
fields = st.sampled_from([curve.field for curve in CURVES.values()])


def slow_product(field: BinaryField, a: int, b: int) -> int:
    """The school method, bit by bit."""
    polynomial = 1 << field.m | sum(1 << tap for tap in field.taps) | 1
    product = 0
    while b:
        if b & 1:
            product ^= a
        b >>= 1
        a <<= 1
        if a >> field.m:
            a ^= polynomial
    return product


def double_and_add(curve: KoblitzCurve, k: int, point: Point | None) -> Point | None:
    """The school method: knows nothing of τ, and works for points of any order."""
    total = None
    while k:
        if k & 1:
            total = curve.add(total, point)
        point = curve.add(point, point)
        k >>= 1
    return total


def point_of_small_order(curve: KoblitzCurve) -> Point:
    """A point of order h: (1, 0) or (0, 1) of the curve over GF(2)."""
    return Point(0, 1) if curve.h == 2 else Point(1, 0)


@given(fields, st.data())
def test_product_agrees_with_the_school_method(field: BinaryField, data: st.DataObject) -> None:
    element = st.integers(min_value=0, max_value=(1 << field.m) - 1)
    a, b = data.draw(element), data.draw(element)
    assert field.multiply(a, b) == slow_product(field, a, b)
    assert field.square(a) == slow_product(field, a, a)


@given(fields, st.data())
@settings(max_examples=20)
def test_trace_is_the_sum_of_the_conjugates(field: BinaryField, data: st.DataObject) -> None:
    a = data.draw(st.integers(min_value=0, max_value=(1 << field.m) - 1))
    conjugate = total = a
    for _ in range(field.m - 1):
        conjugate = field.square(conjugate)
        total ^= conjugate
    assert field.trace(a) == total


@given(fields, st.data())
@settings(max_examples=30)
def test_field_operations_undo_each_other(field: BinaryField, data: st.DataObject) -> None:
    a = data.draw(st.integers(min_value=1, max_value=(1 << field.m) - 1))
    assert field.multiply(a, field.invert(a)) == 1
    assert field.square(field.sqrt(a)) == a
    assert field.trace(a) == field.trace(field.square(a))
    image = field.square(a) ^ a
    assert field.trace(image) == 0
    assert field.half_trace(image) in (a, a ^ 1)


def test_zero_has_no_inverse() -> None:
    with pytest.raises(ZeroDivisionError):
        SECT163K1.field.invert(0)


@pytest.mark.parametrize(("m", "taps"), [(162, (7,)), (163, (82,)), (163, (0,))])
def test_field_that_the_arithmetic_cannot_do_is_refused(m: int, taps: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be odd"):
        BinaryField(m, taps)


@both
def test_base_point_is_on_the_curve_and_of_order_n(curve: KoblitzCurve) -> None:
    assert curve.contains(curve.generator)
    assert curve.in_subgroup(curve.generator)
    assert double_and_add(curve, curve.n, curve.generator) is None


@both
@pytest.mark.parametrize("k", [0, 1, 2, 3, 5, 2**128 - 1, -1])
def test_notable_multiples_agree_with_the_school_method(curve: KoblitzCurve, k: int) -> None:
    expected = double_and_add(curve, k % curve.n, curve.generator)
    assert curve.multiply(k, curve.generator) == expected
    assert curve.multiply(k + curve.n, curve.generator) == expected


@both
def test_random_multiple_agrees_with_the_school_method(curve: KoblitzCurve) -> None:
    source = random.Random(7)
    k, start = source.randrange(curve.n), source.randrange(curve.n)
    point = curve.multiply(start, curve.generator)
    assert point is not None
    assert curve.contains(point)
    assert curve.multiply(k, point) == double_and_add(curve, k, point)


@both
def test_multiples_of_infinity_are_infinity(curve: KoblitzCurve) -> None:
    assert curve.multiply(5, None) is None
    assert curve.multiply(0, curve.generator) is None
    assert curve.multiply(curve.n, curve.generator) is None


@both
def test_addition_knows_its_special_cases(curve: KoblitzCurve) -> None:
    g = curve.generator
    assert curve.add(None, g) == curve.add(g, None) == g
    assert curve.add(None, None) is None
    assert curve.add(g, curve.negate(g)) is None
    assert curve.add(g, g) == curve.multiply(2, g)
    assert curve.add(Point(0, 1), Point(0, 1)) is None


@both
def test_projective_addition_knows_its_special_cases(curve: KoblitzCurve) -> None:
    g = curve.generator
    double = curve.add(g, g)
    z = 0x1234567890ABCDEF
    x, y = curve.field.multiply(g.x, z), curve.field.multiply(g.y, curve.field.square(z))
    assert curve._add_mixed(1, 0, 0, g) == (g.x, g.y, 1)
    assert curve._add_mixed(x, y, z, g) == (*double, 1)
    assert curve._add_mixed(x, y, z, curve.negate(g))[2] == 0
    assert curve._add_mixed(0, 1, 1, Point(0, 1))[2] == 0


@both
def test_compression_is_undone_by_decompression(curve: KoblitzCurve) -> None:
    for k in range(1, 12):
        point = curve.multiply(k, curve.generator)
        assert point is not None
        octets = curve.compress(point)
        assert len(octets) == curve.point_octets
        assert curve.decompress(octets) == point
        other = bytes([octets[0] ^ 1]) + octets[1:]
        assert curve.decompress(other) == curve.negate(point)


@both
def test_membership_of_the_subgroup_agrees_with_multiplication_by_n(curve: KoblitzCurve) -> None:
    small = point_of_small_order(curve)
    assert curve.contains(small)
    coset = curve.multiply(99, curve.generator)
    for turn in range(curve.h):
        assert coset is not None
        assert curve.contains(coset)
        inside = double_and_add(curve, curve.n, coset) is None
        assert curve.in_subgroup(coset) is inside is (turn % curve.h == 0)
        coset = curve.add(coset, small)


@both
def test_points_of_small_order_are_not_in_the_subgroup(curve: KoblitzCurve) -> None:
    point: Point | None = point_of_small_order(curve)
    for _ in range(curve.h - 1):
        assert point is not None
        assert not curve.in_subgroup(point)
        point = curve.add(point, point_of_small_order(curve))
    assert point is None


def test_points_outside_the_field_are_not_on_the_curve() -> None:
    g = SECT163K1.generator
    assert not SECT163K1.contains(Point(g.x | 1 << 163, g.y))
    assert not SECT163K1.contains(Point(g.x, g.y ^ 1))


@both
def test_octets_that_are_no_public_key_are_refused_with_the_reason(curve: KoblitzCurve) -> None:
    good = curve.compress(curve.generator)
    mixed = curve.add(curve.generator, point_of_small_order(curve))
    assert mixed is not None
    for octets, reason in (
        (good[:-1], f"has {curve.point_octets} octets"),
        (good + b"\0", f"has {curve.point_octets} octets"),
        (b"\x04" + good[1:], "starts with 02 or 03, not 04"),
        (b"\x02" + b"\xff" * curve.field.octets, f"more than the field's {curve.field.m} bits"),
        (b"\x02" + bytes(curve.field.octets), "order 2"),
        (curve.compress(mixed), "not of the order of the base point"),
    ):
        with pytest.raises(PointError, match=reason):
            curve.decompress(octets)


@both
def test_about_half_of_all_x_are_on_no_point(curve: KoblitzCurve) -> None:
    source = random.Random(3)
    reasons = []
    for _ in range(40):
        x = source.getrandbits(curve.field.m)
        try:
            point = curve.decompress(b"\x02" + x.to_bytes(curve.field.octets, "big"))
        except PointError as error:
            reasons.append(str(error))
        else:
            assert curve.contains(point)
    assert 10 < reasons.count("the point is not on the curve") < 30


@given(st.sampled_from([SECT163K1, SECT283K1]), st.binary(max_size=40))
def test_decompression_of_anything_gives_a_point_or_says_why_not(
    curve: KoblitzCurve, octets: bytes
) -> None:
    try:
        point = curve.decompress(octets)
    except PointError:
        return
    assert curve.contains(point)
    assert curve.in_subgroup(point)


@both
def test_private_keys_stay_in_range(curve: KoblitzCurve) -> None:
    assert random_scalar(curve, bytes) == 1
    assert random_scalar(curve, lambda n: (curve.n - 2).to_bytes(n, "big")) == curve.n - 1
    assert random_scalar(curve, lambda n: (curve.n - 1).to_bytes(n, "big")) == 1
    source = seeded(4)
    assert len({random_scalar(curve, source) for _ in range(20)}) == 20
