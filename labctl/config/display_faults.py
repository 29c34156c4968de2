"""What may be wrong with what a virtual device shows: knobs of an inventory."""

from __future__ import annotations

from labctl.config.fields import Strict


class DisplayFaults(Strict):
    """How what the device shows goes wrong."""

    ignores_multiplier: bool = False
    """It takes every meter's Multiplier for 1."""
    ignores_divisor: bool = False
    """It takes every meter's Divisor for 1000."""
    forgets_summation: bool = False
    """It counts from 0 again each time that it is switched on."""
    keeps_first_price: bool = False
    """It shows the first price that it was told until it is switched off."""
    history_in_local_time: bool = False
    """It takes the times of half-hours in summer for British summer time."""
