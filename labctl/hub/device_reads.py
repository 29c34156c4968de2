"""Reading a device's attributes because somebody asks: the hub is the client for once."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from zigpy.zcl.foundation import ReadAttributeRecord

from labctl.errors import RigError, UsageError
from labctl.events import ReadServed
from labctl.hub import frames as zcl
from labctl.hub.device_log import Device
from labctl.hub.frames import Frame
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing, short_address

MOST_ATTRIBUTES: Final = 16
_SOURCE_ENDPOINT: Final = 1
_PLAIN: Final = frozenset({0x0000, 0x0003, 0x0800, 0x0B05})
"""Clusters without APS security: Basic, Identify, key establishment, diagnostics (SE 5.4.6)."""

Value = int | float | str | bool | list[Any] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """An attribute as the device gave it; `type` and `value` are None unless `status` is 0."""

    attribute: int
    status: int
    type: str | None
    value: Value


class DeviceReads:
    """Asks, and hands each answer to whoever asked. `answer_s` is how long one is waited for."""

    def __init__(self, coordinator: Coordinator, reporter: Reporter, answer_s: float) -> None:
        self._coordinator = coordinator
        self._reporter = reporter
        self._answer_s = answer_s
        self._sequence = 0
        self._waiting: dict[tuple[str, int, int], asyncio.Future[Frame]] = {}

    def answered(self, device: Device, packet: Incoming, frame: Frame) -> bool:
        """Take a frame if it answers a read of ours."""
        key = (str(device.eui64), packet.cluster_id, frame.sequence)
        waiting = self._waiting.get(key)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(frame)
        return True

    async def read(
        self, device: Device, cluster_id: int, attributes: Sequence[int], endpoint: int | None
    ) -> list[Reading]:
        """Read up to `MOST_ATTRIBUTES` from the server of a cluster.

        `endpoint` None is the one that the device last spoke from. Raises `UsageError`;
        `DeliveryError` and `RigError` when no answer that can be read comes.
        """
        if not 1 <= len(attributes) <= MOST_ATTRIBUTES:
            raise UsageError(f"1 to {MOST_ATTRIBUTES} attributes can be read at once")
        endpoint = device.endpoint if endpoint is None else endpoint
        if device.nwk is None or endpoint is None:
            raise RigError(
                "it is not known where it is: nothing was heard of it in this run",
                where=device.name,
                mend="wait until it was heard, or switch it on",
            )
        started_us = self._reporter.now_us()
        secured = cluster_id not in _PLAIN
        frame = await self._ask(device, cluster_id, attributes, endpoint, secured=secured)
        readings = _readings(frame, attributes, device.name)
        self._reporter.emit(
            ReadServed(
                at_us=started_us,
                eui64=device.eui64,
                initiator="hub",
                endpoint=endpoint,
                cluster_id=cluster_id,
                attributes=tuple(attributes),
                command_id=None,
                status=max((reading.status for reading in readings), default=0),
                latency_us=self._reporter.now_us() - started_us,
                aps_encrypted=secured,
            )
        )
        return readings

    async def _ask(
        self,
        device: Device,
        cluster_id: int,
        attributes: Sequence[int],
        endpoint: int,
        *,
        secured: bool,
    ) -> Frame:
        assert device.nwk is not None
        self._sequence = (self._sequence + 1) % 256
        key = (str(device.eui64), cluster_id, self._sequence)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        payload = struct.pack(f"<{len(attributes)}H", *attributes)
        request = Frame(0x00, self._sequence, zcl.READ_ATTRIBUTES, payload)
        try:
            await self._coordinator.send(
                Outgoing(
                    device.nwk,
                    _SOURCE_ENDPOINT,
                    endpoint,
                    cluster_id,
                    request.octets(),
                    aps_encrypt=secured,
                )
            )
            async with asyncio.timeout(self._answer_s):
                frame: Frame = await answer
                return frame
        except TimeoutError:
            raise RigError(
                f"no answer came within {self._answer_s:g} s",
                where=f"{device.name}, 0x{short_address(device.nwk):04x}",
                mend="does it have a server of this cluster on that endpoint? Is it asleep?",
            ) from None
        finally:
            del self._waiting[key]


def _readings(frame: Frame, attributes: Sequence[int], name: str) -> list[Reading]:
    if frame.command_id == zcl.DEFAULT_RESPONSE and len(frame.payload) >= 2:
        return [Reading(attribute, frame.payload[1], None, None) for attribute in attributes]
    readings: list[Reading] = []
    rest = frame.payload
    while rest and frame.command_id == zcl.READ_ATTRIBUTES_RESPONSE:
        try:
            record, rest = ReadAttributeRecord.deserialize(rest)
        except (ValueError, KeyError):
            raise RigError("its answer is malformed", where=name) from None
        status = int(record.status)
        if status:
            readings.append(Reading(int(record.attrid), status, None, None))
            continue
        typed: Any = record.value
        readings.append(
            Reading(int(record.attrid), 0, type(typed.value).__name__, _plain(typed.value))
        )
    if not readings:
        raise RigError("it did not answer what it was asked", where=name)
    return readings


def _plain(value: Any) -> Value:
    """The value as JSON has it; octets in hexadecimal."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value)
