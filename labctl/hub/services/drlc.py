"""DRLC 0x0701: listed because GB displays look for the hub by it; it never has an event."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labctl.events import Event, Note
from labctl.hub.services.base import NOT_FOUND, SUCCESS, Outcome, Request, Service
from labctl.smart_energy.clusters import Drlc

REPORT_EVENT_STATUS, GET_SCHEDULED_EVENTS = 0x00, 0x01


class DrlcService(Service[None]):
    """Get Scheduled Events is answered NOT_FOUND (SE 1.4 D.2.2.4.2).

    Report Event Status is taken and recorded: a load switch may tell of an event that the hub never
    sent, and that is worth knowing.
    """

    definition = Drlc
    commands = frozenset({REPORT_EVENT_STATUS, GET_SCHEDULED_EVENTS})

    def __init__(self) -> None:
        super().__init__([])

    def command(self, request: Request, fields: Any) -> Outcome:
        """There is nothing to find."""
        return SUCCESS if request.command_id == REPORT_EVENT_STATUS else NOT_FOUND

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """What a device says of an event."""
        if request.command_id == REPORT_EVENT_STATUS:
            yield Note(
                at_us=request.now_us,
                kind="load-control-status",
                eui64=request.eui64,
                detail={
                    "issuer_event_id": int(fields.issuer_event_id),
                    "event_status": int(fields.event_status),
                },
            )
