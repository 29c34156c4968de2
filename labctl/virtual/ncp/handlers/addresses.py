"""Who is who: the address table, lookups, extended timeouts, the multicast table."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import Multicast
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import ConfigId
from labctl.virtual.ncp.status import Ember, Sl

UNKNOWN_NODE = 0xFFFF
TABLE_ENTRY_UNUSED = 0xFFFF
UNKNOWN_NODE_ID = 0xFFFD

NO_EUI64 = Eui64("00" * 8)


class _Entry:
    __slots__ = ("eui64", "extended", "node")

    def __init__(self) -> None:
        self.eui64 = NO_EUI64
        self.node = TABLE_ENTRY_UNUSED
        self.extended = False


class Addresses(Part):
    """Lookups search children and neighbours first, then the address table."""

    def reset(self) -> None:
        """An empty table, sized by the configuration at first use."""
        self._table: list[_Entry] = []
        self._multicast: dict[int, Multicast] = {}
        self._extended: set[Eui64] = set()

    def _entries(self) -> list[_Entry]:
        size = self.ezsp.configuration[ConfigId.ADDRESS_TABLE_SIZE]
        while len(self._table) < size:
            self._table.append(_Entry())
        del self._table[size:]
        return self._table

    def _entry(self, index: int) -> _Entry | None:
        entries = self._entries()
        return entries[index] if index < len(entries) else None

    def index_of(self, node: int) -> int:
        """Where the address table has this short address, or 0xFF."""
        for index, entry in enumerate(self._table):
            if entry.node == node and entry.eui64 != NO_EUI64:
                return index
        return 0xFF

    def known(self) -> dict[Eui64, int]:
        """What the address table says: EUI-64 to short address."""
        return {
            entry.eui64: entry.node
            for entry in self._entries()
            if entry.eui64 != NO_EUI64 and entry.node < 0xFFF8
        }

    def eui64_of(self, node: int) -> Eui64 | None:
        """Whose short address this is."""
        if node == self.ezsp.network.node_id:
            return self.ezsp.contents.node.eui64
        stack = self.ezsp.network.node
        found = None if stack is None else stack.eui64_of(node)
        if found is not None:
            return found
        for eui64, known in self.known().items():
            if known == node:
                return eui64
        return None

    def node_of(self, eui64: Eui64) -> int | None:
        """Who has this EUI-64."""
        state = self.ezsp.contents.node
        if eui64 == state.eui64:
            return self.ezsp.network.node_id
        return state.addresses.get(eui64, self.known().get(eui64))

    def destination(self, kind: int, value: int) -> int | None:
        """The short address that a unicast of type `kind` goes to; None when there is none."""
        if kind == 0x00:
            return value
        if kind == 0x01:
            entry = self._entry(value)
            return None if entry is None or entry.node >= 0xFFF8 else entry.node
        return self.ezsp.bindings.remote_node(value) if kind == 0x02 else None

    def _remember(self, entry: _Entry) -> None:
        """The stack encrypts with what the table says, too."""
        stack = self.ezsp.network.node
        if stack is not None and entry.eui64 != NO_EUI64 and entry.node < 0xFFF8:
            stack.learn(entry.eui64.little_endian, entry.node)

    # -- handlers -------------------------------------------------------------------------------

    def lookup_node_id_by_eui64(self, eui64: Eui64) -> Answer:
        """0xFFFF when unknown, and NOT_FOUND where there is a status."""
        node = self.node_of(eui64)
        if node is None:
            return {"status": Sl.NOT_FOUND, "node": UNKNOWN_NODE}
        return {"status": Sl.OK, "node": node}

    def lookup_eui64_by_node_id(self, node: int) -> Answer:
        """ERR_FATAL when unknown."""
        eui64 = self.eui64_of(node)
        if eui64 is None:
            return {"status": Ember.ERR_FATAL, "eui64": NO_EUI64}
        return {"status": Ember.SUCCESS, "eui64": eui64}

    def address_table_entry_is_active(self, index: int) -> Answer:
        """Whether messages are on their way to it."""
        entry = self._entry(index)
        active = entry is not None and self.ezsp.messaging.is_sending_to(entry.node)
        return {"active": int(active)}

    def set_address_table_remote_eui64(self, index: int, eui64: Eui64) -> Answer:
        """The short address becomes what the stack knows, or unknown."""
        entry = self._entry(index)
        if entry is None:
            return {"status": Ember.ADDRESS_TABLE_INDEX_OUT_OF_RANGE}
        if self.ezsp.messaging.is_sending_to(entry.node):
            return {"status": Ember.ADDRESS_TABLE_ENTRY_IS_ACTIVE}
        node = None if eui64 == NO_EUI64 else self.node_of(eui64)
        entry.eui64 = eui64
        if eui64 == NO_EUI64:
            entry.node = TABLE_ENTRY_UNUSED
        else:
            entry.node = UNKNOWN_NODE_ID if node is None else node
        entry.extended = False
        return {"status": Ember.SUCCESS}

    def set_address_table_remote_node_id(self, index: int, node: int) -> Answer:
        """Pin the short address."""
        entry = self._entry(index)
        if entry is not None:
            entry.node = node
            self._remember(entry)
        return {}

    def get_address_table_remote_eui64(self, index: int) -> Answer:
        """All zero for an unused entry."""
        entry = self._entry(index)
        return {"eui64": NO_EUI64 if entry is None else entry.eui64}

    def get_address_table_remote_node_id(self, index: int) -> Answer:
        """0xFFFF unused, 0xFFFD not known."""
        entry = self._entry(index)
        return {"node": TABLE_ENTRY_UNUSED if entry is None else entry.node}

    def set_address_table_info(self, index: int, eui64: Eui64, node: int) -> Answer:
        """Both halves of an entry at once (EZSP 14)."""
        answer = self.replace_address_table_entry(index, eui64, node, 0)
        return {"status": answer["status"]}

    def get_address_table_info(self, index: int) -> Answer:
        """Both halves of an entry; out of range is an error, an unused one is not."""
        entry = self._entry(index)
        if entry is None:
            return {
                "status": Ember.ADDRESS_TABLE_INDEX_OUT_OF_RANGE,
                "node": TABLE_ENTRY_UNUSED,
                "eui64": NO_EUI64,
            }
        return {"status": Ember.SUCCESS, "node": entry.node, "eui64": entry.eui64}

    def replace_address_table_entry(
        self, index: int, eui64: Eui64, node: int, extended: int
    ) -> Answer:
        """Put a new entry in, and say what was there."""
        entry = self._entry(index)
        if entry is None:
            return {
                "status": Ember.ADDRESS_TABLE_INDEX_OUT_OF_RANGE,
                "old_eui64": NO_EUI64,
                "old_node": TABLE_ENTRY_UNUSED,
                "old_extended": 0,
            }
        old = {
            "old_eui64": entry.eui64,
            "old_node": entry.node,
            "old_extended": int(entry.extended),
        }
        if self.ezsp.messaging.is_sending_to(entry.node):
            return {"status": Ember.ADDRESS_TABLE_ENTRY_IS_ACTIVE, **old}
        entry.eui64, entry.node, entry.extended = eui64, node, bool(extended)
        self._remember(entry)
        return {"status": Ember.SUCCESS, **old}

    def set_extended_timeout(self, eui64: Eui64, extended: int) -> Answer:
        """For a child or an entry of the table; others are not remembered."""
        if self.node_of(eui64) is not None:
            (self._extended.add if extended else self._extended.discard)(eui64)
            for entry in self._entries():
                if entry.eui64 == eui64:
                    entry.extended = bool(extended)
        return {"status": Sl.OK}

    def get_extended_timeout(self, eui64: Eui64) -> Answer:
        """True for sleepy children too. Where the answer is a status, FAIL says no."""
        extended = eui64 in self._extended or any(
            entry.eui64 == eui64 and entry.extended for entry in self._entries()
        )
        extended = extended or self.ezsp.network.is_sleepy_child(eui64)
        return {"extended": int(extended), "status": Sl.OK if extended else Sl.FAIL}

    def get_multicast_table_entry(self, index: int) -> Answer:
        """Endpoint 0 for an unused entry."""
        if index >= self.ezsp.configuration[ConfigId.MULTICAST_TABLE_SIZE]:
            return {"status": Ember.INDEX_OUT_OF_RANGE, "value": Multicast(0, 0, 0)}
        return {
            "status": Ember.SUCCESS,
            "value": self._multicast.get(index, Multicast(0xFFFF, 0, 0)),
        }

    def set_multicast_table_entry(self, index: int, value: Multicast) -> Answer:
        """Join a group."""
        if index >= self.ezsp.configuration[ConfigId.MULTICAST_TABLE_SIZE]:
            return {"status": Ember.INDEX_OUT_OF_RANGE}
        self._multicast[index] = value
        return {"status": Ember.SUCCESS}
