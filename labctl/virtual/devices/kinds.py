"""What each kind of device is on the network: its device id, its clusters, how it is fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labctl.virtual.devices.settings import (
    BASIC,
    CALENDAR,
    DEVICE_MANAGEMENT,
    DIAGNOSTICS,
    DRLC,
    EVENTS,
    KEEP_ALIVE,
    KEY_ESTABLISHMENT,
    MESSAGING,
    METERING,
    OTA,
    PREPAYMENT,
    PRICE,
    SMART_ENERGY_PROFILE,
    SUB_GHZ,
    TIME,
    TUNNELING,
    Kind,
)
from labctl.virtual.node import SimpleDescriptor

DISPLAY_CLUSTERS = (PRICE, DRLC, METERING, MESSAGING, PREPAYMENT, CALENDAR, DEVICE_MANAGEMENT)
"""Client clusters of a display, in the order in which it asks for bindings."""


@dataclass(frozen=True, slots=True)
class KindProfile:
    """A kind of device. `device_id` is from Smart Energy 1.4a 6.3; `binds` are asked for in order.

    `stays_s` is how long it stays on a network (None: for good); `sleeps` means that its receiver
    is off between polls, and that a battery feeds it.
    """

    model: str
    device_id: int
    binds: tuple[int, ...]
    extra_servers: tuple[int, ...] = ()
    extra_clients: tuple[int, ...] = ()
    sleeps: bool = False
    stays_s: float | None = None
    has_person: bool = False

    def descriptor(self, endpoint: int, *, sub_ghz: bool = False) -> SimpleDescriptor:
        """Of the device's only endpoint; `sub_ghz` for one that has a band below 1 GHz."""
        return SimpleDescriptor(
            endpoint=endpoint,
            profile_id=SMART_ENERGY_PROFILE,
            device_id=self.device_id,
            device_version=0,
            input_clusters=(BASIC, KEY_ESTABLISHMENT, *self.extra_servers),
            output_clusters=(
                TIME,
                KEEP_ALIVE,
                *self.binds,
                *self.extra_clients,
                *((SUB_GHZ,) if sub_ghz else ()),
                KEY_ESTABLISHMENT,
            ),
        )


KINDS: Mapping[Kind, KindProfile] = {
    Kind.CAD: KindProfile("Virtual CAD", 0x0502, DISPLAY_CLUSTERS, extra_clients=(EVENTS, OTA)),
    Kind.IHD: KindProfile(
        "Virtual IHD",
        0x0502,
        DISPLAY_CLUSTERS,
        extra_servers=(DIAGNOSTICS,),
        extra_clients=(EVENTS, OTA),
        has_person=True,
    ),
    Kind.PPMID: KindProfile(
        "Virtual PPMID",
        0x0506,
        (*DISPLAY_CLUSTERS, EVENTS),
        extra_servers=(PREPAYMENT, TUNNELING, DIAGNOSTICS),
        extra_clients=(OTA,),
        has_person=True,
    ),
    Kind.LOAD_SWITCH: KindProfile(
        "Virtual load switch",
        0x0504,
        (DRLC, CALENDAR, DEVICE_MANAGEMENT),
        extra_servers=(TUNNELING,),
        extra_clients=(OTA,),
    ),
    # No device id is published for it; it has nothing but clients, as an in-home display may.
    Kind.HAND_HELD_TERMINAL: KindProfile(
        "Virtual hand-held terminal", 0x0502, (EVENTS,), stays_s=30 * 60.0
    ),
    Kind.GAS_METER: KindProfile(
        "Virtual gas meter",
        0x0501,
        (PRICE, MESSAGING, DEVICE_MANAGEMENT),
        extra_servers=(METERING, PREPAYMENT),
        extra_clients=(METERING,),
        sleeps=True,
    ),
}
