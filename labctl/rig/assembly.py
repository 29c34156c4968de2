"""From what the files say to what the hub, the meters and the virtual bench are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

from labctl.config.behaviour import Behaviour as BehaviourEntry
from labctl.config.behaviour import Burst as BurstEntry
from labctl.config.behaviour import KeyFaults as KeyFaultsEntry
from labctl.config.behaviour import LifeStep as LifeStepEntry
from labctl.config.resolved import DeviceUnderTest, LoadedRig
from labctl.config.resolved import ReadSchedule as DeclaredSchedule
from labctl.events import Band
from labctl.hub.settings import (
    HUB,
    HubSettings,
    KeyEngine,
    LoggedDevice,
    OtaSettings,
    ReadSchedule,
    Supplier,
    TimeSource,
    TunnelSettings,
)
from labctl.radio.coordinator import NetworkSettings, PhySettings
from labctl.rig.bearer_settings import bearer_settings
from labctl.rig.meters import meters as meters
from labctl.rig.reach import reach
from labctl.virtual import devices as virtual

_COMMAND_PAYLOADS = {(0x0700, 0x00): b"\x01"}  # GetCurrentPrice: the receiver is always on


def network_settings(loaded: LoadedRig) -> NetworkSettings:
    """How the hub's network is to be formed."""
    hub = loaded.rig.hub
    return NetworkSettings(
        phys=_phys(loaded),
        pan_id=hub.pan_id,
        extended_pan_id=hub.extended_pan_id,
        max_devices=hub.max_devices,
    )


def _phys(loaded: LoadedRig) -> tuple[PhySettings, ...]:
    phys = [PhySettings(phy.channel, phy.tx_power_dbm) for phy in loaded.phys]
    if loaded.second is not None:
        phys[1] = replace(
            phys[1],
            pan_id=loaded.second.pan_id,
            extended_pan_id=loaded.second.extended_pan_id,
        )
    return tuple(phys)


def hub_settings(loaded: LoadedRig) -> HubSettings:
    """What the hub is told."""
    hub = loaded.rig.hub
    return HubSettings(
        network=network_settings(loaded),
        devices=tuple(logged_device(device, reach(loaded, device)) for device in loaded.devices),
        schedules=tuple(
            _hub_schedule(device, schedule)
            for device in loaded.devices
            for schedule in device.schedules
        ),
        suites=hub.all_suites,
        time_source=TimeSource(hub.time.value),
        access=loaded.access,
        refusal_status=hub.refusal_status,
        write_status=hub.write_status,
        gas_proxy_counts=hub.gas_proxy_counts,
        bearers=bearer_settings(loaded),
        require_consent=hub.require_consent,
        key_engine=KeyEngine(hub.key_engine.value),
        keep_alive_base_min=hub.keep_alive.base_min,
        keep_alive_jitter_s=hub.keep_alive.jitter_s,
        ota=_ota(loaded),
        supplier=Supplier(
            name=hub.supplier.name,
            contact=hub.supplier.contact or "",
            provider_id=hub.supplier.provider_id,
            customer_id=hub.supplier.customer_id or "",
        ),
        tunnels=TunnelSettings(
            open=hub.tunnels.open,
            most=hub.tunnels.most,
            busy=hub.tunnels.busy,
            close_after_s=_whole_seconds(hub.tunnels.close_after),
        ),
    )


def _ota(loaded: LoadedRig) -> OtaSettings:
    entry = loaded.rig.hub.ota
    if entry is None:
        return OtaSettings()
    return OtaSettings(
        images=loaded.images,
        notify=entry.notify,
        block_octets=entry.block_octets,
        block_period_ms=round(entry.block_period.total_seconds() * 1000),
        simultaneous=entry.simultaneous,
        wait_s=int(entry.wait.total_seconds()),
        upgrade_after_s=_whole_seconds(entry.upgrade_after),
    )


def logged_device(
    device: DeviceUnderTest, reach: Mapping[Band, str] = MappingProxyType({})
) -> LoggedDevice:
    """A device as it goes into the device log. `reach` says how a band gets to where it is."""
    return LoggedDevice(
        eui64=device.eui64,
        name=device.name,
        kind=device.kind,
        link_key=device.install_code.link_key(),
        manufacturer=device.device.manufacturer,
        model=device.device.model,
        settings=device.settings,
        bands=device.bands,
        reach=reach,
    )


def device_schedules(
    loaded: LoadedRig, device: DeviceUnderTest
) -> tuple[virtual.ReadSchedule, ...] | None:
    """What a virtual device reads: what the rig expects of it, unless its behaviour differs.

    None when the rig expects nothing: the device then does what its kind does.
    """
    if not device.schedules:
        return None
    behaviour = device.device.virtual.behaviour if device.device.virtual else None
    periods = behaviour.read_periods if behaviour else {}
    return tuple(
        virtual.ReadSchedule(
            name=schedule.name,
            cluster_id=schedule.cluster_id,
            period_s=(
                periods[schedule.name].total_seconds()
                if schedule.name in periods
                else schedule.period_ms / 1000
            ),
            attributes=schedule.attributes,
            command_id=schedule.command_id,
            command_payload=_COMMAND_PAYLOADS.get(
                (schedule.cluster_id, schedule.command_id or 0), b""
            ),
            fuel=_fuel(loaded, schedule),
            endpoint=1 if schedule.on_hub else schedule.endpoint,
        )
        for schedule in device.schedules
    )


def behaviour(entry: BehaviourEntry) -> virtual.Behaviour:
    """How a virtual device misbehaves, if it does."""
    return virtual.Behaviour(
        start_delay_s=entry.start_delay.total_seconds(),
        wrong_install_code=entry.wrong_install_code,
        ignore_permit_bit=entry.ignore_permit_bit,
        looks_every_s=_seconds(entry.looks_every),
        gives_up_joining=entry.gives_up_joining,
        foreign_certificate=entry.foreign_certificate,
        certificate_of_another=entry.certificate_of_another,
        key_usage_missing=entry.key_usage_missing,
        never_announces=entry.never_announces,
        reads_before_key_establishment=entry.reads_before_key_establishment,
        key_establishment=_key_faults(entry.key_establishment),
        leaves_at=_step(entry.leaves_at),
        silent_at=_step(entry.silent_at),
        power_cut_at=_step(entry.power_cut_at),
        power_cuts_every_s=_seconds(entry.power_cuts_every),
        power_back_after_s=entry.power_back_after.total_seconds(),
        writes_attribute=entry.writes_attribute,
        writes_every_s=_seconds(entry.writes_every),
        forbidden_commands_every_s=_seconds(entry.forbidden_commands_every),
        reads_per_slot=entry.reads_per_slot,
        duplicate_counters=entry.duplicate_counters,
        replays=_burst(entry.replays),
        flood=_burst(entry.flood),
        malformed=(
            virtual.Malformed(
                per_second=entry.malformed.per_second,
                after_s=entry.malformed.after.total_seconds(),
                duration_s=_seconds(entry.malformed.duration),
                layers=tuple(virtual.Layer(layer.value) for layer in entry.malformed.layers),
            )
            if entry.malformed
            else None
        ),
        rejoin_storm=_burst(entry.rejoin_storm),
        fast_poll_every_s=_seconds(entry.fast_poll_every),
        presses=tuple(
            virtual.Press(
                button=virtual.Button(press.button.value),
                after_s=press.after.total_seconds(),
                code=press.code,
            )
            for press in entry.presses
        ),
        stays_s=_seconds(entry.stays),
        silent_after_s=_seconds(entry.silent_after),
        ignores_suspension=entry.ignores_suspension,
        answers_suspension=entry.answers_suspension,
        never_asks_suspension=entry.never_asks_suspension,
        ignores_channel_change=entry.ignores_channel_change,
        forgets_network=entry.forgets_network,
        never_rejoins=entry.never_rejoins,
        ignores_keep_alive=entry.ignores_keep_alive,
        misses_network_key=entry.misses_network_key,
        stays_when_removed=entry.stays_when_removed,
        keeps_tenant_data=entry.keeps_tenant_data,
        hides_firmware=entry.hides_firmware,
        refuses_other_hub=entry.refuses_other_hub,
        ignores_ota_wait=entry.ignores_ota_wait,
        prefers_wrong_band=entry.prefers_wrong_band,
        gives_up_after_unsupported=entry.gives_up_after_unsupported,
        crashes_on_malformed=entry.crashes_on_malformed,
        display=virtual.DisplayFaults(**entry.display.model_dump()),
        clock_ppm=entry.clock_ppm,
    )


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def _whole_seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def _step(step: LifeStepEntry | None) -> virtual.LifeStep | None:
    return None if step is None else virtual.LifeStep(step.value)


def _burst(entry: BurstEntry | None) -> virtual.Burst | None:
    if entry is None:
        return None
    return virtual.Burst(
        per_second=entry.per_second,
        after_s=entry.after.total_seconds(),
        duration_s=_seconds(entry.duration),
    )


def _key_faults(entry: KeyFaultsEntry) -> virtual.KeyFaults:
    return virtual.KeyFaults(
        fault=virtual.KeyFault(entry.fault.value) if entry.fault else None,
        attempts=entry.attempts,
        ephemeral_declared_s=_whole_seconds(entry.ephemeral_declared),
        confirm_declared_s=_whole_seconds(entry.confirm_declared),
        ephemeral_work_s=_seconds(entry.ephemeral_work),
        confirm_work_s=_seconds(entry.confirm_work),
        ignores_wait=entry.ignores_wait,
        never=entry.never,
        overlooks=frozenset(virtual.KeyCheck(check.value) for check in entry.overlooks),
        never_terminates=entry.never_terminates,
        keeps_key=entry.keeps_key,
        gives_up=entry.gives_up,
        patience_s=_seconds(entry.patience),
    )


def virtual_kind(device: DeviceUnderTest) -> virtual.Kind | None:
    """Which virtual device a device under test is; None when there is none of its kind."""
    entry = device.device.virtual
    word = entry.acts_as.value if entry and entry.acts_as else device.kind.value
    try:
        return virtual.Kind("gas-meter" if word == "meter" else word)
    except ValueError:
        return None


def _fuel(loaded: LoadedRig, schedule: DeclaredSchedule) -> virtual.Fuel:
    meter = loaded.rig.meters.get(schedule.meter) if schedule.meter else None
    return virtual.Fuel.GAS if meter and meter.kind == "gas" else virtual.Fuel.ELECTRICITY


def _hub_schedule(device: DeviceUnderTest, schedule: DeclaredSchedule) -> ReadSchedule:
    endpoint: int | str | None = schedule.meter or (HUB if schedule.on_hub else schedule.endpoint)
    return ReadSchedule(
        eui64=device.eui64,
        name=schedule.name,
        cluster_id=schedule.cluster_id,
        period_ms=schedule.period_ms,
        tolerance_ms=schedule.tolerance_ms,
        endpoint=endpoint,
        attributes=schedule.attributes,
        command_id=schedule.command_id,
    )
