"""An end device goes where its network goes: from one channel to another, without a word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from labctl.smart_energy.channels import Channel
from labctl.virtual.phy import is_sub_ghz
from labctl.virtual.stack.nwk import BROADCAST_DELIVERY_S

if TYPE_CHECKING:
    from labctl.virtual.node import Node


class Following:
    """One move at a time: the latest word counts. Whoever is off the network moves nowhere."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """The power is gone, or the network is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def told(self, channel: Channel, update_id: int) -> None:
        """The coordinator broadcast where it goes: once everybody has heard it, all go (R22
        2.4.3.3.9). A channel of the other band is not meant for us."""
        self.later(channel, BROADCAST_DELIVERY_S, update_id)

    def later(self, channel: Channel, after_s: float, update_id: int | None = None) -> bool:
        """Go to `channel` after so many seconds; False for one of the other band, or the own."""
        state = self.node.state
        if not state.joined or is_sub_ghz(channel.page) != is_sub_ghz(state.page):
            return False
        self.cancel()
        if (state.page, state.channel) == (channel.page, channel.number):
            return False
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(after_s, self._move, channel, update_id)
        return True

    def _move(self, channel: Channel, update_id: int | None) -> None:
        self._timer = None
        node = self.node
        if update_id is not None:
            node.state.update_id = update_id
        if node.set_phy_channel(0, channel.page, channel.number):
            node.listener.channel_followed(channel)
