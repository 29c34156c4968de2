"""Who has which short address, as far as the stick told or the air."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64

MOST_STRANGERS = 256
"""Addresses of devices without a key that are remembered at a time."""


class AddressBook:
    """Short addresses both ways. Z-Stack keeps its own, of everybody that it has a key for."""

    def __init__(self) -> None:
        self._eui64_of: dict[int, Eui64] = {}
        self._nwk_of: dict[Eui64, int] = {}
        self._keyed: set[Eui64] = set()

    def eui64_of(self, nwk: int) -> Eui64 | None:
        """Who has that short address, if it is known."""
        return self._eui64_of.get(nwk)

    def nwk_of(self, eui64: Eui64) -> int | None:
        """A device's short address, if it is known."""
        return self._nwk_of.get(eui64)

    def keyed(self, eui64: Eui64) -> None:
        """The stick holds this device's key: it is not forgotten for others."""
        self._keyed.add(eui64)

    def unkeyed(self, eui64: Eui64) -> None:
        """The stick forgot this device's key."""
        self._keyed.discard(eui64)

    def remember(self, eui64: Eui64, nwk: int) -> None:
        """A device has, or has changed to, a short address."""
        if self._nwk_of.get(eui64) == nwk:
            return
        for other in (self._eui64_of.pop(nwk, None), eui64):
            if other is not None:
                previous = self._nwk_of.pop(other, None)
                if previous is not None and self._eui64_of.get(previous) == other:
                    del self._eui64_of[previous]
        self._nwk_of[eui64] = nwk
        self._eui64_of[nwk] = eui64
        strangers = [each for each in self._nwk_of if each not in self._keyed]
        for each in strangers[: max(0, len(strangers) - MOST_STRANGERS)]:
            self._eui64_of.pop(self._nwk_of.pop(each), None)
