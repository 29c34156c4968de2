"""The device log: the devices that may be on the network, and what the hub knows of each.

A device is *declared* when the rig file describes it, and *listed* once somebody has added it
(GBCS CCS01): only listed devices have a place in the log, and only they are kept over restarts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from labctl.errors import RigError
from labctl.events import DeviceKind
from labctl.hub.settings import LoggedDevice
from labctl.hub.vault import (
    Evidence,
    HistoricDevice,
    KeptDevice,
    KeptLog,
    KeyState,
    MemoryVault,
    Vault,
)
from labctl.secret import Secret
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.eui64 import Eui64

__all__ = ["ALERT_LOG_CHANGED", "Device", "DeviceLog", "KeyState", "log_type_of"]

HISTORIC_LIMIT = 15
"""Removed devices that are remembered; the oldest goes first (GBCS)."""

ALERT_LOG_CHANGED = 0x8F12
"""The alert that every change of the log or of a key in it raises (GBCS)."""

_TYPE_OF_KIND = {
    "cad": DeviceLogType.CAD,
    "ihd": DeviceLogType.IHD,
    "ppmid": DeviceLogType.PPMID,
    "load-switch": DeviceLogType.HCALCS,
    "gas-meter": DeviceLogType.GSME,
    "meter": DeviceLogType.ESME,
}

_TYPE_LIMITS = (
    (4, "electricity meters", (DeviceLogType.ESME,)),
    (1, "gas meter", (DeviceLogType.GSME,)),
    (5, "load switches", (DeviceLogType.HCALCS,)),
    (2, "prepayment displays", (DeviceLogType.PPMID,)),
    (1, "in-home display", (DeviceLogType.IHD,)),
    (
        3,
        "consumer access devices, the in-home display among them",
        (DeviceLogType.CAD, DeviceLogType.IHD),
    ),
)
"""What S2 para. 133 reckons with. The mix is free (para. 136), so these only warn."""


def log_type_of(kind: DeviceKind) -> DeviceLogType | None:
    """The device type that CCS01 carries; None for what has no place in the log (a HHT)."""
    return _TYPE_OF_KIND.get(kind.value)


@dataclass(slots=True, eq=False)
class Device:
    """An entry of the device log and its present state. `key` mirrors the NCP's key table.

    `secret` is the key in the NCP, `before` the one to go back to while the newest is not
    confirmed. `unconfirmed` says that the present key's confirmation is under way.
    """

    eui64: Eui64
    name: str
    kind: DeviceKind
    link_key: Secret = field(repr=False)
    manufacturer: str | None = None
    model: str | None = None
    log_type: DeviceLogType | None = None
    key: KeyState = KeyState.NONE
    secret: Secret | None = field(default=None, repr=False)
    before: Secret | None = field(default=None, repr=False)
    before_state: KeyState = KeyState.NONE
    unconfirmed: bool = False
    listed: bool = False
    sleepy: bool = False
    evidence: Evidence | None = None
    nwk: int | None = None
    bearer: int | None = None
    """What it was last heard on, as the coordinator counts."""
    endpoint: int | None = None
    identified: bool = False

    @property
    def authorised(self) -> bool:
        """Whether an established link key is in force."""
        return self.key is KeyState.ESTABLISHED


class DeviceLog:
    """The listed devices, at most `limit`, and the declared ones; found by EUI-64 or address.

    One channel is always kept for the gas proxy. With `gas_proxy_counts` it is one of the `limit`
    (which sources leave open), otherwise it comes on top. Every change is kept in `vault`.
    """

    def __init__(
        self, limit: int, *, gas_proxy_counts: bool = False, vault: Vault | None = None
    ) -> None:
        self._limit = limit - 1 if gas_proxy_counts else limit
        self._total = limit
        self._vault = vault or MemoryVault()
        self._by_eui64: dict[str, Device] = {}
        self._by_nwk: dict[int, Device] = {}
        self._historic: deque[HistoricDevice] = deque(maxlen=HISTORIC_LIMIT)
        self._frame = KeptLog()

    def __iter__(self) -> Iterator[Device]:
        return iter(tuple(self._by_eui64.values()))

    def __len__(self) -> int:
        """How many devices are listed."""
        return sum(device.listed for device in self._by_eui64.values())

    # -- what is kept -----------------------------------------------------------------------------

    def load(self) -> KeptLog:
        """Take the entries that were kept. Raises `ConfigurationError`.

        An entry that the rig file describes too takes its name from there, never its key: a
        device keeps its key when it is added again.
        """
        kept = self._vault.load()
        self._frame = replace(kept, devices=(), historic=())
        for entry in kept.devices:
            device = self._by_eui64.get(entry.eui64)
            if device is None:
                device = self._by_eui64[entry.eui64] = Device(
                    eui64=entry.eui64,
                    name=entry.name,
                    kind=entry.kind,
                    link_key=entry.link_key,
                    manufacturer=entry.manufacturer,
                    model=entry.model,
                )
            device.link_key = entry.link_key
            device.log_type = entry.log_type
            device.key, device.secret = entry.state, entry.key
            device.before, device.before_state = entry.before, entry.before_state
            device.sleepy = entry.sleepy
            device.evidence = entry.evidence
            device.listed = True
        self._historic.extend(kept.historic)
        return kept

    def keep(self) -> None:
        """Write the log down as it is. Raises `ConfigurationError`."""
        self._vault.save(self.as_kept())

    def as_kept(self) -> KeptLog:
        """The whole log as it is written down: to be compared with itself at another time."""
        return replace(
            self._frame,
            devices=tuple(_kept(device) for device in self if device.listed),
            historic=tuple(self._historic),
        )

    def belongs_to(
        self, hub: Eui64, extended_pan_id: Eui64, *, beside: Eui64 | None = None
    ) -> None:
        """Note whose log it is; a restoration that was asked for is done."""
        self._frame = replace(
            self._frame,
            hub=hub,
            extended_pan_id=extended_pan_id,
            restore=False,
            beside=beside or self._frame.beside,
        )

    # -- entries ----------------------------------------------------------------------------------

    def get(self, eui64: str) -> Device | None:
        """The entry of `eui64`, listed or declared."""
        return self._by_eui64.get(eui64)

    def at(self, nwk: int) -> Device | None:
        """The device that has this short address, as far as is known."""
        return self._by_nwk.get(nwk)

    def declare(self, logged: LoggedDevice) -> Device:
        """Know a device by its description. It has no place in the log by that."""
        present = self._by_eui64.get(logged.eui64)
        if present is not None:
            return present
        device = self._by_eui64[logged.eui64] = Device(
            eui64=logged.eui64,
            name=logged.name,
            kind=logged.kind,
            link_key=logged.link_key,
            manufacturer=logged.manufacturer,
            model=logged.model,
            log_type=logged.log_type or log_type_of(logged.kind),
        )
        return device

    def withdraw(self, device: Device) -> None:
        """Forget a declared device: its description was of no use."""
        if not device.listed:
            self._by_eui64.pop(device.eui64, None)

    def admit(self, device: Device) -> None:
        """Give a declared device its place. Raises `RigError` when there is none (S2 para. 15)."""
        if device.listed:
            return
        if device.log_type is DeviceLogType.GPF:
            if any(each.listed and each.log_type is DeviceLogType.GPF for each in self):
                raise RigError("the gas proxy's channel is taken", where=device.name)
        elif self._taken() >= self._limit:
            kept = "" if self._limit == self._total else "; one place is kept for the gas proxy"
            raise RigError(
                f"the device log is full: {self._taken()} devices are in it{kept}",
                where=device.name,
                mend="unpair a device first, or raise hub.max_devices if the radio has the room",
            )
        device.listed = True

    def _taken(self) -> int:
        return sum(each.listed and each.log_type is not DeviceLogType.GPF for each in self)

    def beyond_the_usual(self, device: Device) -> list[str]:
        """Which figures of S2 para. 133 the log is over with `device` in it: for warnings."""
        types = [each.log_type for each in self if each.listed]
        sentences = []
        for limit, what, group in _TYPE_LIMITS:
            count = sum(each in group for each in types)
            if device.log_type in group and count > limit:
                sentences.append(f"{count} devices of a kind of which {limit} are usual: {what}")
        return sentences

    def remove(self, device: Device, *, now_us: int, reason: str) -> None:
        """Take an entry out, and archive its key if it had an established one."""
        self._by_eui64.pop(device.eui64, None)
        if device.nwk is not None and self._by_nwk.get(device.nwk) is device:
            del self._by_nwk[device.nwk]
        if device.authorised and device.secret is not None:
            self._forget_historic(device.eui64)
            self._historic.append(
                HistoricDevice(
                    eui64=device.eui64,
                    name=device.name,
                    kind=device.kind,
                    log_type=device.log_type,
                    key=device.secret,
                    removed_us=now_us,
                    reason=reason,
                )
            )

    def historic(self, eui64: str) -> HistoricDevice | None:
        """The removed device of that address, while it is remembered."""
        return next((each for each in self._historic if each.eui64 == eui64), None)

    def forget_old_key(self, eui64: str) -> None:
        """A removed device was reset, and has not the key any more that is kept for it."""
        if self.historic(eui64) is not None:
            self._forget_historic(eui64)
            self.keep()

    def _forget_historic(self, eui64: str) -> None:
        kept = [each for each in self._historic if each.eui64 != eui64]
        self._historic.clear()
        self._historic.extend(kept)

    def returned(self, device: Device) -> None:
        """A historic device has a key in force again: it is historic no longer."""
        self._forget_historic(device.eui64)

    # -- addresses --------------------------------------------------------------------------------

    def moved(self, device: Device, nwk: int, bearer: int) -> None:
        """Note a device's address and bearer, and take the address from whoever had it before."""
        device.bearer = bearer
        if device.nwk == nwk:
            return
        if device.nwk is not None and self._by_nwk.get(device.nwk) is device:
            del self._by_nwk[device.nwk]
        previous = self._by_nwk.get(nwk)
        if previous is not None:
            previous.nwk = None
        device.nwk = nwk
        self._by_nwk[nwk] = device


def _kept(device: Device) -> KeptDevice:
    state = device.key
    if state is KeyState.ESTABLISHED and device.unconfirmed:
        state = KeyState.UNPROVEN  # should the hub stop now, nobody knows whether it arrived
    return KeptDevice(
        eui64=device.eui64,
        name=device.name,
        kind=device.kind,
        log_type=device.log_type,
        link_key=device.link_key,
        state=state,
        key=device.secret,
        before=device.before if state is KeyState.UNPROVEN else None,
        before_state=device.before_state if state is KeyState.UNPROVEN else KeyState.NONE,
        manufacturer=device.manufacturer,
        model=device.model,
        sleepy=device.sleepy,
        evidence=device.evidence,
    )
