"""What may be wrong with what a device shows; as it is by default, nothing is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayFaults:
    """How what the device shows goes wrong."""

    ignores_multiplier: bool = False
    """Every meter's Multiplier is taken for 1."""
    ignores_divisor: bool = False
    """Every meter's Divisor is taken for 1000."""
    forgets_summation: bool = False
    """Consumption is counted from the first reading after power-on."""
    keeps_first_price: bool = False
    """The first price that was published stays until power-off."""
    history_in_local_time: bool = False
    """The times of half-hours are taken for British local time, an hour ahead in summer."""
