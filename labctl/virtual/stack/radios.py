"""The radios of a node: which there are, which run the network, and what they are set to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from labctl.smart_energy.channels import Channel
from labctl.virtual.phy import is_sub_ghz
from labctl.virtual.stack.mac import Mac
from labctl.virtual.stack.types import PhySettings, Role

if TYPE_CHECKING:
    from labctl.virtual.node import Node

SECOND = 1
"""The one PHY that can be started, below 1 GHz beside a native one at 2.4 GHz."""


class Radios:
    """For one time that the power is on."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.native = Mac(node, 0, node.tx_power_dbm)
        self.running: dict[int, Mac] = {0: self.native}
        """By PHY. The native one is always in it; whether there is a network is the state's."""
        self._second: Mac | None = None  # also when it does not run, but was scanned with
        self._settings = PhySettings(0, 0, 0)  # of the second

    def close(self) -> None:
        """The power is gone."""
        self.native.close()
        if self._second is not None:
            self._second.close()

    def move(self, position: tuple[float, float, float]) -> None:
        """All of them are carried away together."""
        self.native.radio.move(position)
        if self._second is not None:
            self._second.radio.move(position)

    @property
    def repetitions(self) -> int:
        """How often a frame was sent again because nobody acknowledged it."""
        second = 0 if self._second is None else self._second.radio.repetitions
        return self.native.radio.repetitions + second

    def settings(self) -> dict[int, PhySettings]:
        """What the network runs on; nothing while there is none."""
        state = self.node.state
        if not state.joined:
            return {}
        settings = {0: PhySettings(state.page, state.channel, self.node.tx_power_dbm)}
        if SECOND in self.running:
            settings[SECOND] = self._settings
        return settings

    def on_page(self, page: int) -> Mac:
        """The radio that works on a page: a coordinator on 2.4 GHz has another one below."""
        node, state = self.node, self.node.state
        other_band = state.joined and is_sub_ghz(page) and not is_sub_ghz(state.page)
        if state.role is not Role.COORDINATOR or not other_band:
            return self.native
        if self._second is None:
            self._second = Mac(node, SECOND, node.tx_power_dbm)
        return self._second

    def start(self, index: int, page: int, channel: int, tx_power_dbm: float) -> bool:
        """See `Node.start_phy`."""
        if index != SECOND:
            raise ValueError(f"PHY {index} cannot be started: there is PHY {SECOND}")
        if not is_sub_ghz(page):
            raise ValueError(f"the second PHY is below 1 GHz, and page {page} is not")
        Channel(page, channel)
        state = self.node.state
        if not state.joined or index in self.running or is_sub_ghz(state.page):
            return False
        second = self.on_page(page)
        self._settings = PhySettings(page, channel, tx_power_dbm)
        second.radio.set_tx_power(tx_power_dbm)
        self.running[index] = second
        self.resume(index)
        return True

    def stop(self, index: int) -> bool:
        """See `Node.stop_phy`."""
        second = self.running.pop(index, None) if index else None
        if second is None:
            return False
        second.silence()
        self.resume(index)
        return True

    def set_channel(self, index: int, page: int, channel: int) -> bool:
        """See `Node.set_phy_channel`."""
        running = self.settings().get(index)
        Channel(page, channel)
        if running is None:
            return False
        if is_sub_ghz(page) != is_sub_ghz(running.page):
            raise ValueError("a running PHY stays in its band")
        if index:
            self._settings = replace(running, page=page, channel=channel)
        else:
            self.node.state.page, self.node.state.channel = page, channel
        self.resume(index)
        self.node.listener.network_changed()
        return True

    def set_power(self, index: int, tx_power_dbm: float) -> bool:
        """See `Node.set_phy_power`."""
        if index not in self.settings():
            return False
        if index:
            self._settings = replace(self._settings, tx_power_dbm=tx_power_dbm)
        else:
            self.node.tx_power_dbm = tx_power_dbm
        self.running[index].radio.set_tx_power(tx_power_dbm)
        return True

    def resume(self, index: int, *, joining: bool = False) -> None:
        """Set a radio to what it ought to be: on its network, or off."""
        node, state = self.node, self.node.state
        layer = self.running.get(index)
        if layer is None:
            if self._second is not None:
                self._second.set_addresses(0xFFFF, 0xFFFF)
                self._second.radio.listen(False)
        elif index:
            layer.tune(self._settings.page, self._settings.channel)
            layer.set_addresses(state.pan_id, state.nwk)
            layer.radio.listen(True)
        elif state.joined or joining:
            layer.tune(state.page, state.channel)
            layer.set_addresses(state.pan_id, state.nwk)
            layer.radio.listen(node.rx_on_when_idle)
        else:
            layer.set_addresses(0xFFFF, 0xFFFF)
            layer.radio.listen(False)

    def with_account(self, index: int) -> Mac | None:
        """A radio that runs below 1 GHz; None when that one does not."""
        layer = self.running.get(index)
        return layer if layer is not None and layer.listens_before_talk else None
