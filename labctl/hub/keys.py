"""The NCP's link key table, seen from the device log.

The NCP holds the keys that are in force; the vault holds what they are to be, and is written first.
So whatever instant the hub is killed at, the next start knows which of the two keys of a device
may be in the NCP, and whether the device has ever been heard under it. `Device.key` mirrors that;
this module is the only one that changes any of the three.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from labctl.errors import RigError
from labctl.hub.device_log import Device, DeviceLog, KeyState
from labctl.radio.coordinator import Coordinator
from labctl.secret import Secret
from labctl.smart_energy.aes_mmo import aes_mmo
from labctl.smart_energy.eui64 import Eui64


@dataclass(slots=True)
class Resumption:
    """What a start found: keys of `strangers` in the NCP, keys of the log that were `restored`."""

    strangers: list[Eui64] = field(default_factory=list)
    restored: list[Device] = field(default_factory=list)


def hashed(key: Secret) -> Secret:
    """What a key becomes when the trust centre is swapped (R22 4.7.4)."""
    return Secret(aes_mmo(key.reveal()))


class Keys:
    """Changes link keys: in the vault first, then in the NCP."""

    def __init__(self, coordinator: Coordinator, log: DeviceLog) -> None:
        self._coordinator = coordinator
        self._log = log
        self._partner_keys: bool | None = None

    # -- starting ---------------------------------------------------------------------------------

    async def resume(self, *, swapped: bool = False, again: bool = False) -> Resumption:
        """Bring devices and NCP into agreement. Raises `RigError`.

        `again`: the hub runs, and its radio was away. A key whose confirmation was under way has
        yet to be proven, as for a hub that starts anew.
        `swapped`: this radio was not the trust centre when the keys were kept, so the devices use
        their hashes. An install-code key that a run left behind (it was killed inside a window) is
        erased: a device may join in its window only.
        """
        if again:
            self._partner_keys = None
            for device in self._log:
                if device.unconfirmed and device.key is KeyState.ESTABLISHED:
                    device.key = KeyState.UNPROVEN
                device.unconfirmed = False
        stored = await self._coordinator.link_keys()
        found = Resumption()
        for eui64 in stored:
            if self._log.get(eui64) is not None:
                continue
            if self._log.historic(eui64) is not None:
                await self._coordinator.erase_link_key(eui64)  # its unpairing was cut short
            else:
                found.strangers.append(eui64)
        for device in self._log:
            in_ncp = stored.get(device.eui64)
            if not device.listed:
                await self._adopt(device, in_ncp)
            elif swapped:
                await self._swap(device, in_ncp, found)
            else:
                await self._agree(device, in_ncp, found)
        self._log.keep()
        await self._follow_policy()
        return found

    async def _follow_policy(self) -> None:
        """Partner link keys are for devices whose own is established (SE 1.4a 5.4.7).

        The NCP knows keys, but not whether they are established. So it brokers none as long as
        any key in its table is not.
        """
        allowed = all(d.key in (KeyState.NONE, KeyState.ESTABLISHED) for d in self._log)
        if allowed is not self._partner_keys:
            await self._coordinator.allow_partner_keys(allowed)
            self._partner_keys = allowed

    async def _adopt(self, device: Device, in_ncp: Secret | None) -> None:
        """Nothing was kept of it: the NCP alone knows. A key that is not its code's is its own."""
        if in_ncp is None:
            device.key = KeyState.NONE
        elif in_ncp == device.link_key:
            device.key = KeyState.INSTALL_CODE
            await self.erase(device)
        else:
            device.key, device.secret = KeyState.ESTABLISHED, in_ncp
            device.listed = True

    async def _agree(self, device: Device, in_ncp: Secret | None, found: Resumption) -> None:
        kept = device.secret
        if device.key is KeyState.UNPROVEN and in_ncp != kept:
            # The new key never reached the NCP: what was before it holds.
            device.secret, device.key = device.before, device.before_state
            device.before, device.before_state = None, KeyState.NONE
            kept = device.secret
        if device.key in (KeyState.NONE, KeyState.INSTALL_CODE):
            if in_ncp is not None and in_ncp not in (kept, device.link_key):
                device.key, device.secret = KeyState.UNPROVEN, in_ncp
                return
            device.secret = None
            if in_ncp is not None:
                await self.erase(device)
            device.key = KeyState.NONE
        elif in_ncp is None and kept is not None:
            await self._install(device, kept)
            found.restored.append(device)
        elif in_ncp is not None and in_ncp != kept:
            device.key, device.secret = KeyState.ESTABLISHED, in_ncp  # the NCP's is in force

    async def _swap(self, device: Device, in_ncp: Secret | None, found: Resumption) -> None:
        if device.secret is None or device.key in (KeyState.NONE, KeyState.INSTALL_CODE):
            device.key, device.secret = KeyState.NONE, None
            if in_ncp is not None:
                await self._coordinator.erase_link_key(device.eui64)
            return
        if device.key is not KeyState.HASHED:
            device.key, device.secret = KeyState.HASHED, hashed(device.secret)
            device.before, device.before_state = None, KeyState.NONE
        if in_ncp != device.secret:
            await self._install(device, device.secret)
        found.restored.append(device)

    # -- changes ----------------------------------------------------------------------------------

    async def install_code_key(self, device: Device) -> None:
        """Let the device join with its install code. One that is authorised keeps its key."""
        if not device.authorised:
            await self._put(device, device.link_key, KeyState.INSTALL_CODE)

    async def archived_key(self, device: Device, key: Secret) -> None:
        """Let a historic device come back with the key that it had. It has yet to prove it."""
        await self._put(device, key, KeyState.UNPROVEN)

    async def establish(self, device: Device, key: Secret, *, in_ncp: bool = False) -> None:
        """Put an established key in place of the one before, which `roll_back` brings again.

        Until `confirm` it counts as unproven for a hub that starts anew. `in_ncp` says that the
        NCP made the key and holds it already.
        """
        if not device.unconfirmed:
            device.before, device.before_state = device.secret, device.key
        device.unconfirmed = True
        try:
            await self._put(device, key, KeyState.ESTABLISHED, in_ncp=in_ncp)
        except RigError:
            device.unconfirmed = False
            raise

    def confirm(self, device: Device) -> None:
        """The device holds the key: its confirmation arrived, or it used the key."""
        if device.key is KeyState.UNPROVEN:
            device.key = KeyState.ESTABLISHED
        device.unconfirmed = False
        device.before, device.before_state = None, KeyState.NONE
        self._log.returned(device)
        self._log.keep()

    async def roll_back(self, device: Device) -> None:
        """Put back what was in force before. Raises `RigError`."""
        await self.put_back(device, device.before, device.before_state)

    async def put_back(self, device: Device, key: Secret | None, state: KeyState) -> None:
        """Put a key in force that was before, None for none at all. Raises `RigError`."""
        device.unconfirmed = False
        device.before, device.before_state = None, KeyState.NONE
        if key is None:
            await self.erase(device)
        else:
            await self._put(device, key, state)

    async def _install(self, device: Device, key: Secret) -> None:
        """A key that was agreed on belongs to the one network; others open the door to any."""
        agreed = device.key in (KeyState.ESTABLISHED, KeyState.UNPROVEN)
        await self._coordinator.install_link_key(
            device.eui64, key, bearer=device.bearer if agreed else None
        )

    async def erase(self, device: Device) -> None:
        """Take the device's key out, of the NCP first: what is gone there need not be kept."""
        await self._coordinator.erase_link_key(device.eui64)
        device.key, device.secret = KeyState.NONE, None
        device.before, device.before_state = None, KeyState.NONE
        device.unconfirmed = False
        self._log.keep()
        await self._follow_policy()

    async def _put(
        self, device: Device, key: Secret, state: KeyState, *, in_ncp: bool = False
    ) -> None:
        was = device.key, device.secret
        device.key, device.secret = state, key
        self._log.keep()
        try:
            if not in_ncp:
                await self._install(device, key)
            await self._follow_policy()
        except RigError:
            device.key, device.secret = was
            self._log.keep()
            raise
