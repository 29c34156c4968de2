"""Energy Management 0x0706: the hub is the client; the server is the load switch (SE 1.4 D.8)."""

from __future__ import annotations

from typing import Any

from labctl.hub.reporter import Reporter
from labctl.hub.services.base import SUCCESS, Outcome, Request, Service
from labctl.smart_energy.clusters import EnergyManagement

REPORT_EVENT_STATUS = 0x00


class EnergyManagementService(Service[None]):
    """Takes what a load switch reports, and records it."""

    definition = EnergyManagement
    server = False
    also_client = True
    client_commands = frozenset({REPORT_EVENT_STATUS})

    def __init__(self, reporter: Reporter) -> None:
        super().__init__([])
        self._reporter = reporter

    def client_command(self, request: Request, fields: Any) -> Outcome:
        """Report Event Status."""
        self._reporter.note(
            "load-control-status",
            eui64=request.eui64,
            issuer_event_id=int(fields.issuer_event_id),
            event_status=int(fields.event_status),
        )
        return SUCCESS
