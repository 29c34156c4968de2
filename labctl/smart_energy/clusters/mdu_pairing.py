"""MDU Pairing 0x070A (SE 1.4 D.12): who is who in a building with many dwellings."""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseCommandDefs

from labctl.smart_energy.clusters._define import command


class MduPairing(Cluster):
    """A GB home is a dwelling of its own and serves none of it."""

    cluster_id = t.uint16_t(0x070A)
    ep_attribute = "smartenergy_mdu_pairing"
    _skip_registry = True

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        pairing_request: Final = command(
            0x00, {"local_pairing_information_version": t.uint32_t, "eui64": t.EUI64}
        )

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        pairing_response: Final = command(
            0x00,
            {
                "pairing_information_version": t.uint32_t,
                "total_number_of_devices": t.uint8_t,
                "command_index": t.uint8_t,
                "total_number_of_commands": t.uint8_t,
                "eui64s": t.List[t.EUI64],
            },
        )
