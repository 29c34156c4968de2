"""Price 0x0700: one fuel's tariff (SE 1.4 D.4).

Answers carry the request's sequence number and want no Default Response, as GBCS has it. What the
tariff does not have (blocks, bills, CO2) is NOT_FOUND.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from labctl.hub.services.base import (
    NOT_FOUND,
    SUCCESS,
    Answer,
    Attribute,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
    defined,
)
from labctl.hub.services.time import zigbee_time
from labctl.meters import ActivePrice, GasProxy, Meter, Tariff
from labctl.meters.tariff import CURRENCY_GBP, PRICE_TRAILING_DIGITS
from labctl.smart_energy.clusters import Price
from labctl.smart_energy.clusters.price import ANY_EVENT, UNTIL_CHANGED, PriceMatrixEntry, TierLabel

GET_CURRENT_PRICE = 0x00
GET_SCHEDULED_PRICES = 0x01
PRICE_ACKNOWLEDGEMENT = 0x02

_KWH = 0x00
_DIGITS = PRICE_TRAILING_DIGITS << 4
_TOU = 0x00
_TOU_PRICES = 0x01
_DELIVERED = 0x00
_UNUSED = 0xFF
_SCHEDULED_LIMIT = 5
_MJ_PER_M3 = 0x01
_LABEL_OCTETS = 12


def _label(text: str) -> bytes:
    return text.encode()[:_LABEL_OCTETS]


class PriceService(Service[None]):
    """The prices of one meter. Prices are for kWh, gas included."""

    definition = Price
    commands = frozenset({*range(0x00, 0x0D), 0x0E, 0x0F, 0x10})
    queries = commands

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self._proxy = meter if isinstance(meter, GasProxy) else None
        super().__init__([*self._tariff_attributes(), *self._gas_attributes()])
        self._getters: dict[int, Callable[[Tariff, Request, Any], Outcome]] = {
            GET_CURRENT_PRICE: self._current_price,
            GET_SCHEDULED_PRICES: self._scheduled_prices,
            0x06: self._tariff_information,
            0x07: self._price_matrix,
            0x0A: self._tier_labels,
        }

    def state(self, now_us: int) -> None:
        """All attributes are constant while a tariff is in force."""
        return

    def command(self, request: Request, fields: Any) -> Outcome:
        """Answer a Get, or take an acknowledgement."""
        if request.command_id == PRICE_ACKNOWLEDGEMENT:
            return SUCCESS
        if request.command_id == 0x04:
            return self._conversion_factor(fields)
        if request.command_id == 0x05:
            return self._calorific_value(fields)
        getter = self._getters.get(request.command_id)
        tariff = self.meter.tariff
        if getter is None or tariff is None:
            return NOT_FOUND
        return getter(tariff, request, fields)

    # -- attributes -------------------------------------------------------------------------------

    def _tariff_attributes(self) -> list[Attribute[None]]:
        tariff = self.meter.tariff
        commodity: Attribute[None] = Attribute(
            defined(Price, "commodity_type"), 1 if self._proxy else 0
        )
        if tariff is None:
            return [commodity]
        attributes: list[Attribute[None]] = [
            commodity,
            Attribute(defined(Price, "standing_charge"), tariff.standing_charge),
            Attribute(defined(Price, "tariff_label"), tariff.name.encode()),
            Attribute(defined(Price, "number_of_price_tiers_in_use"), len(tariff.unit_prices)),
            Attribute(defined(Price, "number_of_block_thresholds_in_use"), 0),
            Attribute(defined(Price, "unit_of_measure"), _KWH),
            Attribute(defined(Price, "currency"), CURRENCY_GBP),
            Attribute(defined(Price, "price_trailing_digit"), _DIGITS),
        ]
        tiers = zip(tariff.labels, tariff.unit_prices, strict=True)
        for number, (label, price) in enumerate(tiers, 1):
            attributes.append(Attribute(defined(Price, f"tier{number}_price_label"), _label(label)))
            if number <= 15:
                attributes.append(Attribute(defined(Price, f"tier{number}_block1_price"), price))
        return attributes

    def _gas_attributes(self) -> list[Attribute[None]]:
        if self._proxy is None:
            return []
        gas = self._proxy.meter
        return [
            Attribute(defined(Price, "conversion_factor"), gas.conversion_factor),
            Attribute(defined(Price, "conversion_factor_trailing_digit"), 0x50),
            Attribute(defined(Price, "calorific_value"), gas.calorific_value),
            Attribute(defined(Price, "calorific_value_unit"), _MJ_PER_M3),
            Attribute(defined(Price, "calorific_value_trailing_digit"), 0x20),
        ]

    # -- commands ---------------------------------------------------------------------------------

    def _current_price(self, tariff: Tariff, request: Request, fields: Any) -> Outcome:
        return [self._publish_price(tariff, request, tariff.price_at(_seconds(request)))]

    def _scheduled_prices(self, tariff: Tariff, request: Request, fields: Any) -> Outcome:
        """The price at the start time and those after it, at most five (0 asks for all)."""
        wanted = int(fields.number_of_events) or _SCHEDULED_LIMIT
        at_s = _seconds(request)
        if int(fields.start_time):
            at_s = max(at_s, int(fields.start_time) + _seconds(request) - _zigbee_now(request))
        answers: list[Answer] = []
        while len(answers) < min(wanted, _SCHEDULED_LIMIT):
            price = tariff.price_at(at_s)
            answers.append(self._publish_price(tariff, request, price))
            if price.end_s is None:
                break
            at_s = price.end_s
        return answers

    def _publish_price(self, tariff: Tariff, request: Request, price: ActivePrice) -> Answer:
        """The short form: 28 octets and the label (D.4.2.4.1). Tiers above 14 are out of its reach.

        The event id is the price's own start, so that the same price is the same event.
        """
        tier = min(price.tier, 15)
        count = min(len(tariff.unit_prices), 15)
        minutes = UNTIL_CHANGED
        if price.end_s is not None:
            minutes = min((price.end_s - price.start_s) // 60, UNTIL_CHANGED - 1)
        return answer(
            command_of(Price, "publish_price"),
            provider_id=tariff.provider_id,
            rate_label=_label(price.label),
            issuer_event_id=zigbee_time(price.start_s),
            current_time=_zigbee_now(request),
            unit_of_measure=_KWH,
            currency=CURRENCY_GBP,
            price_trailing_digit_and_price_tier=_DIGITS | tier,
            number_of_price_tiers_and_register_tier=count << 4 | tier,
            start_time=zigbee_time(price.start_s),
            duration_in_minutes=minutes,
            price=price.unit_price,
        )

    def _tariff_information(self, tariff: Tariff, request: Request, fields: Any) -> Outcome:
        if not _asked_for(tariff, fields) or fields.tariff_type not in (None, _DELIVERED, 2):
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_tariff_information"),
                provider_id=tariff.provider_id,
                issuer_event_id=_event(tariff),
                issuer_tariff_id=tariff.tariff_id,
                start_time=zigbee_time(tariff.start_s),
                tariff_type_and_charging_scheme=_TOU << 4 | _DELIVERED,
                tariff_label=tariff.name.encode(),
                number_of_price_tiers_in_use=len(tariff.unit_prices),
                number_of_block_thresholds_in_use=0,
                unit_of_measure=_KWH,
                currency=CURRENCY_GBP,
                price_trailing_digit=_DIGITS,
                standing_charge=tariff.standing_charge,
                tier_block_mode=_UNUSED,
                block_threshold_multiplier=1,
                block_threshold_divisor=1000,
            )
        ]

    def _price_matrix(self, tariff: Tariff, request: Request, fields: Any) -> Outcome:
        if int(fields.issuer_tariff_id) != tariff.tariff_id:
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_price_matrix"),
                provider_id=tariff.provider_id,
                issuer_event_id=_event(tariff),
                start_time=zigbee_time(tariff.start_s),
                issuer_tariff_id=tariff.tariff_id,
                command_index=0,
                total_number_of_commands=1,
                sub_payload_control=_TOU_PRICES,
                prices=[
                    PriceMatrixEntry(id=number, price=price)
                    for number, price in enumerate(tariff.unit_prices, 1)
                ],
            )
        ]

    def _tier_labels(self, tariff: Tariff, request: Request, fields: Any) -> Outcome:
        if int(fields.issuer_tariff_id) != tariff.tariff_id:
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_tier_labels"),
                provider_id=tariff.provider_id,
                issuer_event_id=_event(tariff),
                issuer_tariff_id=tariff.tariff_id,
                command_index=0,
                total_number_of_commands=1,
                labels=[
                    TierLabel(tier=number, label=_label(label))
                    for number, label in enumerate(tariff.labels, 1)
                ],
            )
        ]

    def _conversion_factor(self, fields: Any) -> Outcome:
        if self._proxy is None or self.meter.tariff is None:
            return NOT_FOUND
        if not _asked_for(self.meter.tariff, fields):
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_conversion_factor"),
                issuer_event_id=_event(self.meter.tariff),
                start_time=zigbee_time(self.meter.tariff.start_s),
                conversion_factor=self._proxy.meter.conversion_factor,
                conversion_factor_trailing_digit=0x50,
            )
        ]

    def _calorific_value(self, fields: Any) -> Outcome:
        if self._proxy is None or self.meter.tariff is None:
            return NOT_FOUND
        if not _asked_for(self.meter.tariff, fields):
            return NOT_FOUND
        return [
            answer(
                command_of(Price, "publish_calorific_value"),
                issuer_event_id=_event(self.meter.tariff),
                start_time=zigbee_time(self.meter.tariff.start_s),
                calorific_value=self._proxy.meter.calorific_value,
                calorific_value_unit=_MJ_PER_M3,
                calorific_value_trailing_digit=0x20,
            )
        ]


def _event(tariff: Tariff) -> int:
    return zigbee_time(tariff.start_s)


def _seconds(request: Request) -> int:
    return request.now_us // 1_000_000


def _zigbee_now(request: Request) -> int:
    return zigbee_time(_seconds(request))


def _asked_for(tariff: Tariff, fields: Any) -> bool:
    """Whether "this event or a later one" includes the tariff in force."""
    wanted = int(fields.min_issuer_event_id)
    return wanted in (0, ANY_EVENT) or _event(tariff) >= wanted
