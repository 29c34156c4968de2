"""The radios: channel and power of the one that the network was formed on, and the second PHY.

A switch coordinator forms its network on its own radio and then starts the external sub-GHz radio
beside it, with the same addresses. The second PHY is RAM: after each reset it stays silent until
the host starts it again, and its children hear nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.events import Band
from labctl.smart_energy.channels import PAGES, Channel, channels_of_page
from labctl.virtual.ncp.codec import RadioParameters
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.hardware import power_is_possible
from labctl.virtual.ncp.status import Ember
from labctl.virtual.node import Node

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp

NATIVE, SECOND = 0, 1
_ERROR_POWER = RadioParameters(0, 0, 0)
_CHANNEL_CHANGED_S = 0.02
"""From the response to a change of channel to the stackStatusHandler."""


class Phys(Part):
    """What runs on which channel. Channels of a page are counted from 0, as masks count them."""

    def __init__(self, ezsp: Ezsp) -> None:
        self.second: Channel | None = None
        super().__init__(ezsp)

    def reset(self) -> None:
        """The second PHY is down."""
        self.second = None
        self._second_power_dbm = 0

    # -- for other parts ------------------------------------------------------------------------

    @property
    def native(self) -> Channel | None:
        """The channel that the network was formed on, while it is up."""
        network = self.ezsp.network
        return Channel(network.state.page, network.state.channel) if network.up else None

    @property
    def sub_ghz(self) -> tuple[int, Channel] | None:
        """The PHY that runs in the sub-GHz band, and its channel."""
        if self.second is not None:
            return SECOND, self.second
        native = self.native
        if native is not None and native.band is Band.MHZ_868:
            return NATIVE, native
        return None

    def channel_changed(self) -> None:
        """Tell the host, once the answer to what it asked for is out."""
        self.ezsp.later(_CHANNEL_CHANGED_S, self._tell_channel_changed)

    def _tell_channel_changed(self) -> None:
        self.ezsp.callback("stack_status_handler", status=Ember.CHANNEL_CHANGED)

    # -- the radio of the network ---------------------------------------------------------------

    def set_radio_power(self, power: int) -> Answer:
        """Kept over a reset."""
        if not power_is_possible(power):
            return {"status": Ember.PHY_INVALID_POWER}
        self.ezsp.contents.tx_power_dbm = power
        node = self.ezsp.network.node
        if node is not None:
            node.set_tx_power(power)
        self.ezsp.flash.save_soon()
        return {"status": Ember.SUCCESS}

    def set_radio_channel(self, channel: int) -> Answer:
        """Move the network, by its condensed octet, without a word to anybody; kept over a reset.

        A radio stays in its band: a network on the other one is another network.
        """
        wanted = self.ezsp.hardware.channel(channel)
        return {"status": self._move_native(wanted)}

    def _move_native(self, wanted: Channel | None) -> Ember:
        node, native = self.ezsp.network.node, self.native
        if node is None or native is None:
            return Ember.INVALID_CALL
        if wanted is None or wanted.band is not native.band:
            return Ember.PHY_INVALID_CHANNEL
        if wanted != native:
            self.ezsp.scanning.stop()
            node.set_phy_channel(NATIVE, wanted.page, wanted.number)
            self.ezsp.flash.save(durable=True)
            self.ezsp.duty_cycle.apply()
            self.channel_changed()
        return Ember.SUCCESS

    def set_logical_and_radio_channel(self, channel: int) -> Answer:
        """As setRadioChannel."""
        return self.set_radio_channel(channel)

    def get_logical_channel(self) -> Answer:
        """The condensed octet; 0 without a network."""
        native = self.native
        return {"channel": 0 if native is None else native.ember_byte}

    def set_radio_ieee802154_cca_mode(self, mode: int) -> Answer:
        """Four modes exist."""
        return {"status": Ember.BAD_ARGUMENT if mode > 3 else Ember.SUCCESS}

    def get_radio_parameters(self, phy: int) -> Answer:
        """Of a PHY that runs."""
        channel, power = None, 0
        if phy == NATIVE:
            channel, power = self.native, self.ezsp.contents.tx_power_dbm
        elif phy == SECOND:
            channel, power = self.second, self._second_power_dbm
        if channel is None:
            return {"status": Ember.INVALID_CALL, "parameters": _ERROR_POWER}
        parameters = RadioParameters(power, channel.page, channel.offset)
        return {"status": Ember.SUCCESS, "parameters": parameters}

    # -- the second PHY -------------------------------------------------------------------------

    def get_phy_interface_count(self) -> Answer:
        """How many there are, running or not."""
        return {"count": self.ezsp.hardware.phy_count}

    def _cannot(self, phy: int) -> Ember | None:
        """Why nothing can be done to this PHY at all."""
        if self.ezsp.hardware.phy_count < 2:
            return self.ezsp.hardware.refusal
        return None if phy == SECOND else Ember.BAD_ARGUMENT

    def multi_phy_start(
        self, phy: int, page: int, channel: int, power: int, bitmask: int
    ) -> Answer:
        """Begin the network's second half on the external radio; needs the first one up."""
        return {"status": self._start(phy, page, channel, power)}

    def _start(self, phy: int, page: int, channel: int, power: int) -> Ember:
        refusal = self._cannot(phy)
        if refusal is not None:
            return refusal
        node, native = self.ezsp.network.node, self.native
        if node is None or native is None or native.page != 0 or self.second is not None:
            return Ember.INVALID_CALL
        wanted = _sub_ghz_channel(page, channel)
        if wanted is None:
            return Ember.PHY_INVALID_CHANNEL
        if not power_is_possible(power):
            return Ember.PHY_INVALID_POWER
        self.ezsp.scanning.stop()
        node.start_phy(SECOND, wanted.page, wanted.number, power)
        self.second, self._second_power_dbm = wanted, power
        self.ezsp.duty_cycle.apply()
        return Ember.SUCCESS

    def multi_phy_stop(self, phy: int) -> Answer:
        """Silence it. Its children stay in the table."""
        refusal = self._cannot(phy)
        node = self.ezsp.network.node
        if refusal is None and (self.second is None or node is None):
            refusal = Ember.INVALID_CALL
        if refusal is not None or node is None:
            return {"status": refusal}
        self.ezsp.scanning.stop()
        node.stop_phy(SECOND)
        self.second = None
        return {"status": Ember.SUCCESS}

    def multi_phy_set_radio_power(self, phy: int, power: int) -> Answer:
        """Until the next reset."""
        refusal = self._cannot(phy)
        node = self._node_with_second()
        if refusal is None and node is None:
            refusal = Ember.INVALID_CALL
        if refusal is None and not power_is_possible(power):
            refusal = Ember.PHY_INVALID_POWER
        if refusal is not None or node is None:
            return {"status": refusal}
        node.set_phy_power(SECOND, power)
        self._second_power_dbm = power
        return {"status": Ember.SUCCESS}

    def multi_phy_set_radio_channel(self, phy: int, page: int, channel: int) -> Answer:
        """Move it, without a word to anybody."""
        refusal = self._cannot(phy)
        node, wanted = self._node_with_second(), _sub_ghz_channel(page, channel)
        if refusal is None and node is None:
            refusal = Ember.INVALID_CALL
        if refusal is None and wanted is None:
            refusal = Ember.PHY_INVALID_CHANNEL
        if refusal is not None or node is None or wanted is None:
            return {"status": refusal}
        if wanted != self.second:
            self.ezsp.scanning.stop()
            node.set_phy_channel(SECOND, wanted.page, wanted.number)
            self.second = wanted
            self.ezsp.duty_cycle.apply()
            self.channel_changed()
        return {"status": Ember.SUCCESS}

    def _node_with_second(self) -> Node | None:
        return None if self.second is None else self.ezsp.network.node

    def send_link_power_delta_request(self) -> Answer:
        """A child asks its parent; a coordinator has none."""
        return {"status": Ember.INVALID_CALL}


def _sub_ghz_channel(page: int, offset: int) -> Channel | None:
    if page == 0 or page not in PAGES:
        return None
    channels = channels_of_page(page)
    return channels[offset] if offset < len(channels) else None
