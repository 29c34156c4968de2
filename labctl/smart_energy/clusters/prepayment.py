"""Prepayment 0x0705 (SE 1.4 D.7), in the layouts that GB meters exchange.

Where the published tables and real GB frames differ, the frames win: Select Available Emergency
Credit has 5 octets and no site id or serial number, and money that may be owed is signed.
"""

from __future__ import annotations

from typing import Any, Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import Row, attribute, command, row, rows


class PaymentControl(t.bitmap16):
    """PaymentControlConfiguration (D.7.2.2.1.1)."""

    Disconnection_enabled = 0x0001
    Prepayment_enabled = 0x0002
    Credit_management_enabled = 0x0004
    Credit_display_enabled = 0x0010
    Account_base = 0x0040
    Contactor_fitted = 0x0080
    Standing_charge_configuration = 0x0100
    Emergency_standing_charge_configuration = 0x0200
    Debt_configuration = 0x0400
    Emergency_debt_configuration = 0x0800


class CreditStatus(t.bitmap8):
    """CreditStatus (D.7.2.2.1.4)."""

    Credit_ok = 0x01
    Low_credit = 0x02
    Emergency_credit_enabled = 0x04
    Emergency_credit_available = 0x08
    Emergency_credit_selected = 0x10
    Emergency_credit_in_use = 0x20
    Credit_exhausted = 0x40


class OriginatingDevice(t.enum8):
    """Who a command came from (D.7.2.3.2.1)."""

    Energy_service_interface = 0x00
    Meter = 0x01
    In_home_display = 0x02


class TopUpResult(t.enum8):
    """ResultType of Consumer Top Up Response (D.7.2.4.4.1)."""

    Accepted = 0x00
    Rejected_invalid_top_up = 0x01
    Rejected_duplicate_top_up = 0x02
    Rejected_error = 0x03
    Rejected_max_credit_reached = 0x04
    Rejected_keypad_lock = 0x05
    Rejected_top_up_value_too_large = 0x06
    Accepted_supply_enabled = 0x10
    Accepted_supply_disabled = 0x11
    Accepted_supply_armed = 0x12


class DebtRecoveryMethod(t.enum8):
    """How a debt is recovered (D.7.2.3.3.1)."""

    Time_based = 0x00
    Percentage_based = 0x01
    Catch_up_based = 0x02


class DebtRecoveryFrequency(t.enum8):
    """How often a debt is recovered (D.7.2.3.3.1)."""

    Per_hour = 0x00
    Per_day = 0x01
    Per_week = 0x02
    Per_month = 0x03
    Per_quarter = 0x04


class TopUpRecord(t.Struct):
    """An entry of Publish Top Up Log (D.7.2.4.6)."""

    code: t.LVBytes
    amount: t.int32s
    time: t.UTCTime


class DebtRecord(t.Struct):
    """An entry of Publish Debt Log (D.7.2.4.7), 13 octets. `debt_type` 0, 1, 2 is debt 1, 2, 3."""

    collection_time: t.UTCTime
    amount_collected: t.uint32_t
    debt_type: t.uint8_t
    outstanding_debt: t.uint32_t


_WAYS = ("delivered", "received")


def _costs() -> Row:
    """Cost of consumption: days, weeks, months; even ids delivered, odd received (D.7.2.2.6)."""
    named: list[tuple[int, str]] = []
    for base, period, count in ((0x051C, "day", 9), (0x0530, "week", 6), (0x0540, "month", 14)):
        for back in range(count):
            when = f"current_{period}" if back == 0 else f"previous_{period}{_n(back)}"
            for odd, way in enumerate(_WAYS):
                named.append((base + 2 * back + odd, f"{when}_cost_consumption_{way}"))
    return row(named, t.uint48_t)


def _n(number: int) -> str:
    return str(number) if number > 1 else ""


def _top_ups() -> Row:
    members: dict[str, Any] = {}
    for n in range(1, 6):
        base = 0x0100 + 0x10 * (n - 1)
        members[f"top_up_date_time{_n(n)}"] = attribute(base, t.UTCTime)
        members[f"top_up_amount{_n(n)}"] = attribute(base + 1, t.int32s)
        members[f"originating_device{_n(n)}"] = attribute(base + 2, OriginatingDevice)
        members[f"top_up_code{_n(n)}"] = attribute(base + 3, t.LVBytes)
    return members


def _debts() -> Row:
    members: dict[str, Any] = {}
    for n in range(1, 4):
        base = 0x0200 + 0x10 * n
        members[f"debt_label{n}"] = attribute(base, t.LVBytes)
        members[f"debt_amount{n}"] = attribute(base + 1, t.uint32_t)
        members[f"debt_recovery_method{n}"] = attribute(base + 2, DebtRecoveryMethod)
        members[f"debt_recovery_start_time{n}"] = attribute(base + 3, t.UTCTime)
        members[f"debt_recovery_collection_time{n}"] = attribute(base + 4, t.uint16_t)
        members[f"debt_recovery_frequency{n}"] = attribute(base + 6, DebtRecoveryFrequency)
        members[f"debt_recovery_amount{n}"] = attribute(base + 7, t.uint32_t)
        members[f"debt_recovery_top_up_percentage{n}"] = attribute(base + 9, t.uint16_t)
    return members


_ROWS: Any = rows(_costs(), _top_ups(), _debts())


class Prepayment(Cluster):
    """A meter's account."""

    cluster_id = t.uint16_t(0x0705)
    ep_attribute = "smartenergy_prepayment"
    _skip_registry = True

    class AttributeDefs(_ROWS, BaseAttributeDefs):
        """Attributes of the server side."""

        payment_control_configuration: Final = attribute(0x0000, PaymentControl, mandatory=True)
        credit_remaining: Final = attribute(0x0001, t.int32s)
        emergency_credit_remaining: Final = attribute(0x0002, t.int32s)
        credit_status: Final = attribute(0x0003, CreditStatus)
        credit_remaining_time_stamp: Final = attribute(0x0004, t.UTCTime)
        accumulated_debt: Final = attribute(0x0005, t.int32s)
        overall_debt_cap: Final = attribute(0x0006, t.int32s)
        emergency_credit_limit: Final = attribute(0x0010, t.uint32_t)
        emergency_credit_threshold: Final = attribute(0x0011, t.uint32_t)
        total_credit_added: Final = attribute(0x0020, t.uint48_t)
        max_credit_limit: Final = attribute(0x0021, t.uint32_t)
        max_credit_per_top_up: Final = attribute(0x0022, t.uint32_t)
        friendly_credit_warning: Final = attribute(0x0030, t.uint8_t)
        low_credit_warning: Final = attribute(0x0031, t.uint32_t)
        ihd_low_credit_warning: Final = attribute(0x0032, t.uint32_t, access="rw")
        interrupt_suspend_time: Final = attribute(0x0033, t.uint8_t)
        remaining_friendly_credit_time: Final = attribute(0x0034, t.uint16_t)
        next_friendly_credit_period: Final = attribute(0x0035, t.UTCTime)
        cut_off_value: Final = attribute(0x0040, t.int32s)
        token_carrier_id: Final = attribute(0x0080, t.LVBytes)
        prepayment_alarm_status: Final = attribute(0x0400, t.bitmap16)
        prepay_generic_alarm_mask: Final = attribute(0x0401, t.bitmap16)
        prepay_switch_alarm_mask: Final = attribute(0x0402, t.bitmap16)
        prepay_event_alarm_mask: Final = attribute(0x0403, t.bitmap16)
        historical_cost_consumption_formatting: Final = attribute(0x0500, t.bitmap8)
        consumption_unit_of_measurement: Final = attribute(0x0501, t.enum8)
        currency_scaling_factor: Final = attribute(0x0502, t.enum8)
        currency: Final = attribute(0x0503, t.uint16_t)
        historical_freeze_time: Final = attribute(0x055C, t.uint16_t)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        select_available_emergency_credit: Final = command(
            0x00, {"command_issue_date_time": t.UTCTime, "originating_device": t.uint8_t}
        )
        change_debt: Final = command(
            0x02,
            {
                "issuer_event_id": t.uint32_t,
                "debt_label": t.LVBytes,
                "debt_amount": t.int32s,
                "debt_recovery_method": t.uint8_t,
                "debt_amount_type": t.uint8_t,
                "debt_recovery_start_time": t.UTCTime,
                "debt_recovery_collection_time": t.uint16_t,
                "debt_recovery_frequency": t.uint8_t,
                "debt_recovery_amount": t.int32s,
                "debt_recovery_balance_percentage": t.uint16_t,
            },
        )
        emergency_credit_setup: Final = command(
            0x03,
            {
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "emergency_credit_limit": t.uint32_t,
                "emergency_credit_threshold": t.uint32_t,
            },
        )
        consumer_top_up: Final = command(
            0x04, {"originating_device": t.uint8_t, "top_up_code": t.LVBytes}
        )
        credit_adjustment: Final = command(
            0x05,
            {
                "issuer_event_id": t.uint32_t,
                "start_time": t.UTCTime,
                "credit_adjustment_type": t.uint8_t,
                "credit_adjustment_value": t.int32s,
            },
        )
        change_payment_mode: Final = command(
            0x06,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "implementation_date_time": t.UTCTime,
                "proposed_payment_control_configuration": t.bitmap16,
                "cut_off_value": t.int32s,
            },
        )
        get_prepay_snapshot: Final = command(
            0x07,
            {
                "earliest_start_time": t.UTCTime,
                "latest_end_time": t.UTCTime,
                "snapshot_offset": t.uint8_t,
                "snapshot_cause": t.bitmap32,
            },
        )
        get_top_up_log: Final = command(
            0x08, {"latest_end_time": t.UTCTime, "number_of_records": t.uint8_t}
        )
        set_low_credit_warning_level: Final = command(
            0x09, {"low_credit_warning_level": t.uint32_t}
        )
        get_debt_repayment_log: Final = command(
            0x0A,
            {
                "latest_end_time": t.UTCTime,
                "number_of_debts": t.uint8_t,
                "debt_type": t.uint8_t,
            },
        )
        set_maximum_credit_limit: Final = command(
            0x0B,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "implementation_date_time": t.UTCTime,
                "maximum_credit_level": t.uint32_t,
                "maximum_credit_per_top_up": t.uint32_t,
            },
        )
        set_overall_debt_cap: Final = command(
            0x0C,
            {
                "provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "implementation_date_time": t.UTCTime,
                "overall_debt_cap": t.int32s,
            },
        )

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        publish_prepay_snapshot: Final = command(
            0x01,
            {
                "snapshot_id": t.uint32_t,
                "snapshot_time": t.UTCTime,
                "total_snapshots_found": t.uint8_t,
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "snapshot_cause": t.bitmap32,
                "snapshot_payload_type": t.uint8_t,
                "snapshot_payload": t.Bytes,
            },
        )
        change_payment_mode_response: Final = command(
            0x02,
            {
                "friendly_credit": t.bitmap8,
                "friendly_credit_calendar_id": t.uint32_t,
                "emergency_credit_limit": t.uint32_t,
                "emergency_credit_threshold": t.uint32_t,
            },
        )
        consumer_top_up_response: Final = command(
            0x03,
            {
                "result_type": t.uint8_t,
                "top_up_value": t.int32s,
                "source_of_top_up": t.uint8_t,
                "credit_remaining": t.int32s,
            },
        )
        publish_top_up_log: Final = command(
            0x05,
            {
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "top_ups": t.List[TopUpRecord],
            },
        )
        publish_debt_log: Final = command(
            0x06,
            {
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "debts": t.List[DebtRecord],
            },
        )
