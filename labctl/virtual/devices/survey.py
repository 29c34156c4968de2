"""First contact of the application: which meters are there, and what a display asks them first.

Public sources hold no packet log of a commercial display; the sequence is composed from what
test hubs are asked for, and from the duties of SMETS displays.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labctl.virtual.devices import zcl, zdp
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.registration import Services
from labctl.virtual.devices.screen import MeterReadout, Screen
from labctl.virtual.devices.settings import (
    BASIC,
    DRLC,
    MESSAGING,
    METERING,
    PRICE,
    SMART_ENERGY_PROFILE,
    Fuel,
    Timings,
)
from labctl.virtual.node import Node, SimpleDescriptor

_BASIC_ATTRIBUTES = (0x0003, 0x0004, 0x0005)
# In groups that fit one frame each: hubs are known to cut off answers instead of fragmenting them.
_FORMATTING = (0x0300, 0x0301, 0x0302, 0x0303, 0x0306)
_NAMES = (0x0307, 0x0308)
_STATE = (0x0000, 0x0200, 0x0014)
_DEMAND = (0x0400,)
_PRICE_ATTRIBUTES = (0x0615, 0x0616, 0x0617)

_GET_CURRENT_PRICE, _GET_LAST_MESSAGE, _GET_SCHEDULED_EVENTS = 0x00, 0x00, 0x01
RX_ON_WHEN_IDLE = b"\x01"
_EVENTS_FROM_NOW = bytes(4) + b"\x00"  # start time 0, number of events 0: all


@dataclass(slots=True)
class Survey:
    """Asks the nodes that registration found. Failures are noted; it takes what it gets."""

    node: Node
    port: ZclPort
    timings: Timings
    screen: Screen
    saw: Observations
    clients: tuple[int, ...]
    """What the device is a client of; nothing else is asked for."""

    async def run(self, services: Services) -> list[SimpleDescriptor]:
        """Survey each ESI node; the descriptors found. Meters end up on the screen."""
        found: list[SimpleDescriptor] = []
        for nwk in services.esis:
            for descriptor in await self._descriptors(nwk):
                found.append(descriptor)
                await self._endpoint(Peer(nwk, descriptor.endpoint), descriptor)
        return found

    async def _descriptors(self, nwk: int) -> list[SimpleDescriptor]:
        timeout_s = self.timings.zdo_timeout_s
        body = await self.node.zdo(nwk, zdp.ACTIVE_EP, zdp.active_ep(nwk), timeout_s=timeout_s)
        endpoints = zdp.matched_endpoints(body)
        if not endpoints:
            self.saw.note(What.SURVEY_FAILED, f"no endpoints of 0x{nwk:04X}")
        descriptors = []
        for endpoint in endpoints:
            descriptor = zdp.parse_simple_desc(
                await self.node.zdo(
                    nwk, zdp.SIMPLE_DESC, zdp.simple_desc(nwk, endpoint), timeout_s=timeout_s
                )
            )
            if descriptor is None:
                self.saw.note(What.SURVEY_FAILED, f"no descriptor of endpoint {endpoint}")
            elif descriptor.profile_id == SMART_ENERGY_PROFILE:
                descriptors.append(descriptor)
        return descriptors

    async def _endpoint(self, peer: Peer, descriptor: SimpleDescriptor) -> None:
        servers = set(self.clients) & set(descriptor.input_clusters)
        if BASIC in descriptor.input_clusters and self.screen.hub_model is None:
            await self._basic(peer)
        if METERING in servers:
            await self._meter(peer)
        if PRICE in servers:
            await self._read(peer, PRICE, _PRICE_ATTRIBUTES)
            await self._ask(peer, PRICE, _GET_CURRENT_PRICE, RX_ON_WHEN_IDLE)
        if MESSAGING in servers:
            await self._ask(peer, MESSAGING, _GET_LAST_MESSAGE)
        if DRLC in servers:
            await self._ask(peer, DRLC, _GET_SCHEDULED_EVENTS, _EVENTS_FROM_NOW)

    async def _basic(self, peer: Peer) -> None:
        records = await self._read(peer, BASIC, _BASIC_ATTRIBUTES)
        manufacturer, model = (records.get(attribute) for attribute in (0x0004, 0x0005))
        if manufacturer and isinstance(manufacturer.value, str):
            self.screen.hub_manufacturer = manufacturer.value
        if model and isinstance(model.value, str):
            self.screen.hub_model = model.value

    async def _meter(self, peer: Peer) -> None:
        meter = MeterReadout(peer, faults=self.screen.faults)
        for attributes in (_FORMATTING, _NAMES, _STATE):
            meter.take(await self._read(peer, METERING, attributes), self._now())
        fuel = meter.fuel
        if fuel is None:
            self.saw.note(What.SURVEY_FAILED, f"endpoint {peer.endpoint} does not say its fuel")
            return
        if fuel is Fuel.ELECTRICITY:
            meter.take(await self._read(peer, METERING, _DEMAND), self._now())
        if peer not in self.screen.meters:
            self.saw.note(What.METER_FOUND, f"{fuel.value} at endpoint {peer.endpoint}")
        self.screen.meters[peer] = meter

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def _read(
        self, peer: Peer, cluster_id: int, attributes: tuple[int, ...]
    ) -> dict[int, zcl.Record]:
        """Read, and read again one by one what the answer was cut off before; twice at most."""
        where = f"cluster 0x{cluster_id:04X} endpoint {peer.endpoint}"
        records: dict[int, zcl.Record] = {}
        for missing in (attributes, attributes):
            wanted = tuple(a for a in missing if a not in records)
            if not wanted:
                break
            try:
                records |= await self.port.read(peer, cluster_id, wanted)
                break
            except RequestRefused as refused:
                self.saw.note(What.READ_REFUSED, f"{where}: {refused}")
                return records
            except NoAnswer as silence:
                self.saw.note(What.READ_FAILED, f"{where}: {silence.reason}")
        for attribute in attributes:
            record = records.get(attribute)
            cut_off = record is None or record.status == zcl.Status.INSUFFICIENT_SPACE
            if records and cut_off:
                try:
                    records |= await self.port.read(peer, cluster_id, (attribute,))
                except (NoAnswer, RequestRefused) as error:
                    self.saw.note(What.READ_FAILED, f"{where} 0x{attribute:04X}: {error}")
        return records

    async def _ask(self, peer: Peer, cluster_id: int, command: int, payload: bytes = b"") -> None:
        """A Get command; the screen hears the answer. NOT_FOUND is a good answer: there is none."""
        where = f"cluster 0x{cluster_id:04X} command 0x{command:02X} endpoint {peer.endpoint}"
        try:
            await self.port.command(peer, cluster_id, command, payload)
        except RequestRefused as refused:
            if refused.status != zcl.Status.NOT_FOUND:
                self.saw.note(What.READ_REFUSED, f"{where}: {refused}")
        except NoAnswer as silence:
            self.saw.note(What.READ_FAILED, f"{where}: {silence.reason}")
