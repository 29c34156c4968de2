"""The trust centre: whose key is which, who is let in, and the commands about keys.

There are two tables. The trust centre's own has an entry for each device, which does not hold the
key but says where it comes from: the global default key, the key of an install code in a table of
forty, or the stick's seed. The other one has application link keys, three of them. Where a device
is in both, data goes under the application key and the trust centre's commands under the other one;
that is the order of older stacks, and has not been seen on hardware.
"""

from __future__ import annotations

import asyncio

from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.install_code import crc16_x25
from labctl.virtual.frames.nwk import is_broadcast
from labctl.virtual.node import Admission, LinkKey, TrustCentreDecision
from labctl.virtual.znp.codec import eui64_octets
from labctl.virtual.znp.handlers.base import Answer, Part
from labctl.virtual.znp.nvram import INSTALL_CODES, KEYS_IN_TABLE, Item, Table
from labctl.virtual.znp.status import Z, as_octet
from labctl.virtual.znp.structures import (
    DEFAULT,
    HAS_INSTALL_CODE,
    NOBODY,
    PROVISIONAL,
    SECURITY,
    VERIFIED,
    KeyData,
    LinkKeyEntry,
    TclkEntry,
    pack_link_keys,
    unpack_link_keys,
)

DEFAULT_KEY = b"ZigBeeAlliance09"
JOIN_TIMEOUT_S = 15.0
"""How long a joiner may take for the exchange of its key, where that is asked for."""

_EMPTY_KEY = bytes(16)


class Trust(Part):
    """Link keys, and what is done with joiners."""

    def boot(self) -> None:
        """Policies are not kept: each reset brings these back."""
        self.install_codes_only = False
        self.require_key_exchange = False
        self.default_key_rejoins = self.znp.identity.default_key_rejoins
        self._joining: dict[Eui64, asyncio.TimerHandle] = {}

    # -- the trust centre's table ------------------------------------------------------------------

    def _entry(self, partner: Eui64) -> tuple[int, TclkEntry] | None:
        for index, octets in enumerate(self.znp.nvram.entries(Table.TCLK)):
            entry = TclkEntry.unpack(octets)
            if entry.partner == partner:
                return index, entry
        return None

    def _write(self, index: int, entry: TclkEntry) -> None:
        self.znp.nvram.set_entry(Table.TCLK, index, entry.pack())

    def _key_of(self, entry: TclkEntry) -> bytes:
        if entry.install_code & HAS_INSTALL_CODE and entry.attribute == PROVISIONAL:
            return self.znp.nvram.entry(Table.INSTALL_CODES, entry.install_code & 0x7F)
        if entry.attribute in (PROVISIONAL, DEFAULT):
            return DEFAULT_KEY
        seed = self.znp.nvram[Item.TCLK_SEED][:16]
        turned = seed[entry.seed_shift :] + seed[: entry.seed_shift]
        octets = 2 * eui64_octets(entry.partner)
        return bytes(a ^ b for a, b in zip(turned, octets, strict=True))

    def trust_centre_key(self, partner: Eui64) -> bytes:
        """What the trust centre's commands to a device are secured with."""
        found = self._entry(partner)
        return DEFAULT_KEY if found is None else self._key_of(found[1])

    def _has_entry(self, partner: Eui64) -> None:
        """Without one the device gets an entry for the default key, if there is room: nobody is
        told either way."""
        if self._entry(partner) is not None:
            return
        free = self._entry(NOBODY)
        if free is not None:
            self._write(free[0], TclkEntry(partner=partner, seed_shift=self._random_shift()))
            self.znp.network.addresses.use(partner, SECURITY)

    def _random_shift(self) -> int:
        return self.znp.rng.randrange(16)

    def add_install_code(self, partner: Eui64, key: bytes) -> Z:
        """A key for one device, in force at once; one that is there already is replaced."""
        found = self._entry(partner)
        slot: int | None = None
        if found is not None and found[1].install_code & HAS_INSTALL_CODE:
            slot = found[1].install_code & 0x7F
        else:
            slot = self._free_install_code()
            found = found or self._entry(NOBODY)
        if slot is None or found is None:
            return Z.MEM_ERROR
        index, entry = found
        entry.partner, entry.attribute = partner, PROVISIONAL
        entry.install_code = HAS_INSTALL_CODE | slot
        self.znp.nvram.set_entry(Table.INSTALL_CODES, slot, key)
        self._write(index, entry)
        self.znp.network.addresses.use(partner, SECURITY)
        self._refresh(partner)
        self.znp.memory.save(durable=True)
        return Z.SUCCESS

    def _free_install_code(self) -> int | None:
        entries = [TclkEntry.unpack(each) for each in self.znp.nvram.entries(Table.TCLK)]
        taken = {e.install_code & 0x7F for e in entries if e.install_code & HAS_INSTALL_CODE}
        return next((slot for slot in range(INSTALL_CODES) if slot not in taken), None)

    def _erase(self, index: int, entry: TclkEntry, blank: TclkEntry) -> None:
        if entry.install_code & HAS_INSTALL_CODE:
            self.znp.nvram.set_entry(Table.INSTALL_CODES, entry.install_code & 0x7F, None)
        self._write(index, blank)
        self._refresh(entry.partner)
        if self._application_key(entry.partner) is None:
            self.znp.network.addresses.release(entry.partner, SECURITY)

    # -- application link keys ---------------------------------------------------------------------

    def key_data(self) -> list[KeyData]:
        """All slots."""
        return [KeyData.unpack(each) for each in self.znp.nvram.entries(Table.KEY_DATA)]

    def _key_table(self) -> list[LinkKeyEntry]:
        entries = unpack_link_keys(self.znp.nvram[Item.LINK_KEYS])
        return [entry for entry in entries if entry.key < KEYS_IN_TABLE]

    def _write_key_table(self, entries: list[LinkKeyEntry]) -> None:
        self.znp.nvram[Item.LINK_KEYS] = pack_link_keys(entries, KEYS_IN_TABLE)

    def _application_key(self, partner: Eui64) -> LinkKeyEntry | None:
        index = self.znp.network.addresses.find(partner)
        return next((e for e in self._key_table() if e.address == index), None)

    def link_keys(self) -> dict[Eui64, LinkKey]:
        """What data is secured with, by partner."""
        keys: dict[Eui64, LinkKey] = {}
        for octets in self.znp.nvram.entries(Table.TCLK):
            entry = TclkEntry.unpack(octets)
            if not entry.empty:
                keys[entry.partner] = LinkKey(
                    entry.partner,
                    self._key_of(entry),
                    replay_protected=entry.attribute == VERIFIED,
                )
        data = self.key_data()
        for each in self._key_table():
            partner = self.znp.network.addresses[each.address].eui64
            keys[partner] = LinkKey(partner, data[each.key].key)
        return keys

    def all_keys(self) -> list[tuple[bytes, str]]:
        """Every key that there is in memory, with a label."""
        keys = [
            (self.znp.nvram[Item.ACTIVE_KEY][1:17], "network"),
            (self.znp.nvram[Item.ALTERNATE_KEY][1:17], "next network"),
        ]
        for partner, link_key in self.link_keys().items():
            keys.append((self.trust_centre_key(partner), f"trust-centre link key of {partner}"))
            keys.append((link_key.key, f"link key of {partner}"))
        return list(dict(reversed(keys)).items())

    def _refresh(self, partner: Eui64) -> None:
        """The node at work has the key that the tables have now."""
        node = self.znp.network.node
        if node is None:
            return
        key = self.link_keys().get(partner)
        old = node.state.link_keys.get(partner)
        if key is None:
            node.state.link_keys.pop(partner, None)
        elif old is None or old.key != key.key or old.replay_protected != key.replay_protected:
            node.state.link_keys[partner] = key

    def needs_a_key(self, partner: Eui64) -> None:
        """Data is to be secured for this device: it never fails for want of a key."""
        node = self.znp.network.node
        if node is not None and partner not in node.state.link_keys:
            self._has_entry(partner)
            self._refresh(partner)
            node.state.link_keys.setdefault(
                partner, LinkKey(partner, DEFAULT_KEY, replay_protected=False)
            )

    def store_counters(self, counter: int) -> None:
        """Write the outgoing counter into every entry that is in use."""
        for index, octets in enumerate(self.znp.nvram.entries(Table.TCLK)):
            entry = TclkEntry.unpack(octets)
            if not entry.empty and entry.sent != counter:
                entry.sent = counter
                self._write(index, entry)
        data = self.key_data()
        for each in self._key_table():
            data[each.key].sent = counter
            self.znp.nvram.set_entry(Table.KEY_DATA, each.key, data[each.key].pack())

    # -- joiners -----------------------------------------------------------------------------------

    def admission(
        self, eui64: Eui64, nwk: int, kind: Admission, parent: int
    ) -> TrustCentreDecision:
        """Decide, and tell the host of those that are let in, and of nobody else."""
        if kind is Admission.LEFT:
            self._device_left(eui64)
            return TrustCentreDecision.NO_ACTION
        found = self._entry(eui64)
        if kind is Admission.UNSECURED_JOIN and not self._may_join(found):
            return TrustCentreDecision.DENY
        if kind is Admission.UNSECURED_REJOIN and not self._may_rejoin(found):
            return TrustCentreDecision.DENY
        if kind is Admission.UNSECURED_JOIN:
            self._joins_anew(eui64, found)
            self._watch(eui64)
        self.needs_a_key(eui64)
        self.znp.notify("zdo_tc_dev_ind", source=nwk, eui64=eui64, parent=parent)
        if kind is Admission.SECURED_REJOIN:
            return TrustCentreDecision.NO_ACTION
        return TrustCentreDecision.SEND_KEY

    def _may_join(self, found: tuple[int, TclkEntry] | None) -> bool:
        """The network is open, or nobody could have associated."""
        if not self.znp.nvram[Item.SECURE_PERMIT_JOIN][0]:
            return False
        by_install_code = found is not None and bool(found[1].install_code & HAS_INSTALL_CODE)
        return by_install_code or not self.install_codes_only

    def _may_rejoin(self, found: tuple[int, TclkEntry] | None) -> bool:
        node = self.znp.network.node
        verified = found is not None and found[1].attribute == VERIFIED
        is_open = node is not None and node.parent.permits_joining
        return verified or self.default_key_rejoins or is_open

    def _joins_anew(self, eui64: Eui64, found: tuple[int, TclkEntry] | None) -> None:
        """A device that starts from scratch has lost the key that the trust centre made for it."""
        if found is not None and found[1].attribute == VERIFIED:
            index, entry = found
            entry.attribute, entry.seed_shift = DEFAULT, (entry.seed_shift + 1) % 16
            self._write(index, entry)
            self._refresh(eui64)

    def _watch(self, eui64: Eui64) -> None:
        running = self._joining.pop(eui64, None)
        if running is not None:
            running.cancel()
        self._joining[eui64] = self.znp.later(JOIN_TIMEOUT_S, self._too_slow, eui64)

    def _too_slow(self, eui64: Eui64) -> None:
        """Nobody exchanges keys here. Where that is demanded the device has to go, one with an
        install code too, but it keeps that one's entry."""
        del self._joining[eui64]
        if not self.require_key_exchange or self.znp.network.node is None:
            return
        found = self._entry(eui64)
        self.znp.network.node.remove_device(0x0000, eui64)
        if found is not None and found[1].attribute not in (PROVISIONAL, VERIFIED):
            self._erase(*found, TclkEntry())

    def _device_left(self, eui64: Eui64) -> None:
        found = self._entry(eui64)
        if found is not None and found[1].attribute == VERIFIED:
            self._erase(*found, TclkEntry())

    # -- frames ------------------------------------------------------------------------------------

    def app_cnf_bdb_add_installcode(self, format: int, eui64: Eui64, code: bytes) -> Answer:
        """1: sixteen octets and a CRC; 2: the key; any other: SUCCESS, and nothing happens."""
        if format == 1:
            if not _fits(code):
                return Z.INVALID_PARAMETER
            return self.add_install_code(eui64, aes_mmo(code))
        if format == 2:
            if len(code) != 16:
                return Z.INVALID_PARAMETER
            return self.add_install_code(eui64, code)
        return Z.SUCCESS

    def app_cnf_bdb_set_joinusesinstallcodekey(self, on: int) -> Answer:
        """Whether a joiner needs an install code. Until the next reset."""
        self.install_codes_only = bool(on)
        return Z.SUCCESS

    def app_cnf_bdb_set_tc_require_key_exchange(self, on: int) -> Answer:
        """Whether a joiner has to exchange its key. Until the next reset."""
        self.require_key_exchange = bool(on)
        return Z.SUCCESS

    def app_cnf_set_allowrejoin_tc_policy(self, on: int) -> Answer:
        """Whether a device without the network key may rejoin. Until the next reset."""
        self.default_key_rejoins = bool(on)
        return Z.SUCCESS

    def app_cnf_bdb_set_active_default_centralized_key(self, mode: int, key: bytes) -> Answer:
        """Meant for joiners: on a coordinator a key for nobody, whatever it is."""
        if mode in (1, 2) and not _fits(key):
            return Z.INVALID_PARAMETER
        return Z.INVALID_PARAMETER if mode > 4 else Z.SUCCESS

    def zdo_sec_add_link_key(self, short: int, eui64: Eui64, key: bytes) -> Answer:
        """An application link key. BUFFER_FULL for the fourth."""
        addresses = self.znp.network.addresses
        index = addresses.use(eui64, SECURITY, short if short < 0xFFF8 else None)
        if index is None:
            return Z.FAILURE
        table, data = self._key_table(), self.key_data()
        entry = next((each for each in table if each.address == index), None)
        if entry is None:
            taken = {each.key for each in table}
            slot = next((each for each in range(KEYS_IN_TABLE) if each not in taken), None)
            if slot is None:
                if self._entry(eui64) is None:
                    addresses.release(eui64, SECURITY)
                return Z.BUFFER_FULL
            entry = LinkKeyEntry(index, slot, 0)  # not authenticated: that takes a library
            self._write_key_table([*table, entry])
        sent = data[entry.key].sent
        self.znp.nvram.set_entry(Table.KEY_DATA, entry.key, KeyData(key, sent).pack())
        node = self.znp.network.node
        if node is not None and short < 0xFFF8:
            node.learn(eui64_octets(eui64), short)
        self._refresh(eui64)
        self.znp.memory.save(durable=True)
        return Z.SUCCESS

    def zdo_set_link_key(self, short: int, eui64: Eui64, key: bytes) -> Answer:
        """The same under its older name."""
        return self.zdo_sec_add_link_key(short, eui64, key)

    def zdo_sec_entry_lookup_ext(self, eui64: Eui64) -> Answer:
        """Where a device's application link key is."""
        entry = self._application_key(eui64)
        if entry is None:
            none = {"index": 0xFFFF, "key_item": 0xFFFF, "authentication": 0xFF}
            return {"status": Z.NWK_UNKNOWN_DEVICE, **none}
        return {
            "status": Z.SUCCESS,
            "index": entry.address,
            "key_item": entry.key,
            "authentication": entry.authentication,
        }

    def zdo_sec_device_remove(self, eui64: Eui64) -> Answer:
        """Forget an application link key."""
        entry = self._application_key(eui64)
        if entry is None:
            return Z.NWK_UNKNOWN_DEVICE
        self._write_key_table([each for each in self._key_table() if each.key != entry.key])
        self.znp.nvram.set_entry(Table.KEY_DATA, entry.key, None)
        self._refresh(eui64)
        if self._entry(eui64) is None:
            self.znp.network.addresses.release(eui64, SECURITY)
        return Z.SUCCESS

    def zdo_remove_link_key(self, eui64: Eui64) -> Answer:
        """Not what it says: the trust centre's entry goes, and is zeros from then on."""
        found = self._entry(eui64)
        if found is None or eui64 == NOBODY:
            return Z.NWK_UNKNOWN_DEVICE
        self._erase(*found, TclkEntry(attribute=PROVISIONAL))
        return Z.SUCCESS

    def zdo_get_link_key(self, eui64: Eui64) -> Answer:
        """Looks in the wrong place: no key is ever found."""
        return {"status": Z.NWK_UNKNOWN_DEVICE, "eui64": eui64, "key": b"\xff" * 16}

    def util_apsme_link_key_data_get(self, eui64: Eui64) -> Answer:
        """An application link key and its counters; FF when there is none."""
        entry = self._application_key(eui64)
        if entry is None:
            nothing = {"key": b"\xff" * 16, "sent": 0xFFFFFFFF, "received": 0xFFFFFFFF}
            return {"status": Z.FAILURE, **nothing}
        data, node = self.key_data()[entry.key], self.znp.network.node
        live = None if node is None else node.state.link_keys.get(eui64)
        return {
            "status": Z.SUCCESS,
            "key": data.key,
            "sent": data.sent if node is None else node.state.outgoing_aps_counter,
            "received": data.received if live is None else live.incoming_counter,
        }

    def util_apsme_link_key_nv_id_get(self, eui64: Eui64) -> Answer:
        """Which of the application link keys it is."""
        entry = self._application_key(eui64)
        if entry is None:
            return {"status": Z.FAILURE, "key_item": 0xFFFF}
        return {"status": Z.SUCCESS, "key_item": entry.key}

    def zdo_ext_sec_aps_remove_req(self, short: int, eui64: Eui64, parent: int) -> Answer:
        """A leave for a child of ours, an APS Remove-Device for others."""
        node = self.znp.network.node
        if node is None:
            return Z.NWK_INVALID_REQUEST
        node.remove_device(parent, eui64)
        return Z.SUCCESS

    def zdo_ext_update_nwk_key(self, destination: int, sequence: int, key: bytes) -> Answer:
        """Take the next network key, and send it to one device under its key, or to all that have
        the present one."""
        node = self.znp.network.node
        if node is None:
            return Z.NWK_INVALID_REQUEST
        self.znp.nvram[Item.ALTERNATE_KEY] = bytes((sequence,)) + key
        if is_broadcast(destination):
            node.begin_key_update(key, sequence)
            return Z.SUCCESS
        partner = node.eui64_of(destination)
        if partner is None:
            return Z.FAILURE
        state = node.state
        state.alternate_network_key, state.alternate_key_sequence = key, sequence
        refused = node.trust_centre.transport_alternate_key(partner, destination)
        return Z.SUCCESS if refused is None else as_octet(refused)

    def zdo_ext_switch_nwk_key(self, destination: int, sequence: int) -> Answer:
        """From now on the next network key is the one."""
        node = self.znp.network.node
        if node is None or sequence != node.state.alternate_key_sequence:
            return Z.NWK_INVALID_REQUEST
        node.switch_network_key()
        self.znp.network.persist()
        return Z.SUCCESS


def _fits(code: bytes) -> bool:
    """Whether it is a code of sixteen octets with its CRC."""
    return len(code) == 18 and crc16_x25(code[:16]) == int.from_bytes(code[16:], "little")
