"""Cluster definitions of GB Smart Energy, with zigpy's own classes.

zigpy files every `Cluster` subclass under its id for the whole process. These say
`_skip_registry`, so importing them changes nothing for anybody else.

`CLUSTERS` has them by id. People name clusters and attributes in rig files; `cluster_id` and
`attribute_id` turn names into ids and know what to suggest for a misspelt one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from zigpy.zcl import Cluster
from zigpy.zcl.clusters.general import Basic, KeepAlive, Time

from labctl.smart_energy.clusters.drlc import Drlc
from labctl.smart_energy.clusters.key_establishment import KeyEstablishment
from labctl.smart_energy.clusters.messaging import Messaging
from labctl.smart_energy.clusters.metering import Metering
from labctl.smart_energy.clusters.price import Price

__all__ = [
    "CLUSTERS",
    "NAMES",
    "SMART_ENERGY_PROFILE",
    "Basic",
    "Drlc",
    "KeepAlive",
    "KeyEstablishment",
    "Messaging",
    "Metering",
    "Price",
    "Time",
    "attribute_id",
    "cluster_id",
]

SMART_ENERGY_PROFILE: Final = 0x0109

NAMES: Final[dict[str, type[Cluster]]] = {
    "basic": Basic,
    "time": Time,
    "keep_alive": KeepAlive,
    "price": Price,
    "drlc": Drlc,
    "metering": Metering,
    "messaging": Messaging,
    "key_establishment": KeyEstablishment,
}
"""Clusters by the name that rig files use."""

CLUSTERS: Final[dict[int, type[Cluster]]] = {int(c.cluster_id): c for c in NAMES.values()}
"""Clusters by id."""

_ALIASES: Final[dict[str, dict[str, int]]] = {
    # The specification's words where zigpy abbreviates, or the other way round.
    "metering": {
        "current_summation_delivered": 0x0000,
        "current_summation_received": 0x0001,
        "ambient_consumption_indicator": 0x0207,
        "current_day_consumption_delivered": 0x0401,
        "current_day_consumption_received": 0x0402,
        "previous_day_consumption_delivered": 0x0403,
        "previous_day_consumption_received": 0x0404,
    },
}


def cluster_id(name: str) -> int:
    """The id of the cluster that rig files call `name`. Raises `ValueError` with a suggestion."""
    cluster = NAMES.get(name)
    if cluster is None:
        raise ValueError(f"there is no cluster {name!r}{_suggest(name, NAMES)}")
    return int(cluster.cluster_id)


def attribute_id(cluster: str, name: str) -> int:
    """The id of an attribute of the cluster of that name. Raises `ValueError`."""
    cluster_id(cluster)
    known = {d.name: int(d.id) for d in NAMES[cluster].AttributeDefs}
    known |= _ALIASES.get(cluster, {})
    if name not in known:
        raise ValueError(f"cluster {cluster!r} has no attribute {name!r}{_suggest(name, known)}")
    return known[name]


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
