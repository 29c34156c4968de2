"""The virtual devices' own ZCL: frames, types, global commands; garbage is one error."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.virtual.devices import zcl
from labctl.virtual.devices.payloads import DisplayMessage, PublishPrice
from labctl.virtual.devices.zcl import Frame, Record, ZclError

octets = st.integers(0, 255)
frames = st.builds(
    Frame,
    command=octets,
    sequence=octets,
    payload=st.binary(max_size=80),
    cluster_specific=st.booleans(),
    from_server=st.booleans(),
    disable_default_response=st.booleans(),
    manufacturer=st.none() | st.integers(0, 0xFFFF),
)


@given(frames)
def test_a_frame_survives_the_air(frame: Frame) -> None:
    assert Frame.parse(frame.serialise()) == frame


@pytest.mark.parametrize(
    ("octets", "frame"),
    [
        # The frame controls seen in DCC test vectors: query, command, solicited answer.
        ("01 22 00", Frame(0, 0x22, cluster_specific=True)),
        ("09 22 00", Frame(0, 0x22, cluster_specific=True, from_server=True)),
        (
            "19 22 00 aa",
            Frame(
                0,
                0x22,
                b"\xaa",
                cluster_specific=True,
                from_server=True,
                disable_default_response=True,
            ),
        ),
        ("18 01 01", Frame(1, 1, from_server=True, disable_default_response=True)),
        ("04 5f 11 07 00 00 00", Frame(0, 7, b"\0\0", manufacturer=0x115F)),
    ],
)
def test_frame_controls_read_as_the_specification_has_them(octets: str, frame: Frame) -> None:
    assert Frame.parse(bytes.fromhex(octets)) == frame
    assert frame.serialise() == bytes.fromhex(octets)


def integers(type_id: int, width: int, signed: bool) -> st.SearchStrategy[tuple[int, int | None]]:
    bits = 8 * width
    # The non-value is not a number: all ones, or the most negative.
    low, high = (-(1 << bits - 1) + 1, (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 2)
    return st.tuples(st.just(type_id), st.none() | st.integers(low, high))


typed_values = st.one_of(
    *(integers(0x20 + n, n + 1, False) for n in range(8)),
    *(integers(0x28 + n, n + 1, True) for n in range(8)),
    *(st.tuples(st.just(0x18 + n), st.integers(0, (1 << 8 * (n + 1)) - 1)) for n in range(8)),
    integers(0x30, 1, False),
    integers(0x31, 2, False),
    integers(0xE2, 4, False),
    st.tuples(st.just(0x10), st.booleans() | st.none()),
    st.tuples(st.just(0x41), st.none() | st.binary(max_size=254)),
    st.tuples(st.just(0x43), st.none() | st.binary(max_size=300)),
    st.tuples(st.just(0x42), st.none() | st.text(max_size=60)),
    st.tuples(st.just(0xF0), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just(0x3A), st.floats(allow_nan=False)),
)


@given(typed_values, st.binary(max_size=4))
def test_a_value_survives_the_air_and_says_where_it_ends(
    typed: tuple[int, object], rest: bytes
) -> None:
    type_id, value = typed
    encoded = zcl.encode_value(type_id, value)
    assert zcl.decode_value(type_id, encoded + rest) == (value, len(encoded))


@pytest.mark.parametrize(
    ("type_id", "octets", "value"),
    [
        (0x25, "87 d6 12 00 00 00", 1_234_567),
        (0x2A, "dc 05 00", 1500),
        (0x2A, "24 fa ff", -1500),  # exporting
        (0x2A, "00 00 80", None),
        (0x25, "ff ff ff ff ff ff", None),
        (0x18, "ff", 0xFF),  # a bitmap has no non-value
        (0xE2, "ff ff ff ff", None),
        (0x41, "ff", None),
        (0x41, "03 41 42 43", b"ABC"),
        (0x42, "03 a3 31 35", "£15"),  # ISO 8859-1 from a head-end
        (0x43, "02 00 01 02", b"\x01\x02"),
        (0x48, "20 02 00 05 06", (5, 6)),
        (0x4C, "02 00 20 05 42 01 41", (5, "A")),
        (0x38, "00 3c", 1.0),
    ],
)
def test_values_read_as_the_specification_has_them(
    type_id: int, octets: str, value: object
) -> None:
    raw = bytes.fromhex(octets)
    assert zcl.decode_value(type_id, raw) == (value, len(raw))


def test_single_precision_reads_to_its_own_precision() -> None:
    value, _ = zcl.decode_value(0x39, struct.pack("<f", math.pi))
    assert value == pytest.approx(math.pi, rel=1e-6)


records = st.lists(
    st.one_of(
        typed_values.flatmap(
            lambda typed: st.builds(
                Record, st.integers(0, 0xFFFF), st.just(0), st.just(typed[0]), st.just(typed[1])
            )
        ),
        st.builds(Record, st.integers(0, 0xFFFF), st.integers(1, 255)),
    ),
    max_size=8,
)


@given(records)
def test_a_read_response_survives_the_air(answer: list[Record]) -> None:
    assert zcl.parse_read_response(zcl.read_response(answer)) == answer


@given(st.lists(st.integers(0, 0xFFFF), max_size=20))
def test_a_read_request_survives_the_air(attributes: list[int]) -> None:
    assert zcl.parse_read_attributes(zcl.read_attributes(attributes)) == tuple(attributes)


def test_a_write_response_names_what_was_not_written() -> None:
    assert zcl.parse_write_response(b"\x00") == []
    assert zcl.parse_write_response(b"\x88\x01\x03") == [(0x0301, 0x88)]
    assert zcl.write_response([(0x0301, 0x88), (0x0302, 0)]) == b"\x88\x01\x03"
    assert zcl.write_response([(0x0301, 0)]) == b"\x00"


@given(st.binary(max_size=120))
def test_garbage_raises_the_one_error_and_no_other(garbage: bytes) -> None:
    parsers = (
        Frame.parse,
        zcl.parse_read_response,
        zcl.parse_read_attributes,
        zcl.parse_write_attributes,
        zcl.parse_write_response,
        zcl.parse_default_response,
        PublishPrice.parse,
        DisplayMessage.parse,
    )
    for parse in parsers:
        try:
            parse(garbage)
        except ZclError:
            continue


@given(st.integers(0, 255), st.binary(max_size=60))
def test_a_garbled_value_raises_the_one_error_and_no_other(type_id: int, garbage: bytes) -> None:
    try:
        _, end = zcl.decode_value(type_id, garbage)
    except ZclError:
        return
    assert end <= len(garbage)


def test_a_collection_cannot_swallow_the_device() -> None:
    with pytest.raises(ZclError, match="nested"):
        zcl.decode_value(0x48, b"\x48\x01\x00" * 30)
    with pytest.raises(ZclError, match="nothing"):
        zcl.decode_value(0x48, b"\xff\xfe\xff")


@pytest.mark.parametrize(
    ("type_id", "value"),
    [
        (0x20, 256),
        (0x20, -1),
        (0x28, 128),
        (0x41, "x" * 255),
        (0x99, 1),
        (0xF0, b"short"),
        (0x20, "x"),
    ],
)
def test_what_does_not_fit_a_type_is_not_written(type_id: int, value: object) -> None:
    with pytest.raises(ZclError):
        zcl.encode_value(type_id, value)


def test_publish_price_reads_the_short_and_the_long_form() -> None:
    # The gas price of a DCC reference vector's layout: 28 octets and an empty label.
    short = struct.pack(
        "<IBIIBHBBIHI", 0, 0, 0x1C374A80, 0x1C374A80, 1, 0x33A, 0x51, 0x41, 0, 1440, 0x2580
    )
    assert len(short) == 28
    price = PublishPrice.parse(short)
    assert (price.currency, price.trailing_digits, price.tier) == (826, 5, 1)
    assert (price.duration_min, price.price, price.unit) == (1440, 9600, 1)
    assert PublishPrice.parse(short + b"\xff" * 19) == price
    with pytest.raises(ZclError):
        PublishPrice.parse(short[:-1])


def test_a_message_reads_with_and_without_extended_control() -> None:
    raw = struct.pack("<IBIHB", 9, 0x80, 0, 0xFFFF, 5) + b"Hello"
    message = DisplayMessage.parse(raw)
    assert (message.text, message.confirmation_required) == ("Hello", True)
    assert DisplayMessage.parse(raw + b"\x00") == message
    with pytest.raises(ZclError):
        DisplayMessage.parse(raw[:-1])
