"""Active and energy scans (802.15.4 5.1.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labctl.virtual.frames import from_air, mac
from labctl.virtual.stack.types import Beacon

if TYPE_CHECKING:
    from labctl.virtual.node import Node

BASE_SUPERFRAME_SYMBOLS = 960  # aBaseSuperframeDuration


class Scanning:
    """One scan at a time; the radio is back on its own channel afterwards."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def active_scan(self, channels: Sequence[int], duration: int, page: int) -> list[Beacon]:
        """Beacon requests on each channel, and the beacons heard, each network node once."""
        node = self.node
        heard: dict[tuple[int, int, int], Beacon] = {}
        radio = node.mac.radio

        def on_beacon(frame: mac.MacFrame, rssi_dbm: int, lqi: int) -> None:
            if not isinstance(frame.source, int) or frame.source_pan is None:
                return
            beacon = mac.ZigbeeBeacon.decode(frame.payload)
            key = (channel, frame.source_pan, frame.source)
            heard[key] = Beacon(
                page,
                channel,
                frame.source_pan,
                frame.source,
                from_air(beacon.extended_pan_id),
                beacon.association_permit,
                beacon.router_capacity,
                beacon.end_device_capacity,
                beacon.stack_profile,
                beacon.depth,
                beacon.update_id,
                lqi,
                rssi_dbm,
            )

        try:
            node.mac.hold()
            radio.promiscuous = True
            node.mac.on_beacon = on_beacon
            for channel in channels:
                radio.tune(page, channel)
                radio.listen(True)
                node.mac.request_beacons()
                await node.sleep(self._scan_s(duration))
        finally:
            self._scan_over()
        return list(heard.values())

    async def energy_scan(
        self, channels: Sequence[int], duration: int, page: int
    ) -> dict[int, int]:
        """Peak energy of each channel, dBm."""
        node = self.node
        radio = node.mac.radio
        peaks = {}
        try:
            node.mac.hold()
            radio.promiscuous = True
            for channel in channels:
                radio.tune(page, channel)
                assert radio.medium is not None
                medium = radio.medium
                medium.start_energy_measurement(radio)
                try:
                    await node.sleep(self._scan_s(duration))
                finally:
                    peak = medium.end_energy_measurement(radio)
                peaks[channel] = round(peak)
        finally:
            self._scan_over()
        return peaks

    def _scan_s(self, duration: int) -> float:
        assert self.node.mac.radio.medium is not None
        symbols = BASE_SUPERFRAME_SYMBOLS * ((1 << duration) + 1)
        return symbols * self.node.mac.radio.medium.phy.symbol_s

    def _scan_over(self) -> None:
        node = self.node
        if not (node.powered and node.scanning is self):
            return
        node.mac.on_beacon = None
        node.mac.radio.promiscuous = False
        node.resume_radio()
        node.mac.release()
