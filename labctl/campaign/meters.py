"""The emulated meters of the rig, as cases look at them and do things to them."""

from __future__ import annotations

from labctl.campaign.findings import NotApplicable
from labctl.campaign.subject import Subject
from labctl.clock import MICROSECONDS
from labctl.hub.services.metering import MeteringService
from labctl.meters import Meter, Tariff
from labctl.meters.civil import local_offset_s
from labctl.meters.entries import TariffSet

_METERING = 0x0702
_HALF_HOUR_S = 1800


def meter_at(device: Subject, endpoint: int) -> Meter:
    """The meter whose registers an endpoint of the hub shows. Raises `NotApplicable`."""
    found = device.session.hub.publisher.endpoints.get(endpoint)
    service = None if found is None else found.services.get(_METERING)
    if not isinstance(service, MeteringService):
        raise NotApplicable(f"endpoint {endpoint} of the hub is no emulated meter's")
    return service.meter


def now_s(device: Subject) -> int:
    """Rig time, UTC seconds."""
    return device.session.clock.now_us() // MICROSECONDS


def set_tariff(device: Subject, meter: Meter, tariff: Tariff) -> None:
    """Have a tariff come into force at the next second. Raises `ConfigurationError`."""
    device.session.enter(
        TariffSet(at_us=device.session.clock.now_us(), meter=meter.name, tariff=tariff)
    )


def clock_changes_before(utc_s: int) -> tuple[int, int]:
    """The latest changes to summer time and back before an instant, UTC seconds."""
    to_summer = to_winter = None
    at = utc_s // _HALF_HOUR_S * _HALF_HOUR_S
    while to_summer is None or to_winter is None:
        before = at - _HALF_HOUR_S
        if local_offset_s(before) < local_offset_s(at):
            to_summer = to_summer or at
        elif local_offset_s(before) > local_offset_s(at):
            to_winter = to_winter or at
        at = before
    return to_summer, to_winter
