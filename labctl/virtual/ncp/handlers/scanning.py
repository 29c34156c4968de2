"""Energy and active scans. The response comes at once, the results as callbacks.

A mask has its page in the upper five bits, a result the condensed octet of page and channel.
"""

from __future__ import annotations

import asyncio
from typing import Any

from labctl.smart_energy.channels import Channel, channels_of_mask
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import FoundNetwork
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Node, NodeState, Role

ENERGY_SCAN = 0x00
ACTIVE_SCAN = 0x01
_MAX_DURATION = 14


class Scanning(Part):
    """One scan at a time."""

    def reset(self) -> None:
        """None."""
        self._task: asyncio.Task[None] | None = None

    def start_scan(self, kind: int, channels: int, duration: int) -> Answer:
        """`channels` is a mask with the page in its upper five bits; `duration` an exponent."""
        if self._task is not None and not self._task.done():
            return {"status": Ember.MAC_SCANNING}
        if kind not in (ENERGY_SCAN, ACTIVE_SCAN):
            return {"status": Ember.MAC_INCORRECT_SCAN_TYPE}
        if duration > _MAX_DURATION:
            return {"status": Ember.MAC_BAD_SCAN_DURATION}
        wanted = self._channels(channels)
        if not wanted:
            return {"status": Ember.MAC_INVALID_CHANNEL_MASK}
        scan = self._energy if kind == ENERGY_SCAN else self._active
        self._task = self.ezsp.spawn(self._run(scan, wanted, duration))
        return {"status": Ember.SUCCESS}

    def _channels(self, mask: int) -> tuple[Channel, ...]:
        """The channels of a mask; none when it has bits that no radio here has a channel for."""
        try:
            wanted = channels_of_mask(mask)
        except ValueError:
            return ()
        whole = len(wanted) == (mask & 0x07FFFFFF).bit_count()
        hardware = self.ezsp.hardware
        return wanted if whole and wanted and wanted[0].band in hardware.bands else ()

    def stop_scan(self) -> Answer:
        """Give it up, without a scanCompleteHandler."""
        self.stop()
        return {"status": Ember.SUCCESS}

    def stop(self) -> None:
        """End a scan that is under way."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, scan: Any, channels: tuple[Channel, ...], duration: int) -> None:
        node = self.ezsp.network.node
        if node is not None:
            await scan(node, channels, duration)
        else:
            # Not on a network: a radio that listens and belongs to none.
            node = self.bare_node()
            node.power_on()
            try:
                await scan(node, channels, duration)
            finally:
                node.power_off()
        self.ezsp.callback("scan_complete_handler", channel=0, status=Ember.SUCCESS)

    def bare_node(self) -> Node:
        """A radio of the stick's own that belongs to no network, its power off."""
        state = NodeState(eui64=Eui64(self.ezsp.contents.node.eui64), role=Role.COORDINATOR)
        return self.ezsp.make_node(
            state, self.ezsp.silent_listener, max_children=0, max_transfer=82, manufacturer_code=0
        )

    async def _energy(self, node: Node, channels: tuple[Channel, ...], duration: int) -> None:
        page, numbers = channels[0].page, [channel.number for channel in channels]
        for number, dbm in (await node.energy_scan(numbers, duration, page=page)).items():
            self.ezsp.callback(
                "energy_scan_result_handler",
                channel=Channel(page, number).ember_byte,
                rssi=max(-128, min(127, dbm)),
            )

    async def _active(self, node: Node, channels: tuple[Channel, ...], duration: int) -> None:
        page, numbers = channels[0].page, [channel.number for channel in channels]
        for beacon in await node.active_scan(numbers, duration, page=page):
            network = FoundNetwork(
                channel=Channel(beacon.page, beacon.channel).ember_byte,
                pan_id=beacon.pan_id,
                extended_pan_id=beacon.extended_pan_id,
                allowing_join=int(beacon.permit_joining),
                stack_profile=beacon.stack_profile,
                update_id=beacon.update_id,
            )
            self.ezsp.callback(
                "network_found_handler", network=network, lqi=beacon.lqi, rssi=beacon.rssi_dbm
            )
