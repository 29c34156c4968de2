"""Keys: the security state to form with, the link key table, transient keys, exports.

Two homes for a device's key. The link key table is flash: it survives a reset and never times out.
The transient table is RAM, each entry with its own time left; a joiner may use it, data may not.
"""

from __future__ import annotations

from dataclasses import dataclass

from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.ncp.codec import (
    InitialSecurity,
    KeyContext,
    KeyMetadata,
    NetworkKeyInfo,
)
from labctl.virtual.ncp.handlers.base import Answer, Part
from labctl.virtual.ncp.handlers.configuration import ConfigId
from labctl.virtual.ncp.status import Ember, Sl
from labctl.virtual.node import LinkKey

# EmberInitialSecurityBitmask
DISTRIBUTED = 0x0002
GLOBAL_LINK_KEY = 0x0004
PRECONFIGURED_NETWORK_KEY = 0x0008
HASHED_LINK_KEY = 0x0084  # contains the bit for a global one
HAVE_PRECONFIGURED_KEY = 0x0100
HAVE_NETWORK_KEY = 0x0200

# EmberCurrentSecurityBitmask
_CURRENT_HAVE_LINK_KEY = 0x0010

# EmberKeyStructBitmask
_HAS_SEQUENCE = 0x0001
_HAS_OUTGOING = 0x0002
_HAS_INCOMING = 0x0004
_HAS_PARTNER = 0x0008
_IS_AUTHORISED = 0x0010
HAS_KEY = 0x0100
_TABLE_KEY = _HAS_OUTGOING | _HAS_INCOMING | _HAS_PARTNER | _IS_AUTHORISED | HAS_KEY
_TRANSIENT_KEY = _HAS_INCOMING | _HAS_PARTNER | HAS_KEY

# sl_zb_sec_man_key_type_t
NETWORK = 1
TC_LINK = 2
TC_LINK_WITH_TIMEOUT = 3
APP_LINK = 4

# sl_zigbee_sec_man_flags_t
KEY_INDEX_IS_VALID = 0x01
EUI_IS_VALID = 0x02

WILDCARD = Eui64("ff" * 8)
NOBODY = Eui64("00" * 8)
NO_KEY = bytes(16)
NO_INDEX = 0xFF
_NO_METADATA = KeyMetadata(0, 0, 0, 0)
_NO_CONTEXT = KeyContext(0, 0, 0, NOBODY, 0, 0, 0)
_RESERVED_KEYS = frozenset({bytes(16), b"\xff" * 16})


@dataclass(slots=True)
class Transient:
    """A key that times out. Its repr says nothing."""

    key: bytes
    expires_s: float
    flags: int

    def __repr__(self) -> str:
        return "<Transient>"


class Security(Part):
    """Everything about keys but the decision who may join (`joining`)."""

    def reset(self) -> None:
        """Transient keys and the initial security state are RAM."""
        self.initial: InitialSecurity | None = None
        self._transient: dict[Eui64, Transient] = {}

    # -- for other parts ------------------------------------------------------------------------

    @property
    def table_size(self) -> int:
        """KEY_TABLE_SIZE as the host configured it since the reset (0 until then)."""
        return self.ezsp.configuration[ConfigId.KEY_TABLE_SIZE]

    def index_of(self, eui64: Eui64) -> int | None:
        """Where the table has this partner, within the size configured."""
        for index, (partner, _) in self.ezsp.contents.link_keys.items():
            if partner == eui64 and index < self.table_size:
                return index
        return None

    def free_index(self) -> int | None:
        """The first entry of the table that is not used."""
        used = self.ezsp.contents.link_keys
        return next((index for index in range(self.table_size) if index not in used), None)

    def table_key(self, eui64: Eui64) -> bytes | None:
        """This partner's key in the table."""
        index = self.index_of(eui64)
        return None if index is None else self.ezsp.contents.link_keys[index][1]

    def transient_key(self, eui64: Eui64, *, wildcard: bool) -> bytes | None:
        """This partner's transient key that is still valid; else, if wanted, the wildcard's."""
        self._expire()
        entry = self._transient.get(eui64)
        if entry is None and wildcard:
            entry = self._transient.get(WILDCARD)
        return None if entry is None else entry.key

    def load_link_keys(self) -> None:
        """Give the node the part of the table that is in use. Incoming counters start at 0."""
        keys = self.ezsp.contents.node.link_keys
        keys.clear()
        for index, (partner, key) in self.ezsp.contents.link_keys.items():
            if index < self.table_size:
                keys[partner] = LinkKey(partner, key)

    def network_formed(self, initial: InitialSecurity) -> None:
        """Remember how joiners' keys are found."""
        self.ezsp.contents.security_bitmask = initial.bitmask
        self.ezsp.contents.preconfigured_key = (
            initial.preconfigured_key if initial.bitmask & HAVE_PRECONFIGURED_KEY else NO_KEY
        )
        self.initial = None

    def network_left(self) -> None:
        """The network's own keys are gone; the link key table stays."""
        contents = self.ezsp.contents
        contents.security_bitmask = None
        contents.preconfigured_key = NO_KEY

    # -- forming --------------------------------------------------------------------------------

    def set_initial_security_state(self, state: InitialSecurity) -> Answer:
        """Before forming only. Without HAVE_NETWORK_KEY the NCP makes a key up."""
        if self.ezsp.network.up:
            return {"status": Ember.INVALID_CALL}
        bitmask = state.bitmask
        hashed = bitmask & HASHED_LINK_KEY == HASHED_LINK_KEY
        if bitmask & DISTRIBUTED and hashed:
            return {"status": Ember.SECURITY_CONFIGURATION_INVALID}
        if bitmask & HAVE_NETWORK_KEY and state.network_key in _RESERVED_KEYS:
            return {"status": Ember.KEY_INVALID}
        if bitmask & HAVE_PRECONFIGURED_KEY and state.preconfigured_key in _RESERVED_KEYS:
            return {"status": Ember.KEY_INVALID}
        if not bitmask & HAVE_NETWORK_KEY:
            state = state._replace(network_key=self.ezsp.rng.randbytes(16))
        self.initial = state
        return {"status": Ember.SUCCESS}

    def get_current_security_state(self) -> Answer:
        """Of the network that is up."""
        contents = self.ezsp.contents
        if not self.ezsp.network.up:
            return {"status": Ember.NOT_JOINED, "bitmask": 0, "trust_centre": NOBODY}
        formed = contents.security_bitmask or 0
        bitmask = formed & HASHED_LINK_KEY
        if contents.preconfigured_key != NO_KEY:
            bitmask |= _CURRENT_HAVE_LINK_KEY
        trust_centre = contents.node.eui64
        return {"status": Ember.SUCCESS, "bitmask": bitmask, "trust_centre": trust_centre}

    # -- link key table -------------------------------------------------------------------------

    def import_link_key(self, index: int, eui64: Eui64, key: bytes) -> Answer:
        """Write the entry at `index`: the caller keeps the indices."""
        contents = self.ezsp.contents
        if index >= self.table_size:
            return {"status": Sl.INVALID_INDEX}
        elsewhere = self.index_of(eui64)
        if (
            eui64 in (NOBODY, WILDCARD, contents.node.eui64)
            or (elsewhere is not None and elsewhere != index)
            or key in _RESERVED_KEYS
        ):
            return {"status": Sl.FAIL}
        self._forget_entry(index)
        contents.authorised.discard(eui64)
        contents.link_keys[index] = (eui64, key)
        contents.node.link_keys[eui64] = LinkKey(eui64, key)  # its incoming counter starts at 0
        self.ezsp.flash.save(durable=True)
        return {"status": Sl.OK}

    def _forget_entry(self, index: int) -> None:
        entry = self.ezsp.contents.link_keys.pop(index, None)
        if entry is not None:
            self.ezsp.contents.authorised.discard(entry[0])
            self.ezsp.contents.node.link_keys.pop(entry[0], None)

    def find_key_table_entry(self, eui64: Eui64, link_key: int) -> Answer:
        """Index of a partner; for all zeros the first free one; 0xFF for none."""
        index = self.free_index() if eui64 == NOBODY else self.index_of(eui64)
        return {"index": NO_INDEX if index is None else index}

    def erase_key_table_entry(self, index: int) -> Answer:
        """Free an entry, used or not."""
        if index >= self.table_size:
            return {"status": Ember.INDEX_OUT_OF_RANGE}
        self._forget_entry(index)
        self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def clear_key_table(self) -> Answer:
        """All of it, transient keys not."""
        contents = self.ezsp.contents
        for index in tuple(contents.link_keys):
            self._forget_entry(index)
        self.ezsp.flash.save(durable=True)
        return {"status": Ember.SUCCESS}

    def _metadata(self, eui64: Eui64) -> KeyMetadata:
        state = self.ezsp.contents.node
        entry = state.link_keys.get(eui64)
        incoming = 0 if entry is None else entry.incoming_counter
        bitmask = _TABLE_KEY
        if not self.may_protect_data(eui64):
            bitmask &= ~_IS_AUTHORISED
        return KeyMetadata(bitmask, state.outgoing_aps_counter, incoming, 0)

    def may_protect_data(self, eui64: Eui64) -> bool:
        """Firmware with key establishment wants keys for data that it established itself."""
        library = self.ezsp.key_establishment
        return not library.identities or library.is_authorised(eui64)

    def export_link_key_by_index(self, index: int) -> Answer:
        """NOT_FOUND for a free entry."""
        nothing = {
            "eui64": NOBODY,
            "context": _NO_CONTEXT,
            "key": NO_KEY,
            "metadata": _NO_METADATA,
        }
        if index >= self.table_size:
            return {**nothing, "status": Sl.INVALID_INDEX}
        entry = self.ezsp.contents.link_keys.get(index)
        if entry is None:
            return {**nothing, "status": Sl.NOT_FOUND}
        eui64, key = entry
        return {
            "eui64": eui64,
            "context": self._link_key_context(index, eui64),
            "key": key,
            "metadata": self._metadata(eui64),
            "status": Sl.OK,
        }

    def _link_key_context(self, index: int, eui64: Eui64) -> KeyContext:
        return KeyContext(APP_LINK, index, 0, eui64, 0, KEY_INDEX_IS_VALID | EUI_IS_VALID, 0)

    def export_link_key_by_eui(self, eui64: Eui64) -> Answer:
        """The partner's key and where it stands."""
        index = self.index_of(eui64)
        if index is None:
            return {
                "key": NO_KEY,
                "context": _NO_CONTEXT,
                "index": NO_INDEX,
                "metadata": _NO_METADATA,
                "status": Sl.NOT_FOUND,
            }
        return {**self.export_link_key_by_index(index), "index": index}

    # -- transient keys -------------------------------------------------------------------------

    def _expire(self) -> None:
        now = self.ezsp.now
        in_use = self.ezsp.contents.node.link_keys
        for eui64 in [eui64 for eui64, key in self._transient.items() if key.expires_s <= now]:
            del self._transient[eui64]
            if self.index_of(eui64) is None:
                in_use.pop(eui64, None)  # a joiner that used it has not got another key in time

    def import_transient_key(self, eui64: Eui64, key: bytes, flags: int) -> Answer:
        """For a joiner, or (FF×8) for all. Lives for the time that is set when it comes in."""
        if eui64 == NOBODY or key in _RESERVED_KEYS:
            return {"status": Sl.INVALID_PARAMETER}
        timeout_s = self.ezsp.configuration.transient_key_timeout_s
        self._transient.pop(eui64, None)
        self._transient[eui64] = Transient(key, self.ezsp.now + timeout_s, flags)
        self.ezsp.later(timeout_s, self._expire)
        return {"status": Sl.OK}

    def clear_transient_link_keys(self) -> Answer:
        """All of them, of every device."""
        self._transient.clear()
        return {}

    def _transient_answer(self, eui64: Eui64 | None) -> Answer:
        if eui64 is None or eui64 not in self._transient:
            return {
                "context": _NO_CONTEXT,
                "key": NO_KEY,
                "metadata": _NO_METADATA,
                "status": Sl.NOT_FOUND,
            }
        entry = self._transient[eui64]
        index = list(self._transient).index(eui64)
        flags = KEY_INDEX_IS_VALID | EUI_IS_VALID | entry.flags
        remaining = min(0xFFFF, max(0, round(entry.expires_s - self.ezsp.now)))
        return {
            "context": KeyContext(TC_LINK_WITH_TIMEOUT, index, 0, eui64, 0, flags, 0),
            "key": entry.key,
            "metadata": KeyMetadata(_TRANSIENT_KEY, 0, 0, remaining),
            "status": Sl.OK,
        }

    def export_transient_key_by_index(self, index: int) -> Answer:
        """In the order in which they came."""
        self._expire()
        keys = list(self._transient)
        return self._transient_answer(keys[index] if index < len(keys) else None)

    def export_transient_key_by_eui(self, eui64: Eui64) -> Answer:
        """By partner; the wildcard is a partner like any other."""
        self._expire()
        return self._transient_answer(eui64)

    # -- the security manager's general calls ---------------------------------------------------

    def _find(self, context: KeyContext) -> tuple[bytes, Eui64] | Sl:
        """The key that a context means and whose it is, or why there is none."""
        contents = self.ezsp.contents
        if context.key_type == NETWORK:
            if context.key_index != 0 or not contents.node.network_key:
                return Sl.NOT_FOUND
            return contents.node.network_key, NOBODY
        if context.key_type == TC_LINK:
            if contents.preconfigured_key == NO_KEY:
                return Sl.NOT_FOUND  # a Smart Energy trust centre has none of its own
            return contents.preconfigured_key, contents.node.eui64
        if context.key_type == TC_LINK_WITH_TIMEOUT:
            key = self.transient_key(context.eui64, wildcard=False)
            return Sl.NOT_FOUND if key is None else (key, context.eui64)
        if context.key_type == APP_LINK:
            return self._find_in_table(context)
        return Sl.INVALID_TYPE

    def _find_in_table(self, context: KeyContext) -> tuple[bytes, Eui64] | Sl:
        index: int | None = context.key_index
        if context.flags & EUI_IS_VALID and not context.flags & KEY_INDEX_IS_VALID:
            index = self.index_of(context.eui64)
        elif context.key_index >= self.table_size:
            return Sl.INVALID_INDEX
        entry = None if index is None else self.ezsp.contents.link_keys.get(index)
        return Sl.NOT_FOUND if entry is None else (entry[1], entry[0])

    def export_key(self, context: KeyContext) -> Answer:
        """Network key, trust centre link key, or a key of the tables."""
        found = self._find(context)
        if isinstance(found, Sl):
            return {"key": NO_KEY, "context": context, "status": found}
        return {"key": found[0], "context": context, "status": Sl.OK}

    def import_key(self, context: KeyContext, key: bytes) -> Answer:
        """Into the tables; a network's own keys come with setInitialSecurityState."""
        return {**self._import(context, key), "context": context}

    def _import(self, context: KeyContext, key: bytes) -> Answer:
        if context.key_type == APP_LINK:
            return self.import_link_key(context.key_index, context.eui64, key)
        if context.key_type == TC_LINK_WITH_TIMEOUT:
            return self.import_transient_key(context.eui64, key, context.flags)
        if context.key_type == TC_LINK and key not in _RESERVED_KEYS:
            self.ezsp.contents.preconfigured_key = key
            self.ezsp.flash.save(durable=True)
            return {"status": Sl.OK}
        return {"status": Sl.INVALID_TYPE}

    def check_key_context(self, context: KeyContext) -> Answer:
        """Whether `export_key` would find something."""
        found = self._find(context)
        return {"status": found if isinstance(found, Sl) else Sl.OK}

    def get_aps_key_info(self, context: KeyContext) -> Answer:
        """Partner and counters of a link key."""
        found = self._find(context)
        if isinstance(found, Sl):
            return {
                "eui64": NOBODY,
                "metadata": _NO_METADATA,
                "context": context,
                "status": found,
            }
        return {
            "eui64": found[1],
            "metadata": self._metadata(found[1]),
            "context": context,
            "status": Sl.OK,
        }

    def get_network_key_info(self) -> Answer:
        """Sequence and counter of the network key, never the key."""
        state = self.ezsp.contents.node
        info = NetworkKeyInfo(
            current_set=int(bool(state.network_key)),
            alternate_set=0,
            current_sequence=state.network_key_sequence,
            alternate_sequence=0,
            outgoing_counter=state.outgoing_nwk_counter,
        )
        return {"status": Sl.OK, "info": info}

    # -- key establishment: the library is not built in -----------------------------------------

    def get_certificate(self, **_: object) -> Answer:
        """One octet, whatever the frame."""
        return {"status": Ember.LIBRARY_NOT_PRESENT}

    calculate_smacs = get_certificate
    clear_temporary_data_maybe_store_link_key = get_certificate
    set_preinstalled_cbke_data = get_certificate
    dsa_verify = get_certificate
    generate_cbke_keys = get_certificate
    dsa_sign = get_certificate
    dsa_verify283k1 = get_certificate
    generate_cbke_keys283k1 = get_certificate
    calculate_smacs283k1 = get_certificate
    get_certificate283k1 = get_certificate
    save_preinstalled_cbke_data283k1 = get_certificate
    clear_temporary_data_maybe_store_link_key283k1 = get_certificate
