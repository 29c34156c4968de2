"""The stack's counters (EmberCounterType), fed from the node's."""

from __future__ import annotations

from labctl.virtual.ncp.handlers.base import Answer, Part

COUNTERS = 41
"""How many 7.4 reports."""

# Index in EmberCounterType to the node's own counters that make it up.
_SOURCES: dict[int, tuple[str, ...]] = {
    0: ("mac_rx_broadcast",),
    1: ("mac_tx_broadcast",),
    2: ("mac_rx_unicast", "mac_rx"),
    3: ("mac_tx_unicast", "mac_tx"),
    4: ("mac_tx_retries",),
    5: ("mac_tx_failed",),
    6: ("aps_rx_broadcast",),
    7: ("aps_tx_broadcast",),
    8: ("aps_rx_unicast", "aps_rx"),
    9: ("aps_tx_success",),
    10: ("aps_tx_retries",),
    11: ("aps_tx_failed",),
    16: ("joins",),
    17: ("children_removed",),
    21: ("nwk_frame_counter_failure",),
    22: ("aps_frame_counter_failure",),
    25: ("nwk_decryption_failure",),
    26: ("aps_decryption_failure",),
    32: ("cca_failed",),
}
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
            for index, names in _SOURCES.items():
                totals[index] = sum(counted.get(name, 0) for name in names)
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
