"""Who may do what.

A CAD or an IHD may read everything that is served and send the commands that change nothing.
Everything else, writes above all, is refused, recorded, and changes nothing (S2 para. 167, 252).
No kind of device has a right beyond that yet.
"""

from __future__ import annotations

from typing import Any

from labctl.events import DeviceKind
from labctl.hub.services.base import Service


def may_command(kind: DeviceKind, service: Service[Any], command_id: int) -> bool:
    """Whether a device of that kind may send a cluster command."""
    return command_id in service.queries
