"""General commands beside Read Attributes (ZCL 2.5): writes, which are refused, and discovery."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from zigpy.zcl.foundation import Attribute as WriteRecord

from labctl.hub import frames as zcl
from labctl.hub.frames import Frame
from labctl.hub.refusal import Refusal
from labctl.hub.services.base import MALFORMED, SUCCESS, Report, Service

_ATTRIBUTE_INFO: Final = struct.Struct("<HB")
_READABLE: Final = 0x01
_WRITABLE: Final = 0x02


def written_attributes(frame: Frame) -> list[tuple[int, int, Any]]:
    """The attributes that a Write Attributes speaks of, with type and value. Raises `Refusal`."""
    written: list[tuple[int, int, Any]] = []
    rest = frame.payload
    while rest:
        try:
            record, rest = WriteRecord.deserialize(rest)
        except (ValueError, KeyError) as error:
            raise Refusal(
                "zcl", f"malformed Write Attributes: {error}", MALFORMED, frame.command_id
            ) from None
        typed: Any = record.value
        written.append((int(record.attrid), int(typed.type), typed.value))
    if not written:
        raise Refusal("zcl", "Write Attributes of nothing", MALFORMED, frame.command_id)
    return written


def reported_attributes(frame: Frame) -> list[Report]:
    """The attributes of a Report Attributes (2.5.11). Raises `Refusal`."""
    reports: list[Report] = []
    rest = frame.payload
    while rest:
        before = rest
        try:
            record, rest = WriteRecord.deserialize(rest)
        except (ValueError, KeyError) as error:
            raise Refusal(
                "zcl", f"malformed Report Attributes: {error}", MALFORMED, frame.command_id
            ) from None
        typed: Any = record.value
        octets = before[: len(before) - len(rest)]
        reports.append(
            Report(int(record.attrid), typed.value, octets[:2] + bytes((SUCCESS,)) + octets[2:])
        )
    if not reports:
        raise Refusal("zcl", "Report Attributes of nothing", MALFORMED, frame.command_id)
    return reports


def discover_attributes(service: Service[Any], frame: Frame) -> bytes:
    """Discover Attributes and its extended form (2.5.13, 2.5.22). Raises `Refusal`."""
    if len(frame.payload) < _ATTRIBUTE_INFO.size:
        raise Refusal("zcl", "malformed Discover Attributes", MALFORMED, frame.command_id)
    start, limit = _ATTRIBUTE_INFO.unpack_from(frame.payload)
    extended = frame.command_id == zcl.DISCOVER_ATTRIBUTES_EXTENDED
    found = [d for d in service.served_attributes() if int(d.id) >= start]
    payload = bytes((len(found) <= limit,))
    for definition in found[:limit]:
        payload += _ATTRIBUTE_INFO.pack(int(definition.id), int(definition.zcl_type))
        if extended:
            writable = _WRITABLE if int(definition.id) in service.writable else 0
            payload += bytes((_READABLE | writable,))
    return zcl.general_answer(frame, frame.command_id + 1, payload)


def discover_commands(service: Service[Any], frame: Frame) -> bytes:
    """Discover Commands Received and Generated (2.5.18, 2.5.20). Raises `Refusal`.

    Of the hub's server; of its client when the request comes from a server.
    """
    if len(frame.payload) < 2:
        raise Refusal("zcl", "malformed Discover Commands", MALFORMED, frame.command_id)
    start, limit = frame.payload[0], frame.payload[1]
    received = frame.command_id == zcl.DISCOVER_COMMANDS_RECEIVED
    if frame.from_server:
        commands = sorted(service.client_commands) if received else service.client_generated
    else:
        commands = sorted(service.commands) if received else service.generated
    found = [command for command in commands if command >= start]
    payload = bytes((len(found) <= limit, *found[:limit]))
    return zcl.general_answer(frame, frame.command_id + 1, payload)


DISCOVERY: Final[dict[int, Callable[[Service[Any], Frame], bytes]]] = {
    zcl.DISCOVER_ATTRIBUTES: discover_attributes,
    zcl.DISCOVER_ATTRIBUTES_EXTENDED: discover_attributes,
    zcl.DISCOVER_COMMANDS_RECEIVED: discover_commands,
    zcl.DISCOVER_COMMANDS_GENERATED: discover_commands,
}

WRITES: Final = frozenset(
    {
        zcl.WRITE_ATTRIBUTES,
        zcl.WRITE_ATTRIBUTES_UNDIVIDED,
        zcl.WRITE_ATTRIBUTES_NO_RESPONSE,
    }
)
