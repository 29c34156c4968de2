"""Cluster definitions of GB Smart Energy, with zigpy's own classes.

zigpy files every `Cluster` subclass under its id for the whole process. These say
`_skip_registry`, so importing them changes nothing for anybody else.

Basic, Time and Keep-Alive are zigpy's as they stand.
"""

from __future__ import annotations

from typing import Final

from zigpy.zcl import Cluster
from zigpy.zcl.clusters.general import Basic, KeepAlive, Time

from labctl.smart_energy.clusters.calendar import Calendar
from labctl.smart_energy.clusters.drlc import Drlc
from labctl.smart_energy.clusters.key_establishment import KeyEstablishment
from labctl.smart_energy.clusters.messaging import Messaging
from labctl.smart_energy.clusters.metering import Metering
from labctl.smart_energy.clusters.prepayment import Prepayment
from labctl.smart_energy.clusters.price import Price

__all__ = [
    "CLUSTERS",
    "SMART_ENERGY_PROFILE",
    "Basic",
    "Calendar",
    "Drlc",
    "KeepAlive",
    "KeyEstablishment",
    "Messaging",
    "Metering",
    "Prepayment",
    "Price",
    "Time",
]

SMART_ENERGY_PROFILE: Final = 0x0109

CLUSTERS: Final[dict[int, type[Cluster]]] = {
    int(cluster.cluster_id): cluster
    for cluster in (
        Basic,
        Time,
        KeepAlive,
        Price,
        Drlc,
        Metering,
        Messaging,
        Prepayment,
        Calendar,
        KeyEstablishment,
    )
}
"""The definitions by cluster id."""
