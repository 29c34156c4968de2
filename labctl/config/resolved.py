"""A rig with everything that its file refers to looked up: what `rig/session` opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from labctl.config.inventory import Device, Inventory, Radio
from labctl.config.problems import Problem
from labctl.config.rig_file import Pairing, Rig
from labctl.events import DeviceKind
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.disagreements import USUAL, DeviceSettings
from labctl.smart_energy.eui64 import Eui64
from labctl.smart_energy.identity import Identity
from labctl.smart_energy.install_code import InstallCode
from labctl.smart_energy.ota_image import OtaImage

VIRTUAL_BENCH_DURATION = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSchedule:
    """What a device should read, in numbers.

    `endpoint` is a number, or None for any. `meter` is the name of the meter whose endpoint is
    meant (the hub knows its number); `on_hub` says that it is the hub's own endpoint. Either
    `attributes` is not empty, or `command_id` is set.
    """

    name: str
    cluster_id: int
    endpoint: int | None
    meter: str | None
    on_hub: bool
    attributes: tuple[int, ...]
    command_id: int | None
    period_ms: int
    tolerance_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnderTest:
    """A device of the inventory in its role on the rig. `install_code` is checked."""

    name: str
    eui64: Eui64
    kind: DeviceKind
    device: Device
    install_code: InstallCode
    pairing: Pairing
    schedules: tuple[ReadSchedule, ...]
    settings: DeviceSettings = USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRig:
    """A rig file and its inventory, checked, with every reference resolved.

    `certificate` is None when the lab's own authority is to issue one. `left_out` names virtual
    devices that cannot take part since the hub's radio is real. `config_sha256` is over what both
    files say, as canonical JSON with secrets left out: comments and layout do not change it.
    """

    rig: Rig
    inventory: Inventory
    path: Path
    inventory_path: Path
    radio_name: str
    radio: Radio
    devices: tuple[DeviceUnderTest, ...]
    left_out: tuple[str, ...]
    certificate: Identity | None
    access: AccessTable
    images: tuple[OtaImage, ...]
    warnings: tuple[Problem, ...]
    config_sha256: str

    @property
    def name(self) -> str:
        """The rig's name."""
        return self.rig.rig

    @property
    def is_virtual(self) -> bool:
        """Whether the hub's radio is virtual, so that all of the rig is."""
        return self.radio.is_virtual

    @property
    def bench_duration(self) -> timedelta | None:
        """How long a bench run lasts; None means until interrupted."""
        if self.rig.bench.duration is None and self.is_virtual:
            return VIRTUAL_BENCH_DURATION
        return self.rig.bench.duration
