"""Metering 0x0702: what the meter counts (SE 1.4 D.3), one service for each meter.

Electricity counts Wh and shows kWh (multiplier 1, divisor 1000), gas counts litres and shows m3.
Consumption history is of UTC days, as GB meters keep it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from labctl.hub.services.base import Attribute, Outcome, Request, Service, defined
from labctl.hub.services.time import zigbee_time
from labctl.meters import Fuel, GasProxy, Meter, Reading
from labctl.smart_energy.clusters import Metering

_DIVISOR = 1000
_U24 = 0xFFFFFF
_DAY_S = 86_400

_KWH = 0x00
_M3 = 0x01
_ELECTRIC_METER = 0x00
_MIRRORED_GAS_METER = 0x80
_SUPPLY_ON = 0x02


def _formatting(left: int, right: int) -> int:
    """Digits left and right of the point, leading zeros suppressed (D.3.2.2.4.4)."""
    return 0x80 | left << 3 | right


@dataclass(slots=True)
class _State:
    """A reading, and the way back to the meter's history."""

    meter: Meter
    reading: Reading

    def day(self, back: int) -> int:
        """Consumption of the day `back` days before that of the reading; 0 is today so far."""
        midnight = self.reading.taken_s - self.reading.taken_s % _DAY_S
        if back == 0:
            return self._consumed(midnight, self.reading.taken_s)
        return self._consumed(midnight - back * _DAY_S, midnight - (back - 1) * _DAY_S)

    def week(self, back: int) -> int:
        """Consumption of the week (Monday to Sunday, UTC) `back` weeks before."""
        today = self.reading.taken_s // _DAY_S
        monday = (today - (today + 3) % 7 - 7 * back) * _DAY_S
        return self._consumed(monday, min(monday + 7 * _DAY_S, self.reading.taken_s))

    def month(self, back: int) -> int:
        """Consumption of the calendar month (UTC) `back` months before."""
        now = datetime.datetime.fromtimestamp(self.reading.taken_s, datetime.UTC)
        first = now.year * 12 + now.month - 1 - back
        return self._consumed(_month(first), min(_month(first + 1), self.reading.taken_s))

    def _consumed(self, start_s: int, end_s: int) -> int:
        return min(self.meter.consumed(start_s, end_s), _U24)


def _month(number: int) -> int:
    """The Unix time at which a month (years x 12 + month - 1) starts."""
    year, month = divmod(number, 12)
    return int(datetime.datetime(year, month + 1, 1, tzinfo=datetime.UTC).timestamp())


def _attribute(
    name: str, value: Callable[[_State], int | bytes | str] | int | bytes | str
) -> Attribute[_State]:
    return Attribute(defined(Metering, name), value)


class MeteringService(Service[_State]):
    """One meter's registers."""

    definition = Metering
    commands: frozenset[int] = frozenset()
    queries = frozenset({0x00, 0x03, 0x06, 0x08})

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        gas = meter.fuel is Fuel.GAS
        attributes = [
            _attribute("current_summ_delivered", lambda s: s.reading.summation),
            _attribute("reading_snapshot_time", lambda s: zigbee_time(s.reading.taken_s)),
            _attribute("default_update_period", 30),
            _attribute("fast_poll_update_period", 5),
            _attribute("supply_status", _SUPPLY_ON),
            _attribute("status", 0),
            _attribute("unit_of_measure", _M3 if gas else _KWH),
            _attribute("multiplier", 1),
            _attribute("divisor", _DIVISOR),
            _attribute("summation_formatting", _formatting(6, 3)),
            _attribute("historical_consumption_formatting", _formatting(6, 3)),
            _attribute("metering_device_type", _MIRRORED_GAS_METER if gas else _ELECTRIC_METER),
            _attribute("site_id", meter.mpxn.encode()),
            _attribute("meter_serial_number", meter.serial_number.encode()),
        ]
        if not gas:
            attributes += [
                _attribute("demand_formatting", _formatting(3, 3)),
                _attribute("instantaneous_demand", lambda s: s.reading.demand_w or 0),
                _attribute("iambient_consumption_indicator", _ambient),
            ]
        attributes += _history("", lambda state, amount: amount)
        if isinstance(meter, GasProxy):
            energy = meter.meter.energy_wh
            attributes += [
                _attribute("alternative_unit_of_measure", _KWH),
                _attribute("alternative_consumption_formatting", _formatting(6, 3)),
                *_history("alternative_", lambda state, amount: min(energy(amount), _U24)),
            ]
        super().__init__(attributes)

    def state(self, now_us: int) -> _State:
        """The reading that holds at `now_us`."""
        return _State(self.meter, self.meter.at(now_us))

    def command(self, request: Request, fields: Any) -> Outcome:
        """No command is carried out yet; the dispatcher says so before it comes here."""
        raise AssertionError("Metering lists no commands")


def _ambient(state: _State) -> int:
    """Low, medium or high by the demand: GB displays show it as green, amber and red."""
    demand = state.reading.demand_w or 0
    return 0 if demand < 500 else 1 if demand < 1500 else 2


def _history(prefix: str, scale: Callable[[_State, int], int]) -> list[Attribute[_State]]:
    """Days, weeks and months delivered, in the main or the alternative unit."""

    def attribute(name: str, amount: Callable[[_State], int]) -> Attribute[_State]:
        return _attribute(prefix + name, lambda state: scale(state, amount(state)))

    day = "current_day" if prefix else "currentday"
    yesterday = "previous_day" if prefix else "previousday"
    attributes = [
        attribute(f"{day}_consumption_delivered", lambda s: s.day(0)),
        attribute(f"{yesterday}_consumption_delivered", lambda s: s.day(1)),
    ]
    for back in range(2, 9):
        attributes.append(
            attribute(f"previous_day{back}_consumption_delivered", lambda s, n=back: s.day(n))  # type: ignore[misc]
        )
    for back in range(6):
        attributes.append(
            attribute(f"{_past('week', back)}_delivered", lambda s, n=back: s.week(n))  # type: ignore[misc]
        )
    for back in range(14):
        attributes.append(
            attribute(f"{_past('month', back)}_delivered", lambda s, n=back: s.month(n))  # type: ignore[misc]
        )
    return attributes


def _past(period: str, back: int) -> str:
    if back == 0:
        return f"current_{period}_consumption"
    return f"previous_{period}{back if back > 1 else ''}_consumption"
