"""The key commands up to EZSP 12, on the same two tables as the security manager's.

Here the NCP finds the index of a partner itself.
"""

from __future__ import annotations

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import KeyStruct, TransientKey
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.security import HAS_KEY, NO_KEY, NOBODY
from labctl.virtual.ncp.status import Ember, Sl

# EmberKeyType
_TRUST_CENTRE_LINK_KEY = 1
_CURRENT_NETWORK_KEY = 3
_NEXT_NETWORK_KEY = 4
_APPLICATION_LINK_KEY = 5

_HAS_SEQUENCE, _HAS_OUTGOING, _HAS_INCOMING, _HAS_PARTNER = 0x01, 0x02, 0x04, 0x08

_NO_STRUCT = KeyStruct(0, 0, NO_KEY, 0, 0, 0, NOBODY)
_NO_TRANSIENT = TransientKey(NOBODY, NO_KEY, 0, 0)


class KeyCommands(Part):
    """Reading and writing keys as EmberKeyStruct."""

    def get_key(self, key_type: int) -> Answer:
        """A key of the network's own; KEY_INVALID when there is none of that kind."""
        state, contents = self.ezsp.contents.node, self.ezsp.contents
        partner, sequence, counter = NOBODY, 0, 0
        bitmask = HAS_KEY | _HAS_OUTGOING
        if key_type == _TRUST_CENTRE_LINK_KEY:
            key, partner = contents.preconfigured_key, contents.node.eui64
            counter = state.outgoing_aps_counter
            bitmask |= _HAS_PARTNER
        elif key_type == _CURRENT_NETWORK_KEY:
            key, sequence = state.network_key, state.network_key_sequence
            counter = state.outgoing_nwk_counter
            bitmask |= _HAS_SEQUENCE
        elif key_type == _NEXT_NETWORK_KEY:
            key, sequence = state.alternate_network_key, state.alternate_key_sequence
            bitmask = HAS_KEY | _HAS_SEQUENCE
        else:
            return {"status": Ember.BAD_ARGUMENT, "value": _NO_STRUCT}
        if not key or key == NO_KEY:
            return {"status": Ember.KEY_INVALID, "value": _NO_STRUCT}
        value = KeyStruct(bitmask, key_type, key, counter, 0, sequence, partner)
        return {"status": Ember.SUCCESS, "value": value}

    def get_key_table_entry(self, index: int) -> Answer:
        """TABLE_ENTRY_ERASED for a free entry, INDEX_OUT_OF_RANGE beyond the table."""
        found = self.ezsp.security.export_link_key_by_index(index)
        if found["status"] is Sl.INVALID_INDEX:
            return {"status": Ember.INDEX_OUT_OF_RANGE, "value": _NO_STRUCT}
        if found["status"] is not Sl.OK:
            return {"status": Ember.TABLE_ENTRY_ERASED, "value": _NO_STRUCT}
        metadata = found["metadata"]
        value = KeyStruct(
            metadata.bitmask,
            _APPLICATION_LINK_KEY,
            found["key"],
            metadata.outgoing_counter,
            metadata.incoming_counter,
            0,
            found["eui64"],
        )
        return {"status": Ember.SUCCESS, "value": value}

    def set_key_table_entry(self, index: int, eui64: Eui64, link_key: int, key: bytes) -> Answer:
        """At an index that the host chose."""
        status = self.ezsp.security.import_link_key(index, eui64, key)["status"]
        if status is Sl.OK:
            return {"status": Ember.SUCCESS}
        if status is Sl.INVALID_INDEX:
            return {"status": Ember.INDEX_OUT_OF_RANGE}
        return {"status": Ember.KEY_INVALID}

    def add_or_update_key_table_entry(self, eui64: Eui64, link_key: int, key: bytes) -> Answer:
        """At the partner's place, or the first that is free; TABLE_FULL when none is."""
        security = self.ezsp.security
        index = security.index_of(eui64)
        if index is None:
            index = security.free_index()
        if index is None:
            return {"status": Ember.TABLE_FULL}
        return self.set_key_table_entry(index, eui64, link_key, key)

    def add_transient_link_key(self, eui64: Eui64, key: bytes) -> Answer:
        """For a joiner, or (FF×8) for all."""
        stored = self.ezsp.security.import_transient_key(eui64, key, 0)["status"] is Sl.OK
        return {"status": Ember.SUCCESS if stored else Ember.BAD_ARGUMENT}

    def _transient(self, found: Answer) -> Answer:
        if found["status"] is not Sl.OK:
            return {"status": Ember.NOT_FOUND, "value": _NO_TRANSIENT}
        metadata = found["metadata"]
        value = TransientKey(
            found["context"].eui64,
            found["key"],
            HAS_KEY | _HAS_PARTNER | _HAS_INCOMING,
            metadata.ttl_s,
        )
        return {"status": Ember.SUCCESS, "value": value}

    def get_transient_key_table_entry(self, index: int) -> Answer:
        """In the order in which they came."""
        return self._transient(self.ezsp.security.export_transient_key_by_index(index))

    def get_transient_link_key(self, eui64: Eui64) -> Answer:
        """By partner."""
        return self._transient(self.ezsp.security.export_transient_key_by_eui(eui64))
