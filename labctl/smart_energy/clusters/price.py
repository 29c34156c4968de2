"""Price 0x0700 (SE 1.4 D.4), in the layouts that GB meters and displays exchange.

Where the published tables and real GB frames differ, the frames win: Publish Block Period has no
octet between the duration and its control, and Publish Price is the short form of 28 octets and
the label, with up to 19 optional octets behind.
"""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command, row, rows

ANY_EVENT: Final = 0xFFFFFFFF
"""Minimum issuer event id that matches every event."""
UNTIL_CHANGED: Final = 0xFFFF
"""A price's duration in minutes when no end is known."""


class PriceMatrixEntry(t.Struct):
    """A price of a tariff: `id` is the tier (TOU) or tier<<4 | block (block tariffs)."""

    id: t.uint8_t
    price: t.uint32_t


class TierLabel(t.Struct):
    """The name of a tier, at most 12 octets."""

    tier: t.uint8_t
    label: t.LVBytes


_TIER_LABELS = row([(n - 1, f"tier{n}_price_label") for n in range(1, 49)], t.LVBytes, access="r")
_THRESHOLDS = row(
    [(0x0100 + n - 1, f"block{n}_threshold") for n in range(1, 16)]
    + [
        (0x0100 + 0x10 * tier + n - 1, f"tier{tier}_block{n}_threshold")
        for tier in range(1, 16)
        for n in range(1, 16)
    ],
    t.uint48_t,
)
_THRESHOLD_COUNTS = row(
    [(0x010F, "block_threshold_count")]
    + [(0x010F + 0x10 * tier, f"tier{tier}_block_threshold_count") for tier in range(1, 16)],
    t.uint8_t,
)
_PRICES = row(
    [(0x0400 + n - 1, f"no_tier_block{n}_price") for n in range(1, 17)]
    + [
        (0x0400 + 0x10 * tier + n - 1, f"tier{tier}_block{n}_price")
        for tier in range(1, 16)
        for n in range(1, 17)
    ],
    t.uint32_t,
)

_GET_BY_TIME = {
    "earliest_start_time": t.UTCTime,
    "min_issuer_event_id": t.uint32_t,
    "number_of_commands": t.uint8_t,
}
_GET_BY_TIME_AND_TYPE = _GET_BY_TIME | {"tariff_type?": t.uint8_t}
_GET_BY_TARIFF = {"issuer_tariff_id": t.uint32_t}


class Price(Cluster):
    """Tariff and price of one fuel."""

    cluster_id = t.uint16_t(0x0700)
    ep_attribute = "smartenergy_price"
    _skip_registry = True

    class AttributeDefs(rows(_TIER_LABELS, _THRESHOLDS, _THRESHOLD_COUNTS, _PRICES)):  # type: ignore[misc]
        """Attributes of the server side."""

        start_of_block_period: Final = attribute(0x0200, t.UTCTime)
        block_period_duration: Final = attribute(0x0201, t.uint24_t)
        threshold_multiplier: Final = attribute(0x0202, t.uint24_t)
        threshold_divisor: Final = attribute(0x0203, t.uint24_t)
        block_period_duration_type: Final = attribute(0x0204, t.bitmap8)
        commodity_type: Final = attribute(0x0300, t.enum8)
        standing_charge: Final = attribute(0x0301, t.uint32_t)
        conversion_factor: Final = attribute(0x0302, t.uint32_t)
        conversion_factor_trailing_digit: Final = attribute(0x0303, t.bitmap8)
        calorific_value: Final = attribute(0x0304, t.uint32_t)
        calorific_value_unit: Final = attribute(0x0305, t.enum8)
        calorific_value_trailing_digit: Final = attribute(0x0306, t.bitmap8)
        tariff_label: Final = attribute(0x0610, t.LVBytes)
        number_of_price_tiers_in_use: Final = attribute(0x0611, t.uint8_t)
        number_of_block_thresholds_in_use: Final = attribute(0x0612, t.uint8_t)
        tier_block_mode: Final = attribute(0x0613, t.enum8)
        unit_of_measure: Final = attribute(0x0615, t.enum8)
        currency: Final = attribute(0x0616, t.uint16_t)
        price_trailing_digit: Final = attribute(0x0617, t.bitmap8)
        tariff_resolution_period: Final = attribute(0x0619, t.enum8)
        co2: Final = attribute(0x0620, t.uint32_t)
        co2_unit: Final = attribute(0x0621, t.enum8)
        co2_trailing_digit: Final = attribute(0x0622, t.bitmap8)
        current_billing_period_start: Final = attribute(0x0700, t.UTCTime)
        current_billing_period_duration: Final = attribute(0x0701, t.uint24_t)
        last_billing_period_start: Final = attribute(0x0702, t.UTCTime)
        last_billing_period_duration: Final = attribute(0x0703, t.uint24_t)
        last_billing_period_consolidated_bill: Final = attribute(0x0704, t.uint32_t)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_current_price: Final = command(0x00, {"command_options": t.bitmap8})
        get_scheduled_prices: Final = command(
            0x01, {"start_time": t.UTCTime, "number_of_events": t.uint8_t}
        )
        price_acknowledgement: Final = command(
            0x02,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "price_ack_time": t.UTCTime,
                "control": t.bitmap8,
            },
        )
        get_block_periods: Final = command(
            0x03,
            {
                "start_time": t.UTCTime,
                "number_of_events": t.uint8_t,
                "tariff_type?": t.uint8_t,
            },
        )
        get_conversion_factor: Final = command(0x04, _GET_BY_TIME)
        get_calorific_value: Final = command(0x05, _GET_BY_TIME)
        get_tariff_information: Final = command(0x06, _GET_BY_TIME_AND_TYPE)
        get_price_matrix: Final = command(0x07, _GET_BY_TARIFF)
        get_block_thresholds: Final = command(0x08, _GET_BY_TARIFF)
        get_co2_value: Final = command(0x09, _GET_BY_TIME_AND_TYPE)
        get_tier_labels: Final = command(0x0A, _GET_BY_TARIFF)
        get_billing_period: Final = command(0x0B, _GET_BY_TIME_AND_TYPE)
        get_consolidated_bill: Final = command(0x0C, _GET_BY_TIME_AND_TYPE)
        cpp_event_response: Final = command(
            0x0D, {"issuer_event_id": t.uint32_t, "cpp_auth": t.uint8_t}
        )
        get_credit_payment: Final = command(
            0x0E, {"latest_end_time": t.UTCTime, "number_of_records": t.uint8_t}
        )
        get_currency_conversion: Final = command(0x0F, {})
        get_tariff_cancellation: Final = command(0x10, {})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        publish_price: Final = command(
            0x00,
            {
                "provider_id": t.uint32_t,
                "rate_label": t.LVBytes,
                "issuer_event_id": t.uint32_t,
                "current_time": t.UTCTime,
                "unit_of_measure": t.uint8_t,
                "currency": t.uint16_t,
                "price_trailing_digit_and_price_tier": t.uint8_t,
                "number_of_price_tiers_and_register_tier": t.uint8_t,
                "start_time": t.UTCTime,
                "duration_in_minutes": t.uint16_t,
                "price": t.uint32_t,
                "price_ratio?": t.uint8_t,
                "generation_price?": t.uint32_t,
                "generation_price_ratio?": t.uint8_t,
                "alternate_cost_delivered?": t.uint32_t,
                "alternate_cost_unit?": t.uint8_t,
                "alternate_cost_trailing_digit?": t.uint8_t,
                "number_of_block_thresholds?": t.uint8_t,
                "price_control?": t.bitmap8,
                "number_of_generation_tiers?": t.uint8_t,
                "generation_tier?": t.uint8_t,
                "extended_number_of_price_tiers?": t.uint8_t,
                "extended_price_tier?": t.uint8_t,
                "extended_register_tier?": t.uint8_t,
            },
        )
        publish_block_period: Final = command(
            0x01,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "block_period_start_time": t.UTCTime,
                "block_period_duration": t.uint24_t,
                "block_period_control": t.bitmap8,
                "block_period_duration_type": t.bitmap8,
                "tariff_type": t.uint8_t,
                "tariff_resolution_period": t.uint8_t,
            },
        )
        publish_conversion_factor: Final = command(
            0x02,
            {
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "conversion_factor": t.uint32_t,
                "conversion_factor_trailing_digit": t.bitmap8,
            },
        )
        publish_calorific_value: Final = command(
            0x03,
            {
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "calorific_value": t.uint32_t,
                "calorific_value_unit": t.uint8_t,
                "calorific_value_trailing_digit": t.bitmap8,
            },
        )
        publish_tariff_information: Final = command(
            0x04,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "issuer_tariff_id": t.uint32_t,
                "start_time": t.UTCTime,
                "tariff_type_and_charging_scheme": t.bitmap8,
                "tariff_label": t.LVBytes,
                "number_of_price_tiers_in_use": t.uint8_t,
                "number_of_block_thresholds_in_use": t.uint8_t,
                "unit_of_measure": t.uint8_t,
                "currency": t.uint16_t,
                "price_trailing_digit": t.bitmap8,
                "standing_charge": t.uint32_t,
                "tier_block_mode": t.uint8_t,
                "block_threshold_multiplier": t.uint24_t,
                "block_threshold_divisor": t.uint24_t,
            },
        )
        publish_price_matrix: Final = command(
            0x05,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "issuer_tariff_id": t.uint32_t,
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "sub_payload_control": t.bitmap8,
                "prices": t.List[PriceMatrixEntry],
            },
        )
        publish_block_thresholds: Final = command(
            0x06,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "issuer_tariff_id": t.uint32_t,
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "sub_payload_control": t.bitmap8,
                "thresholds": t.Bytes,
            },
        )
        publish_co2_value: Final = command(
            0x07,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "tariff_type": t.uint8_t,
                "co2_value": t.uint32_t,
                "co2_value_unit": t.uint8_t,
                "co2_value_trailing_digit": t.bitmap8,
            },
        )
        publish_tier_labels: Final = command(
            0x08,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "issuer_tariff_id": t.uint32_t,
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "labels": t.LVList[TierLabel, t.uint8_t],
            },
        )
        publish_billing_period: Final = command(
            0x09,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "billing_period_start_time": t.UTCTime,
                "billing_period_duration": t.uint24_t,
                "billing_period_duration_type": t.bitmap8,
                "tariff_type": t.uint8_t,
            },
        )
        publish_consolidated_bill: Final = command(
            0x0A,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "billing_period_start_time": t.UTCTime,
                "billing_period_duration": t.uint24_t,
                "billing_period_duration_type": t.bitmap8,
                "tariff_type": t.uint8_t,
                "consolidated_bill": t.uint32_t,
                "currency": t.uint16_t,
                "bill_trailing_digit": t.bitmap8,
            },
        )
        publish_cpp_event: Final = command(
            0x0B,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "duration_in_minutes": t.uint16_t,
                "tariff_type": t.uint8_t,
                "cpp_price_tier": t.uint8_t,
                "cpp_auth": t.uint8_t,
            },
        )
        publish_credit_payment: Final = command(
            0x0C,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "credit_payment_due_date": t.UTCTime,
                "credit_payment_overdue_amount": t.uint32_t,
                "credit_payment_status": t.uint8_t,
                "credit_payment": t.uint32_t,
                "credit_payment_date": t.UTCTime,
                "credit_payment_ref": t.LVBytes,
            },
        )
        publish_currency_conversion: Final = command(
            0x0D,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "old_currency": t.uint16_t,
                "new_currency": t.uint16_t,
                "conversion_factor": t.uint32_t,
                "conversion_factor_trailing_digit": t.bitmap8,
                "currency_change_control_flags": t.bitmap32,
            },
        )
        cancel_tariff: Final = command(
            0x0E,
            {
                "provider_id": t.uint32_t,
                "issuer_tariff_id": t.uint32_t,
                "tariff_type": t.uint8_t,
            },
        )
