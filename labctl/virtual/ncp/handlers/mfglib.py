"""The manufacturing library, as far as a sniffer uses it: the radio without the stack.

It works while there is no network, and hands every frame of one channel to the host. Frames whose
check sequence is wrong are not among them. Two octets stand at the end of each where the check
sequence was, and are something else; what they are differs between chips and is told nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.events import Band
from labctl.smart_energy.channels import Channel
from labctl.virtual.frames.mac import FCS_OCTETS
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.hardware import power_is_possible
from labctl.virtual.ncp.status import Ember
from labctl.virtual.radio import Radio

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp

_FIRST = {Band.GHZ_2_4: Channel(0, 11), Band.MHZ_868: Channel(28, 0)}
"""Where the radio is before the host says anything."""

_IN_PLACE_OF_FCS = b"\xff\x7f"


class Mfglib(Part):
    """The radio in the host's hands. `running` is between start and end."""

    def __init__(self, ezsp: Ezsp) -> None:
        self._radio: Radio | None = None
        super().__init__(ezsp)

    def reset(self) -> None:
        """Off."""
        self.stop()
        bands = self.ezsp.hardware.bands
        self._channel = _FIRST[Band.GHZ_2_4 if Band.GHZ_2_4 in bands else Band.MHZ_868]
        self._power_dbm = 0
        self._tells = False

    def stop(self) -> None:
        """Let go of the radio."""
        radio, self._radio = self._radio, None
        if radio is not None:
            radio.detach()

    @property
    def running(self) -> bool:
        """Whether the library has the radio."""
        return self._radio is not None

    # -- the air's client -----------------------------------------------------------------------

    def frame_received(self, psdu: bytes, rssi_dbm: int, lqi: int) -> None:
        """For the host, if it wants to hear."""
        if self._tells:
            self.ezsp.callback(
                "mfglib_rx_handler",
                lqi=lqi,
                rssi=max(-128, min(127, rssi_dbm)),
                contents=psdu[:-FCS_OCTETS] + _IN_PLACE_OF_FCS,
            )

    def frame_pending(self, psdu: bytes) -> bool:
        """Never asked for."""
        return False

    # -- commands -------------------------------------------------------------------------------

    def mfglib_start(self, rx_callback: int) -> Answer:
        """Take the radio, which must belong to no network, and listen."""
        network = self.ezsp.network
        if self.running or network.up or network.node is not None:
            return {"status": Ember.INVALID_CALL}
        self.ezsp.scanning.stop()
        node = self.ezsp.scanning.bare_node()
        self._radio = node.air.attach(
            self, name=node.state.eui64, position=node.position, tx_power_dbm=self._power_dbm
        )
        self._tells = bool(rx_callback)
        self._radio.tune(self._channel.page, self._channel.number)
        self._radio.overhear()
        self._radio.listen(True)
        return {"status": Ember.SUCCESS}

    def mfglib_end(self) -> Answer:
        """Give it back."""
        if not self.running:
            return {"status": Ember.INVALID_CALL}
        self.stop()
        return {"status": Ember.SUCCESS}

    def mfglib_set_channel(self, channel: int) -> Answer:
        """By its condensed octet."""
        if self._radio is None:
            return {"status": Ember.INVALID_CALL}
        wanted = self.ezsp.hardware.channel(channel)
        if wanted is None:
            return {"status": Ember.PHY_INVALID_CHANNEL}
        self._channel = wanted
        self._radio.tune(wanted.page, wanted.number)
        return {"status": Ember.SUCCESS}

    def mfglib_get_channel(self) -> Answer:
        """The condensed octet."""
        return {"channel": self._channel.ember_byte}

    def mfglib_set_power(self, mode: int, power: int) -> Answer:
        """What it would send with."""
        if self._radio is None:
            return {"status": Ember.INVALID_CALL}
        if not power_is_possible(power):
            return {"status": Ember.PHY_INVALID_POWER}
        self._power_dbm = power
        self._radio.set_tx_power(power)
        return {"status": Ember.SUCCESS}

    def mfglib_get_power(self) -> Answer:
        """dBm."""
        return {"power": self._power_dbm}
