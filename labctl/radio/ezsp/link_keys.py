"""The NCP's link key table, where a Smart Energy trust centre keeps its devices' keys.

The table is in flash, has no timeout and survives a reset. The transient table does neither, and
which of the two wins for one device is not public: labctl never fills both.
"""

from __future__ import annotations

from typing import Any

import bellows.types as t

from labctl.errors import RigError
from labctl.radio.ezsp.versions import SL_STATUS_SINCE
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

_NO_ENTRY = 0xFF
_NOBODY = Eui64("00" * 8)


def driver_eui64(eui64: Eui64) -> t.EUI64:
    """The driver's own type for an EUI-64."""
    value, _ = t.EUI64.deserialize(eui64.little_endian)
    return value


async def network_key(ezsp: Any, *, radio: str) -> Secret:
    """The network key, by the driver's own command for this version. Raises `RigError`."""
    try:
        key = await ezsp.get_network_key()
    except AssertionError:
        # What the driver does with any status but OK. Its text may have the answer in it.
        key = None
    if key is None:
        raise RigError(
            "the NCP does not show its network key",
            where=radio,
            mend="capture a pairing: Wireshark learns the key from it with the link keys",
        )
    return Secret(key.key.serialize())


class LinkKeyTable:
    """Reads and writes the key table through one EZSP connection.

    From EZSP 12 the host names the index (`importLinkKey` does not allocate); before that the NCP
    finds it (`addOrUpdateKeyTableEntry`). Entries are read one by one and not by the driver's
    `read_link_keys`, which finds none on EZSP 14 and later: the fields have moved.
    """

    def __init__(self, ezsp: Any, *, radio: str) -> None:
        self._ezsp = ezsp
        self._radio = radio

    async def read(self) -> dict[Eui64, Secret]:
        """Every link key in the table, by partner."""
        found: dict[Eui64, Secret] = {}
        for index in range(await self.size()):
            entry = await self._entry(index)
            if entry is not None:
                partner, key = entry
                found[Eui64(str(partner))] = Secret(key.serialize())
        return found

    async def _entry(self, index: int) -> tuple[t.EUI64, t.KeyData] | None:
        if not self._has("exportLinkKeyByIndex"):
            status, stored = await self._ezsp.getKeyTableEntry(index=index)
            partner, key = stored.partnerEUI64, stored.key
        elif self._ezsp.ezsp_version >= SL_STATUS_SINCE:
            status, context, key, _ = await self._ezsp.exportLinkKeyByIndex(index=index)
            partner = context.eui64
        else:
            partner, key, _, status = await self._ezsp.exportLinkKeyByIndex(index=index)
        ok = t.sl_Status.from_ember_status(status) == t.sl_Status.OK
        return (partner, key) if ok else None

    def _has(self, command: str) -> bool:
        return command in self._ezsp._protocol.COMMANDS

    async def write(self, eui64: Eui64, key: Secret) -> None:
        """Store `key` for `eui64` in place of any other, and read it back.

        Raises `RigError` when the table is full or the NCP keeps something else. Storing resets
        the partner's incoming frame counter to 0 (UG100).
        """
        partner = driver_eui64(eui64)
        value = t.KeyData(key.reveal())
        if self._has("importLinkKey"):
            index = await self._find(eui64)
            if index is None:
                index = await self._find(_NOBODY)
            if index is None:
                raise self._full()
            (status,) = await self._ezsp.importLinkKey(index=index, address=partner, key=value)
        else:
            (status,) = await self._ezsp.addOrUpdateKeyTableEntry(
                address=partner, linkKey=True, keyData=value
            )
        if t.sl_Status.from_ember_status(status) == t.sl_Status.FULL:
            raise self._full()
        if t.sl_Status.from_ember_status(status) != t.sl_Status.OK:
            raise RigError(
                f"the NCP did not store the link key of {eui64}: {status!r}",
                where=self._radio,
                mend="read the key table's size with `labctl rig show`; a full table refuses keys",
            )
        if (await self.read()).get(eui64) != key:
            raise RigError(
                f"the NCP says it stored the link key of {eui64}, but holds another one",
                where=self._radio,
                mend="the firmware's key table does not work as EZSP describes it: "
                "update the firmware",
            )

    async def erase(self, eui64: Eui64) -> None:
        """Forget the key of `eui64`, if there is one. Raises `RigError` when it stays."""
        index = await self._find(eui64)
        if index is None:
            return
        (status,) = await self._ezsp.eraseKeyTableEntry(index=index)
        if await self._find(eui64) is not None:
            raise RigError(
                f"the NCP did not erase the link key of {eui64}: {status!r}",
                where=self._radio,
                mend="with that key the device can still join in another device's window: "
                "close all windows, and form the network anew when nothing else helps",
            )

    async def size(self) -> int:
        """How many keys the table takes, as the NCP has really set it."""
        status, size = await self._ezsp.getConfigurationValue(
            configId=t.EzspConfigId.CONFIG_KEY_TABLE_SIZE
        )
        return int(size) if t.sl_Status.from_ember_status(status) == t.sl_Status.OK else 0

    async def _find(self, eui64: Eui64) -> int | None:
        """The index of a partner's key; for the all-zero address, the first free index."""
        (index,) = await self._ezsp.findKeyTableEntry(address=driver_eui64(eui64), linkKey=True)
        return None if index == _NO_ENTRY else int(index)

    def _full(self) -> RigError:
        return RigError(
            "the NCP's link key table is full",
            where=self._radio,
            mend="unpair a device, or use firmware with a larger CONFIG_KEY_TABLE_SIZE",
        )
