"""What the hub keeps outside of the stick, so that neither a restart nor a new stick loses it.

The device log with its keys goes through a `Vault`: the rig passes one that writes a file, tests
one that keeps it in memory. Keys are `Secret`; whoever writes them down answers for the file.
"""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass

from labctl.events import DeviceKind, PairingMethod
from labctl.secret import Secret
from labctl.smart_energy.device_types import DeviceLogType
from labctl.smart_energy.eui64 import Eui64


class KeyState(enum.Enum):
    """Which link key of a device is in force.

    UNPROVEN is an established key that the device may or may not hold: its confirmation was under
    way when the hub stopped, or it is the archived key of a historic device. The device proves it
    with the first frame under it. HASHED is AES-MMO of the key from before a trust-centre swap-out
    (R22 4.7.4): good for the network key, and for key establishment to follow.
    """

    NONE = "none"
    INSTALL_CODE = "install code"
    UNPROVEN = "unproven"
    HASHED = "hashed"
    ESTABLISHED = "established"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Who asked for a pairing, and on whose consent (S1 p. 6, p. 12)."""

    method: PairingMethod
    requested_by: str
    consent_reference: str | None
    added_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDevice:
    """An entry of the device log as it is written down.

    `link_key` is that of the install code. `key` is what the NCP is to hold, None in state NONE;
    `before` is what it held before, while the state is UNPROVEN.
    """

    eui64: Eui64
    name: str
    kind: DeviceKind
    log_type: DeviceLogType | None
    link_key: Secret
    state: KeyState
    key: Secret | None = None
    before: Secret | None = None
    before_state: KeyState = KeyState.NONE
    manufacturer: str | None = None
    model: str | None = None
    sleepy: bool = False
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoricDevice:
    """A removed device and the trust-centre link key that it had (GBCS CCS02)."""

    eui64: Eui64
    name: str
    kind: DeviceKind
    log_type: DeviceLogType | None
    key: Secret
    removed_us: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLog:
    """The whole log. `hub` and `extended_pan_id` are None before the first start.

    `restore` asks the next start to form the network anew with this extended PAN id, whatever
    network its stick holds (GBCS CCS03). `beside` is the second
    radio's address, where there are two.
    """

    hub: Eui64 | None = None
    extended_pan_id: Eui64 | None = None
    beside: Eui64 | None = None
    restore: bool = False
    devices: tuple[KeptDevice, ...] = ()
    historic: tuple[HistoricDevice, ...] = ()


class Vault(abc.ABC):
    """Where the log is kept. Both methods raise `ConfigurationError` when the place is unusable."""

    @abc.abstractmethod
    def load(self) -> KeptLog:
        """What was saved last; an empty log when nothing was."""

    @abc.abstractmethod
    def save(self, log: KeptLog) -> None:
        """Keep `log` in place of what was there, as a whole. It is safe when this returns."""


class MemoryVault(Vault):
    """Keeps the log as long as the process lives."""

    def __init__(self, log: KeptLog | None = None) -> None:
        self.kept = log or KeptLog()

    def load(self) -> KeptLog:
        """What was saved last."""
        return self.kept

    def save(self, log: KeptLog) -> None:
        """Keep it."""
        self.kept = log
