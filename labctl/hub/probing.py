"""One probe of a link: a read of the hub's with APS acknowledgement, and what came of it.

A device that serves Diagnostics (0x0B05) is asked for the level of the last message that it heard,
which is the question itself. Any other is asked for the ZCL version of its Basic cluster.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from zigpy.zcl.foundation import ReadAttributeRecord

from labctl.errors import DeliveryError, RigError
from labctl.hub import frames as zcl
from labctl.hub.device_log import Device
from labctl.hub.discovery import Discovery
from labctl.hub.frames import Frame
from labctl.hub.gate import WITHHELD
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing
from labctl.smart_energy.eui64 import Eui64

_BASIC: Final = 0x0000
_DIAGNOSTICS: Final = 0x0B05
_ZCL_VERSION: Final = 0x0000
_LAST_LQI, _LAST_RSSI = 0x011C, 0x011D
_SOURCE_ENDPOINT: Final = 1
_RETRIES: Final = "mac_tx_unicast_retry"
_COUNTER_RANGE: Final = 1 << 16
_MOST_SEARCHES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What came of a probe.

    `sent` is false when the hub held it back (airtime, suspension): then nothing is shown. It
    `reached` the device when that is acknowledged, or when the device answers. The levels are the
    answer's at the hub, and the question's at the device where the device tells. `retries` is how
    often the hub's MAC sent again meanwhile, to whomever; None where its radio does not tell.
    """

    bearer: int
    sent: bool
    reached: bool = False
    answered: bool = False
    rssi_dbm: int | None = None
    lqi: int | None = None
    heard_dbm: int | None = None
    heard_lqi: int | None = None
    retries: int | None = None
    latency_us: int | None = None


class Probing:
    """Sends probes, and takes the answers to them."""

    def __init__(
        self,
        coordinator: Coordinator,
        reporter: Reporter,
        discovery: Discovery,
        sequence: Callable[[], int],
    ) -> None:
        self._coordinator = coordinator
        self._reporter = reporter
        self._discovery = discovery
        self._next_sequence = sequence
        self._waiting: dict[tuple[str, int, int], asyncio.Future[tuple[Incoming, Frame]]] = {}
        self._diagnostics: dict[Eui64, int] = {}
        self._searches: dict[Eui64, int] = {}

    def answered(self, device: Device, packet: Incoming, frame: Frame) -> bool:
        """Take a frame if it answers a probe. Never raises."""
        waiting = self._waiting.get((str(device.eui64), packet.cluster_id, frame.sequence))
        if waiting is None or waiting.done():
            return False
        waiting.set_result((packet, frame))
        return True

    async def probe(self, device: Device, answer_s: float) -> Probed:
        """Probe the link to a device; its answer is waited for up to `answer_s`.

        Raises `RigError` when the radio fails, or it is not known where the device is.
        """
        if device.nwk is None or device.endpoint is None:
            raise RigError(
                "it is not known where it is: nothing was heard of it in this run",
                where=device.name,
                mend="switch it on near the hub first",
            )
        bearer = device.bearer or 0
        diagnostics = self._diagnostics.get(device.eui64)
        cluster_id = _BASIC if diagnostics is None else _DIAGNOSTICS
        attributes = (_ZCL_VERSION,) if diagnostics is None else (_LAST_LQI, _LAST_RSSI)
        sequence = self._next_sequence()
        payload = struct.pack(f"<{len(attributes)}H", *attributes)
        packet = Outgoing(
            device.nwk,
            _SOURCE_ENDPOINT,
            diagnostics or device.endpoint,
            cluster_id,
            Frame(0x00, sequence, zcl.READ_ATTRIBUTES, payload).octets(),
        )
        before = await self._retries()
        key = (str(device.eui64), cluster_id, sequence)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        started_us = self._reporter.now_us()
        try:
            acknowledged = await self._send(packet)
            if acknowledged is None:
                return Probed(bearer=bearer, sent=False)
            if acknowledged and not answer.done():
                await asyncio.wait({answer}, timeout=answer_s)
        finally:
            del self._waiting[key]
            answer.cancel()
        after = await self._retries()
        retries = None
        if before is not None and after is not None:
            retries = (after - before) % _COUNTER_RANGE
        if answer.cancelled():
            return Probed(bearer=bearer, sent=True, reached=acknowledged, retries=retries)
        latency_us = self._reporter.now_us() - started_us
        heard, frame = answer.result()
        told = _values(frame) if cluster_id == _DIAGNOSTICS else {}
        probed = Probed(
            bearer=heard.bearer,
            sent=True,
            reached=True,
            answered=True,
            rssi_dbm=heard.rssi_dbm,
            lqi=heard.lqi,
            heard_dbm=told.get(_LAST_RSSI),
            heard_lqi=told.get(_LAST_LQI),
            retries=retries,
            latency_us=latency_us,
        )
        await self._learn(device, told, asked=diagnostics is not None)
        return probed

    async def _send(self, packet: Outgoing) -> bool | None:
        """Whether it was acknowledged; None: it was not sent at all."""
        try:
            await self._coordinator.send(packet)
        except DeliveryError as error:
            return None if error.status in WITHHELD else False
        return True

    async def _learn(self, device: Device, told: dict[int, int], *, asked: bool) -> None:
        """Look for Diagnostics while the link carries; give up on a server without the level."""
        if asked:
            if _LAST_RSSI not in told:
                del self._diagnostics[device.eui64]
                self._searches[device.eui64] = _MOST_SEARCHES
            return
        searches = self._searches.get(device.eui64, 0)
        if searches < _MOST_SEARCHES:
            self._searches[device.eui64] = searches + 1
            found = await self._discovery.server(device, _DIAGNOSTICS)
            if found is not None:
                self._diagnostics[device.eui64] = found

    async def _retries(self) -> int | None:
        return (await self._coordinator.counters()).get(_RETRIES)


def _values(frame: Frame) -> dict[int, int]:
    """The whole numbers of a Read Attributes Response; what is malformed is left out."""
    values: dict[int, int] = {}
    rest = frame.payload if frame.command_id == zcl.READ_ATTRIBUTES_RESPONSE else b""
    while rest:
        try:
            record, rest = ReadAttributeRecord.deserialize(rest)
        except (ValueError, KeyError):
            break
        value: Any = None if record.status else record.value
        if value is not None and isinstance(value.value, int):
            values[int(record.attrid)] = int(value.value)
    return values
