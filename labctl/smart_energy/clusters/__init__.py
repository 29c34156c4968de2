"""Cluster definitions of GB Smart Energy, with zigpy's own classes.

zigpy files every `Cluster` subclass under its id for the whole process. These say
`_skip_registry`, so importing them changes nothing for anybody else.

Basic, Identify, Time, OTA Upgrade, Keep-Alive and Diagnostics are zigpy's as they stand.
"""

from __future__ import annotations

from typing import Final

from zigpy.zcl import Cluster
from zigpy.zcl.clusters.general import Basic, Identify, KeepAlive, Ota, Time
from zigpy.zcl.clusters.homeautomation import Diagnostic

from labctl.smart_energy.clusters.calendar import Calendar
from labctl.smart_energy.clusters.device_management import DeviceManagement
from labctl.smart_energy.clusters.drlc import Drlc
from labctl.smart_energy.clusters.energy_management import EnergyManagement
from labctl.smart_energy.clusters.events import Events
from labctl.smart_energy.clusters.key_establishment import KeyEstablishment
from labctl.smart_energy.clusters.mdu_pairing import MduPairing
from labctl.smart_energy.clusters.messaging import Messaging
from labctl.smart_energy.clusters.metering import Metering
from labctl.smart_energy.clusters.prepayment import Prepayment
from labctl.smart_energy.clusters.price import Price
from labctl.smart_energy.clusters.sub_ghz import SubGhz
from labctl.smart_energy.clusters.tunneling import Tunneling

__all__ = [
    "CLUSTERS",
    "SMART_ENERGY_PROFILE",
    "Basic",
    "Calendar",
    "DeviceManagement",
    "Diagnostic",
    "Drlc",
    "EnergyManagement",
    "Events",
    "Identify",
    "KeepAlive",
    "KeyEstablishment",
    "MduPairing",
    "Messaging",
    "Metering",
    "Ota",
    "Prepayment",
    "Price",
    "SubGhz",
    "Time",
    "Tunneling",
]

SMART_ENERGY_PROFILE: Final = 0x0109

CLUSTERS: Final[dict[int, type[Cluster]]] = {
    int(cluster.cluster_id): cluster
    for cluster in (
        Basic,
        Identify,
        Time,
        Ota,
        KeepAlive,
        Price,
        Drlc,
        Metering,
        Messaging,
        Tunneling,
        Prepayment,
        EnergyManagement,
        Calendar,
        DeviceManagement,
        Events,
        MduPairing,
        SubGhz,
        KeyEstablishment,
        Diagnostic,
    )
}
"""The definitions by cluster id."""
