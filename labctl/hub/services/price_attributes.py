"""The attributes of Price: functions of the tariff in force (SE 1.4 D.4.2.2).

An attribute that the tariff has no use for (a second tier, a block, a bill) is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from labctl.hub.services.base import Attribute, Value, defined
from labctl.hub.services.price_tariff import (
    CO2_DIGITS,
    CO2_KG_PER_KWH,
    DIGITS,
    DIVISOR,
    KWH,
    label,
    thresholds_in_use,
    tier_block_mode,
)
from labctl.hub.services.time import zigbee_time
from labctl.meters import Bill, GasProxy, Meter, Tariff
from labctl.meters.tariff import CURRENCY_GBP, MOST_THRESHOLDS, MOST_TIERS, Blocks
from labctl.smart_energy.clusters import Price

MJ_PER_M3 = 0x01
CONVERSION_DIGITS = 0x50
CALORIFIC_DIGITS = 0x20
BLOCK_PERIOD_RESOLUTION = 0x01
_ONE_PERIOD = 1
_NOT_APPLICABLE = 2 << 4  # where in the calendar unit a period starts
_PRICE_TIERS = 15  # tiers that have price attributes of their own
_ELECTRICITY, _GAS = 0x00, 0x01


@dataclass(slots=True)
class PriceState:
    """The tariff in force at an instant (UTC seconds), and the meter that it is of."""

    meter: Meter
    tariff: Tariff | None
    at_s: int

    @property
    def blocks(self) -> Blocks | None:
        """The tariff's blocks."""
        return self.tariff.blocks if self.tariff else None


_Of = Callable[[Tariff], Value | None]


def duration_type(base: int) -> int:
    """Of block and billing periods: days, weeks, months; GB meters say no more."""
    return _NOT_APPLICABLE | base


def price_attributes(meter: Meter) -> list[Attribute[PriceState]]:
    """The attributes of one meter's Price."""
    gas = isinstance(meter, GasProxy)
    return [
        Attribute(defined(Price, "commodity_type"), _GAS if gas else _ELECTRICITY),
        *_tariff(),
        *_tiers(),
        *_blocks(),
        *(_gas(meter) if isinstance(meter, GasProxy) else ()),
        *_billing(),
    ]


def _of_tariff(name: str, value: _Of) -> Attribute[PriceState]:
    return Attribute(
        defined(Price, name),
        lambda state: None if state.tariff is None else value(state.tariff),
    )


def _tariff() -> Iterator[Attribute[PriceState]]:
    yield _of_tariff("standing_charge", lambda t: t.standing_charge)
    yield _of_tariff("tariff_label", lambda t: t.name.encode())
    yield _of_tariff("number_of_price_tiers_in_use", lambda t: len(t.unit_prices))
    yield _of_tariff("number_of_block_thresholds_in_use", thresholds_in_use)
    yield _of_tariff("tier_block_mode", lambda t: tier_block_mode(t) if t.blocks else None)
    yield _of_tariff("unit_of_measure", lambda t: KWH)
    yield _of_tariff("currency", lambda t: CURRENCY_GBP)
    yield _of_tariff("price_trailing_digit", lambda t: DIGITS)
    yield _of_tariff(
        "tariff_resolution_period", lambda t: BLOCK_PERIOD_RESOLUTION if t.blocks else None
    )
    yield _of_tariff("co2", lambda t: t.co2_g_per_kwh)
    yield _of_tariff("co2_unit", lambda t: None if t.co2_g_per_kwh is None else CO2_KG_PER_KWH)
    yield _of_tariff("co2_trailing_digit", lambda t: CO2_DIGITS if t.co2_g_per_kwh else None)


def _tiers() -> Iterator[Attribute[PriceState]]:
    for number in range(1, MOST_TIERS + 1):
        yield _of_tariff(f"tier{number}_price_label", _label_of(number))


def _label_of(number: int) -> _Of:
    return lambda t: label(t.labels[number - 1]) if number <= len(t.labels) else None


def _blocks() -> Iterator[Attribute[PriceState]]:
    """Prices and thresholds: of no tier for a tariff without tiers, else of each."""
    for block in range(1, MOST_THRESHOLDS + 1):
        yield _of_tariff(f"block{block}_threshold", _threshold(block, 0))
    yield _of_tariff("block_threshold_count", _count(0))
    for block in range(1, MOST_THRESHOLDS + 2):
        yield _of_tariff(f"no_tier_block{block}_price", _price(0, block))
    for tier in range(1, _PRICE_TIERS + 1):
        for block in range(1, MOST_THRESHOLDS + 1):
            yield _of_tariff(f"tier{tier}_block{block}_threshold", _threshold(block, tier))
        yield _of_tariff(f"tier{tier}_block_threshold_count", _count(tier))
        for block in range(1, MOST_THRESHOLDS + 2):
            yield _of_tariff(f"tier{tier}_block{block}_price", _price(tier, block))
    yield _of_block_period("start_of_block_period", lambda s, b: zigbee_time(b.span(s.at_s)[0]))
    yield _of_block_period("block_period_duration", lambda s, b: _ONE_PERIOD)
    yield _of_block_period("block_period_duration_type", lambda s, b: duration_type(b.period))
    yield _of_block_period("threshold_multiplier", lambda s, b: 1)
    yield _of_block_period("threshold_divisor", lambda s, b: DIVISOR)


def _of_block_period(
    name: str, value: Callable[[PriceState, Blocks], Value]
) -> Attribute[PriceState]:
    def of(state: PriceState) -> Value | None:
        blocks = state.blocks
        return None if blocks is None else value(state, blocks)

    return Attribute(defined(Price, name), of)


def _has_tier(tariff: Tariff, tier: int) -> bool:
    """Whether the tariff's thresholds are kept under that tier; 0 is for all tiers together."""
    blocks = tariff.blocks
    if blocks is None or tier > len(tariff.tiers) + 1:
        return False
    each = blocks.individual and bool(tariff.tiers)
    return each if tier else not each


def _threshold(block: int, tier: int) -> _Of:
    def of(tariff: Tariff) -> int | None:
        blocks = tariff.blocks
        if blocks is None or not _has_tier(tariff, tier) or block > len(blocks.thresholds):
            return None
        return blocks.thresholds[block - 1]

    return of


def _count(tier: int) -> _Of:
    return lambda t: thresholds_in_use(t) if _has_tier(t, tier) else None


def _price(tier: int, block: int) -> _Of:
    """Tier 0 is for tariffs with blocks and without tiers; without blocks there is block 1."""

    def of(tariff: Tariff) -> int | None:
        blocks = tariff.blocks
        last = 1 if blocks is None else len(blocks.thresholds) + 1
        only_blocks = blocks is not None and not tariff.tiers
        if block > last or only_blocks is not (tier == 0) or tier > len(tariff.tiers) + 1:
            return None
        return tariff.unit_price_of(max(tier, 1), block)

    return of


def _gas(proxy: GasProxy) -> Iterator[Attribute[PriceState]]:
    gas = proxy.meter
    yield Attribute(defined(Price, "conversion_factor"), gas.conversion_factor)
    yield Attribute(defined(Price, "conversion_factor_trailing_digit"), CONVERSION_DIGITS)
    yield Attribute(defined(Price, "calorific_value"), gas.calorific_value)
    yield Attribute(defined(Price, "calorific_value_unit"), MJ_PER_M3)
    yield Attribute(defined(Price, "calorific_value_trailing_digit"), CALORIFIC_DIGITS)


def has_bills(meter: Meter, at_s: int) -> bool:
    """Credit mode alone has bills; in prepayment everything is paid for beforehand."""
    return meter.prepayment is None or not meter.prepayment.at(at_s).prepayment


def _billing() -> Iterator[Attribute[PriceState]]:
    yield _of_bill("current_billing_period_start", 0, lambda bill: zigbee_time(bill.start_s))
    yield _of_bill("current_billing_period_duration", 0, _minutes)
    yield _of_bill("last_billing_period_start", 1, lambda bill: zigbee_time(bill.start_s))
    yield _of_bill("last_billing_period_duration", 1, _minutes)
    yield _of_bill("last_billing_period_consolidated_bill", 1, lambda bill: bill.cost)


def _of_bill(name: str, back: int, value: Callable[[Bill], int | None]) -> Attribute[PriceState]:
    """Of this billing period or the last, if something of it may be read."""

    def of(state: PriceState) -> int | None:
        if state.tariff is None or not has_bills(state.meter, state.at_s):
            return None
        bill = state.meter.billing.bill(state.at_s, back)
        return None if bill.cost is None else value(bill)

    return Attribute(defined(Price, name), of)


def _minutes(bill: Bill) -> int:
    return (bill.end_s - bill.start_s) // 60
