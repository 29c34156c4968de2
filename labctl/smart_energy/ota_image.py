"""OTA upgrade images (ZCL 11.4): the header and the elements, checked octet by octet."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from labctl.smart_energy.eui64 import Eui64

MAGIC: Final = 0x0BEEF11E
HEADER_VERSION: Final = 0x0100
WILDCARD: Final = 0xFFFF
"""Manufacturer or image type that matches any."""

_HEADER: Final = struct.Struct("<IHHHHHIH32sI")
_ELEMENT: Final = struct.Struct("<HI")
_SECURITY_VERSION, _DESTINATION, _HARDWARE = 0x0001, 0x0002, 0x0004
_KNOWN: Final = _SECURITY_VERSION | _DESTINATION | _HARDWARE
_LARGEST: Final = 16 << 20

TAG_IMAGE: Final = 0x0000
TAG_NAMES: Final = {
    0x0000: "upgrade image",
    0x0001: "ECDSA signature (suite 1)",
    0x0002: "ECDSA signing certificate (suite 1)",
    0x0003: "image integrity code",
    0x0004: "picture data",
    0x0005: "ECDSA signature (suite 2)",
    0x0006: "ECDSA signing certificate (suite 2)",
}


class OtaImageError(ValueError):
    """A file that is no OTA image. The text says which field, and at which octet."""

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"octet {offset}: {what}")
        self.offset = offset
        self.what = what


@dataclass(frozen=True, slots=True)
class Element:
    """A tag of the image, where its value starts in the file, and how long that is."""

    tag: int
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class OtaImage:
    """An image for devices of one manufacturer and type. `data` is the whole file.

    `minimum_hardware` and `maximum_hardware` are both there or both None; `destination` is the one
    device that the image is for.
    """

    manufacturer: int
    image_type: int
    version: int
    stack_version: int
    name: str
    security_version: int | None
    destination: Eui64 | None
    minimum_hardware: int | None
    maximum_hardware: int | None
    elements: tuple[Element, ...]
    data: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Octets of the file."""
        return len(self.data)

    def fits(self, eui64: Eui64, hardware: int | None) -> bool:
        """Whether the image is for that device. A device that tells no hardware fits any."""
        if self.destination not in (None, eui64):
            return False
        if hardware is None or self.minimum_hardware is None or self.maximum_hardware is None:
            return True
        return self.minimum_hardware <= hardware <= self.maximum_hardware

    def __str__(self) -> str:
        return (
            f"manufacturer 0x{self.manufacturer:04X}, type 0x{self.image_type:04X}, "
            f"version 0x{self.version:08X}"
        )


def parse(data: bytes) -> OtaImage:
    """Read a file. Raises `OtaImageError`."""
    if len(data) > _LARGEST:
        raise OtaImageError(0, f"the file has {len(data)} octets, more than any image (16 MiB)")
    if len(data) < _HEADER.size:
        raise OtaImageError(
            len(data), f"the file ends in the header, which has {_HEADER.size} octets at least"
        )
    (
        magic,
        header_version,
        header_length,
        control,
        manufacturer,
        image_type,
        version,
        stack_version,
        name,
        size,
    ) = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise OtaImageError(0, _not_an_image(magic))
    if header_version != HEADER_VERSION:
        raise OtaImageError(
            4, f"header version 0x{header_version:04X}: only 0x{HEADER_VERSION:04X} is known"
        )
    if control & ~_KNOWN:
        raise OtaImageError(8, f"field control 0x{control:04X} has bits that are reserved")
    optional = _Optional(data, control)
    if header_length != optional.end:
        raise OtaImageError(
            6, f"header length {header_length}: the fields that are there take {optional.end}"
        )
    if manufacturer == WILDCARD:
        raise OtaImageError(10, "manufacturer 0xFFFF stands for any and can be in no image")
    if image_type == WILDCARD:
        raise OtaImageError(12, "image type 0xFFFF stands for any and can be in no image")
    if size != len(data):
        raise OtaImageError(52, f"total image size {size}: the file has {len(data)} octets")
    return OtaImage(
        manufacturer=manufacturer,
        image_type=image_type,
        version=version,
        stack_version=stack_version,
        name=_name(name),
        security_version=optional.security_version,
        destination=optional.destination,
        minimum_hardware=optional.minimum_hardware,
        maximum_hardware=optional.maximum_hardware,
        elements=_elements(data, header_length),
        data=data,
    )


def _not_an_image(magic: int) -> str:
    if magic == int.from_bytes(MAGIC.to_bytes(4, "little"), "big"):
        return "the file identifier has its octets the wrong way round"
    return f"file identifier 0x{magic:08X}: an OTA image starts with 0x{MAGIC:08X}"


def _name(octets: bytes) -> str:
    text, end, padding = octets.partition(b"\x00")
    if end and padding.strip(b"\x00"):
        raise OtaImageError(20 + len(text) + 1, "something stands behind the end of the name")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise OtaImageError(20 + error.start, "the name is not UTF-8") from None


class _Optional:
    """The optional fields of the header, and where they end."""

    def __init__(self, data: bytes, control: int) -> None:
        self._data = data
        self.end = _HEADER.size
        self.security_version: int | None = None
        self.destination: Eui64 | None = None
        self.minimum_hardware: int | None = None
        self.maximum_hardware: int | None = None
        if control & _SECURITY_VERSION:
            at, field = self._take(1, "security credential version")
            self.security_version = field[0]
            if field[0] > 3:
                raise OtaImageError(at, f"security credential version {field[0]} is reserved")
        if control & _DESTINATION:
            _, field = self._take(8, "destination")
            self.destination = Eui64.from_little_endian(field)
        if control & _HARDWARE:
            at, field = self._take(4, "hardware versions")
            self.minimum_hardware, self.maximum_hardware = struct.unpack("<HH", field)
            if self.minimum_hardware > self.maximum_hardware:
                raise OtaImageError(
                    at,
                    f"hardware from 0x{self.minimum_hardware:04X} to "
                    f"0x{self.maximum_hardware:04X}: no device is in between",
                )

    def _take(self, octets: int, what: str) -> tuple[int, bytes]:
        at = self.end
        field = self._data[at : at + octets]
        if len(field) < octets:
            raise OtaImageError(at, f"the file ends in the header: its {what} is cut off")
        self.end += octets
        return at, field


def _elements(data: bytes, offset: int) -> tuple[Element, ...]:
    elements: list[Element] = []
    while offset < len(data):
        if len(data) - offset < _ELEMENT.size:
            raise OtaImageError(offset, f"{len(data) - offset} octets are left over at the end")
        tag, length = _ELEMENT.unpack_from(data, offset)
        value = offset + _ELEMENT.size
        if value + length > len(data):
            name = TAG_NAMES.get(tag, f"tag 0x{tag:04X}")
            raise OtaImageError(
                offset, f"the {name} is to have {length} octets, {len(data) - value} are there"
            )
        elements.append(Element(tag, value, length))
        offset = value + length
    if not any(element.tag == TAG_IMAGE for element in elements):
        raise OtaImageError(offset, "there is no upgrade image (tag 0x0000) in the file")
    return tuple(elements)
