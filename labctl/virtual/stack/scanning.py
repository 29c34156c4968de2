"""Active and energy scans (802.15.4 5.1.2.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labctl.virtual.frames import from_air, mac
from labctl.virtual.stack.types import Beacon

if TYPE_CHECKING:
    from labctl.virtual.node import Node
    from labctl.virtual.stack.mac import Mac

BASE_SUPERFRAME_SYMBOLS = 960  # aBaseSuperframeDuration


SCAN_DURATION = 3
SUB_GHZ_SCAN_DURATION = 5
"""Exponents that are customary: below 1 GHz whoever is to answer may have to keep silent first."""


class Scanning:
    """One scan of each radio at a time; it is back on its own channel afterwards."""

    def __init__(self, node: Node) -> None:
        self.node = node

    async def active_scan(
        self, channels: Sequence[tuple[int, int]], duration: int | None
    ) -> list[Beacon]:
        """Beacon requests on each (page, channel), and the beacons heard, each node once."""
        heard: dict[tuple[int, int, int, int], Beacon] = {}
        for layer, group in self._by_radio(channels):
            try:
                await self._begin(layer)
                for page, channel in group:
                    layer.on_beacon = _hearer(page, channel, heard)
                    layer.tune(page, channel)
                    layer.radio.listen(True)
                    layer.request_beacons()
                    if layer.listens_before_talk:
                        await layer.idle()  # it may be the scan's time until the request is out
                    await self.node.sleep(self._scan_s(layer, duration))
            finally:
                self._over(layer)
        return list(heard.values())

    async def energy_scan(
        self, channels: Sequence[tuple[int, int]], duration: int | None
    ) -> dict[tuple[int, int], int]:
        """Peak energy of each (page, channel), dBm."""
        peaks = {}
        for layer, group in self._by_radio(channels):
            try:
                await self._begin(layer)
                for page, channel in group:
                    layer.tune(page, channel)
                    medium = layer.radio.medium
                    assert medium is not None
                    medium.start_energy_measurement(layer.radio)
                    try:
                        await self.node.sleep(self._scan_s(layer, duration))
                    finally:
                        peak = medium.end_energy_measurement(layer.radio)
                    peaks[page, channel] = round(peak)
            finally:
                self._over(layer)
        return peaks

    def _by_radio(
        self, channels: Sequence[tuple[int, int]]
    ) -> list[tuple[Mac, list[tuple[int, int]]]]:
        """Which radio looks at which channels: each at its own band, where there are two."""
        groups: dict[int, tuple[Mac, list[tuple[int, int]]]] = {}
        for page, channel in channels:
            layer = self.node.radio_for(page)
            groups.setdefault(layer.phy, (layer, []))[1].append((page, channel))
        return list(groups.values())

    async def _begin(self, layer: Mac) -> None:
        layer.hold()
        await layer.idle()
        layer.radio.promiscuous = True

    def _scan_s(self, layer: Mac, duration: int | None) -> float:
        if duration is None:
            duration = SUB_GHZ_SCAN_DURATION if layer.listens_before_talk else SCAN_DURATION
        assert layer.radio.medium is not None
        return BASE_SUPERFRAME_SYMBOLS * ((1 << duration) + 1) * layer.radio.medium.phy.symbol_s

    def _over(self, layer: Mac) -> None:
        node = self.node
        if not (node.powered and node.scanning is self):
            return
        layer.on_beacon = None
        layer.radio.promiscuous = False
        node.resume_radio(phy=layer.phy)
        layer.release()


def _hearer(
    page: int, channel: int, heard: dict[tuple[int, int, int, int], Beacon]
) -> Callable[[mac.MacFrame, int, int], None]:
    def on_beacon(frame: mac.MacFrame, rssi_dbm: int, lqi: int) -> None:
        if not isinstance(frame.source, int) or frame.source_pan is None:
            return
        beacon = mac.ZigbeeBeacon.decode(frame.payload)
        heard[page, channel, frame.source_pan, frame.source] = Beacon(
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

    return on_beacon
