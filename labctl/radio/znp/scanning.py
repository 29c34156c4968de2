"""Levels as Z-Stack tells them: 0 to 255, spread evenly between two levels of its receiver."""

from __future__ import annotations

_FLOOR_DBM, _CEILING_DBM = -87, -10
_MOST = 255


def energy_dbm(level: int) -> int:
    """The level of one channel, dBm. What is beyond either end is told as that end."""
    return round(_FLOOR_DBM + level * (_CEILING_DBM - _FLOOR_DBM) / _MOST)
