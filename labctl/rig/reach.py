"""What a drawn house lets through, for a report that is to explain why a device took a band.

A prediction of the virtual air's own propagation without chance, and marked as such. On a real rig
nobody drew the house, and there is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.events import Band
from labctl.virtual.house import house_of
from labctl.virtual.phy import phy_of
from labctl.virtual.propagation import reference_loss_db


def reach(loaded: LoadedRig, device: DeviceUnderTest) -> Mapping[Band, str]:
    """How strong the hub would be at the device on each of the hub's bands, in words; by band."""
    virtual, plan = loaded.rig.virtual, loaded.place.house
    if virtual is None or plan is None or not loaded.is_virtual:
        return {}
    house, hub, there = house_of(plan), loaded.place.hub, loaded.place.devices[device.name]
    distance_m = max(math.dist(hub, there), 0.1)
    told = {}
    for phy in loaded.phys:
        mhz = phy.channel.frequency_mhz
        loss_db = (
            reference_loss_db(mhz)
            + 10 * virtual.environment.path_loss_exponent * math.log10(distance_m)
            + house.loss_db(hub, there, mhz)
        )
        level_dbm = phy.tx_power_dbm - loss_db
        margin_db = level_dbm - phy_of(phy.channel.page).sensitivity_dbm
        side = f"{abs(margin_db):.0f} dB {'above' if margin_db >= 0 else 'below'} the sensitivity"
        walls = house.account(hub, there, mhz) or "no wall"
        told[phy.band] = (
            f"by the drawn house {phy.band} arrives there at about {level_dbm:.0f} dBm, {side} "
            f"(simulated; {distance_m:.0f} m and {walls})"
        )
    return told
