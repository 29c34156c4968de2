"""Calendar 0x0707 (SE 1.4 D.9), in the layouts that GB meters exchange.

Publish Day Profile has the calendar's type last, Publish Special Days has it in the middle: that
is how the specification has it.
"""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseCommandDefs

from labctl.smart_energy.clusters._define import command, row, rows

IN_FORCE: Final = 0xFFFFFFFF
"""Issuer calendar id of the tariff switching table in force (GBCS 10.4.2.11)."""
NON_DISABLEMENT_IN_FORCE: Final = 0xFFFFFFFE
"""Issuer calendar id of the non-disablement calendar in force."""
ANY_TYPE: Final = 0xFF
WILDCARD: Final = 0xFF
"""A part of a date that matches every date."""


class CalendarType(t.enum8):
    """What a calendar switches (D.9.2.3.1.1)."""

    Delivered = 0x00
    Received = 0x01
    Delivered_and_received = 0x02
    Friendly_credit = 0x03
    Auxiliary_load_switch = 0x04


class TimeReference(t.enum8):
    """Which clock a calendar goes by (D.9.2.3.1.1)."""

    UTC = 0x00
    Standard = 0x01
    Local = 0x02


class Date(t.Struct):
    """A date (ZCL 2.6.2.20): `year` from 1900, `weekday` 1 is Monday; 0xFF matches all."""

    year: t.uint8_t
    month: t.uint8_t
    day: t.uint8_t
    weekday: t.uint8_t


class ScheduleEntry(t.Struct):
    """From `start_min` minutes after midnight on: a tier, friendly credit or switch states."""

    start_min: t.uint16_t
    value: t.uint8_t


class SeasonEntry(t.Struct):
    """From a date on, a week profile."""

    start: Date
    week_id: t.uint8_t


class SpecialDayEntry(t.Struct):
    """A date with a day profile of its own."""

    date: Date
    day_id: t.uint8_t


_OF = {
    "provider_id": t.uint32_t,
    "issuer_event_id": t.uint32_t,
    "issuer_calendar_id": t.uint32_t,
}
_PART = {"command_index": t.uint8_t, "total_number_of_commands": t.uint8_t}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LABELS = row([(n - 1, f"auxiliary_switch{n}_label") for n in range(1, 9)], t.LVBytes)


class Calendar(Cluster):
    """Which tier, or whatever else a calendar switches, holds when."""

    cluster_id = t.uint16_t(0x0707)
    ep_attribute = "smartenergy_calendar"
    _skip_registry = True

    class AttributeDefs(rows(_LABELS)):  # type: ignore[misc]
        """Attributes of the server side."""

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_calendar: Final = command(
            0x00,
            {
                "earliest_start_time": t.UTCTime,
                "min_issuer_event_id": t.uint32_t,
                "number_of_calendars": t.uint8_t,
                "calendar_type": t.uint8_t,
                "provider_id": t.uint32_t,
            },
        )
        get_day_profiles: Final = command(
            0x01,
            {
                "provider_id": t.uint32_t,
                "issuer_calendar_id": t.uint32_t,
                "start_day_id": t.uint8_t,
                "number_of_days": t.uint8_t,
            },
        )
        get_week_profiles: Final = command(
            0x02,
            {
                "provider_id": t.uint32_t,
                "issuer_calendar_id": t.uint32_t,
                "start_week_id": t.uint8_t,
                "number_of_weeks": t.uint8_t,
            },
        )
        get_seasons: Final = command(
            0x03, {"provider_id": t.uint32_t, "issuer_calendar_id": t.uint32_t}
        )
        get_special_days: Final = command(
            0x04,
            {
                "start_time": t.UTCTime,
                "number_of_events": t.uint8_t,
                "calendar_type": t.uint8_t,
                "provider_id": t.uint32_t,
                "issuer_calendar_id": t.uint32_t,
            },
        )
        get_calendar_cancellation: Final = command(0x05, {})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        publish_calendar: Final = command(
            0x00,
            _OF
            | {
                "start_time": t.UTCTime,
                "calendar_type": t.uint8_t,
                "calendar_time_reference": t.uint8_t,
                "calendar_name": t.LVBytes,
                "number_of_seasons": t.uint8_t,
                "number_of_week_profiles": t.uint8_t,
                "number_of_day_profiles": t.uint8_t,
            },
        )
        publish_day_profile: Final = command(
            0x01,
            _OF
            | {"day_id": t.uint8_t, "total_number_of_schedule_entries": t.uint8_t}
            | _PART
            | {"calendar_type": t.uint8_t, "entries": t.List[ScheduleEntry]},
        )
        publish_week_profile: Final = command(
            0x02,
            _OF | {"week_id": t.uint8_t} | {f"day_id_ref_{day}": t.uint8_t for day in _DAYS},
        )
        publish_seasons: Final = command(0x03, _OF | _PART | {"seasons": t.List[SeasonEntry]})
        publish_special_days: Final = command(
            0x04,
            _OF
            | {
                "start_time": t.UTCTime,
                "calendar_type": t.uint8_t,
                "total_number_of_special_days": t.uint8_t,
            }
            | _PART
            | {"special_days": t.List[SpecialDayEntry]},
        )
        cancel_calendar: Final = command(
            0x05,
            {
                "provider_id": t.uint32_t,
                "issuer_calendar_id": t.uint32_t,
                "calendar_type": t.uint8_t,
            },
        )
