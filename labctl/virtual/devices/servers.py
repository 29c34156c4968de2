"""The servers on a virtual device's own endpoint: Basic, and Key Establishment's attribute.

What the hub may read of the device, and proper refusals for everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.peer import Peer
from labctl.virtual.devices.settings import BASIC, KEY_ESTABLISHMENT

_UINT8, _ENUM8, _MAP16, _TEXT = 0x20, 0x30, 0x19, 0x42

MAINS_SINGLE_PHASE = 0x01
BATTERY = 0x03

Handler = Callable[[Peer, zcl.Frame], zcl.Frame | None]
"""Serves a cluster command of that peer; its answer, or None. May raise `ZclError`."""

_KNOWN_GENERAL = frozenset(
    {
        zcl.Global.READ,
        zcl.Global.WRITE,
        zcl.Global.WRITE_UNDIVIDED,
        zcl.Global.WRITE_NO_RESPONSE,
        zcl.Global.DISCOVER,
    }
)


@dataclass(frozen=True, slots=True)
class Product:
    """What Basic says of the device (ZCL 3.2.2.2)."""

    model: str
    manufacturer: str = "labctl"
    firmware: int = 1  # ApplicationVersion 0x0001
    stack: int = 2
    hardware: int = 1
    date_code: str = "20260105"
    manufacturer_code: int = 0xFFF1  # the first of the codes for tests
    image_type: int = 0x0001  # of its OTA images


@dataclass(slots=True)
class LocalServers:
    """The attributes of the own endpoint: cluster id, attribute id, then (data type, value)."""

    attributes: dict[int, dict[int, tuple[int, zcl.Value]]] = field(default_factory=dict)
    handlers: dict[tuple[int, int], Handler] = field(default_factory=dict)
    """What serves a cluster command: cluster id and command, then the function."""
    refresh: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Called before a cluster's attributes are served, to bring them up to date."""

    @classmethod
    def of(cls, product: Product, *, suites: int, battery: bool = False) -> LocalServers:
        """What every device has; `suites` is the bitmap of KeyEstablishmentSuite 0x0000."""
        return cls(
            {
                BASIC: {
                    0x0000: (_UINT8, 8),  # ZCLVersion of revision 8
                    0x0001: (_UINT8, product.firmware & 0xFF),
                    0x0002: (_UINT8, product.stack),
                    0x0003: (_UINT8, product.hardware),
                    0x0004: (_TEXT, product.manufacturer),
                    0x0005: (_TEXT, product.model),
                    0x0006: (_TEXT, product.date_code),
                    0x0007: (_ENUM8, BATTERY if battery else MAINS_SINGLE_PHASE),
                    0x4000: (_TEXT, f"{product.firmware}.0"),  # SWBuildID
                },
                KEY_ESTABLISHMENT: {0x0000: (_MAP16, suites)},
            }
        )

    def hide_firmware(self) -> None:
        """Tell no version of the firmware."""
        for attribute in (0x0001, 0x4000):
            del self.attributes[BASIC][attribute]

    def answer(self, peer: Peer, cluster_id: int, frame: zcl.Frame) -> zcl.Frame | None:
        """The answer to a client's frame, or None where none is due."""
        if frame.manufacturer is not None:
            return frame.default_response(zcl.Status.UNSUP_MANUF_COMMAND)
        if (refresh := self.refresh.get(cluster_id)) is not None:
            refresh()
        served = self.attributes.get(cluster_id)
        if served is None:
            return frame.default_response(zcl.Status.UNSUPPORTED_CLUSTER)
        if frame.cluster_specific:
            handler = self.handlers.get((cluster_id, frame.command))
            if handler is None:
                return frame.default_response(zcl.Status.UNSUP_CLUSTER_COMMAND)
            try:
                return handler(peer, frame)
            except zcl.ZclError:
                return frame.default_response(zcl.Status.MALFORMED_COMMAND)
        if frame.command not in _KNOWN_GENERAL:
            return frame.default_response(zcl.Status.UNSUP_GENERAL_COMMAND)
        try:
            return self._general(served, frame)
        except zcl.ZclError:
            return frame.default_response(zcl.Status.MALFORMED_COMMAND)

    def _general(
        self, served: dict[int, tuple[int, zcl.Value]], frame: zcl.Frame
    ) -> zcl.Frame | None:
        if frame.command == zcl.Global.READ:
            asked = zcl.parse_read_attributes(frame.payload)
            payload = zcl.read_response(
                zcl.Record(attribute, zcl.Status.SUCCESS, *served[attribute])
                if attribute in served
                else zcl.Record(attribute, zcl.Status.UNSUPPORTED_ATTRIBUTE)
                for attribute in asked
            )
            return _response(frame, zcl.Global.READ_RESPONSE, payload)
        if frame.command == zcl.Global.DISCOVER:
            return _response(frame, zcl.Global.DISCOVER_RESPONSE, _discovered(served, frame))
        written = zcl.parse_write_attributes(frame.payload)
        if frame.command == zcl.Global.WRITE_NO_RESPONSE:
            return None
        payload = zcl.write_response(
            (
                attribute,
                zcl.Status.READ_ONLY if attribute in served else zcl.Status.UNSUPPORTED_ATTRIBUTE,
            )
            for attribute, _, _ in written
        )
        return _response(frame, zcl.Global.WRITE_RESPONSE, payload)


def _discovered(served: dict[int, tuple[int, zcl.Value]], frame: zcl.Frame) -> bytes:
    """Discover Attributes Response (2.5.14): from the first id asked for, as many as wanted."""
    if len(frame.payload) < 3:
        raise zcl.ZclError("Discover Attributes is cut off")
    first = int.from_bytes(frame.payload[:2], "little")
    ids = sorted(attribute for attribute in served if attribute >= first)
    wanted = ids[: frame.payload[2]]
    out = bytearray((len(wanted) == len(ids),))
    for attribute in wanted:
        out += attribute.to_bytes(2, "little") + bytes((served[attribute][0],))
    return bytes(out)


def _response(to: zcl.Frame, command: int, payload: bytes) -> zcl.Frame:
    return zcl.Frame(command, to.sequence, payload, from_server=True, disable_default_response=True)
