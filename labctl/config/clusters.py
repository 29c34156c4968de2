"""Names for the clusters, attributes and commands that read schedules and access tables speak of.

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
    """One cluster: its id, and the names of what can be read from its server.

    `others` are the commands from client to server that ask for more than an answer; no read
    schedule sends them.
    """

    cluster_id: int
    attributes: Mapping[str, int] = field(default_factory=dict)
    commands: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_commands(self) -> dict[str, int]:
        """Every command from client to server that has a name here."""
        return {**self.commands, **self.others}


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
    "identify": ClusterNames(
        0x0003,
        {"identify_time": 0x0000},
        {"identify_query": 0x01},
        {"identify": 0x00, "trigger_effect": 0x40},
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
    "ota": ClusterNames(
        0x0019,
        {},
        {},
        {
            "query_next_image": 0x01,
            "image_block": 0x03,
            "image_page": 0x04,
            "upgrade_end": 0x06,
            "query_specific_file": 0x08,
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
            "get_credit_payment": 0x0E,
            "get_currency_conversion": 0x0F,
            "get_tariff_cancellation": 0x10,
        },
        {"price_acknowledgement": 0x02, "cpp_event_response": 0x0D},
    ),
    "drlc": ClusterNames(0x0701, {}, {"get_scheduled_events": 0x01}, {"report_event_status": 0x00}),
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
        {
            "request_mirror_response": 0x01,
            "mirror_removed": 0x02,
            "schedule_snapshot": 0x04,
            "take_snapshot": 0x05,
            "start_sampling": 0x07,
            "mirror_report_attribute_response": 0x09,
            "reset_load_limit_counter": 0x0A,
            "change_supply": 0x0B,
            "local_change_supply": 0x0C,
            "set_supply_status": 0x0D,
            "set_uncontrolled_flow_threshold": 0x0E,
        },
    ),
    "messaging": ClusterNames(
        0x0703,
        {},
        {"get_last_message": 0x00, "get_message_cancellation": 0x02},
        {"message_confirmation": 0x01},
    ),
    "tunneling": ClusterNames(
        0x0704,
        {"close_tunnel_timeout": 0x0000},
        {"get_supported_tunnel_protocols": 0x06},
        {
            "request_tunnel": 0x00,
            "close_tunnel": 0x01,
            "transfer_data": 0x02,
            "transfer_data_error": 0x03,
            "ack_transfer_data": 0x04,
            "ready_data": 0x05,
        },
    ),
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
        {
            "select_available_emergency_credit": 0x00,
            "change_debt": 0x02,
            "emergency_credit_setup": 0x03,
            "consumer_top_up": 0x04,
            "credit_adjustment": 0x05,
            "change_payment_mode": 0x06,
            "set_low_credit_warning_level": 0x09,
            "set_maximum_credit_limit": 0x0B,
            "set_overall_debt_cap": 0x0C,
        },
    ),
    "energy_management": ClusterNames(0x0706, {}, {}, {"manage_event": 0x00}),
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
    "device_management": ClusterNames(
        0x0708,
        {
            "provider_id": 0x0100,
            "provider_name": 0x0101,
            "provider_contact_details": 0x0102,
            "change_of_tenancy_update_date_time": 0x0200,
            "proposed_tenancy_change_control": 0x0201,
            "low_medium_threshold": 0x0400,
            "medium_high_threshold": 0x0401,
        },
        {
            "get_change_of_tenancy": 0x00,
            "get_change_of_supplier": 0x01,
            "get_site_id": 0x03,
            "get_cin": 0x05,
        },
        {"request_new_password": 0x02, "report_event_configuration": 0x04},
    ),
    "events": ClusterNames(0x0709, {}, {"get_event_log": 0x00}, {"clear_event_log_request": 0x01}),
    "mdu_pairing": ClusterNames(0x070A, {}, {}, {"pairing_request": 0x00}),
    "sub_ghz": ClusterNames(0x070B, {}, {"get_suspend_zcl_messages_status": 0x00}),
    "key_establishment": ClusterNames(
        0x0800,
        {"key_establishment_suite": 0x0000},
        {},
        {
            "initiate_key_establishment": 0x00,
            "ephemeral_data": 0x01,
            "confirm_key_data": 0x02,
            "terminate_key_establishment": 0x03,
        },
    ),
    "diagnostics": ClusterNames(
        0x0B05,
        {
            "number_of_resets": 0x0000,
            "last_message_lqi": 0x011C,
            "last_message_rssi": 0x011D,
        },
    ),
}

_BY_ID = {names.cluster_id: name for name, names in CLUSTERS.items()}


def cluster_named(word: int | str) -> tuple[int, ClusterNames] | None:
    """The id and the table of a cluster given by name or by id; None for an unknown name."""
    if isinstance(word, int):
        name = _BY_ID.get(word)
        return word, CLUSTERS[name] if name else ClusterNames(word)
    names = CLUSTERS.get(word)
    return (names.cluster_id, names) if names else None
