"""Tunneling 0x0704 (SE 1.4 D.6): octets of another protocol, GB-HRGP in the GB network.

Client and server use the same commands from Transfer Data on, under ids that are one apart.
"""

from __future__ import annotations

import enum
from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command

GB_HRGP: Final = 6
"""The protocol of GB meters (D.6.2.5)."""
NO_MANUFACTURER: Final = 0xFFFF
NO_TUNNEL: Final = 0xFFFF
"""The tunnel id of a request that was refused."""


class TunnelStatus(enum.IntEnum):
    """What became of a Request Tunnel (D.6.2.5.1)."""

    SUCCESS = 0x00
    BUSY = 0x01
    NO_MORE_IDS = 0x02
    PROTOCOL_NOT_SUPPORTED = 0x03
    FLOW_CONTROL_NOT_SUPPORTED = 0x04


class TransferStatus(enum.IntEnum):
    """Why Transfer Data failed (D.6.2.4.4)."""

    NO_SUCH_TUNNEL = 0x00
    WRONG_DEVICE = 0x01
    DATA_OVERFLOW = 0x02


class TunnelProtocol(t.Struct):
    """A protocol that a server can tunnel."""

    manufacturer_code: t.uint16_t
    protocol_id: t.uint8_t


_DATA = {"tunnel_id": t.uint16_t, "data": t.Bytes}
_ERROR = {"tunnel_id": t.uint16_t, "transfer_data_status": t.uint8_t}
_OCTETS_LEFT = {"tunnel_id": t.uint16_t, "number_of_octets_left": t.uint16_t}


class Tunneling(Cluster):
    """A way through the network for somebody else's messages."""

    cluster_id = t.uint16_t(0x0704)
    ep_attribute = "smartenergy_tunneling"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Attributes of the server side."""

        close_tunnel_timeout: Final = attribute(0x0000, t.uint16_t, mandatory=True)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        request_tunnel: Final = command(
            0x00,
            {
                "protocol_id": t.uint8_t,
                "manufacturer_code": t.uint16_t,
                "flow_control_support": t.Bool,
                "maximum_incoming_transfer_size": t.uint16_t,
            },
        )
        close_tunnel: Final = command(0x01, {"tunnel_id": t.uint16_t})
        transfer_data: Final = command(0x02, _DATA)
        transfer_data_error: Final = command(0x03, _ERROR)
        ack_transfer_data: Final = command(0x04, _OCTETS_LEFT)
        ready_data: Final = command(0x05, _OCTETS_LEFT)
        get_supported_tunnel_protocols: Final = command(0x06, {"protocol_offset": t.uint8_t})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        request_tunnel_response: Final = command(
            0x00,
            {
                "tunnel_id": t.uint16_t,
                "tunnel_status": t.uint8_t,
                "maximum_incoming_transfer_size": t.uint16_t,
            },
        )
        transfer_data_from_server: Final = command(0x01, _DATA)
        transfer_data_error_from_server: Final = command(0x02, _ERROR)
        ack_transfer_data_from_server: Final = command(0x03, _OCTETS_LEFT)
        ready_data_from_server: Final = command(0x04, _OCTETS_LEFT)
        supported_tunnel_protocols_response: Final = command(
            0x05,
            {
                "protocol_list_complete": t.Bool,
                "protocols": t.LVList[TunnelProtocol, t.uint8_t],
            },
        )
        tunnel_closure_notification: Final = command(0x06, {"tunnel_id": t.uint16_t})
