"""ZCL as the virtual devices speak it: frames, data types, and the global commands they need.

Written from the Zigbee Cluster Library specification (075123 revision 8, chapter 2) on its own,
so that a green test is two implementations agreeing. Octets that make no sense raise `ZclError`
and nothing else.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final


class ZclError(ValueError):
    """The octets are not a ZCL frame, or not the payload that the command should have."""


class Status(enum.IntEnum):
    """ZCL status codes (2.6.3) that the devices send or tell apart."""

    SUCCESS = 0x00
    FAILURE = 0x01
    NOT_AUTHORIZED = 0x7E
    MALFORMED_COMMAND = 0x80
    UNSUP_CLUSTER_COMMAND = 0x81
    UNSUP_GENERAL_COMMAND = 0x82
    UNSUP_MANUF_COMMAND = 0x84
    UNSUPPORTED_ATTRIBUTE = 0x86
    READ_ONLY = 0x88
    INSUFFICIENT_SPACE = 0x89
    NOT_FOUND = 0x8B
    UNSUPPORTED_CLUSTER = 0xC3


class Global(enum.IntEnum):
    """Global command ids (2.5)."""

    READ = 0x00
    READ_RESPONSE = 0x01
    WRITE = 0x02
    WRITE_UNDIVIDED = 0x03
    WRITE_RESPONSE = 0x04
    WRITE_NO_RESPONSE = 0x05
    REPORT = 0x0A
    DEFAULT_RESPONSE = 0x0B
    DISCOVER = 0x0C
    DISCOVER_RESPONSE = 0x0D


_CLUSTER_SPECIFIC: Final = 0x01
_MANUFACTURER: Final = 0x04
_FROM_SERVER: Final = 0x08
_NO_DEFAULT_RESPONSE: Final = 0x10


@dataclass(frozen=True, slots=True)
class Frame:
    """A ZCL frame (2.4.1). `command` is a cluster's own or a `Global` one."""

    command: int
    sequence: int
    payload: bytes = b""
    cluster_specific: bool = False
    from_server: bool = False
    disable_default_response: bool = False
    manufacturer: int | None = None

    def serialise(self) -> bytes:
        """The octets of the frame."""
        control = (
            (_CLUSTER_SPECIFIC if self.cluster_specific else 0)
            | (_FROM_SERVER if self.from_server else 0)
            | (_NO_DEFAULT_RESPONSE if self.disable_default_response else 0)
        )
        if self.manufacturer is None:
            return bytes((control, self.sequence, self.command)) + self.payload
        head = struct.pack(
            "<BHBB", control | _MANUFACTURER, self.manufacturer, self.sequence, self.command
        )
        return head + self.payload

    @classmethod
    def parse(cls, octets: bytes) -> Frame:
        """Raise `ZclError` when `octets` are too short or the frame type is reserved."""
        if len(octets) < 3:
            raise ZclError(f"a ZCL frame has at least 3 octets, not {len(octets)}")
        control = octets[0]
        if control & 0x02:
            raise ZclError(f"reserved frame type {control & 0x03}")
        manufacturer: int | None = None
        at = 1
        if control & _MANUFACTURER:
            if len(octets) < 5:
                raise ZclError("the manufacturer code is cut off")
            manufacturer = octets[1] | octets[2] << 8
            at = 3
        return cls(
            octets[at + 1],
            octets[at],
            octets[at + 2 :],
            bool(control & _CLUSTER_SPECIFIC),
            bool(control & _FROM_SERVER),
            bool(control & _NO_DEFAULT_RESPONSE),
            manufacturer,
        )

    def default_response(self, status: int) -> Frame:
        """The Default Response (2.5.12) to this frame, from the other side."""
        return Frame(
            Global.DEFAULT_RESPONSE,
            self.sequence,
            bytes((self.command, status)),
            from_server=not self.from_server,
            disable_default_response=True,
            manufacturer=self.manufacturer,
        )


# -- data types (2.6.2) ---------------------------------------------------------------------------

_WIDTH: Final[dict[int, int]] = (
    {0x08 + n: n + 1 for n in range(8)}  # data8..data64
    | {0x18 + n: n + 1 for n in range(8)}  # map8..map64
    | {0x20 + n: n + 1 for n in range(8)}  # uint8..uint64
    | {0x28 + n: n + 1 for n in range(8)}  # int8..int64
    | {0x10: 1, 0x30: 1, 0x31: 2}  # bool, enum8, enum16
    | {0x38: 2, 0x39: 4, 0x3A: 8}  # semi, single, double
    | {0xE0: 4, 0xE1: 4, 0xE2: 4, 0xE8: 2, 0xE9: 2, 0xEA: 4}  # ToD, date, UTC, ids
    | {0xF0: 8, 0xF1: 16}  # EUI64, key128
)
_SIGNED: Final = frozenset(range(0x28, 0x30))
_FLOAT: Final = {0x38: "<e", 0x39: "<f", 0x3A: "<d"}
_OPAQUE: Final = frozenset({0xE0, 0xE1, 0xF0, 0xF1} | set(range(0x08, 0x10)))
# Non-value (2.6.2, table 2-10): all ones, or the most negative for signed integers.
_NON_VALUE: Final[dict[int, int]] = {
    t: (1 << (8 * _WIDTH[t] - 1)) if t in _SIGNED else (1 << (8 * _WIDTH[t])) - 1
    for t in (*range(0x20, 0x30), 0x10, 0x30, 0x31, 0xE2, 0xE8, 0xE9, 0xEA)
}
_STRINGS: Final = {0x41: 1, 0x42: 1, 0x43: 2, 0x44: 2}
_TEXT: Final = frozenset({0x42, 0x44})
_MAX_DEPTH: Final = 4

Value = Any
"""int, bool, float, bytes, str, a tuple of values, or None for the type's non-value."""


def _string(type_id: int, octets: bytes, at: int) -> tuple[Value, int]:
    head = _STRINGS[type_id]
    if at + head > len(octets):
        raise ZclError("the length of a string is cut off")
    length = int.from_bytes(octets[at : at + head], "little")
    at += head
    if length == (1 << (8 * head)) - 1:
        return None, at
    if at + length > len(octets):
        raise ZclError("a string is cut off")
    raw = octets[at : at + length]
    if type_id in _TEXT:
        try:
            return raw.decode("utf-8"), at + length
        except UnicodeDecodeError:
            # Meters are fed by head-ends that write ISO 8859-1; a display shows what it can.
            return raw.decode("latin-1"), at + length
    return raw, at + length


def _collection(type_id: int, octets: bytes, at: int, depth: int) -> tuple[Value, int]:
    if depth >= _MAX_DEPTH:
        raise ZclError("collections are nested too deeply")
    is_struct = type_id == 0x4C
    head = 2 if is_struct else 3
    if at + head > len(octets):
        raise ZclError("the head of a collection is cut off")
    element = 0 if is_struct else octets[at]
    count = int.from_bytes(octets[at + head - 2 : at + head], "little")
    at += head
    if count == 0xFFFF:
        return None, at
    if not is_struct and element in (0x00, 0xFF) and count:
        raise ZclError("a collection of nothing")
    values = []
    for _ in range(count):
        if is_struct:
            if at >= len(octets):
                raise ZclError("a structure is cut off")
            element = octets[at]
            at += 1
        value, at = _decode(element, octets, at, depth + 1)
        values.append(value)
    return tuple(values), at


def _decode(type_id: int, octets: bytes, at: int, depth: int) -> tuple[Value, int]:
    width = _WIDTH.get(type_id)
    if width is None:
        if type_id in _STRINGS:
            return _string(type_id, octets, at)
        if type_id in (0x48, 0x4C, 0x50, 0x51):
            return _collection(type_id, octets, at, depth)
        if type_id in (0x00, 0xFF):
            return None, at
        raise ZclError(f"unknown data type 0x{type_id:02X}")
    end = at + width
    if end > len(octets):
        raise ZclError(f"a value of type 0x{type_id:02X} is cut off")
    raw = octets[at:end]
    if type_id in _OPAQUE:
        return raw, end
    if type_id in _FLOAT:
        return struct.unpack(_FLOAT[type_id], raw)[0], end
    number = int.from_bytes(raw, "little")
    if number == _NON_VALUE.get(type_id):
        return None, end
    if type_id in _SIGNED:
        if number >> (8 * width - 1):
            number -= 1 << (8 * width)
        return number, end
    if type_id == 0x10:
        return bool(number), end
    return number, end


def decode_value(type_id: int, octets: bytes, at: int = 0) -> tuple[Value, int]:
    """The value of `type_id` at offset `at`, and the offset after it.

    The type's non-value comes back as None. Raise `ZclError` for what cannot be decoded.
    """
    return _decode(type_id, octets, at, 0)


def encode_value(type_id: int, value: Value) -> bytes:
    """The octets of `value`; None is the type's non-value. Collections are not written here."""
    width = _WIDTH.get(type_id)
    if width is None:
        return _encode_string(type_id, value)
    if type_id in _OPAQUE:
        if not isinstance(value, bytes) or len(value) != width:
            raise ZclError(f"type 0x{type_id:02X} takes {width} octets")
        return value
    try:
        if type_id in _FLOAT:
            return struct.pack(_FLOAT[type_id], value)
        if value is None:
            return _NON_VALUE[type_id].to_bytes(width, "little")
        return int(value).to_bytes(width, "little", signed=type_id in _SIGNED)
    except (OverflowError, KeyError, TypeError, ValueError, struct.error) as error:
        raise ZclError(f"{value!r} does not fit type 0x{type_id:02X}") from error


def _encode_string(type_id: int, value: Value) -> bytes:
    head = _STRINGS.get(type_id)
    if head is None:
        raise ZclError(f"values of type 0x{type_id:02X} cannot be written")
    limit = (1 << (8 * head)) - 1
    if value is None:
        return limit.to_bytes(head, "little")
    raw = value.encode() if isinstance(value, str) else value
    if not isinstance(raw, bytes) or len(raw) >= limit:
        raise ZclError(f"not a string for type 0x{type_id:02X}")
    return len(raw).to_bytes(head, "little") + raw


# -- global commands (2.5) ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Record:
    """One attribute of a Read Attributes Response: `status`, and type and value when SUCCESS."""

    attribute: int
    status: int
    type_id: int = 0
    value: Value = None


def read_attributes(attributes: Iterable[int]) -> bytes:
    """Payload of Read Attributes (2.5.1)."""
    ids = tuple(attributes)
    return struct.pack(f"<{len(ids)}H", *ids)


def parse_read_attributes(payload: bytes) -> tuple[int, ...]:
    """The attribute ids asked for."""
    if len(payload) % 2:
        raise ZclError("half an attribute id")
    return struct.unpack(f"<{len(payload) // 2}H", payload)


def read_response(records: Iterable[Record]) -> bytes:
    """Payload of Read Attributes Response (2.5.2)."""
    out = bytearray()
    for record in records:
        out += struct.pack("<HB", record.attribute, record.status)
        if record.status == Status.SUCCESS:
            out.append(record.type_id)
            out += encode_value(record.type_id, record.value)
    return bytes(out)


def parse_read_response(payload: bytes) -> list[Record]:
    """The records of a Read Attributes Response, in the order of the answer."""
    records = []
    at = 0
    end = len(payload)
    while at < end:
        if at + 3 > end:
            raise ZclError("an attribute record is cut off")
        attribute = payload[at] | payload[at + 1] << 8
        status = payload[at + 2]
        at += 3
        if status:
            records.append(Record(attribute, status))
            continue
        if at >= end:
            raise ZclError("the data type is cut off")
        type_id = payload[at]
        value, at = _decode(type_id, payload, at + 1, 0)
        records.append(Record(attribute, 0, type_id, value))
    return records


def write_attributes(attributes: Iterable[tuple[int, int, Value]]) -> bytes:
    """Payload of Write Attributes (2.5.3) from (attribute, type, value)."""
    out = bytearray()
    for attribute, type_id, value in attributes:
        out += struct.pack("<HB", attribute, type_id) + encode_value(type_id, value)
    return bytes(out)


def parse_write_attributes(payload: bytes) -> list[tuple[int, int, Value]]:
    """The (attribute, type, value) of a Write Attributes, or a Report Attributes."""
    written = []
    at = 0
    while at < len(payload):
        if at + 3 > len(payload):
            raise ZclError("an attribute record is cut off")
        attribute, type_id = struct.unpack_from("<HB", payload, at)
        value, at = decode_value(type_id, payload, at + 3)
        written.append((attribute, type_id, value))
    return written


def write_response(statuses: Iterable[tuple[int, int]]) -> bytes:
    """Payload of Write Attributes Response (2.5.5): one SUCCESS, or (status, attribute) of each."""
    failures = [(status, attribute) for attribute, status in statuses if status]
    if not failures:
        return b"\x00"
    return b"".join(struct.pack("<BH", status, attribute) for status, attribute in failures)


def parse_write_response(payload: bytes) -> list[tuple[int, int]]:
    """The (attribute, status) of what was not written; empty when all was."""
    if payload == b"\x00":
        return []
    if not payload or len(payload) % 3:
        raise ZclError("not a Write Attributes Response")
    return [(attribute, status) for status, attribute in struct.iter_unpack("<BH", payload)]


def parse_default_response(payload: bytes) -> tuple[int, int]:
    """The command answered, and the status."""
    if len(payload) < 2:
        raise ZclError("a Default Response has two octets")
    return payload[0], payload[1]
