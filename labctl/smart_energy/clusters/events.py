"""Events 0x0709 (SE 1.4 D.11): what a meter or hub writes down, and tells."""

from __future__ import annotations

import enum
from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseCommandDefs

from labctl.smart_energy.clusters._define import command


class EventLogId(enum.IntEnum):
    """The logs (D.11.2.3.1). 6 and 7 are GB's, asked of the gas proxy."""

    ALL = 0x00
    TAMPER = 0x01
    FAULT = 0x02
    GENERAL = 0x03
    SECURITY = 0x04
    NETWORK = 0x05
    GAS_METER_EVENT = 0x06
    GAS_METER_SECURITY = 0x07


class LogEntry(t.Struct):
    """An event in a log."""

    log_id: t.uint8_t
    event_id: t.uint16_t
    event_time: t.UTCTime
    event_data: t.LVBytes


class Events(Cluster):
    """Event logs."""

    cluster_id = t.uint16_t(0x0709)
    ep_attribute = "smartenergy_events"
    _skip_registry = True

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_event_log: Final = command(
            0x00,
            {
                "event_control_log_id": t.bitmap8,
                "event_id": t.uint16_t,
                "start_time": t.UTCTime,
                "end_time": t.UTCTime,
                "number_of_events": t.uint8_t,
                "event_offset": t.uint16_t,
            },
        )
        clear_event_log_request: Final = command(0x01, {"log_id": t.bitmap8})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        publish_event: Final = command(
            0x00,
            {
                "log_id": t.bitmap8,
                "event_id": t.uint16_t,
                "event_time": t.UTCTime,
                "event_control": t.bitmap8,
                "event_data": t.LVBytes,
            },
        )
        publish_event_log: Final = command(
            0x01,
            {
                "total_number_of_matching_events": t.uint16_t,
                "command_index": t.uint8_t,
                "total_commands": t.uint8_t,
                "log_payload_control": t.bitmap8,
                "log_payload": t.List[LogEntry],
            },
        )
        clear_event_log_response: Final = command(0x02, {"cleared_event_logs": t.bitmap8})
