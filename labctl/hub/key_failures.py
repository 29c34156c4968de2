"""Devices that fail key establishment again and again, and the pause they are given.

Ten failures in a row, then a quarter of an hour of rest (SE 1.4a 5.4): the rule is the joiner's,
and the hub holds it to it.
"""

from __future__ import annotations

from labctl.clock import MICROSECONDS
from labctl.hub.device_log import Device
from labctl.hub.settings import Patience


class Failures:
    """Counts failures in a row. Times are UTC microseconds."""

    def __init__(self, patience: Patience) -> None:
        self._limit = patience.failures_in_a_row
        self._pause_us = round(patience.pause_s * MICROSECONDS)
        self._in_a_row: dict[str, int] = {}
        self._until_us: dict[str, int] = {}

    def failed(self, device: Device, now_us: int) -> bool:
        """One more. True when it is the one that begins a pause."""
        count = self._in_a_row[device.eui64] = self._in_a_row.get(device.eui64, 0) + 1
        if count < self._limit:
            return False
        self._in_a_row[device.eui64] = 0
        self._until_us[device.eui64] = now_us + self._pause_us
        return True

    def succeeded(self, device: Device) -> None:
        """The row is over."""
        self._in_a_row.pop(device.eui64, None)
        self._until_us.pop(device.eui64, None)

    def pause_s(self, device: Device, now_us: int) -> float:
        """How long the device has still to wait, 0 when it has not."""
        return max(0, self._until_us.get(device.eui64, 0) - now_us) / MICROSECONDS
