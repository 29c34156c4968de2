"""The attributes of Metering: functions of a meter and an instant (SE 1.4 D.3.2.2).

Electricity counts Wh and shows kWh (multiplier 1, divisor 1000), gas counts litres and shows m3,
with its history in kWh as the alternative unit. What a change of tenancy hides, or what a meter has
no history of, is the type's invalid value; a register that the meter does not have is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labctl.hub.services.base import Attribute, Value, defined
from labctl.hub.services.price_attributes import has_bills
from labctl.hub.services.price_tariff import DIGITS
from labctl.hub.services.time import zigbee_time
from labctl.meters import (
    Bill,
    ElectricityMeter,
    Fuel,
    History,
    Meter,
    Reading,
    SupplyState,
    Totals,
)
from labctl.meters.tariff import MOST_THRESHOLDS, MOST_TIERS
from labctl.smart_energy.clusters import Metering

DIVISOR = 1000
DEFAULT_UPDATE_S = 30
FAST_POLL_UPDATE_S = 5
HALF_HOUR = 0x02
"""Profile interval period: 30 minutes."""
HALF_HOUR_S = 1800
PROFILE_LIMIT = 24
"""Half-hours in one Get Profile Response."""
U24_INVALID = 0xFFFFFF
U32_INVALID = 0xFFFFFFFF
LEAST_TIERS = 4
"""A GB meter shows four tiers and four blocks even where its tariff has fewer."""
LEAST_BLOCKS = 4
AMBIENT_MEDIUM_W = 500
AMBIENT_HIGH_W = 1500

_KWH, _M3 = 0x00, 0x01
_ELECTRIC_METER = 0x00
_MIRRORED_GAS_METER = 0x80
_S24_MIN, _S24_MAX = -(1 << 23) + 1, (1 << 23) - 1
_POWER_FAILURE, _SERVICE_DISCONNECTED = 0x08, 0x40
_UNCHANGED = 0x02  # what tampering or an uncontrolled flow does to the supply
_BATTERY_UNKNOWN = 0xFFFF
_BLOCK_TIERS = 15


class MeteringState:
    """A meter at an instant: its reading, and what else is asked for."""

    __slots__ = ("_totals", "meter", "now_us", "reading")

    def __init__(self, meter: Meter, now_us: int) -> None:
        self.meter = meter
        self.now_us = now_us
        self.reading: Reading = meter.at(now_us)
        self._totals: Totals | None = None

    @property
    def now_s(self) -> int:
        """The instant, UTC seconds."""
        return self.now_us // 1_000_000

    @property
    def totals(self) -> Totals:
        """The registers of tiers and blocks."""
        if self._totals is None:
            self._totals = self.meter.totals_at(self.now_s)
        return self._totals

    def tier(self, number: int) -> int | None:
        """The register of a tier, None for one that the meter does not show."""
        if number <= LEAST_TIERS or self._uses_tier(number):
            return self.totals.tier(number)
        return None

    def block(self, tier: int, block: int) -> int | None:
        """The register of a block: of no tier (0), or of a tier with blocks of its own."""
        tariff = self.meter.tariff_at(self.now_s)
        has_blocks = tariff is not None and tariff.blocks is not None
        used = any(of == block for _, of in self.totals.amounts)
        if tier == 0:
            return self.totals.block(block) if block <= LEAST_BLOCKS or used else None
        if not has_blocks or tariff is None or tier > len(tariff.tiers) + 1 or not tariff.tiers:
            return None
        known = tariff.blocks is not None and block <= len(tariff.blocks.thresholds) + 1
        return self.totals.amounts.get((tier, block), 0) if known or used else None

    def bill(self) -> Bill | None:
        """What is owed so far in this billing period; credit mode alone has that."""
        tariff = self.meter.tariff_at(self.now_s)
        if tariff is None or not has_bills(self.meter, self.now_s):
            return None
        bill = self.meter.billing.bill(self.now_s)
        return None if bill.cost is None else bill

    def _uses_tier(self, number: int) -> bool:
        tariff = self.meter.tariff_at(self.now_s)
        in_use = 1 if tariff is None else len(tariff.tiers) + 1
        return number <= in_use or any(of == number for of, _ in self.totals.amounts)


_Of = Callable[[MeteringState], Value | None]


@dataclass(frozen=True, slots=True)
class _Way:
    """A direction of flow with its history."""

    name: str
    history: Callable[[Meter], History]


def _attribute(name: str, value: _Of | Value) -> Attribute[MeteringState]:
    return Attribute(defined(Metering, name), value)


def metering_attributes(meter: Meter) -> list[Attribute[MeteringState]]:
    """The attributes of one meter."""
    gas = meter.fuel is Fuel.GAS
    ways = [_Way("delivered", lambda m: m.history)]
    if counts_received(meter):
        ways.append(_Way("received", lambda m: m.received_history))
    return [
        *_readings(meter),
        *_formatting(gas=gas),
        *_identity(meter),
        *_supply(gas=gas),
        *_registers(),
        *_bill(),
        *(_electricity() if not gas else _gas()),
        *(attribute for way in ways for attribute in _history("", way)),
        *(_history("alternative_", _Way("delivered", lambda m: m.energy_history)) if gas else ()),
    ]


def counts_received(meter: Meter) -> bool:
    """Whether the meter counts what flows out of the home."""
    return isinstance(meter, ElectricityMeter) and meter.exports


def _digits(left: int, right: int) -> int:
    """Digits left and right of the point, leading zeros suppressed (D.3.2.2.4.4)."""
    return 0x80 | left << 3 | right


def _readings(meter: Meter) -> Iterator[Attribute[MeteringState]]:
    yield _attribute("current_summ_delivered", lambda s: s.reading.summation)
    if counts_received(meter):
        yield _attribute("current_summ_received", lambda s: s.reading.received)
    yield _attribute("daily_freeze_time", 0)
    yield _attribute("reading_snapshot_time", lambda s: zigbee_time(s.reading.taken_s))
    yield _attribute("default_update_period", DEFAULT_UPDATE_S)
    yield _attribute("fast_poll_update_period", FAST_POLL_UPDATE_S)
    yield _attribute("profile_interval_period", HALF_HOUR)
    yield _attribute("active_register_tier_delivered", _active_tier)
    yield _attribute("max_number_of_periods_delivered", PROFILE_LIMIT)
    yield _attribute("historical_freeze_time", 0)
    yield _attribute(
        "cur_part_profile_int_start_time_delivered", lambda s: zigbee_time(_half_hour(s))
    )
    yield _attribute("cur_part_profile_int_value_delivered", _this_half_hour)


def _active_tier(state: MeteringState) -> int | None:
    price = state.meter.price_at(state.now_s)
    return None if price is None else min(price.tier, _BLOCK_TIERS)


def _half_hour(state: MeteringState) -> int:
    return state.reading.taken_s - state.reading.taken_s % HALF_HOUR_S


def _this_half_hour(state: MeteringState) -> int:
    history = state.meter.history
    return u24(history.between(_half_hour(state), state.reading.taken_s, now_s=state.now_s))


def u24(amount: int | None) -> int:
    """An amount in 24 bits, the invalid value for None."""
    return U24_INVALID if amount is None else min(max(amount, 0), U24_INVALID - 1)


def u32(amount: int | None) -> int:
    """An amount in 32 bits, the invalid value for None."""
    return U32_INVALID if amount is None else min(max(amount, 0), U32_INVALID - 1)


def _formatting(*, gas: bool) -> Iterator[Attribute[MeteringState]]:
    yield _attribute("unit_of_measure", _M3 if gas else _KWH)
    yield _attribute("multiplier", 1)
    yield _attribute("divisor", DIVISOR)
    yield _attribute("summation_formatting", _digits(6, 3))
    yield _attribute("historical_consumption_formatting", _digits(6, 3))


def _identity(meter: Meter) -> Iterator[Attribute[MeteringState]]:
    gas = meter.fuel is Fuel.GAS
    yield _attribute("metering_device_type", _MIRRORED_GAS_METER if gas else _ELECTRIC_METER)
    yield _attribute("site_id", meter.mpxn.encode())
    yield _attribute("meter_serial_number", meter.serial_number.encode())
    yield _attribute("customer_id_number", b"")


def _supply(*, gas: bool) -> Iterator[Attribute[MeteringState]]:
    yield _attribute("supply_status", lambda s: s.meter.supply_at(s.now_us).state)
    yield _attribute("status", _status)
    yield _attribute("supply_tamper_state", _UNCHANGED)
    yield _attribute("supply_depletion_state", int(SupplyState.OFF))
    if gas:
        yield _attribute("remaining_battery_life_days", _BATTERY_UNKNOWN)
    else:
        yield _attribute("supply_uncontrolled_flow_state", _UNCHANGED)


def _status(state: MeteringState) -> int:
    supply = state.meter.supply_at(state.now_us)
    disconnected = 0 if supply.state is SupplyState.ON else _SERVICE_DISCONNECTED
    failed = 0 if supply.mains or state.meter.fuel is Fuel.GAS else _POWER_FAILURE
    return disconnected | failed


def _registers() -> Iterator[Attribute[MeteringState]]:
    """Tiers, blocks, and the blocks of each tier; those that are not in use are not there."""
    for tier in range(1, MOST_TIERS + 1):
        yield _attribute(f"current_tier{tier}_summ_delivered", lambda s, n=tier: s.tier(n))  # type: ignore[misc]
    for tier in range(_BLOCK_TIERS + 1):
        of = "no_tier" if tier == 0 else f"tier{tier}"
        for block in range(1, MOST_THRESHOLDS + 2):
            yield _attribute(
                f"current_{of}_block{block}_summation_delivered",
                lambda s, t=tier, b=block: s.block(t, b),  # type: ignore[misc]
            )


def _bill() -> Iterator[Attribute[MeteringState]]:
    def of(name: str, value: Callable[[Bill], int | None]) -> Attribute[MeteringState]:
        def read(state: MeteringState) -> int | None:
            bill = state.bill()
            return None if bill is None else value(bill)

        return _attribute(name, read)

    yield of("bill_to_date", lambda b: u32(b.cost))
    yield of("bill_to_date_time_stamp", lambda b: zigbee_time(b.as_of_s))
    yield of("projected_bill", lambda b: u32(b.projected))
    yield of("projected_bill_time_stamp", lambda b: zigbee_time(b.end_s))
    yield of("bill_delivered_trailing_digit", lambda b: DIGITS)


def _electricity() -> Iterator[Attribute[MeteringState]]:
    yield _attribute("demand_formatting", _digits(3, 3))
    yield _attribute("instantaneous_demand", _demand)
    yield _attribute("iambient_consumption_indicator", _ambient)


def _demand(state: MeteringState) -> int:
    return min(max(state.reading.demand_w or 0, _S24_MIN), _S24_MAX)


def _ambient(state: MeteringState) -> int:
    """Low, medium or high by the demand: GB displays show it as green, amber and red."""
    demand = state.reading.demand_w or 0
    return 0 if demand < AMBIENT_MEDIUM_W else 1 if demand < AMBIENT_HIGH_W else 2


def _gas() -> Iterator[Attribute[MeteringState]]:
    yield _attribute("alternative_unit_of_measure", _KWH)
    yield _attribute("alternative_consumption_formatting", _digits(6, 3))


def _history(prefix: str, way: _Way) -> Iterator[Attribute[MeteringState]]:
    """Nine days, six weeks and fourteen months, in the main or the alternative unit."""
    day = "current_day" if prefix else "currentday"
    yesterday = "previous_day" if prefix else "previousday"
    names = [f"{day}_consumption", f"{yesterday}_consumption"]
    names += [f"previous_day{back}_consumption" for back in range(2, 9)]
    for back, name in enumerate(names):
        yield _attribute(
            f"{prefix}{name}_{way.name}",
            lambda s, n=back: u24(way.history(s.meter).day(s.now_s, n)),  # type: ignore[misc]
        )
    for back in range(6):
        yield _attribute(
            f"{prefix}{_past('week', back)}_{way.name}",
            lambda s, n=back: u24(way.history(s.meter).week(s.now_s, n)),  # type: ignore[misc]
        )
    for back in range(14):
        yield _attribute(
            f"{prefix}{_past('month', back)}_{way.name}",
            lambda s, n=back: u32(way.history(s.meter).month(s.now_s, n)),  # type: ignore[misc]
        )


def _past(period: str, back: int) -> str:
    if back == 0:
        return f"current_{period}_consumption"
    return f"previous_{period}{back if back > 1 else ''}_consumption"
