"""The device log: the devices that may be on the network, and what the hub knows of each."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from labctl.errors import RigError
from labctl.events import DeviceKind
from labctl.hub.settings import LoggedDevice
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64


class KeyState(enum.Enum):
    """Which link key of a device the NCP holds."""

    NONE = "none"
    INSTALL_CODE = "install code"
    ESTABLISHED = "established"


@dataclass(slots=True, eq=False)
class Device:
    """An entry of the device log and its present state. `key` mirrors the NCP's key table."""

    eui64: Eui64
    name: str
    kind: DeviceKind
    link_key: Secret = field(repr=False)
    manufacturer: str | None = None
    model: str | None = None
    key: KeyState = KeyState.NONE
    nwk: int | None = None
    endpoint: int | None = None
    identified: bool = False

    @property
    def authorised(self) -> bool:
        """Whether an established link key is in force."""
        return self.key is KeyState.ESTABLISHED


class DeviceLog:
    """At most `limit` devices, found by EUI-64 or by their present short address."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_eui64: dict[str, Device] = {}
        self._by_nwk: dict[int, Device] = {}

    def __iter__(self) -> Iterator[Device]:
        return iter(tuple(self._by_eui64.values()))

    def __len__(self) -> int:
        return len(self._by_eui64)

    def get(self, eui64: str) -> Device | None:
        """The entry of `eui64`."""
        return self._by_eui64.get(eui64)

    def at(self, nwk: int) -> Device | None:
        """The device that has this short address, as far as is known."""
        return self._by_nwk.get(nwk)

    def add(self, logged: LoggedDevice) -> Device:
        """Make an entry, or return the one there is: a device keeps its key when added again.

        Raises `RigError` when the log is full (S2 para. 15).
        """
        present = self._by_eui64.get(logged.eui64)
        if present is not None:
            return present
        if len(self._by_eui64) >= self._limit:
            raise RigError(
                f"the device log is full: {self._limit} devices are in it",
                where=logged.name,
                mend="unpair a device first, or raise hub.max_devices if the radio has the room",
            )
        device = Device(
            eui64=logged.eui64,
            name=logged.name,
            kind=logged.kind,
            link_key=logged.link_key,
            manufacturer=logged.manufacturer,
            model=logged.model,
        )
        self._by_eui64[logged.eui64] = device
        return device

    def remove(self, device: Device) -> None:
        """Take an entry out."""
        self._by_eui64.pop(device.eui64, None)
        if device.nwk is not None and self._by_nwk.get(device.nwk) is device:
            del self._by_nwk[device.nwk]

    def moved(self, device: Device, nwk: int) -> None:
        """Note a device's short address, and take it from whoever had it before."""
        if device.nwk == nwk:
            return
        if device.nwk is not None and self._by_nwk.get(device.nwk) is device:
            del self._by_nwk[device.nwk]
        previous = self._by_nwk.get(nwk)
        if previous is not None:
            previous.nwk = None
        device.nwk = nwk
        self._by_nwk[nwk] = device
