"""Diagnostics 0x0B05 (ZCL 3.18): what the hub can tell of its own traffic."""

from __future__ import annotations

from labctl.hub.services.base import Attribute, Service, defined
from labctl.hub.tallies import Tallies
from labctl.smart_energy.clusters import Diagnostic

_U16 = 0xFFFF


class DiagnosticsService(Service[Tallies]):
    """Counts since the hub's start; they stop at their last value."""

    definition = Diagnostic

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies
        super().__init__(
            [
                Attribute(defined(Diagnostic, "aps_rx_bcast"), lambda t: min(t.broadcasts, _U16)),
                Attribute(defined(Diagnostic, "aps_rx_ucast"), lambda t: min(t.unicasts, _U16)),
                Attribute(
                    defined(Diagnostic, "aps_tx_ucast_success"), lambda t: min(t.delivered, _U16)
                ),
                Attribute(
                    defined(Diagnostic, "aps_tx_ucast_fail"), lambda t: min(t.not_delivered, _U16)
                ),
                Attribute(defined(Diagnostic, "join_indication"), lambda t: min(t.joins, _U16)),
                Attribute(defined(Diagnostic, "last_message_lqi"), lambda t: t.lqi),
                Attribute(defined(Diagnostic, "last_message_rssi"), lambda t: t.rssi_dbm),
            ]
        )

    def state(self, now_us: int) -> Tallies:
        """The counts as they stand."""
        return self._tallies
