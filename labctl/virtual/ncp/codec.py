"""EZSP frames: headers, parameter layouts, and the table of frames of one protocol version.

A protocol version is a text, one frame a line, in the notation of `commands.py`; the others are
written as differences (`versions.py`). Parameters travel between codec and handlers by name, so
that a version that only reorders or widens fields needs no other handlers.

A field called `status` or `reason` is a status code. Handlers speak the codes of EZSP 13; from
EZSP 14 on the codec widens them to four octets and translates (`status_codes`).
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.status_codes import as_octet, as_sl

MAX_FRAME = 220
"""Octets of an EZSP frame at most; longer ones are answered with COMMAND_TOO_LONG."""

RESPONSE = 0x80
CALLBACK_ASYNCHRONOUS = 0x10
CALLBACK_SYNCHRONOUS = 0x08
CALLBACK_PENDING = 0x04
FORMAT_1 = 0x01  # high octet of the frame control: 16-bit frame ids

_HEADER = struct.Struct("<BBBH")


class ParameterError(Exception):
    """The parameters of a frame are shorter than its layout says."""


class ApsFrame(NamedTuple):
    """EmberApsFrame (UG100 3.3)."""

    profile_id: int
    cluster_id: int
    source_endpoint: int
    destination_endpoint: int
    options: int
    group_id: int
    sequence: int


class NetworkParameters(NamedTuple):
    """EmberNetworkParameters."""

    extended_pan_id: Eui64
    pan_id: int
    tx_power_dbm: int
    channel: int
    join_method: int
    manager: int
    update_id: int
    channels: int


class InitialSecurity(NamedTuple):
    """EmberInitialSecurityState. Holds keys: its repr says nothing."""

    bitmask: int
    preconfigured_key: bytes
    network_key: bytes
    sequence: int
    trust_centre: Eui64

    def __repr__(self) -> str:
        return "<InitialSecurity>"


class KeyContext(NamedTuple):
    """sl_zb_sec_man_context_t."""

    key_type: int
    key_index: int
    derived: int
    eui64: Eui64
    network: int
    flags: int
    algorithm: int


class KeyMetadata(NamedTuple):
    """sl_zb_sec_man_aps_key_metadata_t."""

    bitmask: int
    outgoing_counter: int
    incoming_counter: int
    ttl_s: int


class KeyStruct(NamedTuple):
    """EmberKeyStruct: up to EZSP 12. Its repr says nothing."""

    bitmask: int
    key_type: int
    key: bytes
    outgoing_counter: int
    incoming_counter: int
    sequence: int
    partner: Eui64

    def __repr__(self) -> str:
        return "<KeyStruct>"


class TransientKey(NamedTuple):
    """EmberTransientKeyData of EZSP 8 to 12. Its repr says nothing."""

    eui64: Eui64
    key: bytes
    bitmask: int
    remaining_s: int

    def __repr__(self) -> str:
        return "<TransientKey>"


class NetworkKeyInfo(NamedTuple):
    """sl_zb_sec_man_network_key_info_t."""

    current_set: int
    alternate_set: int
    current_sequence: int
    alternate_sequence: int
    outgoing_counter: int


class ChildData(NamedTuple):
    """EmberChildData; the time that remains is there from EZSP 10."""

    eui64: Eui64
    node_type: int
    node_id: int
    phy: int
    power: int
    timeout: int
    timeout_remaining_ms: int = 0


class Binding(NamedTuple):
    """EmberBindingTableEntry."""

    kind: int
    local: int
    cluster_id: int
    remote: int
    identifier: Eui64
    network: int


class Multicast(NamedTuple):
    """EmberMulticastTableEntry."""

    group_id: int
    endpoint: int
    network: int


class FoundNetwork(NamedTuple):
    """EmberZigbeeNetwork."""

    channel: int
    pan_id: int
    extended_pan_id: Eui64
    allowing_join: int
    stack_profile: int
    update_id: int


class Neighbour(NamedTuple):
    """EmberNeighborTableEntry."""

    node_id: int
    average_lqi: int
    in_cost: int
    out_cost: int
    age: int
    eui64: Eui64


class Route(NamedTuple):
    """EmberRouteTableEntry."""

    destination: int
    next_hop: int
    status: int
    age: int
    concentrator: int
    record_state: int


class RadioParameters(NamedTuple):
    """EmberMultiPhyRadioParameters."""

    tx_power_dbm: int
    page: int
    channel: int


class TokenInfo(NamedTuple):
    """EmberTokenInfo."""

    key: int
    is_counter: int
    is_indexed: int
    size: int
    array_size: int


@functools.lru_cache(maxsize=1024)
def eui64_from_wire(octets: bytes) -> Eui64:
    """An EUI-64 as EZSP carries it, least significant octet first."""
    return Eui64.from_little_endian(octets)


@functools.lru_cache(maxsize=1024)
def eui64_to_wire(eui64: Eui64) -> bytes:
    """The inverse of `eui64_from_wire`."""
    return eui64.little_endian


_SCALARS = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "u32": "I",
    "eui64": "8s",
    "key": "16s",
    "token8": "8s",
    "duty134": "134s",
    "sink62": "62s",
    "certificate1": "48s",
    "certificate2": "74s",
    "point1": "22s",
    "point2": "37s",
    "smac": "16s",
}

STRUCTURES: Mapping[str, tuple[type[tuple[Any, ...]], str]] = {
    "aps": (ApsFrame, "u16 u16 u8 u8 u16 u16 u8"),
    "network": (NetworkParameters, "eui64 u16 i8 u8 u8 u16 u8 u32"),
    "security": (InitialSecurity, "u16 key key u8 eui64"),
    "context": (KeyContext, "u8 u8 u16 eui64 u8 u8 u32"),
    "context12": (KeyContext, "u8 u8 u8 eui64 u8 u8 u32"),
    "metadata": (KeyMetadata, "u16 u32 u32 u16"),
    "keystruct": (KeyStruct, "u16 u8 key u32 u32 u8 eui64"),
    "transient": (TransientKey, "eui64 key u16 u16"),
    "keyinfo": (NetworkKeyInfo, "u8 u8 u8 u8 u32"),
    "child": (ChildData, "eui64 u8 u16 u8 u8 u8 u32"),
    "child7": (ChildData, "eui64 u8 u16 u8 u8 u8"),
    "binding": (Binding, "u8 u8 u16 u8 eui64 u8"),
    "multicast": (Multicast, "u16 u8 u8"),
    "found": (FoundNetwork, "u8 u16 eui64 u8 u8 u8"),
    "neighbour": (Neighbour, "u16 u8 u8 u8 u8 eui64"),
    "route": (Route, "u16 u16 u8 u8 u8 u8"),
    "radio": (RadioParameters, "i8 u8 u8"),
    "token": (TokenInfo, "u32 u8 u8 u8 u8"),
    "token19": (TokenInfo, "u32 u8 u8 u32 u8"),
}


_STATUSES = ("status", "reason")


class _Run:
    """Fields of fixed size next to each other: one `struct` for all of them."""

    def __init__(self, *, wide: bool) -> None:
        self.formats = "<"
        self.wide = wide  # status codes have four octets
        self.names: list[str] = []
        self.groups: list[tuple[str, int, int, type[tuple[Any, ...]] | None]] = []
        self.euis: list[int] = []
        self.statuses: list[tuple[int, Callable[[Any], int]]] = []
        self.count = 0

    def add(self, name: str, kind: str) -> None:
        group, spelled = STRUCTURES.get(kind, (None, kind))
        start = self.count
        if name in _STATUSES:
            spelled = "u32" if self.wide else kind
            self.statuses.append((start, as_octet if spelled == "u8" else as_sl))
        for scalar in spelled.split():
            if scalar == "eui64":
                self.euis.append(self.count)
            self.formats += _SCALARS[scalar]
            self.count += 1
        self.groups.append((name, start, self.count, group))

    def compile(self) -> None:
        self.struct = struct.Struct(self.formats)

    def unpack(self, data: bytes, offset: int, into: dict[str, Any]) -> int:
        end = offset + self.struct.size
        if end > len(data):
            raise ParameterError
        flat = list(self.struct.unpack_from(data, offset))
        for index in self.euis:
            flat[index] = eui64_from_wire(flat[index])
        for name, start, stop, group in self.groups:
            into[name] = flat[start] if group is None else group(*flat[start:stop])
        return end

    def pack(self, values: Mapping[str, Any]) -> bytes:
        flat: list[Any] = []
        for name, start, stop, group in self.groups:
            if group is None:
                flat.append(values[name])
            else:
                flat.extend(values[name][: stop - start])
        for index in self.euis:
            flat[index] = eui64_to_wire(flat[index])
        for index, code in self.statuses:
            flat[index] = code(flat[index])
        return self.struct.pack(*flat)


class _Blob:
    """Octets after a length of one or four octets."""

    def __init__(self, name: str, length: str) -> None:
        self.name = name
        self.length = struct.Struct("<" + length)

    def unpack(self, data: bytes, offset: int, into: dict[str, Any]) -> int:
        start = offset + self.length.size
        if start > len(data):
            raise ParameterError
        end = start + int(self.length.unpack_from(data, offset)[0])
        if end > len(data):
            raise ParameterError
        into[self.name] = data[start:end]
        return end

    def pack(self, values: Mapping[str, Any]) -> bytes:
        octets: bytes = values[self.name]
        return self.length.pack(len(octets)) + octets


class _Words:
    """16-bit words: as many as an earlier field says, or after a count, or up to the end."""

    def __init__(self, name: str, count: str) -> None:
        self.name = name
        self.count = count

    def unpack(self, data: bytes, offset: int, into: dict[str, Any]) -> int:
        if self.count == "":
            if offset >= len(data):
                raise ParameterError
            number = data[offset]
            offset += 1
        else:
            number = into[self.count]
        end = offset + 2 * number
        if end > len(data):
            raise ParameterError
        into[self.name] = struct.unpack_from(f"<{number}H", data, offset)
        return end

    def pack(self, values: Mapping[str, Any]) -> bytes:
        words: tuple[int, ...] = values[self.name]
        count = bytes([len(words)]) if self.count == "" else b""
        return count + struct.pack(f"<{len(words)}H", *words)


class _Optional:
    """Octets with a four-octet length that are there only when the status before is success."""

    def __init__(self, name: str) -> None:
        self.inner = _Blob(name, "I")

    def unpack(self, data: bytes, offset: int, into: dict[str, Any]) -> int:
        return offset if into["status"] else self.inner.unpack(data, offset, into)

    def pack(self, values: Mapping[str, Any]) -> bytes:
        return b"" if values["status"] else self.inner.pack(values)


class Layout:
    """The parameters of one frame in one direction."""

    def __init__(self, fields: Iterable[tuple[str, str]], *, wide: bool = False) -> None:
        self.fields = tuple(fields)
        self._parts: list[_Run | _Blob | _Words | _Optional] = []
        run: _Run | None = None
        for name, kind in self.fields:
            if kind in _SCALARS or kind in STRUCTURES:
                if run is None:
                    run = _Run(wide=wide)
                    self._parts.append(run)
                run.add(name, kind)
                continue
            run = None
            if kind == "bytes":
                self._parts.append(_Blob(name, "B"))
            elif kind == "bytes32":
                self._parts.append(_Blob(name, "I"))
            elif kind == "bytes32?":
                self._parts.append(_Optional(name))
            elif kind.startswith("u16*"):
                self._parts.append(_Words(name, kind[4:]))
            else:
                raise ValueError(f"no field type {kind!r}")
        for part in self._parts:
            if isinstance(part, _Run):
                part.compile()

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Parameters by name. Octets after the last one are ignored, as the firmware does."""
        values: dict[str, Any] = {}
        offset = 0
        for part in self._parts:
            offset = part.unpack(data, offset, values)
        return values

    def pack(self, values: Mapping[str, Any]) -> bytes:
        """The octets of the parameters."""
        parts = self._parts
        if len(parts) == 1:
            return parts[0].pack(values)
        return b"".join([part.pack(values) for part in parts])


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame id: a command with its response, or a callback (`request` is None)."""

    frame_id: int
    name: str  # snake case: also the name of the handler
    request: Layout | None
    response: Layout


_LINE = re.compile(
    r"(?P<id>[0-9A-F]{4}) (?P<name>\w+)(?:\((?P<request>[^)]*)\) ->|:)(?P<response>.*)"
)


def _layout(text: str, *, wide: bool) -> Layout:
    fields = [field.strip().rpartition(" ") for field in text.split(",") if field.strip()]
    return Layout(((name, kind) for kind, _, name in fields), wide=wide)


def parse_table(text: str, *, wide: bool = False) -> dict[int, Frame]:
    """Read a table of frames in the notation of `commands.py`.

    A later line takes the place of an earlier one with the same id, and `- ID ID ...` takes frames
    out. `wide` status codes have four octets, as from EZSP 14.
    """
    frames: dict[int, Frame] = {}
    for line in text.splitlines():
        stripped = line.partition("#")[0].strip()
        if not stripped:
            continue
        if stripped.startswith("- "):
            for gone in stripped[2:].split():
                del frames[int(gone, 16)]
            continue
        found = _LINE.fullmatch(stripped)
        if found is None:
            raise ValueError(f"not a line of a frame table: {line!r}")
        frame_id = int(found["id"], 16)
        request = None if found["request"] is None else _layout(found["request"], wide=wide)
        response = _layout(found["response"], wide=wide)
        frames[frame_id] = Frame(frame_id, found["name"], request, response)
    return frames


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the parameters."""

    sequence: int
    control: int
    format: int
    frame_id: int
    parameters: int
    """Where they start."""

    @property
    def legacy(self) -> bool:
        """The header of EZSP 4: three octets."""
        return self.parameters == 3


def parse_header(data: bytes) -> Header | None:
    """Read the header of a command, or None when it is too short to be any.

    Which of the two headers it is shows in the third octet: 0x01 is the high octet of a frame
    control of format 1, and as a frame id (getLibraryStatus) it never comes before the version.
    """
    length = len(data)
    if length >= 5 and data[2] & 0x03 == FORMAT_1:
        sequence, control, frame_format, frame_id = _HEADER.unpack_from(data)
        return Header(sequence, control, frame_format, frame_id, 5)
    if length >= 3:
        return Header(data[0], data[1], 0, data[2], 3)
    return None


def header(sequence: int, control: int, frame_id: int, *, legacy: bool = False) -> bytes:
    """The header of a response or callback."""
    if legacy:
        return bytes([sequence, control, frame_id & 0xFF])
    return _HEADER.pack(sequence, control, FORMAT_1, frame_id)
