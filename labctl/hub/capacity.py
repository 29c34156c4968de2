"""High-bandwidth links on 868 MHz: devices that read every 10 s or more often, as measured.

A hub has four of them (S3). What a device declares counts for nothing here.
"""

from __future__ import annotations

from collections import deque

from labctl.smart_energy.eui64 import Eui64

PERIOD_US = 10_000_000
_INTERVALS = 12
"""A link is judged by its last two minutes."""
_JITTER = 1.05
_LEFT = 1.25
_ONE_MOMENT_US = 1_000_000
"""Reads within a second are one: devices read several clusters at a time."""


class HighBandwidthLinks:
    """Which devices read every 10 s, on the average of the last twelve intervals."""

    def __init__(self) -> None:
        self._moments: dict[Eui64, deque[int]] = {}
        self._links: dict[Eui64, None] = {}  # a set that keeps its order

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, eui64: Eui64) -> bool:
        return eui64 in self._links

    def place(self, eui64: Eui64) -> int:
        """Which of the links this one is, counted from 1 in the order of their making; 0: none."""
        for place, each in enumerate(self._links, 1):
            if each == eui64:
                return place
        return 0

    def read(self, eui64: Eui64, now_us: int) -> bool:
        """A device asks for something. True when that makes it a link that it was not before."""
        moments = self._moments.get(eui64)
        if moments is None:
            moments = self._moments[eui64] = deque(maxlen=_INTERVALS + 1)
        elif now_us - moments[-1] < _ONE_MOMENT_US:
            return False
        moments.append(now_us)
        if len(moments) <= _INTERVALS:
            return False
        span_us = now_us - moments[0]
        if eui64 in self._links:
            if span_us > _INTERVALS * PERIOD_US * _LEFT:
                del self._links[eui64]
            return False
        if span_us > _INTERVALS * PERIOD_US * _JITTER:
            return False
        self._links[eui64] = None
        return True

    def look(self, now_us: int) -> list[Eui64]:
        """Take out the links of devices that fell silent; which they were."""
        silent_us = _INTERVALS * PERIOD_US * _LEFT
        gone = [eui64 for eui64 in self._links if now_us - self._moments[eui64][-1] > silent_us]
        for eui64 in gone:
            self.forget(eui64)
        return gone

    def forget(self, eui64: Eui64) -> None:
        """A device is out, or on another bearer."""
        self._moments.pop(eui64, None)
        self._links.pop(eui64, None)
