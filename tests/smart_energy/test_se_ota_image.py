"""OTA images: what is one, and what exactly is wrong with what is none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.ota_image import OtaImageError, parse

DEVICE = Eui64("00:0d:6f:00:0a:90:69:e7")


def image(
    *,
    magic: int = 0x0BEEF11E,
    header_version: int = 0x0100,
    header_length: int | None = None,
    control: int = 0,
    optional: bytes = b"",
    manufacturer: int = 0x10D7,
    image_type: int = 0x0502,
    version: int = 0x01020304,
    name: bytes = b"display",
    size: int | None = None,
    elements: bytes = struct.pack("<HI", 0, 4) + b"code",
) -> bytes:
    length = 56 + len(optional) if header_length is None else header_length
    total = 56 + len(optional) + len(elements) if size is None else size
    return (
        struct.pack(
            "<IHHHHHIH32sI",
            magic,
            header_version,
            length,
            control,
            manufacturer,
            image_type,
            version,
            2,
            name,
            total,
        )
        + optional
        + elements
    )


def test_an_image_is_read() -> None:
    signature = struct.pack("<HI", 5, 50) + bytes(50)
    found = parse(image(elements=struct.pack("<HI", 0, 4) + b"code" + signature))
    assert (found.manufacturer, found.image_type, found.version) == (0x10D7, 0x0502, 0x01020304)
    assert (found.name, found.size, found.stack_version) == ("display", 56 + 10 + 56, 2)
    assert [(e.tag, e.offset, e.length) for e in found.elements] == [(0, 62, 4), (5, 72, 50)]
    assert found.fits(DEVICE, None)


def test_the_optional_fields_say_whom_the_image_is_for() -> None:
    optional = b"\x02" + DEVICE.little_endian + struct.pack("<HH", 3, 5)
    found = parse(image(control=0x0007, optional=optional))
    assert (found.security_version, found.destination) == (2, DEVICE)
    assert (found.minimum_hardware, found.maximum_hardware) == (3, 5)
    assert [found.fits(DEVICE, hardware) for hardware in (2, 3, 5, 6, None)] == [
        False,
        True,
        True,
        False,
        True,
    ]
    assert not found.fits(Eui64("00" * 8), 4)


@pytest.mark.parametrize(
    ("data", "offset", "what"),
    [
        (b"", 0, "ends in the header, which has 56 octets"),
        (image()[:30], 30, "ends in the header"),
        (image(magic=0x12345678), 0, "file identifier 0x12345678"),
        (image(magic=0x1EF1EE0B), 0, "wrong way round"),
        (image(header_version=0x0200), 4, "header version 0x0200"),
        (image(header_length=60), 6, "header length 60: the fields that are there take 56"),
        (image(control=0x0008), 8, "bits that are reserved"),
        (image(manufacturer=0xFFFF), 10, "stands for any"),
        (image(image_type=0xFFFF), 12, "stands for any"),
        (image(name=b"a\x00b"), 22, "behind the end of the name"),
        (image(name=b"\xff\xfe"), 20, "not UTF-8"),
        (image(size=99), 52, "total image size 99: the file has 66"),
        (image(control=1, optional=b"\x04"), 56, "credential version 4 is reserved"),
        (image(control=2, elements=b""), 56, "its destination is cut off"),
        (
            image(control=4, optional=struct.pack("<HH", 5, 3)),
            56,
            "hardware from 0x0005 to 0x0003",
        ),
        (image(elements=struct.pack("<HI", 0, 9) + b"code"), 56, "9 octets, 4 are there"),
        (image(elements=struct.pack("<HI", 0, 4) + b"code!"), 66, "1 octets are left over"),
        (image(elements=struct.pack("<HI", 3, 4) + b"code"), 66, "no upgrade image"),
        (image(elements=b""), 56, "no upgrade image"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, offset: int, what: str) -> None:
    with pytest.raises(OtaImageError) as error:
        parse(data)
    assert error.value.offset == offset
    assert what in error.value.what


@given(st.binary(max_size=120), st.integers(0, 65), st.integers(0, 255))
def test_whatever_is_damaged_is_read_or_refused_and_nothing_else(
    tail: bytes, at: int, octet: int
) -> None:
    good = bytearray(image())
    good[at % len(good)] = octet
    for data in (bytes(good), bytes(good) + tail, image()[:20] + tail, tail):
        try:
            end = parse(data).size
        except OtaImageError as error:
            end = error.offset
        assert 0 <= end <= len(data)
