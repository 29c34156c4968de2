"""The virtual bench of a rig: sticks, devices and the room around them, from what its files say."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from labctl.config.inventory import Radio
from labctl.config.resolved import DeviceUnderTest, Interference, LoadedRig
from labctl.config.virtual_file import VirtualBench as VirtualSection
from labctl.errors import ConfigurationError
from labctl.rig.assembly import behaviour, device_schedules, virtual_kind
from labctl.rig.authority import LabAuthority
from labctl.smart_energy.eui64 import Eui64
from labctl.virtual.bench import DeviceInTheRoom, StickInTheRoom, VirtualBench
from labctl.virtual.devices import Kind
from labctl.virtual.devices.bands import Bands
from labctl.virtual.house import house_of
from labctl.virtual.interference import Disturber, channel_hog, wifi_neighbour
from labctl.virtual.ncp.hardware import Hardware
from labctl.virtual.propagation import Propagation

_VIRTUAL_STICKS = (Eui64("00:00:5e:ef:10:00:00:00"), Eui64("00:00:5e:ef:20:00:00:00"))
"""Addresses of virtual sticks whose inventory names none."""


def virtual_bench(
    loaded: LoadedRig,
    virtual: VirtualSection,
    *,
    seed: int,
    folder: Path,
    authority: LabAuthority,
    foreign: LabAuthority,
    now_us: Callable[[], int],
) -> VirtualBench:
    """Put everything into the room, switched off. Raises `ConfigurationError`."""
    radios = [loaded.radio] + ([loaded.second.radio] if loaded.second else [])
    environment = virtual.environment
    return VirtualBench(
        seed=seed,
        folder=folder,
        sticks=[_stick(loaded, radio, number, authority) for number, radio in enumerate(radios)],
        propagation=Propagation(
            exponent=environment.path_loss_exponent,
            shadowing_db=environment.shadowing_db,
            noise_dbm=environment.noise_floor_dbm,
            house=None if loaded.place.house is None else house_of(loaded.place.house),
        ),
        devices=[_in_the_room(loaded, device, authority, foreign) for device in loaded.devices],
        now_us=now_us,
        disturbers=[_disturber(each) for each in loaded.place.interference if each.busy > 0],
    )


def _disturber(source: Interference) -> Disturber:
    times = {
        "start_s": source.start_s,
        "stop_s": math.inf if source.duration_s is None else source.start_s + source.duration_s,
    }
    if source.channel is None:
        return wifi_neighbour(
            source.name,
            mhz=source.centre_khz / 1000,
            duty=source.busy,
            burst_s=source.burst_s,
            level_dbm=source.tx_power_dbm,
            position=source.position,
            **times,
        )
    return channel_hog(
        source.name,
        page=source.channel.page,
        channel=source.channel.number,
        bandwidth_mhz=source.width_khz / 1000,
        duty=source.busy,
        burst_s=source.burst_s,
        level_dbm=source.tx_power_dbm,
        position=source.position,
        **times,
    )


def _stick(loaded: LoadedRig, radio: Radio, number: int, authority: LabAuthority) -> StickInTheRoom:
    eui64 = radio.eui64 or _VIRTUAL_STICKS[number]
    x, y, z = loaded.place.hub
    return StickInTheRoom(
        eui64=eui64,
        identities={
            suite: authority.identity(suite, eui64) for suite in radio.key_establishment or ()
        },
        hardware=Hardware(bands=frozenset(radio.bands)),
        protocol=radio.driver.value,
        ezsp=radio.virtual.ezsp,
        position=(x, y + 0.1 * number, z),
    )


def _in_the_room(
    loaded: LoadedRig, device: DeviceUnderTest, authority: LabAuthority, foreign: LabAuthority
) -> DeviceInTheRoom:
    virtual = device.device.virtual
    assert virtual is not None  # the configuration refuses real devices on a virtual radio
    kind = virtual_kind(device)
    if kind is None:
        raise ConfigurationError(
            f"there is no virtual {device.kind.value}, which {device.name} is to be",
            where=str(loaded.inventory_path),
            mend=f"say what it does: virtual.acts_as is one of {', '.join(Kind)}",
        )
    issuer = foreign if virtual.behaviour.foreign_certificate else authority
    subject = device.eui64
    if virtual.behaviour.certificate_of_another:
        subject = Eui64.from_big_endian(bytes(octet ^ 0x55 for octet in subject.big_endian))
    return DeviceInTheRoom(
        name=device.name,
        kind=kind.value,
        eui64=device.eui64,
        install_code=device.install_code,
        identities={suite: issuer.identity(suite, subject) for suite in virtual.suites},
        position=loaded.place.devices[device.name],
        bands=Bands.of(device.bands, device.prefers),
        behaviour=behaviour(virtual.behaviour),
        schedules=device_schedules(loaded, device),
    )
