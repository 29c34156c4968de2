"""Energy Management 0x0706 (SE 1.4 D.8): the server is the load switch, the client the hub."""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command


class EnergyManagement(Cluster):
    """What a load control device is doing, and how it may be told otherwise."""

    cluster_id = t.uint16_t(0x0706)
    ep_attribute = "smartenergy_energy_management"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Attributes of the server side."""

        load_control_state: Final = attribute(0x0000, t.bitmap8, mandatory=True)
        current_event_id: Final = attribute(0x0001, t.uint32_t, mandatory=True)
        current_event_status: Final = attribute(0x0002, t.bitmap8, mandatory=True)
        conformance_level: Final = attribute(0x0003, t.uint8_t, mandatory=True)
        minimum_off_time: Final = attribute(0x0004, t.uint16_t, mandatory=True)
        minimum_on_time: Final = attribute(0x0005, t.uint16_t, mandatory=True)
        minimum_cycle_period: Final = attribute(0x0006, t.uint16_t, mandatory=True)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        manage_event: Final = command(
            0x00,
            {
                "issuer_event_id": t.uint32_t,
                "device_class": t.bitmap16,
                "utility_enrollment_group": t.uint8_t,
                "actions_required": t.bitmap8,
            },
        )

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        report_event_status: Final = command(
            0x00,
            {
                "issuer_event_id": t.uint32_t,
                "event_status": t.enum8,
                "event_status_time": t.UTCTime,
                "criticality_level_applied": t.uint8_t,
                "cooling_temperature_set_point_applied": t.uint16_t,
                "heating_temperature_set_point_applied": t.uint16_t,
                "average_load_adjustment_percentage_applied": t.int8s,
                "duty_cycle_applied": t.uint8_t,
                "event_control": t.bitmap8,
            },
        )
