"""What radios a stick has, and what its firmware was built with."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.events import Band
from labctl.smart_energy.channels import Channel
from labctl.virtual.ncp.status import Ember

MIN_POWER_DBM, MAX_POWER_DBM = -26, 20
"""What the radios can be set to; what the law allows is the host's affair."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """A retail stick unless told otherwise: one 2.4 GHz radio.

    With both bands it is a development kit with a second, external sub-GHz radio and the switch
    coordinator's firmware: PHY 0 is the chip's own radio, which forms on either band, and PHY 1 can
    be started beside a 2.4 GHz network. `duty_cycle` says whether the firmware counts the airtime
    of the sub-GHz radio. `refusal` is what it answers to commands that it was built without; which
    one real firmware gives has not been seen (INVALID_CALL or LIBRARY_NOT_PRESENT).
    """

    bands: frozenset[Band] = frozenset({Band.GHZ_2_4})
    duty_cycle: bool = True
    refusal: Ember = Ember.INVALID_CALL

    def __post_init__(self) -> None:
        if not self.bands:
            raise ValueError("a stick has at least one radio")

    @property
    def has_sub_ghz(self) -> bool:
        """Whether one of its radios is for sub-GHz."""
        return Band.MHZ_868 in self.bands

    @property
    def phy_count(self) -> int:
        """How many radios can run at a time."""
        return len(self.bands)

    def channel(self, octet: int) -> Channel | None:
        """The channel of a condensed octet, if one of the radios has it."""
        try:
            channel = Channel.from_ember_byte(octet)
        except ValueError:
            return None
        return channel if channel.band in self.bands else None


def power_is_possible(dbm: int) -> bool:
    """Whether a radio can be set to this power."""
    return MIN_POWER_DBM <= dbm <= MAX_POWER_DBM


RETAIL = Hardware()
SUB_GHZ_KIT = Hardware(bands=frozenset({Band.MHZ_868}))
SWITCH_COORDINATOR = Hardware(bands=frozenset({Band.GHZ_2_4, Band.MHZ_868}))
