"""A rig with everything that its file refers to looked up: what `rig/session` opens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from labctl.config.house_plan import HousePlan, Position
from labctl.config.inventory import Device, Inventory, Radio
from labctl.config.problems import Problem
from labctl.config.rig_file import Pairing, Rig
from labctl.config.virtual_file import InterferenceKind
from labctl.events import Band, DeviceKind
from labctl.smart_energy.access import AccessTable
from labctl.smart_energy.airtime import Limits
from labctl.smart_energy.channels import Channel
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


@dataclass(frozen=True, slots=True)
class Phy:
    """One bearer of the hub: a channel, and the power to transmit with, dBm."""

    channel: Channel
    tx_power_dbm: int

    @property
    def band(self) -> Band:
        """The band that the channel belongs to."""
        return self.channel.band


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondNetwork:
    """The network of a second radio that works side by side with the hub's own.

    `certificate` is None when the lab's own authority is to issue one; `pan_id` and
    `extended_pan_id` are None when they are to be chosen at random.
    """

    radio_name: str
    radio: Radio
    certificate: Identity | None
    pan_id: int | None
    extended_pan_id: Eui64 | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interference:
    """Somebody else's radio on the virtual air: noise in bursts around a centre frequency.

    `busy` is the share of the time that it transmits, 0 to 1. `channel` is the HAN's channel that
    it is on, None for Wi-Fi, which covers several. Times are seconds after the start of the run.
    """

    name: str
    kind: InterferenceKind
    position: Position
    centre_khz: int
    width_khz: int
    channel: Channel | None
    tx_power_dbm: int
    busy: float
    burst_s: float
    start_s: float
    duration_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualPlace:
    """Where a virtual rig is: the house, if one is drawn, who stands where, and what disturbs.

    Positions are x, y, z in metres; `devices` has those of all virtual devices under test, by name.
    """

    house: HousePlan | None = None
    hub: Position = (0.0, 0.0, 0.0)
    devices: Mapping[str, Position] = field(default_factory=dict)
    interference: tuple[Interference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnderTest:
    """A device of the inventory in its role on the rig. `install_code` is checked.

    `bands` are those that it can join on, empty when that is not known; `prefers` is the one that
    it looks for first.
    """

    name: str
    eui64: Eui64
    kind: DeviceKind
    device: Device
    install_code: InstallCode
    pairing: Pairing
    schedules: tuple[ReadSchedule, ...]
    settings: DeviceSettings = USUAL
    bands: tuple[Band, ...] = ()
    prefers: Band | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRig:
    """A rig file and its inventory, checked, with every reference resolved.

    `phys` are the hub's bearers: one, or on a dual-band hub 2.4 GHz and then 868 MHz. `second` is
    set when a radio of its own does the latter, side by side; when it is None and there are two,
    the hub's radio is on both bands with one network. `duty_limits` are of the bearer on 868 MHz;
    None without one.
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
    phys: tuple[Phy, ...]
    second: SecondNetwork | None
    duty_limits: Limits | None
    place: VirtualPlace
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
    def second_radio(self) -> Radio | None:
        """The radio that does 868 MHz side by side with the hub's own, if there is one."""
        return self.second.radio if self.second else None

    @property
    def second_radio_name(self) -> str | None:
        """Its name in the inventory."""
        return self.second.radio_name if self.second else None

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands that devices can join on."""
        return tuple(phy.band for phy in self.phys)

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
