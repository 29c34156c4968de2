"""Who has which short address, for us and for the NCP, which encrypts by EUI-64.

The NCP's own cache has a handful of entries, and passers-by push devices out of it: so devices
whose link key the NCP holds are pinned in its address table, and nobody else is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import bellows.types as t

from labctl.errors import RigError
from labctl.radio.ezsp.link_keys import driver_eui64
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

_UNKNOWN_NODE = 0xFFFF
MOST_STRANGERS = 256
"""Addresses of devices without a key that are remembered at a time."""


class AddressBook:
    """Short addresses both ways. `pin` is called, to write an entry of the NCP's table."""

    def __init__(self, pin: Callable[[int, Eui64, int], None]) -> None:
        self._pin = pin
        self._eui64_of: dict[int, Eui64] = {}
        self._nwk_of: dict[Eui64, int] = {}
        self._slots: dict[Eui64, int] = {}
        self._free: list[int] = []

    async def learn(self, ezsp: Any, keyed: set[Eui64]) -> None:
        """The table's size, and the addresses of the devices whose keys the NCP holds."""
        status, size = await ezsp.getConfigurationValue(
            configId=t.EzspConfigId.CONFIG_ADDRESS_TABLE_SIZE
        )
        if t.sl_Status.from_ember_status(status) == t.sl_Status.OK:
            self._free = list(range(int(size)))[::-1]
        for partner in keyed:
            self.keyed(partner)
            # from EZSP 14 a status comes first
            *_, nwk = await ezsp.lookupNodeIdByEui64(eui64=driver_eui64(partner))
            if nwk != _UNKNOWN_NODE:
                self.remember(partner, int(nwk))

    def eui64_of(self, nwk: int) -> Eui64 | None:
        """Who has that short address, if it is known."""
        return self._eui64_of.get(nwk)

    def nwk_of(self, eui64: Eui64) -> int | None:
        """A device's short address, if it is known."""
        return self._nwk_of.get(eui64)

    def keyed(self, eui64: Eui64) -> None:
        """The NCP holds this device's key: from now on its address is pinned."""
        if eui64 in self._slots:
            return
        if not self._free:
            _LOGGER.warning("the NCP's address table is full: %s is not pinned", eui64)
            return
        self._slots[eui64] = self._free.pop()
        if eui64 in self._nwk_of:
            self._pin(self._slots[eui64], eui64, self._nwk_of[eui64])

    def unkeyed(self, eui64: Eui64) -> None:
        """The NCP forgot this device's key: its place is free for another."""
        slot = self._slots.pop(eui64, None)
        if slot is not None:
            self._free.append(slot)

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
        if eui64 in self._slots:
            self._pin(self._slots[eui64], eui64, nwk)
        self._forget_strangers()

    def _forget_strangers(self) -> None:
        strangers = [eui64 for eui64 in self._nwk_of if eui64 not in self._slots]
        for eui64 in strangers[: max(0, len(strangers) - MOST_STRANGERS)]:
            self._eui64_of.pop(self._nwk_of.pop(eui64), None)


async def pin(ezsp: Any, slot: int, eui64: Eui64, nwk: int) -> None:
    """Write one entry of the NCP's address table. Raises `RigError` when the NCP refuses."""
    status, *_ = await ezsp.replaceAddressTableEntry(
        addressTableIndex=slot,
        newEui64=driver_eui64(eui64),
        newId=t.EmberNodeId(nwk),
        newExtendedTimeout=False,
    )
    if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
        raise RigError(f"the NCP did not pin the address of {eui64}: {status!r}")
