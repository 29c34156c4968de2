"""The hub reads who a device is: its Basic cluster, a few seconds after it got in.

Nothing depends on it: a device that does not answer is a note in the record and no more. Basic
needs no APS security (SE 1.4a 5.4.6).
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from typing import Any, Final

from zigpy.zcl.foundation import ReadAttributeRecord

from labctl.errors import RigError
from labctl.events import DeviceSeen, ReadServed
from labctl.hub import frames as zcl
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device
from labctl.hub.frames import Frame
from labctl.hub.reporter import Reporter
from labctl.hub.settings import Patience
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing

BASIC: Final = 0x0000
_SOURCE_ENDPOINT: Final = 1
_TRIES: Final = 3
_APPLICATION_VERSION: Final = 0x0001
_HARDWARE_VERSION: Final = 0x0003
_MANUFACTURER: Final = 0x0004
_MODEL: Final = 0x0005
_SOFTWARE_BUILD: Final = 0x4000

# Two reads, so that each answer fits one frame even with strings of 32 octets.
_READS: Final = (
    (_MANUFACTURER, _MODEL),
    (_APPLICATION_VERSION, _HARDWARE_VERSION, _SOFTWARE_BUILD),
)


class Identification:
    """Reads each device once in a run; one that does not answer is asked a few times."""

    def __init__(
        self,
        coordinator: Coordinator,
        reporter: Reporter,
        chores: Chores,
        patience: Patience,
    ) -> None:
        self._coordinator = coordinator
        self._reporter = reporter
        self._chores = chores
        self._patience = patience
        self._sequence = 0
        self._unanswered: Counter[str] = Counter()
        self._waiting: dict[tuple[str, int], asyncio.Future[Frame]] = {}

    def soon(self, device: Device) -> None:
        """Read the device in a few seconds, unless that was done."""
        if device.identified:
            return
        device.identified = True
        self._chores.later(
            self._patience.identify_after_s, lambda: self._chores.run(self._identify(device))
        )

    def again(self, device: Device) -> None:
        """Read the device once more, in a few seconds: it may have changed."""
        self._unanswered.pop(device.eui64, None)
        device.identified = False
        self.soon(device)

    def answered(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """Take a frame if it answers a read of ours."""
        waiting = self._waiting.get((device.eui64, frame.sequence))
        if packet.cluster_id == BASIC and waiting is not None and not waiting.done():
            waiting.set_result(frame)

    async def _identify(self, device: Device) -> None:
        if device.nwk is None or device.endpoint is None:
            device.identified = False  # the next word from it tells where it is
            return
        known: dict[int, Any] = {}
        for attributes in _READS:
            records = await self._read(device, device.nwk, device.endpoint, attributes)
            if records is None:
                self._unanswered[device.eui64] += 1
                # It may have been switched off just then. Its next word makes for another try.
                device.identified = self._unanswered[device.eui64] >= _TRIES
                return
            known |= records
        build = _text(known.get(_SOFTWARE_BUILD)) or _text(known.get(_APPLICATION_VERSION))
        self._reporter.emit(
            DeviceSeen(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                manufacturer=_text(known.get(_MANUFACTURER)),
                model=_text(known.get(_MODEL)),
                hardware_version=_text(known.get(_HARDWARE_VERSION)),
                firmware_version=build,
            )
        )

    async def _read(
        self, device: Device, nwk: int, endpoint: int, attributes: tuple[int, ...]
    ) -> dict[int, Any] | None:
        self._sequence = (self._sequence + 1) % 256
        started_us = self._reporter.now_us()
        key = (str(device.eui64), self._sequence)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        request = Frame(
            0x00,
            self._sequence,
            zcl.READ_ATTRIBUTES,
            struct.pack(f"<{len(attributes)}H", *attributes),
        )
        try:
            await self._coordinator.send(
                Outgoing(nwk, _SOURCE_ENDPOINT, endpoint, BASIC, request.octets())
            )
            async with asyncio.timeout(self._patience.answer_s):
                frame = await answer
        except TimeoutError:
            self._reporter.note("not-identified", eui64=device.eui64, cause="no answer")
            return None
        except RigError as error:
            self._reporter.note("not-identified", eui64=device.eui64, cause=error.what)
            return None
        finally:
            self._waiting.pop(key, None)
        records, status = _records(frame)
        self._reporter.emit(
            ReadServed(
                at_us=started_us,
                eui64=device.eui64,
                initiator="hub",
                endpoint=endpoint,
                cluster_id=BASIC,
                attributes=attributes,
                command_id=None,
                status=status,
                latency_us=self._reporter.now_us() - started_us,
                aps_encrypted=False,
            )
        )
        return records


def _records(frame: Frame) -> tuple[dict[int, Any], int]:
    """The values of a Read Attributes Response, and its worst status."""
    if frame.command_id != zcl.READ_ATTRIBUTES_RESPONSE:
        return {}, frame.payload[1] if len(frame.payload) > 1 else 0x01
    values: dict[int, Any] = {}
    worst = 0
    rest = frame.payload
    while rest:
        try:
            record, rest = ReadAttributeRecord.deserialize(rest)
        except (ValueError, KeyError):
            return values, 0x80
        if record.status:
            worst = int(record.status)
        else:
            typed: Any = record.value
            values[int(record.attrid)] = typed.value
    return values, worst


def _text(value: Any) -> str | None:
    """A value for the record: trailing zeros and spaces of fixed-width strings go."""
    if value is None:
        return None
    text = str(int(value)) if isinstance(value, int) else str(value)
    return text.rstrip("\x00 ") or None
