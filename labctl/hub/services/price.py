"""Price 0x0700: one fuel's tariff (SE 1.4 D.4).

Answers carry the request's sequence number and want no Default Response, as GBCS has it; several
instances are several Publish frames. What there is none of (blocks, bills, CO2) is NOT_FOUND.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labctl.hub.services.base import (
    NOT_FOUND,
    SUCCESS,
    Answer,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.hub.services.price_attributes import (
    BLOCK_PERIOD_RESOLUTION,
    CALORIFIC_DIGITS,
    CONVERSION_DIGITS,
    MJ_PER_M3,
    PriceState,
    duration_type,
    has_bills,
    price_attributes,
)
from labctl.hub.services.price_tariff import (
    BOTH,
    DELIVERED,
    DIGITS,
    KWH,
    UNUSED,
    block_thresholds,
    co2_value,
    label,
    price_matrix,
    tariff_information,
    tier_labels,
)
from labctl.hub.services.publishing import (
    asked_time,
    event_of,
    now_s,
    tariffs,
    utc_of,
    wanted,
    zigbee_now,
)
from labctl.hub.services.time import zigbee_time
from labctl.meters import ActivePrice, Bill, GasProxy, Meter, Tariff
from labctl.meters.tariff import CURRENCY_GBP, BlockPeriod
from labctl.smart_energy.clusters import Price
from labctl.smart_energy.clusters.price import UNTIL_CHANGED
from labctl.smart_energy.disagreements import PriceForm

GET_CURRENT_PRICE = 0x00
GET_SCHEDULED_PRICES = 0x01
PRICE_ACKNOWLEDGEMENT = 0x02

SCHEDULED_LIMIT = 5
"""Prices and block periods published in answer to one request."""
BILLS_KEPT = 12
_EXTENDED = 15
"""From this tier on the octets of 1.4's longer form are needed."""
_CONTROL_EXTENDED = 0x02
_REPEATING = 0x02
_UNUSED_U32 = 0xFFFFFFFF


class PriceService(Service[PriceState]):
    """The prices of one meter. Prices are for kWh, gas included."""

    definition = Price
    sends = (
        "publish_price",
        "publish_block_period",
        "publish_conversion_factor",
        "publish_calorific_value",
        "publish_tariff_information",
        "publish_price_matrix",
        "publish_block_thresholds",
        "publish_co2_value",
        "publish_tier_labels",
        "publish_billing_period",
        "publish_consolidated_bill",
    )
    commands = frozenset({*range(0x00, 0x0D), 0x0E, 0x0F, 0x10})

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._proxy = meter if isinstance(meter, GasProxy) else None
        super().__init__(price_attributes(meter))
        self._getters: dict[int, Callable[[Request, Any], Outcome]] = {
            GET_CURRENT_PRICE: self._current_price,
            GET_SCHEDULED_PRICES: self._scheduled_prices,
            PRICE_ACKNOWLEDGEMENT: lambda request, fields: SUCCESS,
            0x03: self._block_periods,
            0x04: self._conversion_factor,
            0x05: self._calorific_value,
            0x06: self._tariff_information,
            0x07: self._price_matrix,
            0x08: self._block_thresholds,
            0x09: self._co2_value,
            0x0A: self._tier_labels,
            0x0B: self._billing_period,
            0x0C: self._consolidated_bill,
        }

    def state(self, now_us: int) -> PriceState:
        """The tariff in force."""
        at_s = now_us // 1_000_000
        return PriceState(self.meter, self.meter.tariff_at(at_s), at_s)

    def command(self, request: Request, fields: Any) -> Outcome:
        """Answer a Get, or take an acknowledgement.

        Credit payments, currency conversions and cancelled tariffs are never there.
        """
        getter = self._getters.get(request.command_id)
        if getter is None:
            return NOT_FOUND
        outcome = getter(request, fields)
        return outcome if outcome or isinstance(outcome, int) else NOT_FOUND

    def _published(self, request: Request, fields: Any) -> list[Tariff]:
        """The tariffs that a Get with a time, an event id and a number asks for."""
        if getattr(fields, "tariff_type", None) not in (None, DELIVERED, BOTH):
            return []
        at_s = asked_time(request, int(fields.earliest_start_time))
        return wanted(
            tariffs(self.meter, at_s),
            event_of,
            int(fields.min_issuer_event_id),
            int(fields.number_of_commands),
        )

    def _named(self, request: Request, fields: Any) -> Tariff | None:
        """The tariff of an issuer tariff id."""
        for tariff in tariffs(self.meter, now_s(request)):
            if tariff.tariff_id == int(fields.issuer_tariff_id):
                return tariff
        return None

    # -- prices -------------------------------------------------------------------------------

    def _current_price(self, request: Request, fields: Any) -> Outcome:
        return self._prices(request, now_s(request), 1)

    def _scheduled_prices(self, request: Request, fields: Any) -> Outcome:
        """The price at the start time and those after it, at most five (0 asks for all)."""
        count = min(int(fields.number_of_events) or SCHEDULED_LIMIT, SCHEDULED_LIMIT)
        return self._prices(request, asked_time(request, int(fields.start_time)), count)

    def _prices(self, request: Request, at_s: int, count: int) -> Outcome:
        answers = []
        for price in self.meter.prices_from(at_s, count):
            tariff = self.meter.tariff_at(max(at_s, price.start_s))
            if tariff is not None:
                answers.append(_publish_price(request, tariff, price))
        return answers

    # -- tariffs ------------------------------------------------------------------------------

    def _tariff_information(self, request: Request, fields: Any) -> Outcome:
        return [tariff_information(tariff) for tariff in self._published(request, fields)]

    def _price_matrix(self, request: Request, fields: Any) -> Outcome:
        tariff = self._named(request, fields)
        return NOT_FOUND if tariff is None else price_matrix(tariff)

    def _block_thresholds(self, request: Request, fields: Any) -> Outcome:
        tariff = self._named(request, fields)
        if tariff is None or tariff.blocks is None:
            return NOT_FOUND
        return [block_thresholds(tariff, tariff.blocks)]

    def _tier_labels(self, request: Request, fields: Any) -> Outcome:
        tariff = self._named(request, fields)
        return NOT_FOUND if tariff is None else tier_labels(tariff)

    def _co2_value(self, request: Request, fields: Any) -> Outcome:
        return [
            co2_value(tariff, tariff.co2_g_per_kwh)
            for tariff in self._published(request, fields)
            if tariff.co2_g_per_kwh is not None
        ]

    def _block_periods(self, request: Request, fields: Any) -> Outcome:
        """The block period at the start time and those after it: 19 octets each."""
        if fields.tariff_type not in (None, DELIVERED, BOTH):
            return NOT_FOUND
        at_s = asked_time(request, int(fields.start_time))
        answers: list[Answer] = []
        for _ in range(min(int(fields.number_of_events) or SCHEDULED_LIMIT, SCHEDULED_LIMIT)):
            tariff = self.meter.tariff_at(at_s)
            if tariff is None or tariff.blocks is None:
                break
            start_s, end_s = tariff.blocks.span(at_s)
            answers.append(
                answer(
                    command_of(Price, "publish_block_period"),
                    provider_id=tariff.provider_id,
                    issuer_event_id=zigbee_time(start_s),
                    block_period_start_time=zigbee_time(start_s),
                    block_period_duration=1,
                    block_period_control=_REPEATING,
                    block_period_duration_type=duration_type(tariff.blocks.period),
                    tariff_type=DELIVERED,
                    tariff_resolution_period=BLOCK_PERIOD_RESOLUTION,
                )
            )
            at_s = end_s
        return answers

    # -- gas ----------------------------------------------------------------------------------

    def _conversion_factor(self, request: Request, fields: Any) -> Outcome:
        if self._proxy is None:
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_conversion_factor"),
                issuer_event_id=event_of(tariff),
                start_time=zigbee_time(tariff.start_s),
                conversion_factor=self._proxy.meter.conversion_factor,
                conversion_factor_trailing_digit=CONVERSION_DIGITS,
            )
            for tariff in self._published(request, fields)[:1]
        ]

    def _calorific_value(self, request: Request, fields: Any) -> Outcome:
        if self._proxy is None:
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_calorific_value"),
                issuer_event_id=event_of(tariff),
                start_time=zigbee_time(tariff.start_s),
                calorific_value=self._proxy.meter.calorific_value,
                calorific_value_unit=MJ_PER_M3,
                calorific_value_trailing_digit=CALORIFIC_DIGITS,
            )
            for tariff in self._published(request, fields)[:1]
        ]

    # -- bills --------------------------------------------------------------------------------

    def _billing_period(self, request: Request, fields: Any) -> Outcome:
        """The billing period at the time asked for; those to come are all alike."""
        tariff = self._billed(request, fields)
        if tariff is None:
            return NOT_FOUND
        period = self.meter.billing.period(asked_time(request, int(fields.earliest_start_time)))
        return [
            answer(command_of(Price, "publish_billing_period"), **_period(tariff, *period))
            for period in _chosen([period], fields)
        ]

    def _consolidated_bill(self, request: Request, fields: Any) -> Outcome:
        """The bills of the periods that ran at the time asked for or later; 0 is the last one."""
        tariff = self._billed(request, fields)
        if tariff is None:
            return NOT_FOUND
        at_s, since = now_s(request), int(fields.earliest_start_time)
        backs = range(1, 2) if since in (0, _UNUSED_U32) else range(BILLS_KEPT, 0, -1)
        bills: dict[tuple[int, int], Bill] = {}
        for back in backs:
            bill = self.meter.billing.bill(at_s, back)
            if since in (0, _UNUSED_U32) or bill.end_s > utc_of(since):
                bills[bill.start_s, bill.end_s] = bill
        readable = [period for period, bill in bills.items() if bill.cost is not None]
        return [
            answer(
                command_of(Price, "publish_consolidated_bill"),
                **_period(tariff, *period),
                consolidated_bill=min(bills[period].cost or 0, _UNUSED_U32 - 1),
                currency=CURRENCY_GBP,
                bill_trailing_digit=DIGITS,
            )
            for period in _chosen(readable, fields)
        ]

    def _billed(self, request: Request, fields: Any) -> Tariff | None:
        """The tariff in force, if the meter has bills."""
        at_s = now_s(request)
        if fields.tariff_type not in (None, DELIVERED, BOTH) or not has_bills(self.meter, at_s):
            return None
        return self.meter.tariff_at(at_s)


def _publish_price(request: Request, tariff: Tariff, price: ActivePrice) -> Answer:
    """28 octets and the label (D.4.2.4.1); 19 more in the long form, and for tiers above 14.

    The event id is the price's own start, and the block's number on top of it, so that the same
    price is the same event and another block's is another.
    """
    count = len(tariff.unit_prices)
    minutes = UNTIL_CHANGED
    if price.end_s is not None:
        minutes = min((price.end_s - price.start_s) // 60, UNTIL_CHANGED - 1)
    extended = count >= _EXTENDED
    tier, tiers = min(price.tier, _EXTENDED), min(count, _EXTENDED)
    more = {}
    if extended or request.settings.price_form is PriceForm.LONG:
        more = _long_form(price.tier, count)
    return answer(
        command_of(Price, "publish_price"),
        provider_id=tariff.provider_id,
        rate_label=label(price.label),
        issuer_event_id=zigbee_time(price.start_s) + max(price.block - 1, 0),
        current_time=zigbee_now(request),
        unit_of_measure=KWH,
        currency=CURRENCY_GBP,
        price_trailing_digit_and_price_tier=DIGITS | tier,
        number_of_price_tiers_and_register_tier=tiers << 4 | tier,
        start_time=zigbee_time(price.start_s),
        duration_in_minutes=minutes,
        price=price.unit_price,
        **more,
    )


def _long_form(tier: int, count: int) -> dict[str, int]:
    """The octets that 1.4 adds: all unused but for tiers above 14."""
    extended = count >= _EXTENDED
    over = max(0, tier - _EXTENDED) if extended else UNUSED
    return {
        "price_ratio": UNUSED,
        "generation_price": _UNUSED_U32,
        "generation_price_ratio": UNUSED,
        "alternate_cost_delivered": _UNUSED_U32,
        "alternate_cost_unit": UNUSED,
        "alternate_cost_trailing_digit": UNUSED,
        "number_of_block_thresholds": UNUSED,
        "price_control": _CONTROL_EXTENDED if extended else 0,
        "number_of_generation_tiers": UNUSED,
        "generation_tier": UNUSED,
        "extended_number_of_price_tiers": count - _EXTENDED if extended else UNUSED,
        "extended_price_tier": over,
        "extended_register_tier": over,
    }


def _period(tariff: Tariff, start_s: int, end_s: int) -> dict[str, int]:
    """The fields that a billing period and its bill begin with."""
    return {
        "provider_id": tariff.provider_id,
        "issuer_event_id": zigbee_time(start_s),
        "billing_period_start_time": zigbee_time(start_s),
        "billing_period_duration": 1,
        "billing_period_duration_type": duration_type(BlockPeriod.MONTH),
        "tariff_type": DELIVERED,
    }


def _chosen(periods: list[tuple[int, int]], fields: Any) -> list[tuple[int, int]]:
    """By issuer event id, which is the start, and number."""
    return wanted(
        periods,
        lambda period: zigbee_time(period[0]),
        int(fields.min_issuer_event_id),
        int(fields.number_of_commands),
    )
