"""Messaging 0x0703 (SE 1.4 D.5)."""

from __future__ import annotations

from typing import Final

import zigpy.types as t
from zigpy.zcl import Cluster
from zigpy.zcl.foundation import BaseCommandDefs

from labctl.smart_energy.clusters._define import command


class Messaging(Cluster):
    """Texts that a display shows to the consumer."""

    cluster_id = t.uint16_t(0x0703)
    ep_attribute = "smartenergy_messaging"
    _skip_registry = True

    class ServerCommandDefs(BaseCommandDefs):
        """Client to server."""

        get_last_message: Final = command(0x00, {})
        message_confirmation: Final = command(
            0x01,
            {
                "message_id": t.uint32_t,
                "confirmation_time": t.UTCTime,
                "confirmation_control?": t.bitmap8,
                "confirmation_response?": t.LVBytes,
            },
        )
        get_message_cancellation: Final = command(0x02, {"earliest_implementation_time": t.UTCTime})

    class ClientCommandDefs(BaseCommandDefs):
        """Server to client."""

        display_message: Final = command(
            0x00,
            {
                "message_id": t.uint32_t,
                "message_control": t.bitmap8,
                "start_time": t.UTCTime,
                "duration_in_minutes": t.uint16_t,
                "message": t.CharacterString,
                "extended_message_control?": t.bitmap8,
            },
        )
        cancel_message: Final = command(
            0x01, {"message_id": t.uint32_t, "message_control": t.bitmap8}
        )
        display_protected_message: Final = command(
            0x02,
            {
                "message_id": t.uint32_t,
                "message_control": t.bitmap8,
                "start_time": t.UTCTime,
                "duration_in_minutes": t.uint16_t,
                "message": t.CharacterString,
                "extended_message_control?": t.bitmap8,
            },
        )
        cancel_all_messages: Final = command(0x03, {"implementation_time": t.UTCTime})
