"""The address manager and the list of children, as they are kept in non-volatile memory."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.node import NodeState
from labctl.virtual.znp.nvram import DEVICES, Nvram, Table
from labctl.virtual.znp.structures import (
    ASSOCIATED,
    AWAKE_CHILD,
    NO_RELATION,
    SLEEPY_CHILD,
    AddressEntry,
    DeviceEntry,
)

NO_SHORT = 0xFFFE
"""A device whose short address is not known."""


class AddressManager:
    """Who has which short address, and who needs to know: children, keys, bindings."""

    def __init__(self, nvram: Nvram) -> None:
        self._nvram = nvram
        self._entries = [AddressEntry.unpack(each) for each in nvram.entries(Table.ADDRESSES)]
        self._index = {
            entry.eui64: index for index, entry in enumerate(self._entries) if not entry.empty
        }

    def find(self, eui64: Eui64) -> int | None:
        """Where a device is."""
        return self._index.get(eui64)

    def __getitem__(self, index: int) -> AddressEntry:
        """An entry; an empty one beyond the end."""
        return self._entries[index] if index < len(self._entries) else AddressEntry()

    def addresses(self) -> dict[Eui64, int]:
        """The devices whose short address is known."""
        found = {eui64: self._entries[index].short for eui64, index in self._index.items()}
        return {eui64: short for eui64, short in found.items() if short < 0xFFF8}

    def use(self, eui64: Eui64, users: int, short: int | None = None) -> int | None:
        """Have an entry for it; None when there is no room."""
        index = self._index.get(eui64)
        if index is None:
            free = (i for i, entry in enumerate(self._entries) if entry.empty)
            index = next(free, None)
            if index is None:
                return None
            self._entries[index] = AddressEntry(0, NO_SHORT, eui64)
            self._index[eui64] = index
        entry = self._entries[index]
        entry.users |= users
        if short is not None:
            entry.short = short
        self._write(index)
        return index

    def release(self, eui64: Eui64, users: int) -> None:
        """Nobody of these needs it any more; an entry without users is empty."""
        index = self._index.get(eui64)
        if index is None:
            return
        entry = self._entries[index]
        entry.users &= ~users
        if not entry.users:
            self._entries[index] = AddressEntry()
            del self._index[eui64]
        self._write(index)

    def _write(self, index: int) -> None:
        self._nvram.set_entry(Table.ADDRESSES, index, self._entries[index].pack())

    # -- children ----------------------------------------------------------------------------------

    def store(self, state: NodeState) -> None:
        """Keep what the node knows of its children and of the devices that are here already."""
        for eui64, short in state.addresses.items():
            if eui64 in state.children or eui64 in self._index:
                self.use(eui64, ASSOCIATED if eui64 in state.children else 0, short)
        for eui64 in [each for each in self._index if each not in state.children]:
            self.release(eui64, ASSOCIATED)
        placed = self._place(state)
        for slot in range(DEVICES):
            self._nvram.set_entry(Table.DEVICES, slot, placed.get(slot, DeviceEntry()).pack())

    def _place(self, state: NodeState) -> dict[int, DeviceEntry]:
        """A child stays in its slot."""
        wanted: dict[int, DeviceEntry] = {}
        for eui64, child in state.children.items():
            index = self.use(eui64, ASSOCIATED, child["nwk"])
            if index is not None:
                relation = AWAKE_CHILD if child["rx_on_when_idle"] else SLEEPY_CHILD
                wanted[index] = DeviceEntry(child["nwk"], index, relation, child["timeout"])
        placed = {
            slot: wanted.pop(old.address)
            for slot, old in enumerate(self.device_list())
            if old.address in wanted
        }
        free = (slot for slot in range(DEVICES) if slot not in placed)
        for slot, entry in zip(free, list(wanted.values()), strict=False):
            placed[slot] = entry
        return dict(placed)

    def device_list(self) -> list[DeviceEntry]:
        """The list of associated devices, with its empty slots."""
        return [DeviceEntry.unpack(each) for each in self._nvram.entries(Table.DEVICES)]

    def children(self) -> list[DeviceEntry]:
        """The children in it."""
        return [entry for entry in self.device_list() if entry.relation != NO_RELATION]
