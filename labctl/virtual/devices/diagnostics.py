"""The Diagnostics server 0x0B05 of a device (ZCL 3.15): how it hears its parent."""

from __future__ import annotations

from labctl.virtual.devices.servers import LocalServers
from labctl.virtual.devices.settings import DIAGNOSTICS
from labctl.virtual.node import Node

_RETRIES, _LAST_LQI, _LAST_RSSI = 0x011B, 0x011C, 0x011D
_U8, _U16, _S8 = 0x20, 0x21, 0x28


def serve(servers: LocalServers, node: Node) -> None:
    """Serve AverageMACRetryPerAPSMessageSent, LastMessageLQI and LastMessageRSSI.

    The last message is the newest frame of the parent: for whoever asks, his own question.
    """

    def refresh() -> None:
        attributes = servers.attributes.setdefault(DIAGNOSTICS, {})
        sent = node.counters["aps_tx_success"] + node.counters["aps_tx_failed"]
        attributes[_RETRIES] = (_U16, round(node.mac.radio.repetitions / sent) if sent else 0)
        heard = node.parent_heard
        if heard is not None:
            attributes[_LAST_LQI] = (_U8, heard.lqi)
            attributes[_LAST_RSSI] = (_S8, heard.rssi_dbm)

    servers.attributes[DIAGNOSTICS] = {}
    servers.refresh[DIAGNOSTICS] = refresh
