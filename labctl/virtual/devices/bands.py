"""The bands that a device has, and which of them it takes: one radio, one band at a time.

GB devices on two bands look on 2.4 GHz first and go below 1 GHz where that does not reach (S1 and
S3 prefer 2.4 GHz for displays where it is practicable). How strong is strong enough is the
product's own; here it is a margin over the receiver's sensitivity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labctl.errors import ConfigurationError
from labctl.events import Band
from labctl.smart_energy.channels import GB_SUB_GHZ_MASKS, channels_of_mask, channels_of_page
from labctl.virtual.phy import phy_of
from labctl.virtual.stack.types import Beacon

PageAndChannel = tuple[int, int]

PRACTICABLE_DB = 10.0
"""A preferred band is taken when its beacon is so much above the sensitivity."""

_CHANNELS: dict[Band, tuple[PageAndChannel, ...]] = {
    Band.GHZ_2_4: tuple((0, each.number) for each in channels_of_page(0)),
    Band.MHZ_868: tuple(
        (each.page, each.number) for mask in GB_SUB_GHZ_MASKS for each in channels_of_mask(mask)
    ),
}


def margin_db(beacon: Beacon) -> float:
    """How far a beacon is above the sensitivity of its band, dB."""
    return beacon.rssi_dbm - phy_of(beacon.page).sensitivity_dbm


def band_of(page: int) -> Band:
    """The band that a channel page is in."""
    return Band.GHZ_2_4 if page == 0 else Band.MHZ_868


@dataclass(frozen=True, slots=True)
class Bands:
    """What the device's radio can be tuned to, most wanted first.

    Construction raises `ConfigurationError` for no band, and for one that is there twice.
    """

    order: tuple[Band, ...] = (Band.GHZ_2_4,)

    def __post_init__(self) -> None:
        if not self.order or len(set(self.order)) != len(self.order):
            raise ConfigurationError(
                "a virtual device has one or two bands",
                mend="write [2.4 GHz], [868 MHz] or both",
            )

    @classmethod
    def of(cls, bands: Sequence[Band], prefers: Band | None = None) -> Bands:
        """`prefers` first, then the others in their order."""
        return cls(tuple(sorted(bands, key=lambda band: band is not prefers)))

    @property
    def reversed(self) -> Bands:
        """The same, the least wanted first."""
        return Bands(self.order[::-1])

    @property
    def channels(self) -> tuple[PageAndChannel, ...]:
        """Page and number of every channel, the preferred band's first."""
        return tuple(each for band in self.order for each in _CHANNELS[band])

    def channels_of(self, band: Band) -> tuple[PageAndChannel, ...]:
        """Page and number of the channels of one band."""
        return _CHANNELS[band]


ONLY_2_4_GHZ = Bands()
