"""Devices' link keys in the stick: one install-code slot for each, whatever key it is.

Z-Stack has three places for link keys. Keys that it derives from its own seed cannot be chosen. The
table of application link keys has three entries. The keys of install codes have forty, are kept,
and take any key (format 2 of the command): so that is where both the key of the install code and,
after key establishment, the agreed key of a device are. The default key, *ZigBeeAlliance09*, is
used without a word for whoever has no entry; `holds` says who has one of ours.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from labctl.errors import RigError
from labctl.radio.znp import mt
from labctl.radio.znp.connection import Connection, NotBuiltIn, Refused
from labctl.radio.znp.memory import Memory
from labctl.radio.znp.tables import (
    ADDRESSES,
    APPLICATION_KEY_OWNERS,
    INSTALL_CODE_KEYS,
    KEY_OCTETS,
    NO_KEY,
    SECURITY_USER,
    TRUST_CENTRE_KEYS,
    ZSTACK,
    AddressEntry,
    Item,
    TrustCentreEntry,
    key_owners,
)
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

_LOGGER = logging.getLogger(__name__)

READY_KEY = 2
"""Format of BDB_ADD_INSTALLCODE: sixteen octets that are the key."""

_NOWHERE = 0xFFFE


@dataclass(slots=True)
class _Place:
    """Where a device is: its entry in the trust centre's table, and the slot of its key."""

    index: int
    slot: int


class LinkKeys:
    """The stick's link keys, through one connection.

    `restart` brings the stick's network up again after a reset, for when only writing the tables
    themselves helps.
    """

    def __init__(
        self, connection: Connection, *, radio: str, restart: Callable[[], Awaitable[None]]
    ) -> None:
        self._connection = connection
        self._memory = Memory(connection)
        self._radio = radio
        self._restart = restart
        self._places: dict[Eui64, _Place] = {}
        self._free: int | None = None
        self.slots = 0
        """How many keys the firmware keeps."""

    def holds(self, eui64: Eui64) -> bool:
        """Whether the stick has a key for a device that is not the default one."""
        return eui64 in self._places

    @property
    def partners(self) -> frozenset[Eui64]:
        """Everybody whom it has a key for."""
        return frozenset(self._places)

    # -- reading ----------------------------------------------------------------------------------

    async def learn(self) -> None:
        """How many slots there are, and who has one. Once, after the start."""
        keys = self._memory.entries(INSTALL_CODE_KEYS, KEY_OCTETS)
        self.slots = sum([1 async for _ in keys])
        await self._look()

    async def read(self) -> dict[Eui64, Secret]:
        """Every key, by partner, as the stick has them now."""
        await self._look()
        found = {}
        for partner, place in self._places.items():
            key = await self._memory.entry(INSTALL_CODE_KEYS, place.slot, KEY_OCTETS)
            if key is not None and key != NO_KEY:
                found[partner] = Secret(key)
        return found

    async def _look(self) -> None:
        places: dict[Eui64, _Place] = {}
        free: int | None = None
        index = 0
        async for octets in self._memory.entries(TRUST_CENTRE_KEYS, TrustCentreEntry.SIZE):
            entry = TrustCentreEntry.unpack(octets)
            if entry.is_empty:
                free = index if free is None else free
            elif entry.slot is not None:
                places[entry.partner] = _Place(index, entry.slot)
            index += 1
        self._places, self._free = places, free

    async def _at(self, index: int | None) -> TrustCentreEntry:
        if index is None:
            return TrustCentreEntry()
        octets = await self._memory.entry(TRUST_CENTRE_KEYS, index, TrustCentreEntry.SIZE)
        return TrustCentreEntry() if octets is None else TrustCentreEntry.unpack(octets)

    async def _place_of(self, eui64: Eui64) -> _Place | None:
        """Where it was, or where the next new entry goes; else look at all."""
        known = self._places.get(eui64)
        for index in (known.index if known else None, self._free):
            entry = await self._at(index)
            if entry.partner == eui64 and entry.slot is not None and index is not None:
                self._places[eui64] = place = _Place(index, entry.slot)
                return place
        await self._look()
        return self._places.get(eui64)

    async def _stored(self, eui64: Eui64, key: Secret) -> bool:
        place = await self._place_of(eui64)
        if place is None:
            return False
        value = await self._memory.entry(INSTALL_CODE_KEYS, place.slot, KEY_OCTETS)
        return value is not None and Secret(value) == key

    # -- writing ----------------------------------------------------------------------------------

    async def write(self, eui64: Eui64, key: Secret) -> None:
        """Store the key in place of any other, and read it back.

        Whether the firmware writes over an entry that is there has not been seen on hardware: where
        it does not, the entry is removed first, and where that does not help either the tables are
        written and the stick restarted. Raises `RigError`.
        """
        if not self.holds(eui64) and len(self._places) >= self.slots:
            raise self._full()
        await self._forget_application_key(eui64)
        await self._add(eui64, key)
        if await self._stored(eui64, key):
            return
        _LOGGER.info("%s: the entry of %s is not written over: removing it", self._radio, eui64)
        if await self._remove(eui64):
            await self._add(eui64, key)
            if await self._stored(eui64, key):
                return
        await self._write_tables(eui64, key)
        if not await self._stored(eui64, key):
            raise RigError(
                f"the NCP says it stored the link key of {eui64}, but holds another one",
                where=self._radio,
                mend="the firmware's tables do not work as Z-Stack's do: update the firmware",
            )

    async def _add(self, eui64: Eui64, key: Secret) -> None:
        data = mt.key_with_address(eui64, key.reveal(), format=READY_KEY)
        try:
            await self._connection.must("adding a key", mt.BDB_ADD_INSTALL_CODE, data)
        except Refused as refused:
            if refused.status in ("MEM_ERROR", "BUFFER_FULL", "NWK_TABLE_FULL"):
                raise self._full() from refused
            raise

    async def _remove(self, eui64: Eui64) -> bool:
        """Have the firmware forget its trust-centre entry. False when it has no command for it."""
        self._places.pop(eui64, None)
        try:
            await self._connection.must(
                f"removing the key of {eui64}", mt.ZDO_REMOVE_LINK_KEY, eui64.little_endian
            )
        except NotBuiltIn:
            return False
        except Refused as refused:
            return refused.status == "NWK_UNKNOWN_DEVICE"
        return True

    async def _write_tables(self, eui64: Eui64, key: Secret) -> None:
        """The entry and the key themselves. The firmware reads them at its next start."""
        await self._look()
        place = self._places.get(eui64) or await self._free_place()
        entry = replace(await self._at(place.index), partner=eui64).with_slot(place.slot)
        await self._memory.write(Item(ZSTACK, INSTALL_CODE_KEYS, place.slot), key.reveal())
        await self._memory.write(Item(ZSTACK, TRUST_CENTRE_KEYS, place.index), entry.pack())
        await self._keep_address(eui64)
        await self._restart()

    async def _free_place(self) -> _Place:
        taken = {place.slot for place in self._places.values()}
        slot = next((slot for slot in range(self.slots) if slot not in taken), None)
        if slot is None or self._free is None:
            raise self._full()
        return _Place(self._free, slot)

    async def _keep_address(self, eui64: Eui64) -> None:
        """An entry of the address manager: a key belongs to one."""
        free: int | None = None
        index = 0
        async for octets in self._memory.entries(ADDRESSES, AddressEntry.SIZE):
            entry = AddressEntry.unpack(octets)
            if entry.eui64 == eui64 and not entry.is_empty:
                kept = replace(entry, users=entry.users | SECURITY_USER)
                await self._memory.write(Item(ZSTACK, ADDRESSES, index), kept.pack())
                return
            if entry.is_empty and free is None:
                free = index
            index += 1
        if free is None:
            raise self._full()
        kept = AddressEntry(SECURITY_USER, _NOWHERE, eui64)
        await self._memory.write(Item(ZSTACK, ADDRESSES, free), kept.pack())

    async def erase(self, eui64: Eui64) -> None:
        """Forget the key of a device, if there is one. Raises `RigError` when it stays."""
        await self._forget_application_key(eui64)
        if not self.holds(eui64):
            return
        place = self._places[eui64]
        await self._remove(eui64)
        if (await self._at(place.index)).partner == eui64:
            blank = TrustCentreEntry().pack()
            await self._memory.write(Item(ZSTACK, TRUST_CENTRE_KEYS, place.index), blank)
            await self._memory.write(Item(ZSTACK, INSTALL_CODE_KEYS, place.slot), NO_KEY)
            await self._restart()
        await self._look()
        if self.holds(eui64):
            raise RigError(
                f"the NCP did not erase the link key of {eui64}",
                where=self._radio,
                mend="with that key the device can still join in another device's window: "
                "close all windows, and form the network anew when nothing else helps",
            )

    # -- application link keys --------------------------------------------------------------------

    async def application_keys(self) -> int:
        """How many application link keys there are: somebody else's, of three at most."""
        octets = await self._memory.read(APPLICATION_KEY_OWNERS)
        return 0 if octets is None else len(key_owners(octets))

    async def _forget_application_key(self, eui64: Eui64) -> None:
        """One of those would be used for data, and ours for the trust centre's commands alone."""
        address = eui64.little_endian
        # The driver's own form of this request has a field too many.
        answer = await self._connection.ask(mt.ZDO_SEC_ENTRY_LOOKUP_EXT, address)
        if answer[:1] == bytes((mt.SUCCESS,)):
            what = f"removing the application link key of {eui64}"
            await self._connection.must(what, mt.ZDO_SEC_DEVICE_REMOVE, address)

    def _full(self) -> RigError:
        return RigError(
            "the NCP's table of install-code keys is full",
            where=self._radio,
            mend=f"unpair a device: Z-Stack keeps the keys of {self.slots}",
        )
