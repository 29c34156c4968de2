"""Frames that no sound hub sends, to one device: what a device makes of them shows how it is built.

They go out under the device's link key and on its own network, so that nothing but their content is
wrong. Nothing here is ever sent by itself; whoever asks for it is in this process, and the record
has a note of each (`odd-frame`), so that what the device does then is not taken for its own idea.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from labctl.errors import RigError
from labctl.hub.device_log import Device
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator, Outgoing
from labctl.smart_energy.eui64 import Eui64

SENT = "odd-frame"
"""The note of one; its detail has `what` and `cluster_id`."""

_METERING, _PRICE, _MESSAGING, _CALENDAR = 0x0702, 0x0700, 0x0703, 0x0707
_NOWHERE = 0x0FFE


@dataclass(frozen=True, slots=True)
class OddFrame:
    """One frame: what is odd about it, and its octets from the ZCL header on."""

    what: str
    cluster_id: int
    octets: bytes


ODD_FRAMES: Final = (
    OddFrame("nothing at all", _METERING, b""),
    OddFrame("a header cut short", _METERING, b"\x18\x01"),
    OddFrame("a reserved frame type", _METERING, b"\x1b\x02\x01\x00\x00"),
    OddFrame(
        "an answer that was not asked for, cut short", _METERING, b"\x18\x03\x01\x00\x00\x00\x25"
    ),
    OddFrame("a report of an unknown type", _METERING, b"\x18\x04\x0a\x00\x00\xfe\x01\x02"),
    OddFrame("a Default Response of one octet", _METERING, b"\x18\x05\x0b\x00"),
    OddFrame(
        "a profile of 255 half-hours that are not there",
        _METERING,
        b"\x09\x06\x00" + bytes(5) + b"\x02\xff",
    ),
    OddFrame("a price cut short", _PRICE, b"\x09\x07\x00" + b"\x01\x02\x03\x04\x05"),
    OddFrame(
        "a message longer than its frame", _MESSAGING, b"\x09\x08\x00" + bytes(11) + b"\xf0Hi"
    ),
    OddFrame(
        "a day profile of 255 entries that are not there", _CALENDAR, b"\x09\x09\x01" + b"\xff" * 16
    ),
    OddFrame("a command of a cluster that nobody has", _NOWHERE, b"\x09\x0a\x55\xaa"),
    OddFrame("seventy octets of one bits", _METERING, b"\xff" * 70),
)


class OddFrames:
    """Sends them. `find` gives the device of an address."""

    def __init__(
        self,
        coordinator: Coordinator,
        reporter: Reporter,
        find: Callable[[Eui64], Device | None],
    ) -> None:
        self._coordinator = coordinator
        self._reporter = reporter
        self._find = find

    async def send(self, eui64: Eui64, frame: OddFrame) -> None:
        """Send one. Raises `DeliveryError`, and `RigError` for a device that was not heard yet."""
        device = self._find(eui64)
        if device is None or device.nwk is None or device.endpoint is None:
            raise RigError("it is not known where it is", where=eui64, mend="wait until it reads")
        self._reporter.note(SENT, eui64=eui64, what=frame.what, cluster_id=frame.cluster_id)
        await self._coordinator.send(
            Outgoing(
                device.nwk, 1, device.endpoint, frame.cluster_id, frame.octets, aps_encrypt=True
            )
        )
