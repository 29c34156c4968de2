"""A device below 1 GHz that loses many frames says so (R22 2.4.4.4.11, annex D).

The hub takes it for a reason to look for a better channel.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

from labctl.smart_energy.channels import Channel
from labctl.virtual.devices import zdp
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.registration import TRUST_CENTRE
from labctl.virtual.devices.settings import Timings
from labctl.virtual.node import Node

_NOTIFY = struct.Struct("<BIHHHB")
"""Status, channel mask, transmissions, of them failed, repetitions, minutes; after the sequence."""
_MOST = 0xFFFF


@dataclass(slots=True)
class LinkWatch:
    """Looks at the node's counters once a period, and tells the trust centre when it is bad."""

    node: Node
    timings: Timings
    saw: Observations

    async def run(self) -> None:
        """Never returns."""
        t = self.timings
        while True:
            before = self._counts()
            await asyncio.sleep(t.link_watch_min * 60.0)
            total, failed, repeated = (
                now - then for now, then in zip(self._counts(), before, strict=True)
            )
            state = self.node.state
            lossy = failed >= t.link_watch_failed_share * total
            if state.joined and state.page and total >= t.link_watch_least and lossy:
                self._tell(total, failed, repeated)

    def _counts(self) -> tuple[int, int, int]:
        """Frames given to the radio, those of them that failed, repetitions; since power-on."""
        node = self.node
        if not node.powered:
            return 0, 0, 0
        counters = node.counters
        return counters["mac_tx"], counters["mac_tx_failed"], node.mac.radio.repetitions

    def _tell(self, total: int, failed: int, repeated: int) -> None:
        state = self.node.state
        payload = _NOTIFY.pack(
            0x00,
            Channel(state.page, state.channel).mask,
            min(total, _MOST),
            min(failed, _MOST),
            min(repeated, _MOST),
            self.timings.link_watch_min,
        )
        if self.node.zdo_tell(TRUST_CENTRE, zdp.UPDATE_NOTIFY, payload):
            self.saw.note(What.FRAMES_LOST, f"{failed} of {total}, {repeated} repetitions")
