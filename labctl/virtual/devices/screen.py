"""What a virtual device knows and would show: kept raw as read, computed as displays compute it."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from labctl.virtual.devices import published, zcl
from labctl.virtual.devices.display_faults import DisplayFaults
from labctl.virtual.devices.payloads import DisplayMessage, PublishPrice
from labctl.virtual.devices.peer import Peer
from labctl.virtual.devices.published import Publication
from labctl.virtual.devices.settings import (
    MESSAGING,
    METERING,
    PREPAYMENT,
    PRICE,
    Fuel,
)

_ELECTRIC_TYPES = frozenset({0x00})
_GAS_TYPES = frozenset({0x01, 0x80})

_SUMMATION, _STATUS, _SUPPLY = 0x0000, 0x0200, 0x0014
_UNIT, _MULTIPLIER, _DIVISOR, _SUMMATION_FORMAT = 0x0300, 0x0301, 0x0302, 0x0303
_DEVICE_TYPE, _SITE_ID, _SERIAL, _DEMAND = 0x0306, 0x0307, 0x0308, 0x0400

_TODAY = 0x0401
_USUAL_DIVISOR = 1000

_UNITS = {0x00: "kWh", 0x01: "m³", 0x02: "ft³", 0x03: "ccf"}


@dataclass(slots=True)
class MeterReadout:
    """One meter as the device knows it: `raw` holds each attribute as last read."""

    peer: Peer
    raw: dict[int, zcl.Value] = field(default_factory=dict)
    read_at_s: dict[int, float] = field(default_factory=dict)
    midnight_raw: int | None = None
    day: int | None = None
    faults: DisplayFaults = field(default_factory=DisplayFaults)
    first_raw: int | None = None
    """The register at the first reading since power-on."""

    def take(self, records: dict[int, zcl.Record], now_s: float) -> None:
        """Keep what was read, `now_s` on the loop's clock."""
        for attribute, record in records.items():
            if record.status == zcl.Status.SUCCESS:
                self.raw[attribute] = record.value
                self.read_at_s[attribute] = now_s
        if self.first_raw is None:
            self.first_raw = self.summation_raw

    def follow_day(self, utc: float | None, *, today: bool) -> None:
        """Keep what the register showed at midnight (UTC): today's consumption counts from there.

        `today` says that the meter has just told its own count of today.
        """
        raw = self.summation_raw
        if utc is None or raw is None:
            return
        day = int(utc) // 86_400
        told = self.raw.get(_TODAY)
        if today and isinstance(told, int):
            self.midnight_raw = raw - told
        elif self.day is not None and day > self.day:
            self.midnight_raw = raw
        elif self.midnight_raw is None:
            self.midnight_raw = raw  # of a day that began before the device was there
        self.day = day

    @property
    def today(self) -> float | None:
        """Consumption since midnight UTC in `unit`, or since the first read if that was later."""
        raw = self.summation_raw
        if raw is None or self.midnight_raw is None:
            return None
        return self._scale(raw - self.midnight_raw)

    def history(self, attribute: int) -> float | None:
        """An attribute of the past, raw x multiplier / divisor."""
        return self._scaled(attribute)

    @property
    def fuel(self) -> Fuel | None:
        """What it measures, from MeteringDeviceType; None when it did not say, or another thing."""
        device_type = self.raw.get(_DEVICE_TYPE)
        if device_type in _ELECTRIC_TYPES:
            return Fuel.ELECTRICITY
        return Fuel.GAS if device_type in _GAS_TYPES else None

    @property
    def unit(self) -> str:
        """The unit of consumption as shown; empty when unknown. Bit 7 only says BCD."""
        unit = self.raw.get(_UNIT)
        return _UNITS.get(unit & 0x7F, "") if isinstance(unit, int) else ""

    def _scaled(self, attribute: int) -> float | None:
        return self._scale(self.raw.get(attribute))

    def _scale(self, raw: zcl.Value) -> float | None:
        # A meter that serves no multiplier or divisor means 1 (Smart Energy 1.4a D.3.2.2.4).
        multiplier = 1 if self.faults.ignores_multiplier else self.raw.get(_MULTIPLIER, 1)
        divisor = _USUAL_DIVISOR if self.faults.ignores_divisor else self.raw.get(_DIVISOR, 1)
        if not (isinstance(raw, int) and isinstance(multiplier, int) and isinstance(divisor, int)):
            return None
        return raw * multiplier / divisor if divisor else None

    @property
    def summation_raw(self) -> int | None:
        """CurrentSummationDelivered as last read."""
        raw = self.raw.get(_SUMMATION)
        return raw if isinstance(raw, int) else None

    @property
    def consumption(self) -> float | None:
        """The meter reading in `unit`: raw x multiplier / divisor."""
        if self.faults.forgets_summation and self.first_raw is not None:
            return self._scale((self.summation_raw or 0) - self.first_raw)
        return self._scaled(_SUMMATION)

    @property
    def demand(self) -> float | None:
        """The demand in kW (electricity): raw x multiplier / divisor."""
        return self._scaled(_DEMAND)

    @property
    def consumption_text(self) -> str:
        """The meter reading formatted after SummationFormatting 0x0303, with its unit."""
        value = self.consumption
        if value is None:
            return "--"
        formatting = self.raw.get(_SUMMATION_FORMAT)
        right, left, suppress = 3, 0, True
        if isinstance(formatting, int):
            right, left, suppress = formatting & 7, formatting >> 3 & 0xF, bool(formatting & 0x80)
        width = 0 if suppress else left + (right + 1 if right else 0)
        return f"{value:0{width}.{right}f} {self.unit}".strip()

    @property
    def site_id(self) -> str | None:
        """The MPxN."""
        return _label(self.raw.get(_SITE_ID))

    @property
    def serial_number(self) -> str | None:
        """The meter's serial number."""
        return _label(self.raw.get(_SERIAL))


def clears_consumer_data(publication: Publication) -> bool:
    """Whether a ChangeOfTenancy or ChangeOfSupplier asks a display to (control bit 9)."""
    control = publication.fields.get("control", 0)
    is_change = publication.name in ("ChangeOfTenancy", "ChangeOfSupplier")
    return is_change and bool(control & _CLEAR_CONSUMER_DATA)


def _label(raw: zcl.Value) -> str | None:
    return raw.decode("latin-1") if isinstance(raw, bytes) else None


_CLEAR_CONSUMER_DATA = 0x200
_PAST = (range(0x0401, 0x0500), range(0x0A00, 0x0B00), range(0x0C01, 0x0D00))
"""Attribute sets of a meter that tell of the past: history, in either unit, and bills."""
_CONSUMERS = frozenset(
    {"Profile", "SampledData", "Snapshot", "PrepaySnapshot", "TopUpLog", "DebtLog", "TopUp"}
    | {"ConsolidatedBill"}
)
"""Publications that tell of the consumer."""
_PREPAYMENT_MODE = 0x02
_HALF_HOUR_LOG, _DELIVERED = 0x0000, 0
_NO_SAMPLE = 0xFFFFFF
_HOUR_S = 3600
_EPOCH = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def _is_summer(utc: int) -> bool:
    """Whether British clocks are an hour ahead, at `utc` seconds since 2000."""
    at = _EPOCH + datetime.timedelta(seconds=utc)
    begin, end = (_last_sunday(at.year, month) for month in (3, 10))
    return begin <= at < end


def _last_sunday(year: int, month: int) -> datetime.datetime:
    """01:00 UTC of the last Sunday of a month that has 31 days."""
    last = datetime.datetime(year, month, 31, 1, tzinfo=datetime.UTC)
    return last - datetime.timedelta(days=(last.weekday() + 1) % 7)


_KEPT_OF_A_KIND = 64


@dataclass(slots=True)
class Screen:
    """The readable state of a device. Empty after each power-on.

    `attributes` are those of other clusters than Metering, as last read; `told` holds what was
    published, newest last, by the endpoint and the name of the publication.
    """

    faults: DisplayFaults = field(default_factory=DisplayFaults)
    meters: dict[Peer, MeterReadout] = field(default_factory=dict)
    prices: dict[Peer, PublishPrice] = field(default_factory=dict)
    attributes: dict[tuple[Peer, int], dict[int, zcl.Value]] = field(default_factory=dict)
    told: dict[tuple[Peer, str], list[Publication]] = field(default_factory=dict)
    message: DisplayMessage | None = None
    hub_manufacturer: str | None = None
    hub_model: str | None = None
    _time: tuple[int, float] | None = None

    def meter(self, fuel: Fuel) -> MeterReadout | None:
        """The first meter of a fuel: what a display shows, and what a CAD reads on."""
        found = [meter for meter in self.meters.values() if meter.fuel is fuel]
        return min(found, key=lambda meter: (meter.peer.nwk, meter.peer.endpoint), default=None)

    def price(self, fuel: Fuel) -> PublishPrice | None:
        """The price that the endpoint of this fuel's meter published last."""
        meter = self.meter(fuel)
        return self.prices.get(meter.peer) if meter is not None else None

    def price_per_unit(self, fuel: Fuel) -> float | None:
        """The price in the currency's main unit (826: pounds) for one unit of this fuel."""
        price = self.price(fuel)
        return None if price is None else float(price.price / 10**price.trailing_digits)

    def set_time(self, utc: int, now_s: float) -> None:
        """A time server said `utc` (s since 2000) when the loop's clock showed `now_s`."""
        self._time = (utc, now_s)

    def utc(self, now_s: float, crystal: float = 1.0) -> float | None:
        """The device's idea of UTC, s since 2000; its own second is `crystal` true ones long."""
        if self._time is None:
            return None
        return self._time[0] + (now_s - self._time[1]) / crystal

    def hear(self, peer: Peer, cluster_id: int, frame: zcl.Frame, now_s: float) -> str | None:
        """A cluster command or a report from a server: what it was, None when it says nothing.

        Raise `ZclError` when it cannot be read.
        """
        if not frame.cluster_specific:
            return self._report(peer, cluster_id, frame, now_s)
        if cluster_id == PRICE and frame.command == 0x00:
            if self.faults.keeps_first_price and peer in self.prices:
                return "price"
            self.prices[peer] = PublishPrice.parse(frame.payload)
            return "price"
        if cluster_id == MESSAGING and frame.command in (0x00, 0x02):
            self.message = DisplayMessage.parse(frame.payload)
            return "message"
        if cluster_id == MESSAGING and frame.command in (0x01, 0x03):
            self.message = None
            return "message withdrawn"
        publication = published.read(cluster_id, frame.command, frame.payload)
        if publication is None:
            return None
        kept = self.told.setdefault((peer, publication.name), [])
        kept.append(publication)
        del kept[:-_KEPT_OF_A_KIND]
        return publication.name

    def published(self, peer: Peer, name: str) -> Publication | None:
        """The newest publication of that name from an endpoint."""
        kept = self.told.get((peer, name))
        return kept[-1] if kept else None

    def half_hours(self, peer: Peer) -> dict[int, int]:
        """The device's log of half-hours of a meter: raw amounts by their beginning, s since 2000.

        It is put together from what the meter published of its half-hour log; what it had no value
        for is left out.
        """
        found: dict[int, int] = {}
        for publication in self.told.get((peer, "SampledData"), ()):
            fields = publication.fields
            if fields["id"] != _HALF_HOUR_LOG or fields["type"] != _DELIVERED:
                continue
            for number, raw in enumerate(fields["oldest_first"]):
                start = fields["start"] + number * fields["interval"]
                if self.faults.history_in_local_time and _is_summer(start):
                    start += _HOUR_S
                if raw != _NO_SAMPLE:
                    found[start] = raw
        return found

    def take(
        self, peer: Peer, cluster_id: int, records: dict[int, zcl.Record], now_s: float
    ) -> None:
        """Keep what was read."""
        if cluster_id == METERING:
            if (meter := self.meters.get(peer)) is not None:
                meter.take(records, now_s)
                meter.follow_day(self.utc(now_s), today=_TODAY in records)
            return
        kept = self.attributes.setdefault((peer, cluster_id), {})
        for attribute, record in records.items():
            if record.status == zcl.Status.SUCCESS:
                kept[attribute] = record.value

    def attribute(self, peer: Peer, cluster_id: int, attribute: int) -> zcl.Value:
        """An attribute as last read; None when it was not, or has no value."""
        return self.attributes.get((peer, cluster_id), {}).get(attribute)

    def is_prepayment(self, peer: Peer) -> bool:
        """Whether the meter at this endpoint is in prepayment mode."""
        control = self.attribute(peer, PREPAYMENT, 0x0000)
        return isinstance(control, int) and bool(control & _PREPAYMENT_MODE)

    def clear_consumer_data(self) -> None:
        """The tenant changed: what the one before used and paid is nobody's business."""
        for meter in self.meters.values():
            for attribute in [a for a in meter.raw if any(a in past for past in _PAST)]:
                del meter.raw[attribute]
            meter.midnight_raw = None
        self.message = None
        for (_, cluster_id), kept in self.attributes.items():
            if cluster_id == PREPAYMENT:
                for attribute in [a for a in kept if 0x0100 <= a < 0x0300 or a >= 0x0510]:
                    del kept[attribute]
        for key in [key for key in self.told if key[1] in _CONSUMERS]:
            del self.told[key]

    def _report(self, peer: Peer, cluster_id: int, frame: zcl.Frame, now_s: float) -> str | None:
        meter = self.meters.get(peer)
        if cluster_id != METERING or meter is None:
            return None
        for attribute, _, value in zcl.parse_write_attributes(frame.payload):
            meter.raw[attribute] = value
            meter.read_at_s[attribute] = now_s
        return "meter report"
