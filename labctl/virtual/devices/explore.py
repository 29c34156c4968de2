"""The rest of a device's first contact: everything a display asks a meter for once, in no hurry.

The order follows what test hubs are asked for and the duties of displays in Great Britain. A
refusal of any kind is an answer and disturbs nothing; an unanswered request is asked once more.
Requests are spread out, so that the steady reads go on undisturbed.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.port import NoAnswer, Peer, RequestRefused, ZclPort
from labctl.virtual.devices.screen import Screen
from labctl.virtual.devices.settings import (
    CALENDAR,
    DEVICE_MANAGEMENT,
    EVENTS,
    METERING,
    PREPAYMENT,
    PRICE,
    Fuel,
    Kind,
    Timings,
)
from labctl.virtual.node import SimpleDescriptor

_ANY, _NOW = 0xFFFFFFFF, 0
_EARLIEST = struct.pack("<IIB", _NOW, _ANY, 0)  # start, lowest event id, all
_EARLIEST_OF_TYPE = struct.pack("<IIBB", _NOW, _ANY, 0, 0)  # and the tariff type: delivered
_GET_TARIFF = struct.pack("<IIBB", _NOW, _ANY, 2, 0)
_GET_CALENDAR = struct.pack("<IIBBI", _NOW, _ANY, 1, 0, _ANY)
_GET_TOP_UPS = struct.pack("<IB", _ANY, 5)
_GET_DEBTS = struct.pack("<IBB", _ANY, 10, 0xFF)
_GET_EVENTS = struct.pack("<BHIIBH", 0x00, 0x0000, 0, _ANY, 0, 0)
_GET_PROFILE = struct.pack("<BIB", 0, 0, 24)
_HALF_HOUR_LOG, _DAILY_LOG = 0x0000, 0x0001
_DAY_S = 86_400

_ELECTRICITY_HISTORY = (
    (0x0401, 0x0403),
    tuple(range(0x0420, 0x042E, 2)),
    tuple(range(0x0430, 0x043C, 2)),
    tuple(range(0x0440, 0x0452, 2)),
    tuple(range(0x0452, 0x045C, 2)),
)
_GAS_HISTORY = tuple(
    tuple(attribute + 0x0800 for attribute in group) for group in _ELECTRICITY_HISTORY
)
"""In the alternative unit, kWh, which is what a gas meter in Great Britain keeps."""

_PREPAYMENT = (
    (0x0000,),
    (0x0001, 0x0002, 0x0003, 0x0005, 0x0010, 0x0011),
    (0x0006, 0x0031, 0x0032, 0x0040, 0x0400),
    (0x0500, 0x0501, 0x0502, 0x0503),
)
_DEBTS = ((0x0210, 0x0211, 0x0216, 0x0217), (0x0220, 0x0221, 0x0226, 0x0227), (0x0231, 0x0239))
_COSTS = ((0x051C, 0x051E, 0x0520, 0x0522), (0x0530, 0x0532), (0x0540, 0x0542))
_BILLS = ((0x0A00, 0x0A01, 0x0A02, 0x0A03, 0x0A04),)
_PRICE = ((0x0300, 0x0301), (0x0302, 0x0303, 0x0304, 0x0305, 0x0306))
_ACCOUNT = ((0x0100, 0x0101, 0x0102), (0x0200,))


@dataclass(frozen=True, slots=True)
class Question:
    """A read of `attributes`, or else a command."""

    cluster_id: int
    attributes: tuple[int, ...] = ()
    command: int = 0
    payload: bytes = b""


def _reads(cluster_id: int, groups: Iterable[tuple[int, ...]]) -> Iterator[Question]:
    return (Question(cluster_id, group) for group in groups)


@dataclass(slots=True)
class Explorer:
    """Asks each endpoint with a meter. What is told ends up on the screen."""

    kind: Kind
    port: ZclPort
    timings: Timings
    screen: Screen
    saw: Observations
    servers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    """Server clusters of each endpoint, as surveyed."""
    _explored: bool = False
    _history_at_s: float = 0.0

    def surveyed(self, descriptors: Iterable[SimpleDescriptor]) -> None:
        """The survey found these endpoints."""
        self.servers |= {each.endpoint: each.input_clusters for each in descriptors}

    async def run(self) -> None:
        """Everything once after power-on, then history again and again. Never returns."""
        loop = asyncio.get_running_loop()
        if not self._explored:
            await self._all(
                (peer, question) for peer in self._peers() for question in self._once(peer)
            )
            self._explored = True
            self.saw.note(What.EXPLORED)
        while True:
            await asyncio.sleep(max(0.0, self._history_at_s - loop.time()))
            self._history_at_s = loop.time() + self.timings.history_every_s
            await self._all(
                (peer, question) for peer in self._peers() for question in self._history(peer)
            )

    def _peers(self) -> list[Peer]:
        peers = list(self.screen.meters)
        if not peers:  # a device that is no display asks the endpoints that it knows of
            peers = [Peer(0, endpoint) for endpoint in self.servers]
        return peers

    async def _all(self, questions: Iterator[tuple[Peer, Question]]) -> None:
        for peer, question in questions:
            if question.cluster_id in self.servers.get(peer.endpoint, ()):
                await asyncio.sleep(self.timings.exploration_gap_s)
                await self.ask(peer, question)

    # -- what is asked ------------------------------------------------------------------------

    def _once(self, peer: Peer) -> Iterator[Question]:
        if self.kind is Kind.HAND_HELD_TERMINAL:
            yield Question(EVENTS, command=0x00, payload=_GET_EVENTS)
            return
        if self.kind is Kind.LOAD_SWITCH:
            yield from self._calendar(peer, of_type=4)
            yield from _reads(DEVICE_MANAGEMENT, _ACCOUNT)
            return
        yield from self._price(peer)
        yield from self._prepayment(peer)
        yield from self._calendar(peer, of_type=0)
        yield from _reads(DEVICE_MANAGEMENT, _ACCOUNT)
        yield Question(DEVICE_MANAGEMENT, command=0x00)  # GetChangeOfTenancy
        yield Question(DEVICE_MANAGEMENT, command=0x01)  # GetChangeOfSupplier
        if self.kind is not Kind.CAD:
            yield Question(METERING, (0x0207,))  # AmbientConsumptionIndicator

    def _price(self, peer: Peer) -> Iterator[Question]:
        yield from _reads(PRICE, _PRICE)
        yield Question(PRICE, command=0x06, payload=_GET_TARIFF)
        tariff = self.screen.published(peer, "TariffInformation")
        if tariff is not None:
            tariff_id = struct.pack("<I", tariff.fields["tariff"])
            yield Question(PRICE, command=0x07, payload=tariff_id)  # GetPriceMatrix
            yield Question(PRICE, command=0x08, payload=tariff_id)  # GetBlockThresholds
            yield Question(PRICE, command=0x0A, payload=tariff_id)  # GetTierLabels
        meter = self.screen.meters.get(peer)
        if meter is not None and meter.fuel is Fuel.GAS:
            yield Question(PRICE, command=0x04, payload=_EARLIEST)  # GetConversionFactor
            yield Question(PRICE, command=0x05, payload=_EARLIEST)  # GetCalorificValue
        yield Question(PRICE, command=0x03, payload=struct.pack("<IBB", _NOW, 0, 0))
        yield Question(PRICE, command=0x0B, payload=_EARLIEST_OF_TYPE)  # GetBillingPeriod
        yield Question(PRICE, command=0x0C, payload=_EARLIEST_OF_TYPE)  # GetConsolidatedBill

    def _prepayment(self, peer: Peer) -> Iterator[Question]:
        yield from _reads(PREPAYMENT, _PREPAYMENT)
        if self.screen.is_prepayment(peer):
            yield from _reads(PREPAYMENT, _DEBTS)
        else:
            yield from _reads(METERING, _BILLS)
        yield from _reads(PREPAYMENT, _COSTS)
        if self.kind is Kind.PPMID:
            yield Question(PREPAYMENT, command=0x08, payload=_GET_TOP_UPS)
            yield Question(PREPAYMENT, command=0x0A, payload=_GET_DEBTS)

    def _calendar(self, peer: Peer, of_type: int) -> Iterator[Question]:
        asked = bytearray(_GET_CALENDAR)
        asked[9] = of_type
        yield Question(CALENDAR, command=0x00, payload=bytes(asked))
        calendar = self.screen.published(peer, "Calendar")
        if calendar is None:
            return
        fields = calendar.fields
        key = struct.pack("<II", fields["provider"], fields["id"])
        yield Question(CALENDAR, command=0x01, payload=key + b"\x01\x00")  # from day 1, all
        yield Question(CALENDAR, command=0x02, payload=key + b"\x01\x00")
        if fields["seasons"]:
            yield Question(CALENDAR, command=0x03, payload=key)
        yield Question(CALENDAR, command=0x04, payload=struct.pack("<IBB", _NOW, 1, of_type) + key)

    def _history(self, peer: Peer) -> Iterator[Question]:
        meter = self.screen.meters.get(peer)
        if meter is None:
            return
        is_gas = meter.fuel is Fuel.GAS
        yield from _reads(METERING, _GAS_HISTORY if is_gas else _ELECTRICITY_HISTORY)
        utc = self.screen.utc(asyncio.get_running_loop().time())
        if utc is not None:
            earliest = max(int(utc) - _DAY_S, 0)
            samples = struct.pack("<HIBH", _HALF_HOUR_LOG, earliest, 0, 48)
            yield Question(METERING, command=0x08, payload=samples)
            days = struct.pack("<HIBH", _DAILY_LOG, max(int(utc) - 31 * _DAY_S, 0), 0, 31)
            yield Question(METERING, command=0x08, payload=days)
        yield Question(METERING, command=0x00, payload=_GET_PROFILE)

    # -- asking -------------------------------------------------------------------------------

    async def ask(self, peer: Peer, question: Question) -> bool:
        """Ask one thing, a second time when nobody answers; whether there was an answer."""
        where = f"endpoint {peer.endpoint} cluster 0x{question.cluster_id:04X}"
        what = (
            f"0x{question.attributes[0]:04X}.."
            if question.attributes
            else f"command 0x{question.command:02X}"
        )
        for _ in range(2):
            try:
                await self._ask(peer, question)
            except RequestRefused as refused:
                self.saw.tally[f"refused: {refused}"] += 1
                if refused.status != zcl.Status.NOT_FOUND:
                    self.saw.note(What.READ_REFUSED, f"{where} {what}: {refused}")
                return True
            except NoAnswer as silence:
                self.saw.note(What.READ_FAILED, f"{where} {what}: {silence.reason}")
                await asyncio.sleep(self.timings.application_retry_s)
                continue
            return True
        return False

    async def _ask(self, peer: Peer, question: Question) -> None:
        if not question.attributes:
            await self.port.command(peer, question.cluster_id, question.command, question.payload)
            return
        records = await self.port.read(peer, question.cluster_id, question.attributes)
        self.screen.take(peer, question.cluster_id, records, asyncio.get_running_loop().time())
