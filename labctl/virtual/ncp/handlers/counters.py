"""The stack's counters (EmberCounterType), fed from the node's."""

from __future__ import annotations

from labctl.virtual.ncp.handlers.base import Answer, Part

COUNTERS = 41
"""How many 7.4 reports."""

# Index in EmberCounterType to the node's own counter.
_SOURCES: dict[int, str] = {
    2: "mac_rx",
    3: "mac_tx",  # less those that failed, see below
    5: "mac_tx_failed",
    9: "aps_tx_success",
    10: "aps_retries",
    11: "aps_tx_failed",
    21: "nwk_frame_counter_failure",
    22: "aps_frame_counter_failure",
    24: "aps_link_key_not_authorized",
    25: "nwk_decryption_failure",
    26: "aps_decryption_failure",
}
_MAC_TX_SUCCESS, _MAC_TX_RETRY, _MAC_TX_FAILED = 3, 4, 5
_APS_RX_BROADCAST, _APS_RX_UNICAST = 6, 8
ASH_FRAMING_ERROR = 19


class Counters(Part):
    """Counters count from the last reset or clearing, modulo 2**16."""

    def reset(self) -> None:
        """All zero: the node starts anew as well."""
        self._cleared = [0] * COUNTERS
        self.ash_framing_errors = 0

    def _totals(self) -> list[int]:
        totals = [0] * COUNTERS
        node = self.ezsp.network.node
        if node is not None:
            counted = node.counters
            for index, name in _SOURCES.items():
                totals[index] = counted.get(name, 0)
            totals[_MAC_TX_SUCCESS] -= totals[_MAC_TX_FAILED]
            totals[_MAC_TX_RETRY] = node.repetitions
        totals[_APS_RX_BROADCAST] = self.ezsp.messaging.received_broadcasts
        totals[_APS_RX_UNICAST] = self.ezsp.messaging.received_unicasts
        totals[ASH_FRAMING_ERROR] = self.ash_framing_errors
        return totals

    def _values(self) -> tuple[int, ...]:
        return tuple(
            (total - cleared) & 0xFFFF
            for total, cleared in zip(self._totals(), self._cleared, strict=True)
        )

    def clear(self) -> None:
        """Start counting from here."""
        self._cleared = self._totals()

    def read_counters(self) -> Answer:
        """All of them."""
        return {"values": self._values()}

    def read_and_clear_counters(self) -> Answer:
        """All of them, and start anew."""
        values = self._values()
        self.clear()
        return {"values": values}
