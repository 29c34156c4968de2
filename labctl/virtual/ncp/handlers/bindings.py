"""The binding table. Kept in flash; nothing on the virtual air binds to the coordinator."""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import Binding
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import ConfigId
from labctl.virtual.ncp.status import Ember

_UNUSED = Binding(0, 0, 0, 0, Eui64("00" * 8), 0)


class Bindings(Part):
    """Entries by index."""

    def reset(self) -> None:
        """Short addresses of the remotes are RAM."""
        self._remote: dict[int, int] = {}

    def _in_range(self, index: int) -> bool:
        return index < self.ezsp.configuration[ConfigId.BINDING_TABLE_SIZE]

    def _stored(self, index: int) -> Binding:
        value = self.ezsp.contents.bindings.get(index)
        if value is None:
            return _UNUSED
        kind, local, cluster_id, remote, identifier, network = value
        return Binding(kind, local, cluster_id, remote, Eui64(identifier), network)

    def remote_node(self, index: int) -> int | None:
        """Where a unicast binding goes, if that is known."""
        if index in self._remote:
            return self._remote[index]
        binding = self._stored(index)
        return self.ezsp.addresses.node_of(binding.identifier) if binding.kind == 1 else None

    def clear_binding_table(self) -> Answer:
        """Empty it."""
        self.ezsp.contents.bindings.clear()
        self._remote.clear()
        self.ezsp.flash.save_soon()
        return {"status": Ember.SUCCESS}

    def clear_binding_table_on_leave(self, clear: int) -> Answer:
        """Accepted: bindings here are the host's alone to make and to clear (EZSP 19)."""
        return {}

    def set_binding(self, index: int, value: Binding) -> Answer:
        """Write an entry."""
        if not self._in_range(index):
            return {"status": Ember.BINDING_INDEX_OUT_OF_RANGE}
        self.ezsp.contents.bindings[index] = tuple(value)
        self._remote.pop(index, None)
        self.ezsp.flash.save_soon()
        return {"status": Ember.SUCCESS}

    def get_binding(self, index: int) -> Answer:
        """Read an entry; type 0 is unused."""
        if not self._in_range(index):
            return {"status": Ember.BINDING_INDEX_OUT_OF_RANGE, "value": _UNUSED}
        return {"status": Ember.SUCCESS, "value": self._stored(index)}

    def delete_binding(self, index: int) -> Answer:
        """Free an entry."""
        if not self._in_range(index):
            return {"status": Ember.BINDING_INDEX_OUT_OF_RANGE}
        self.ezsp.contents.bindings.pop(index, None)
        self._remote.pop(index, None)
        self.ezsp.flash.save_soon()
        return {"status": Ember.SUCCESS}

    def binding_is_active(self, index: int) -> Answer:
        """Whether messages are on their way along it."""
        node = self.remote_node(index)
        return {"active": int(node is not None and self.ezsp.messaging.is_sending_to(node))}

    def get_binding_remote_node_id(self, index: int) -> Answer:
        """0xFFFF when not known."""
        node = self.remote_node(index)
        return {"node": 0xFFFF if node is None else node}

    def set_binding_remote_node_id(self, index: int, node: int) -> Answer:
        """Pin it."""
        if self._in_range(index):
            self._remote[index] = node
        return {}
