"""Device Management 0x0708 (SE 1.4 D.10): tenancy, supplier, site, and the hub's password.

The proposed provider's contact details (0x0114) came with SE 1.4; older tables lack them.
"""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command

TENANCY_UNKNOWN: Final = 0xFFFFFFFF

CLEAR_CONSUMER_DATA: Final = 1 << 9
"""Bit of the tenancy control: displays forget what they know of the consumer."""


class EventConfiguration(t.Struct):
    """How a device treats one of its events."""

    event_id: t.uint16_t
    configuration: t.bitmap8


class DeviceManagement(Cluster):
    """Who supplies, and since when who lives here."""

    cluster_id = t.uint16_t(0x0708)
    ep_attribute = "smartenergy_device_management"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Attributes of the server side."""

        provider_id: Final = attribute(0x0100, t.uint32_t)
        provider_name: Final = attribute(0x0101, t.LVBytes)
        provider_contact_details: Final = attribute(0x0102, t.LVBytes)
        proposed_provider_id: Final = attribute(0x0110, t.uint32_t)
        proposed_provider_name: Final = attribute(0x0111, t.LVBytes)
        proposed_provider_change_date_time: Final = attribute(0x0112, t.UTCTime)
        proposed_provider_change_control: Final = attribute(0x0113, t.bitmap32)
        proposed_provider_contact_details: Final = attribute(0x0114, t.LVBytes)
        received_provider_id: Final = attribute(0x0120, t.uint32_t)
        received_provider_name: Final = attribute(0x0121, t.LVBytes)
        received_provider_contact_details: Final = attribute(0x0122, t.LVBytes)
        received_proposed_provider_id: Final = attribute(0x0130, t.uint32_t)
        received_proposed_provider_name: Final = attribute(0x0131, t.LVBytes)
        received_proposed_provider_change_date_time: Final = attribute(0x0132, t.UTCTime)
        received_proposed_provider_change_control: Final = attribute(0x0133, t.bitmap32)
        received_proposed_provider_contact_details: Final = attribute(0x0134, t.LVBytes)
        change_of_tenancy_update_date_time: Final = attribute(0x0200, t.UTCTime)
        proposed_tenancy_change_control: Final = attribute(0x0201, t.bitmap32)
        wan_status: Final = attribute(0x0300, t.enum8)
        low_medium_threshold: Final = attribute(0x0400, t.uint32_t)
        medium_high_threshold: Final = attribute(0x0401, t.uint32_t)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_change_of_tenancy: Final = command(0x00, {})
        get_change_of_supplier: Final = command(0x01, {})
        request_new_password: Final = command(0x02, {"password_type": t.enum8})
        get_site_id: Final = command(0x03, {})
        report_event_configuration: Final = command(
            0x04,
            {
                "command_index": t.uint8_t,
                "total_commands": t.uint8_t,
                "event_configuration_payload": t.List[EventConfiguration],
            },
        )
        get_cin: Final = command(0x05, {})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        publish_change_of_tenancy: Final = command(
            0x00,
            {
                "supplier_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "tariff_type": t.bitmap8,
                "implementation_date_time": t.UTCTime,
                "proposed_tenancy_change_control": t.bitmap32,
            },
        )
        publish_change_of_supplier: Final = command(
            0x01,
            {
                "current_provider_id": t.uint32_t,
                "issuer_event_id": t.uint32_t,
                "tariff_type": t.bitmap8,
                "proposed_provider_id": t.uint32_t,
                "provider_change_implementation_time": t.UTCTime,
                "provider_change_control": t.bitmap32,
                "proposed_provider_name": t.LVBytes,
                "proposed_provider_contact_details": t.LVBytes,
            },
        )
        request_new_password_response: Final = command(
            0x02,
            {
                "issuer_event_id": t.uint32_t,
                "implementation_date_time": t.UTCTime,
                "duration_in_minutes": t.uint16_t,
                "password_type": t.enum8,
                "password": t.LVBytes,
            },
        )
        update_site_id: Final = command(
            0x03,
            {
                "issuer_event_id": t.uint32_t,
                "site_id_time": t.UTCTime,
                "provider_id": t.uint32_t,
                "site_id": t.LVBytes,
            },
        )
        set_event_configuration: Final = command(
            0x04,
            {
                "issuer_event_id": t.uint32_t,
                "start_date_time": t.UTCTime,
                "event_configuration": t.bitmap8,
                "configuration_control": t.enum8,
                "event_configuration_payload": t.Bytes,
            },
        )
        get_event_configuration: Final = command(0x05, {"event_id": t.uint16_t})
        update_cin: Final = command(
            0x06,
            {
                "issuer_event_id": t.uint32_t,
                "cin_implementation_time": t.UTCTime,
                "provider_id": t.uint32_t,
                "customer_id_number": t.LVBytes,
            },
        )
