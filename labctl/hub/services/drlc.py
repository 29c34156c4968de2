"""DRLC 0x0701: listed because GB displays look for the hub by it; it never has an event."""

from __future__ import annotations

from typing import Any

from labctl.hub.services.base import NOT_FOUND, Outcome, Request, Service
from labctl.smart_energy.clusters import Drlc


class DrlcService(Service[None]):
    """Get Scheduled Events is answered NOT_FOUND (SE 1.4 D.2.2.4.2)."""

    definition = Drlc
    commands = frozenset({0x01})
    queries = commands

    def __init__(self) -> None:
        super().__init__([])

    def command(self, request: Request, fields: Any) -> Outcome:
        """There is nothing to find."""
        return NOT_FOUND
