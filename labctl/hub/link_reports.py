"""How well devices hear the hub, as they tell it; what was delivered to them; and the noise.

Each device that is awake is asked for its neighbour table (Mgmt_Lqi_req, R22 2.4.3.3.2) and, if it
serves Diagnostics (0x0B05), for the level of the last message that it heard, which then was the
hub's. A device that says that it cannot is not asked again.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from zigpy.zcl.foundation import ReadAttributeRecord

from labctl.errors import RigError
from labctl.events import Deliveries, LinkReport, LinkSource, NoiseSample, Severity
from labctl.hub import frames as zcl
from labctl.hub.bearer_settings import LinkSettings
from labctl.hub.bearers import Bearers
from labctl.hub.chores import Chores
from labctl.hub.device_log import Device, DeviceLog
from labctl.hub.discovery import Discovery
from labctl.hub.frames import Frame
from labctl.hub.post import Post
from labctl.hub.reporter import Reporter
from labctl.radio.coordinator import Coordinator, Incoming, Outgoing, RadioState
from labctl.smart_energy.channels import Channel
from labctl.smart_energy.eui64 import Eui64

MGMT_LQI: Final = 0x0031
MGMT_LQI_RESPONSE: Final = 0x8031
DIAGNOSTICS: Final = 0x0B05
_RETRIES, _LAST_LQI, _LAST_RSSI = 0x011B, 0x011C, 0x011D
_HUB_ENDPOINT = 1
_NEIGHBOUR: Final = struct.Struct("<8s8sHBBBB")
_MOST_PAGES = 8
_INVALID_RETRIES = 0xFFFF


@dataclass(slots=True)
class _Known:
    """What a device cannot tell, so that it is not asked for it again."""

    no_table: bool = False
    diagnostics: int | None = None
    """The endpoint with Diagnostics; 0: none has it; None: not yet asked."""


@dataclass(slots=True)
class _Delivery:
    attempts: int = 0
    delivered: int = 0


class LinkReports:
    """`quiet` says that a bearer's airtime is too short for questions that nobody depends on.

    `noise` is told each level that was measured on a bearer's own channel.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        bearers: Bearers,
        log: DeviceLog,
        coordinator: Coordinator,
        post: Post,
        chores: Chores,
        reporter: Reporter,
        quiet: Callable[[int], bool],
        noise: Callable[[int, int], None],
    ) -> None:
        self._settings = settings
        self._bearers = bearers
        self._log = log
        self._coordinator = coordinator
        self._next_sequence = post.next_sequence
        self._chores = chores
        self._reporter = reporter
        self._quiet = quiet
        self._noise = noise
        self._discovery = Discovery(coordinator, post.next_sequence, settings.answer_s)
        self._waiting: dict[tuple[str, int, int], asyncio.Future[Any]] = {}
        self._known: dict[Eui64, _Known] = {}
        self._deliveries: dict[tuple[Eui64, int], _Delivery] = {}
        self._asking = False
        self._no_scans = False

    def start(self) -> None:
        """Begin to ask and to measure, each after its first period."""
        settings = self._settings
        self._chores.later(settings.deliveries_every_s, self._deliveries_due)
        if settings.ask_every_s is not None:
            self._chores.later(settings.ask_every_s, self._ask_due)
        if settings.noise_every_s is not None:
            self._chores.later(settings.noise_every_s, self._noise_due)

    def forget(self, eui64: Eui64) -> None:
        """A device was unpaired."""
        self._known.pop(eui64, None)

    # -- delivery ---------------------------------------------------------------------------------

    def delivered(self, device: Device, arrived: bool) -> None:
        """A unicast to a device was acknowledged, or given up."""
        key = (device.eui64, device.bearer or 0)
        counts = self._deliveries.get(key)
        if counts is None:
            counts = self._deliveries[key] = _Delivery()
        counts.attempts += 1
        counts.delivered += arrived

    def _deliveries_due(self) -> None:
        self._chores.later(self._settings.deliveries_every_s, self._deliveries_due)
        self.tell_deliveries()

    def tell_deliveries(self) -> None:
        """Emit what was delivered since the last time."""
        counted, self._deliveries = self._deliveries, {}
        for (eui64, bearer), counts in counted.items():
            self._reporter.emit(
                Deliveries(
                    at_us=self._reporter.now_us(),
                    eui64=eui64,
                    radio=self._bearers[bearer].name,
                    attempts=counts.attempts,
                    delivered=counts.delivered,
                )
            )

    # -- noise ------------------------------------------------------------------------------------

    def _noise_due(self) -> None:
        assert self._settings.noise_every_s is not None  # else nothing is due
        if self._no_scans:
            return
        self._chores.later(self._settings.noise_every_s, self._noise_due)
        self._chores.run(self.measure_noise())

    async def measure_noise(self) -> None:
        """Measure the level on each bearer's own channel; what cannot is noted once."""
        for bearer, radio in enumerate(self._bearers):
            try:
                levels = await self._quietest(radio.at)
            except RigError as error:
                if not self._no_scans:
                    self._no_scans = True
                    self._reporter.note("no-energy-scans", Severity.INFO, cause=error.what)
                return
            for channel, level_dbm in levels.items():
                self._reporter.emit(
                    NoiseSample(
                        at_us=self._reporter.now_us(),
                        radio=radio.name,
                        page=channel.page,
                        channel=channel.number,
                        level_dbm=level_dbm,
                    )
                )
                self._noise(bearer, level_dbm)

    async def _quietest(self, channel: Channel) -> dict[Channel, int]:
        """The least level of some scans: what is there all the time."""
        least: dict[Channel, int] = {}
        for number in range(self._settings.noise_scans):
            if number:
                await asyncio.sleep(self._settings.noise_gap_s)
            levels = await self._coordinator.energy_scan(
                (channel,), exponent=self._settings.scan_exponent
            )
            for each, level_dbm in levels.items():
                least[each] = min(level_dbm, least.get(each, level_dbm))
        return least

    # -- what devices hear ------------------------------------------------------------------------

    def _ask_due(self) -> None:
        assert self._settings.ask_every_s is not None  # else nothing is due
        self._chores.later(self._settings.ask_every_s, self._ask_due)
        if not self._asking:
            self._chores.run(self.ask_everybody())

    async def ask_everybody(self) -> None:
        """Ask each device that is in and awake, one after the other."""
        self._asking = True
        try:
            for device in self._log:
                if device.authorised and device.nwk is not None and not device.sleepy:
                    await self.ask(device)
        finally:
            self._asking = False

    async def ask(self, device: Device) -> None:
        """Ask one device all that it can tell. Nothing depends on its answers."""
        if self._quiet(device.bearer or 0):
            return
        known = self._known.setdefault(device.eui64, _Known())
        if not known.no_table:
            await self._ask_table(device, known)
        if known.diagnostics is None:
            found = await self._discovery.server(device, DIAGNOSTICS)
            known.diagnostics = found or 0
        if known.diagnostics:
            await self._ask_diagnostics(device, known)

    async def _ask_table(self, device: Device, known: _Known) -> None:
        radio = self._bearers.of(device)
        start = 0
        for _ in range(_MOST_PAGES):
            sequence = self._next_sequence()
            data = bytes((sequence, start))
            answer = await self._question(device, 0, 0, MGMT_LQI, data, sequence, profile_id=0)
            if answer is None:
                return
            if len(answer) < 5 or answer[1]:
                known.no_table = True
                return
            total, start, count = answer[2], answer[3], answer[4]
            lqi = _lqi_of(answer[5:], count, radio)
            if lqi is not None:
                self._emit(device, radio, LinkSource.MGMT_LQI, lqi=lqi)
                return
            start += count
            if not count or start >= total:
                return

    async def _ask_diagnostics(self, device: Device, known: _Known) -> None:
        assert known.diagnostics is not None  # where they are was asked before
        radio = self._bearers.of(device)
        sequence = self._next_sequence()
        attributes = (_RETRIES, _LAST_LQI, _LAST_RSSI)
        request = Frame(0x00, sequence, zcl.READ_ATTRIBUTES, struct.pack("<3H", *attributes))
        answer = await self._question(
            device, _HUB_ENDPOINT, known.diagnostics, DIAGNOSTICS, request.octets(), sequence
        )
        if answer is None:
            return
        values = _values(answer)
        if _LAST_LQI not in values and _LAST_RSSI not in values:
            known.diagnostics = 0
            return
        retries = values.get(_RETRIES)
        self._emit(
            device,
            radio,
            LinkSource.DIAGNOSTICS,
            lqi=values.get(_LAST_LQI),
            rssi_dbm=values.get(_LAST_RSSI),
            mac_retries=None if retries == _INVALID_RETRIES else retries,
        )

    def _emit(
        self,
        device: Device,
        radio: RadioState,
        source: LinkSource,
        *,
        lqi: int | None = None,
        rssi_dbm: int | None = None,
        mac_retries: int | None = None,
    ) -> None:
        self._reporter.emit(
            LinkReport(
                at_us=self._reporter.now_us(),
                eui64=device.eui64,
                radio=radio.name,
                source=source,
                lqi=lqi,
                rssi_dbm=rssi_dbm,
                mac_retries=mac_retries,
            )
        )

    async def _question(
        self,
        device: Device,
        source_endpoint: int,
        endpoint: int,
        cluster_id: int,
        data: bytes,
        sequence: int,
        profile_id: int = 0x0109,
    ) -> Any:
        """Send a request and wait for its answer; None when none came."""
        if device.nwk is None:
            return None
        key = (str(device.eui64), cluster_id, sequence)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            await self._coordinator.send(
                Outgoing(device.nwk, source_endpoint, endpoint, cluster_id, data, profile_id)
            )
            async with asyncio.timeout(self._settings.answer_s):
                return await answer
        except (TimeoutError, RigError):
            return None
        finally:
            self._waiting.pop(key, None)

    def zdo_answer(self, device: Device, packet: Incoming) -> None:
        """A device answers a ZDO request, of ours or of another part of the hub. Never raises."""
        self._discovery.answered(device, packet)
        if packet.cluster_id == MGMT_LQI_RESPONSE and packet.data:
            self._answer((str(device.eui64), MGMT_LQI, packet.data[0]), packet.data)

    def answered(self, device: Device, packet: Incoming, frame: Frame) -> None:
        """A device answers a ZCL request, of ours or of another part of the hub. Never raises."""
        if packet.cluster_id == DIAGNOSTICS:
            self._answer((str(device.eui64), DIAGNOSTICS, frame.sequence), frame)

    def _answer(self, key: tuple[str, int, int], what: Any) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(what)


def _lqi_of(table: bytes, count: int, radio: RadioState) -> int | None:
    """The LQI of the hub's entry in a part of a neighbour table."""
    size = _NEIGHBOUR.size
    for index in range(min(count, len(table) // size)):
        _, eui64, nwk, *_, lqi = _NEIGHBOUR.unpack_from(table, index * size)
        if nwk == 0x0000 or Eui64.from_little_endian(eui64) == radio.eui64:
            return int(lqi)
    return None


def _values(frame: Frame) -> dict[int, int]:
    """The values of a Read Attributes Response; those that are malformed or failed are left out."""
    values: dict[int, int] = {}
    if frame.command_id != zcl.READ_ATTRIBUTES_RESPONSE:
        return values
    rest = frame.payload
    while rest:
        try:
            record, rest = ReadAttributeRecord.deserialize(rest)
        except (ValueError, KeyError):
            return values
        value: Any = None if record.status else record.value
        if value is not None and isinstance(value.value, int):
            values[int(record.attrid)] = int(value.value)
    return values
