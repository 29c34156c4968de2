"""SYS: non-volatile items."""

from __future__ import annotations

from labctl.virtual.znp.codec import eui64_of
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.nvram import ZSTACK, Item
from labctl.virtual.znp.status import Z


class NvCommands(Part):
    """Legacy items by one number, all others by three."""

    def boot(self) -> None:
        """What a host writes counts at once for some items."""
        self.znp.nvram.written = self._written

    def _written(self, item: int) -> None:
        if item == Item.EXTADDR:
            self.znp.network.eui64 = eui64_of(self.znp.nvram[Item.EXTADDR])

    def sys_osal_nv_item_init(self, item: int, length: int, value: bytes) -> Answer:
        """NV_ITEM_UNINIT for a new one."""
        return self.znp.nvram.create((ZSTACK, 0, item), length, value)

    def sys_osal_nv_read(self, item: int, offset: int) -> Answer:
        """From an offset to the end, or as much as fits."""
        status, value = self.znp.nvram.read((ZSTACK, 0, item), offset)
        return {"status": status, "value": value}

    def sys_osal_nv_read_ext(self, item: int, offset: int) -> Answer:
        """The same with a longer offset."""
        return self.sys_osal_nv_read(item, offset)

    def sys_osal_nv_write(self, item: int, offset: int, value: bytes) -> Answer:
        """The offset is not looked at."""
        return self.znp.nvram.write((ZSTACK, 0, item), value)

    def sys_osal_nv_write_ext(self, item: int, offset: int, value: bytes) -> Answer:
        """The offset is not looked at."""
        return self.znp.nvram.write((ZSTACK, 0, item), value)

    def sys_osal_nv_delete(self, item: int, length: int) -> Answer:
        """The length has to be the item's."""
        return self.znp.nvram.delete((ZSTACK, 0, item), length)

    def sys_osal_nv_length(self, item: int) -> Answer:
        """0: it is not there."""
        return {"length": self.znp.nvram.length((ZSTACK, 0, item))}

    def sys_nv_create(self, system: int, item: int, sub: int, length: int) -> Answer:
        """NV_ITEM_UNINIT for a new one."""
        return self.znp.nvram.create((system, item, sub), length)

    def sys_nv_delete(self, system: int, item: int, sub: int) -> Answer:
        """Of any length."""
        return self.znp.nvram.delete((system, item, sub))

    def sys_nv_length(self, system: int, item: int, sub: int) -> Answer:
        """0: it is not there."""
        return {"length": self.znp.nvram.length((system, item, sub))}

    def sys_nv_read(self, system: int, item: int, sub: int, offset: int, length: int) -> Answer:
        """So many octets, or as many as there are."""
        status, value = self.znp.nvram.read((system, item, sub), offset, length)
        return {"status": status, "value": value}

    def sys_nv_write(self, system: int, item: int, sub: int, offset: int, value: bytes) -> Answer:
        """From the first octet on only."""
        if offset:
            return Z.INVALID_PARAMETER
        return self.znp.nvram.write((system, item, sub), value)

    def sys_nv_update(self, system: int, item: int, sub: int, value: bytes) -> Answer:
        """Write, and create it if need be."""
        status = self.znp.nvram.create((system, item, sub), len(value), value)
        if status is Z.NV_ITEM_UNINIT:
            return Z.SUCCESS
        return status or self.znp.nvram.write((system, item, sub), value)

    def sys_nv_compact(self, threshold: int) -> Answer:
        """There is always room."""
        return Z.SUCCESS
