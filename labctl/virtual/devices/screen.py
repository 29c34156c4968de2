"""What a virtual device knows and would show: kept raw as read, computed as displays compute it."""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.payloads import DisplayMessage, PublishPrice
from labctl.virtual.devices.port import Peer
from labctl.virtual.devices.settings import MESSAGING, METERING, PRICE, Fuel

_ELECTRIC_TYPES = frozenset({0x00})
_GAS_TYPES = frozenset({0x01, 0x80})

_SUMMATION, _STATUS, _SUPPLY = 0x0000, 0x0200, 0x0014
_UNIT, _MULTIPLIER, _DIVISOR, _SUMMATION_FORMAT = 0x0300, 0x0301, 0x0302, 0x0303
_DEVICE_TYPE, _SITE_ID, _SERIAL, _DEMAND = 0x0306, 0x0307, 0x0308, 0x0400

_UNITS = {0x00: "kWh", 0x01: "m³", 0x02: "ft³", 0x03: "ccf"}


@dataclass(slots=True)
class MeterReadout:
    """One meter as the device knows it: `raw` holds each attribute as last read."""

    peer: Peer
    raw: dict[int, zcl.Value] = field(default_factory=dict)
    read_at_s: dict[int, float] = field(default_factory=dict)

    def take(self, records: dict[int, zcl.Record], now_s: float) -> None:
        """Keep what was read, `now_s` on the loop's clock."""
        for attribute, record in records.items():
            if record.status == zcl.Status.SUCCESS:
                self.raw[attribute] = record.value
                self.read_at_s[attribute] = now_s

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
        raw = self.raw.get(attribute)
        # A meter that serves no multiplier or divisor means 1 (Smart Energy 1.4a D.3.2.2.4).
        multiplier = self.raw.get(_MULTIPLIER, 1)
        divisor = self.raw.get(_DIVISOR, 1)
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


def _label(raw: zcl.Value) -> str | None:
    return raw.decode("latin-1") if isinstance(raw, bytes) else None


@dataclass(slots=True)
class Screen:
    """The readable state of a device. Empty after each power-on."""

    meters: dict[Peer, MeterReadout] = field(default_factory=dict)
    prices: dict[Peer, PublishPrice] = field(default_factory=dict)
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
            self.prices[peer] = PublishPrice.parse(frame.payload)
            return "price"
        if cluster_id == MESSAGING and frame.command in (0x00, 0x02):
            self.message = DisplayMessage.parse(frame.payload)
            return "message"
        if cluster_id == MESSAGING and frame.command in (0x01, 0x03):
            self.message = None
            return "message withdrawn"
        return None

    def _report(self, peer: Peer, cluster_id: int, frame: zcl.Frame, now_s: float) -> str | None:
        meter = self.meters.get(peer)
        if cluster_id != METERING or meter is None:
            return None
        for attribute, _, value in zcl.parse_write_attributes(frame.payload):
            meter.raw[attribute] = value
            meter.read_at_s[attribute] = now_s
        return "meter report"
