"""What the hub counts of its own traffic, for Diagnostics."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.radio.coordinator import Incoming


@dataclass(slots=True)
class Tallies:
    """Counts since the hub's start. `lqi` and `rssi_dbm` are of the last frame heard."""

    unicasts: int = 0
    broadcasts: int = 0
    delivered: int = 0
    not_delivered: int = 0
    joins: int = 0
    lqi: int = 0
    rssi_dbm: int | None = None

    def heard(self, packet: Incoming) -> None:
        """A frame of a device in the log arrived."""
        if packet.broadcast:
            self.broadcasts += 1
        else:
            self.unicasts += 1
        self.lqi, self.rssi_dbm = packet.lqi, packet.rssi_dbm
