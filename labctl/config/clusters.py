"""Names for the clusters, attributes and commands that a read schedule may speak of.

Identifiers are those of Smart Energy 1.4 (Annexes A and D) and of the ZCL (Time, Basic,
Keep-Alive). A file may always write the number instead, so this table is a convenience, not a
limit. It stands here, apart from the cluster definitions, because checking a file must not import
a radio stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ClusterNames:
    """One cluster: its id, and the names of what can be read from its server."""

    cluster_id: int
    attributes: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, int] = field(default_factory=dict)


def _previous(period: str, first_id: int, first: int, last: int) -> dict[str, int]:
    """Historical consumption, delivered: one attribute for each earlier period, two ids apart."""
    return {
        f"previous_{period}_{n}_consumption_delivered": first_id + 2 * (n - first)
        for n in range(first, last + 1)
    }


CLUSTERS: Mapping[str, ClusterNames] = {
    "basic": ClusterNames(
        0x0000,
        {
            "zcl_version": 0x0000,
            "application_version": 0x0001,
            "stack_version": 0x0002,
            "hardware_version": 0x0003,
            "manufacturer_name": 0x0004,
            "model_identifier": 0x0005,
            "date_code": 0x0006,
            "power_source": 0x0007,
        },
    ),
    "time": ClusterNames(
        0x000A,
        {
            "time": 0x0000,
            "time_status": 0x0001,
            "time_zone": 0x0002,
            "dst_start": 0x0003,
            "dst_end": 0x0004,
            "dst_shift": 0x0005,
            "standard_time": 0x0006,
            "local_time": 0x0007,
            "last_set_time": 0x0008,
            "valid_until_time": 0x0009,
        },
    ),
    "keep_alive": ClusterNames(0x0025, {"base_time": 0x0000, "jitter": 0x0001}),
    "price": ClusterNames(
        0x0700,
        {
            "commodity_type": 0x0300,
            "standing_charge": 0x0301,
            "conversion_factor": 0x0302,
            "calorific_value": 0x0304,
            "tariff_label": 0x0610,
            "number_of_price_tiers_in_use": 0x0611,
            "number_of_block_thresholds_in_use": 0x0612,
            "unit_of_measure": 0x0615,
            "currency": 0x0616,
            "price_trailing_digit": 0x0617,
        },
        {
            "get_current_price": 0x00,
            "get_scheduled_prices": 0x01,
            "get_block_periods": 0x03,
            "get_conversion_factor": 0x04,
            "get_calorific_value": 0x05,
            "get_tariff_information": 0x06,
            "get_price_matrix": 0x07,
            "get_block_thresholds": 0x08,
            "get_co2_value": 0x09,
            "get_tier_labels": 0x0A,
            "get_billing_period": 0x0B,
            "get_consolidated_bill": 0x0C,
        },
    ),
    "drlc": ClusterNames(0x0701, {}, {"get_scheduled_events": 0x01}),
    "metering": ClusterNames(
        0x0702,
        {
            "current_summation_delivered": 0x0000,
            "current_summation_received": 0x0001,
            "current_max_demand_delivered": 0x0002,
            "daily_freeze_time": 0x0005,
            "reading_snapshot_time": 0x0007,
            "default_update_period": 0x000A,
            "fast_poll_update_period": 0x000B,
            "supply_status": 0x0014,
            "status": 0x0200,
            "ambient_consumption_indicator": 0x0207,
            "unit_of_measure": 0x0300,
            "multiplier": 0x0301,
            "divisor": 0x0302,
            "summation_formatting": 0x0303,
            "demand_formatting": 0x0304,
            "historical_consumption_formatting": 0x0305,
            "metering_device_type": 0x0306,
            "site_id": 0x0307,
            "meter_serial_number": 0x0308,
            "alternative_unit_of_measure": 0x0312,
            "instantaneous_demand": 0x0400,
            "current_day_consumption_delivered": 0x0401,
            "previous_day_consumption_delivered": 0x0403,
            **_previous("day", 0x0420, 2, 8),
            "current_week_consumption_delivered": 0x0430,
            **_previous("week", 0x0432, 1, 5),
            "current_month_consumption_delivered": 0x0440,
            **_previous("month", 0x0442, 1, 13),
            "max_number_of_periods_delivered": 0x0500,
        },
        {
            "get_profile": 0x00,
            "request_fast_poll_mode": 0x03,
            "get_snapshot": 0x06,
            "get_sampled_data": 0x08,
        },
    ),
    "messaging": ClusterNames(0x0703, {}, {"get_last_message": 0x00}),
    "prepayment": ClusterNames(
        0x0705,
        {
            "payment_control_configuration": 0x0000,
            "credit_remaining": 0x0001,
            "emergency_credit_remaining": 0x0002,
            "credit_status": 0x0003,
            "accumulated_debt": 0x0005,
        },
        {"get_prepay_snapshot": 0x07, "get_top_up_log": 0x08, "get_debt_repayment_log": 0x0A},
    ),
    "calendar": ClusterNames(
        0x0707,
        {},
        {
            "get_calendar": 0x00,
            "get_day_profiles": 0x01,
            "get_week_profiles": 0x02,
            "get_seasons": 0x03,
            "get_special_days": 0x04,
            "get_calendar_cancellation": 0x05,
        },
    ),
    "device_management": ClusterNames(0x0708, {}, {"get_change_of_tenancy": 0x00}),
}

_BY_ID = {names.cluster_id: name for name, names in CLUSTERS.items()}


def cluster_named(word: int | str) -> tuple[int, ClusterNames] | None:
    """The id and the table of a cluster given by name or by id; None for an unknown name."""
    if isinstance(word, int):
        name = _BY_ID.get(word)
        return word, CLUSTERS[name] if name else ClusterNames(word)
    names = CLUSTERS.get(word)
    return (names.cluster_id, names) if names else None
