"""Who may do what, as a table: one row for each cluster, what is done to it, and kind of device.

The table that labctl ships is `data/access.yaml`; `labctl.config.access_file` reads it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from labctl.events import DeviceKind


class General(enum.Enum):
    """What is done to a cluster by general commands."""

    READ = "read"
    WRITE = "write"


What = General | int
"""Reading or writing attributes, or the id of a command from client to server."""


@dataclass(frozen=True, slots=True)
class AccessTable:
    """The kinds of devices that are let through, by cluster and by what they do to it.

    What has no row is denied to everybody.
    """

    rows: Mapping[tuple[int, What], frozenset[DeviceKind]]

    def allowed(self, kind: DeviceKind, cluster_id: int, what: What) -> bool:
        """Whether a device of that kind may do that to that cluster."""
        return kind in self.rows.get((cluster_id, what), frozenset())

    def readers(self) -> frozenset[tuple[DeviceKind, int]]:
        """Each kind with each cluster whose attributes it may read."""
        return frozenset(
            (kind, cluster_id)
            for (cluster_id, what), kinds in self.rows.items()
            if what is General.READ
            for kind in kinds
        )

    @classmethod
    def everything(cls, cluster_ids: Iterable[int]) -> AccessTable:
        """A table that denies nothing: for a lab that wants to see what a device tries."""
        kinds = frozenset(DeviceKind)
        whats: tuple[What, ...] = (*General, *range(0x100))
        return cls({(cluster, what): kinds for cluster in cluster_ids for what in whats})
