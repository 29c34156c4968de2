"""Demand Response and Load Control 0x0701 (SE 1.4 D.2). GB displays find the hub by it.

Cancel Load Control Event has 12 octets (4 + 2 + 1 + 1 + 4); digests that say 11 miscount.
"""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command


class Drlc(Cluster):
    """The load control events of an ESI."""

    cluster_id = t.uint16_t(0x0701)
    ep_attribute = "smartenergy_drlc"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Attributes of the client side; the server has none."""

        utility_enrollment_group: Final = attribute(0x0000, t.uint8_t, "rw", mandatory=True)
        start_randomization_minutes: Final = attribute(0x0001, t.uint8_t, "rw", mandatory=True)
        duration_randomization_minutes: Final = attribute(0x0002, t.uint8_t, "rw", mandatory=True)
        device_class_value: Final = attribute(0x0003, t.uint16_t, "rw", mandatory=True)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        report_event_status: Final = command(
            0x00,
            {
                "issuer_event_id": t.uint32_t,
                "event_status": t.uint8_t,
                "event_status_time": t.UTCTime,
                "criticality_level_applied": t.uint8_t,
                "cooling_temperature_set_point_applied": t.uint16_t,
                "heating_temperature_set_point_applied": t.uint16_t,
                "average_load_adjustment_percentage_applied": t.int8s,
                "duty_cycle_applied": t.uint8_t,
                "event_control": t.bitmap8,
                "signature_type?": t.uint8_t,
                "signature?": t.Bytes,
            },
        )
        get_scheduled_events: Final = command(
            0x01,
            {
                "start_time": t.UTCTime,
                "number_of_events": t.uint8_t,
                "issuer_event_id?": t.uint32_t,
            },
        )

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        load_control_event: Final = command(
            0x00,
            {
                "issuer_event_id": t.uint32_t,
                "device_class": t.bitmap16,
                "utility_enrollment_group": t.uint8_t,
                "start_time": t.UTCTime,
                "duration_minutes": t.uint16_t,
                "criticality_level": t.uint8_t,
                "cooling_temperature_offset": t.uint8_t,
                "heating_temperature_offset": t.uint8_t,
                "cooling_temperature_set_point": t.int16s,
                "heating_temperature_set_point": t.int16s,
                "average_load_adjustment_percentage": t.int8s,
                "duty_cycle": t.uint8_t,
                "event_control": t.bitmap8,
            },
        )
        cancel_load_control_event: Final = command(
            0x01,
            {
                "issuer_event_id": t.uint32_t,
                "device_class": t.bitmap16,
                "utility_enrollment_group": t.uint8_t,
                "cancel_control": t.bitmap8,
                "effective_time": t.UTCTime,
            },
        )
        cancel_all_load_control_events: Final = command(0x02, {"cancel_control": t.bitmap8})
