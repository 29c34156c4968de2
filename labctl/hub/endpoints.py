"""What the hub shows: endpoint 1 is the hub itself, each meter is an ESI endpoint from 2 on.

If only a coordinator radio is there, the meters must live on it, and one ESI endpoint for each
fuel with everything on it is what commercial displays are known to work with. Only what is served
is listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.events import Band, DeviceKind
from labctl.hub.post import Means
from labctl.hub.services.base import Service
from labctl.hub.services.basic import BasicService
from labctl.hub.services.calendar import CalendarService
from labctl.hub.services.device_management import DeviceManagementService
from labctl.hub.services.diagnostics import DiagnosticsService
from labctl.hub.services.drlc import DrlcService
from labctl.hub.services.energy_management import EnergyManagementService
from labctl.hub.services.events import EventsService
from labctl.hub.services.identify import IdentifyService
from labctl.hub.services.keep_alive import KeepAliveService
from labctl.hub.services.key_establishment import KeyEstablishmentService
from labctl.hub.services.messaging import MessagingService
from labctl.hub.services.metering import MeteringService
from labctl.hub.services.mirror import GasMirror, ShowsMeter, mirror_services
from labctl.hub.services.ota import OtaService
from labctl.hub.services.prepayment import PrepaymentService
from labctl.hub.services.price import PriceService
from labctl.hub.services.sub_ghz import SubGhzService
from labctl.hub.services.time import TimeService
from labctl.hub.services.tunneling import TunnelClient, TunnelingService
from labctl.hub.settings import HUB, HubSettings
from labctl.meters import Fuel, GasProxy, Meter
from labctl.radio.coordinator import EndpointDescriptor
from labctl.smart_energy.device_types import SmartEnergyDevice

HUB_ENDPOINT = 1
FIRST_METER_ENDPOINT = 2
MIRROR_SUFFIX = " mirror"
"""After a gas meter's name, the name of its mirror's endpoint."""
_KEY_ESTABLISHMENT = 0x0800


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the hub. `name` is `HUB` or the meter's name."""

    number: int
    name: str
    device_id: int
    services: Mapping[int, Service[Any]]

    @property
    def descriptor(self) -> EndpointDescriptor:
        """For the NCP, which answers discovery by itself."""
        return EndpointDescriptor(
            endpoint=self.number,
            device_id=self.device_id,
            server_clusters=tuple(sorted(c for c, s in self.services.items() if s.server)),
            client_clusters=tuple(sorted(c for c, s in self.services.items() if s.also_client)),
        )


def build_endpoints(
    settings: HubSettings,
    meters: Sequence[Meter],
    started_us: int,
    means: Means,
    tunnels: TunnelClient,
) -> dict[int, Endpoint]:
    """The hub's endpoints. Raises `ValueError` when two meters have one name."""
    names = [HUB, *(meter.name for meter in meters)]
    if len(set(names)) != len(names):
        raise ValueError("meters need names of their own, none of them 'hub'")
    basic = BasicService(manufacturer=settings.manufacturer, model=settings.model)
    time = TimeService(settings.time_source, started_us)
    key_establishment = KeyEstablishmentService(settings.suites)
    keep_alive = KeepAliveService(
        base_min=settings.keep_alive_base_min, jitter_s=settings.keep_alive_jitter_s
    )
    sub_ghz = _of_sub_ghz(settings)
    hub = _endpoint(
        HUB_ENDPOINT,
        HUB,
        SmartEnergyDevice.REMOTE_COMMUNICATIONS_DEVICE,
        [
            basic,
            IdentifyService(),
            time,
            OtaService(settings.ota, means, HUB_ENDPOINT),
            keep_alive,
            TunnelingService(settings.tunnels, means, tunnels, HUB_ENDPOINT),
            EventsService(),
            key_establishment,
            DiagnosticsService(means.tallies),
            *sub_ghz,
        ],
    )
    endpoints = {hub.number: hub}
    for number, meter in enumerate(meters, FIRST_METER_ENDPOINT):
        endpoints[number] = _endpoint(
            number,
            meter.name,
            SmartEnergyDevice.ENERGY_SERVICE_INTERFACE,
            [
                basic,
                time,
                PriceService(meter),
                DrlcService(),
                MeteringService(meter),
                MessagingService(),
                PrepaymentService(meter),
                CalendarService(meter),
                DeviceManagementService(meter, settings.supplier, started_us),
                EventsService(),
                *_for_load_switches(meter, means),
                *(sub_ghz if meter.fuel is Fuel.GAS else ()),
                key_establishment,
            ],
        )
    mirror = _mirror(settings, meters, endpoints)
    if mirror is not None:
        endpoints[mirror.number] = mirror
    return endpoints


def _of_sub_ghz(settings: HubSettings) -> tuple[SubGhzService, ...]:
    """One and the same on every endpoint that has it; none where all radios are on 2.4 GHz."""
    if all(phy.channel.band is Band.GHZ_2_4 for phy in settings.network.phys):
        return ()
    return (SubGhzService(settings.bearers.sub_ghz.masks),)


def _for_load_switches(meter: Meter, means: Means) -> list[Service[Any]]:
    """Load switches belong to the electricity supply."""
    if meter.fuel is Fuel.GAS:
        return []
    return [EnergyManagementService(means.reporter)]


def _mirror(
    settings: HubSettings, meters: Sequence[Meter], endpoints: Mapping[int, Endpoint]
) -> Endpoint | None:
    """The mirror for a gas meter with a radio of its own, if there is one in the device log.

    Without one, the gas endpoint shows the meter that the rig describes.
    """
    if not any(device.kind is DeviceKind.GAS_METER for device in settings.devices):
        return None
    for number, meter in enumerate(meters, FIRST_METER_ENDPOINT):
        if isinstance(meter, GasProxy):
            services = endpoints[number].services
            shown = [s for s in services.values() if isinstance(s, ShowsMeter)]
            mirror = GasMirror(meter, max(endpoints) + 1, shown)
            return _endpoint(
                mirror.endpoint,
                f"{meter.name}{MIRROR_SUFFIX}",
                SmartEnergyDevice.METERING_DEVICE,
                [*mirror_services(mirror), services[_KEY_ESTABLISHMENT]],
            )
    return None


def _endpoint(
    number: int, name: str, device: SmartEnergyDevice, services: Sequence[Service[Any]]
) -> Endpoint:
    return Endpoint(number, name, int(device), {s.cluster_id: s for s in services})
