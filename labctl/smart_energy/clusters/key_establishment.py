"""Key Establishment 0x0800 (SE 1.4 C.3). Server and client use the same command ids."""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command


class Suites(t.bitmap16):
    """Key establishment suites (C.3.1.2.3.1)."""

    CBKE_163K1 = 0x0001
    CBKE_283K1 = 0x0002


class TerminateStatus(t.enum8):
    """Why key establishment was terminated (C.3.1.2.3.1.3)."""

    Unknown_Issuer = 0x01
    Bad_Key_Confirm = 0x02
    Bad_Message = 0x03
    No_Resources = 0x04
    Unsupported_Suite = 0x05
    Invalid_Certificate = 0x06


_TERMINATE = {
    "status": TerminateStatus,
    "wait_time_s": t.uint8_t,
    "suites": Suites,
}


class KeyEstablishment(Cluster):
    """CBKE. The identity is 48 octets in suite 1 and 74 in suite 2, points 22 and 37."""

    cluster_id = t.uint16_t(0x0800)
    ep_attribute = "smartenergy_key_establishment"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Both sides."""

        key_establishment_suite: Final = attribute(0x0000, Suites, mandatory=True)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        initiate_key_establishment_request: Final = command(
            0x00,
            {
                "suite": Suites,
                "ephemeral_data_generate_time_s": t.uint8_t,
                "confirm_key_generate_time_s": t.uint8_t,
                "identity": t.Bytes,
            },
        )
        ephemeral_data_request: Final = command(0x01, {"ephemeral": t.Bytes})
        confirm_key_data_request: Final = command(0x02, {"mac": t.Bytes})
        terminate_key_establishment: Final = command(0x03, _TERMINATE)

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        initiate_key_establishment_response: Final = command(
            0x00,
            {
                "suite": Suites,
                "ephemeral_data_generate_time_s": t.uint8_t,
                "confirm_key_generate_time_s": t.uint8_t,
                "identity": t.Bytes,
            },
        )
        ephemeral_data_response: Final = command(0x01, {"ephemeral": t.Bytes})
        confirm_key_data_response: Final = command(0x02, {"mac": t.Bytes})
        terminate_key_establishment_from_server: Final = command(0x03, _TERMINATE)
