"""Which PHY each child of a dual-band NCP is on, from the NCP's child table.

A frame does not tell over which radio it came. Sub-GHz devices have no routers: they are children
of the hub, and the child table says on which PHY each is. Whoever is not in it is at 2.4 GHz.
"""

from __future__ import annotations

from typing import Any

import bellows.types as t

from labctl.smart_energy.eui64 import Eui64

_CHILDREN_AT_MOST = 64


class ChildPhys:
    """A copy of the child table's `phy` fields, renewed child by child as devices join."""

    def __init__(self, ezsp: Any) -> None:
        self._ezsp = ezsp
        self._phys: dict[Eui64, int] = {}
        self._slots: dict[Eui64, int] = {}

    def bearer_of(self, eui64: Eui64 | None) -> int:
        """The PHY that a device is on: 0 for routers, their children, and strangers."""
        return 0 if eui64 is None else self._phys.get(eui64, 0)

    def placed(self, eui64: Eui64, slot: int) -> None:
        """A childJoinHandler told where the table has a child."""
        self._slots[eui64] = slot

    def gone(self, eui64: Eui64) -> None:
        """It is a child no more."""
        self._phys.pop(eui64, None)
        self._slots.pop(eui64, None)

    async def read(self) -> None:
        """The whole table, once after the start."""
        for slot in range(await self._size()):
            await self._look(slot)

    async def locate(self, eui64: Eui64) -> int:
        """Look where a device is now. 0 for one that is not a child."""
        slot = self._slots.get(eui64)
        if slot is not None and await self._look(slot) == eui64:
            return self.bearer_of(eui64)
        self.gone(eui64)
        for slot in range(await self._size()):
            if await self._look(slot) == eui64:
                break
        return self.bearer_of(eui64)

    async def _look(self, slot: int) -> Eui64 | None:
        status, child = await self._ezsp.getChildData(index=t.uint8_t(slot))
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            return None
        eui64 = Eui64(str(child.eui64))
        self._slots[eui64], self._phys[eui64] = slot, int(child.phy)
        return eui64

    async def _size(self) -> int:
        status, size = await self._ezsp.getConfigurationValue(
            configId=t.EzspConfigId.CONFIG_MAX_END_DEVICE_CHILDREN
        )
        known = t.sl_Status.from_ember_status(status) == t.sl_Status.OK
        return min(int(size), _CHILDREN_AT_MOST) if known else _CHILDREN_AT_MOST
