"""The NCP's link key table, seen from the device log.

Where the truth about keys lives: in the NCP. A device of the log whose stored key is not its
install-code key was authorised before and still is. `Device.key` mirrors that; this module is the
only one that changes either.
"""

from __future__ import annotations

from labctl.hub.device_log import Device, DeviceLog, KeyState
from labctl.radio.coordinator import Coordinator
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64


class Keys:
    """Changes link keys, in the NCP first and in the device log after it."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def resume(self, log: DeviceLog) -> list[Eui64]:
        """Take the devices' key states from the NCP. Returns partners that are not in the log.

        An install-code key that a run left behind (it was killed inside a window) is erased: a
        device may join in its window only. Raises `RigError`.
        """
        stored = await self._coordinator.link_keys()
        for device in log:
            key = stored.get(device.eui64)
            if key is None:
                device.key = KeyState.NONE
            elif key == device.link_key:
                device.key = KeyState.INSTALL_CODE
                await self.erase(device)
            else:
                device.key = KeyState.ESTABLISHED
        return [eui64 for eui64 in stored if log.get(eui64) is None]

    async def install_code_key(self, device: Device) -> None:
        """Let the device join with its install code. One that is authorised keeps its key."""
        if device.authorised:
            return
        await self._coordinator.install_link_key(device.eui64, device.link_key)
        device.key = KeyState.INSTALL_CODE

    async def establish(self, device: Device, key: Secret) -> Secret | None:
        """Put an established key in place; returns the one before it, for `roll_back`."""
        before = (await self._coordinator.link_keys()).get(device.eui64)
        await self._coordinator.install_link_key(device.eui64, key)
        device.key = KeyState.ESTABLISHED
        return before

    async def roll_back(self, device: Device, before: Secret | None) -> None:
        """Put back what `establish` replaced."""
        if before is None:
            await self.erase(device)
            return
        await self._coordinator.install_link_key(device.eui64, before)
        device.key = KeyState.INSTALL_CODE if before == device.link_key else KeyState.ESTABLISHED

    async def erase(self, device: Device) -> None:
        """Take the device's key out."""
        await self._coordinator.erase_link_key(device.eui64)
        device.key = KeyState.NONE
