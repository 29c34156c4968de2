"""Who may do what: the access table, in the form in which the dispatcher asks it.

What it denies is refused, recorded, and changes nothing (S2 para. 167, 252).
"""

from __future__ import annotations

from labctl.events import DeviceKind
from labctl.smart_energy.access import AccessTable, General


class Access:
    """The rights of the kinds of devices."""

    def __init__(self, table: AccessTable) -> None:
        self._table = table
        self._readers = table.readers()

    def may_read(self, kind: DeviceKind, cluster_id: int) -> bool:
        """Whether a device of that kind may read the cluster's attributes."""
        return (kind, cluster_id) in self._readers

    def may_write(self, kind: DeviceKind, cluster_id: int) -> bool:
        """Whether a device of that kind may write those attributes that can be written."""
        return self._table.allowed(kind, cluster_id, General.WRITE)

    def may_command(self, kind: DeviceKind, cluster_id: int, command_id: int) -> bool:
        """Whether a device of that kind may send a cluster command."""
        return self._table.allowed(kind, cluster_id, command_id)
