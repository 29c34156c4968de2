"""Sub-GHz 0x070B (SE 1.4 D.13): channels of the 868 and 915 MHz bands, and who is to be silent."""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseAttributeDefs, BaseCommandDefs

from labctl.smart_energy.clusters._define import attribute, command


class SubGhz(Cluster):
    """What a hub on 868 MHz tells its devices."""

    cluster_id = t.uint16_t(0x070B)
    ep_attribute = "smartenergy_sub_ghz"
    _skip_registry = True

    class AttributeDefs(BaseAttributeDefs):
        """Attributes of the server side."""

        channel_change: Final = attribute(0x0000, t.bitmap32)
        page_28_channel_mask: Final = attribute(0x0001, t.bitmap32)
        page_29_channel_mask: Final = attribute(0x0002, t.bitmap32)
        page_30_channel_mask: Final = attribute(0x0003, t.bitmap32)
        page_31_channel_mask: Final = attribute(0x0004, t.bitmap32)

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_suspend_zcl_messages_status: Final = command(0x00, {})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        suspend_zcl_messages: Final = command(0x00, {"period?": t.uint8_t})
