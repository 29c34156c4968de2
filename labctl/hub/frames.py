"""ZCL frames (ZCL 2.4): the header read and written by hand, because every read passes here.

zigpy's header class does the same at some 20 times the cost. Payloads of cluster commands go
through zigpy's schemas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLUSTER_SPECIFIC: Final = 0x01
MANUFACTURER_SPECIFIC: Final = 0x04
FROM_SERVER: Final = 0x08
NO_DEFAULT_RESPONSE: Final = 0x10

READ_ATTRIBUTES: Final = 0x00
READ_ATTRIBUTES_RESPONSE: Final = 0x01
WRITE_ATTRIBUTES: Final = 0x02
WRITE_ATTRIBUTES_UNDIVIDED: Final = 0x03
WRITE_ATTRIBUTES_RESPONSE: Final = 0x04
WRITE_ATTRIBUTES_NO_RESPONSE: Final = 0x05
REPORT_ATTRIBUTES: Final = 0x0A
DEFAULT_RESPONSE: Final = 0x0B
DISCOVER_ATTRIBUTES: Final = 0x0C
DISCOVER_ATTRIBUTES_RESPONSE: Final = 0x0D
DISCOVER_COMMANDS_RECEIVED: Final = 0x11
DISCOVER_COMMANDS_RECEIVED_RESPONSE: Final = 0x12
DISCOVER_COMMANDS_GENERATED: Final = 0x13
DISCOVER_COMMANDS_GENERATED_RESPONSE: Final = 0x14
DISCOVER_ATTRIBUTES_EXTENDED: Final = 0x15
DISCOVER_ATTRIBUTES_EXTENDED_RESPONSE: Final = 0x16

GENERAL_RESPONSES: Final = frozenset({0x01, 0x04, 0x07, 0x09, 0x0B, 0x0D, 0x10, 0x12, 0x14, 0x16})
"""General commands that answer something; none of them is ever answered."""


class MalformedFrame(ValueError):
    """Octets that are no ZCL frame; the text says why."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A ZCL frame. `control` is the frame control octet (2.4.1.1)."""

    control: int
    sequence: int
    command_id: int
    payload: bytes
    manufacturer: int | None = None

    @property
    def cluster_specific(self) -> bool:
        """A command of the cluster, not a general one."""
        return self.control & 0x03 == CLUSTER_SPECIFIC

    @property
    def from_server(self) -> bool:
        """Sent by the server side of the cluster to its client side."""
        return bool(self.control & FROM_SERVER)

    @property
    def default_response_disabled(self) -> bool:
        """A Default Response is wanted only when something went wrong (2.5.12.2)."""
        return bool(self.control & NO_DEFAULT_RESPONSE)

    def octets(self) -> bytes:
        """As on the air."""
        if self.manufacturer is None:
            return bytes((self.control, self.sequence, self.command_id)) + self.payload
        return (
            bytes((self.control | MANUFACTURER_SPECIFIC,))
            + self.manufacturer.to_bytes(2, "little")
            + bytes((self.sequence, self.command_id))
            + self.payload
        )


def parse(data: bytes) -> Frame:
    """Read a frame. Raises `MalformedFrame`."""
    if len(data) < 3:
        raise MalformedFrame(f"a ZCL frame has at least 3 octets, not {len(data)}")
    control = data[0]
    if control & 0x03 > CLUSTER_SPECIFIC:
        raise MalformedFrame(f"frame type {control & 0x03} is reserved")
    if not control & MANUFACTURER_SPECIFIC:
        return Frame(control, data[1], data[2], data[3:])
    if len(data) < 5:
        raise MalformedFrame(
            f"a manufacturer-specific frame has at least 5 octets, not {len(data)}"
        )
    return Frame(control, data[3], data[4], data[5:], int.from_bytes(data[1:3], "little"))


def answer_control(request: Frame, *, cluster_specific: bool) -> int:
    """Frame control of an answer: the other direction, no Default Response to it."""
    control = NO_DEFAULT_RESPONSE | (CLUSTER_SPECIFIC if cluster_specific else 0)
    return control if request.from_server else control | FROM_SERVER


def general_answer(request: Frame, command_id: int, payload: bytes) -> bytes:
    """The octets of a general command that answers `request`."""
    return Frame(
        answer_control(request, cluster_specific=False),
        request.sequence,
        command_id,
        payload,
        request.manufacturer,
    ).octets()


def default_response(request: Frame, status: int) -> bytes:
    """The octets of a Default Response to `request` (2.5.12)."""
    return general_answer(request, DEFAULT_RESPONSE, bytes((request.command_id, status)))
