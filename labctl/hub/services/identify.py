"""Identify 0x0003: somebody wants to see which box this is (ZCL 3.5)."""

from __future__ import annotations

from typing import Any

from labctl.hub.services.base import (
    NOT_FOUND,
    SUCCESS,
    Attribute,
    Outcome,
    Request,
    Security,
    Service,
    answer,
    command_of,
    defined,
)
from labctl.smart_energy.clusters import Identify

IDENTIFY, IDENTIFY_QUERY = 0x00, 0x01
IDENTIFY_TIME = 0x0000
_US = 1_000_000


class IdentifyService(Service[int]):
    """Counts down. A hub without a lamp has nothing to show for it."""

    definition = Identify
    sends = ("identify_query_response",)
    security = Security.NONE
    commands = frozenset({IDENTIFY, IDENTIFY_QUERY})
    writable = frozenset({IDENTIFY_TIME})

    def __init__(self) -> None:
        super().__init__([Attribute(defined(Identify, "identify_time"), lambda left: left)])
        self._until_us = 0

    def state(self, now_us: int) -> int:
        """Seconds left."""
        return max(0, -(-(self._until_us - now_us) // _US))

    def write(self, attribute_id: int, value: Any, now_us: int) -> int:
        """Start, or end with 0."""
        self._until_us = now_us + int(value) * _US
        return SUCCESS

    def command(self, request: Request, fields: Any) -> Outcome:
        """Start, or tell how long it still goes on."""
        if request.command_id == IDENTIFY:
            return self.write(IDENTIFY_TIME, fields.identify_time, request.now_us)
        left = self.state(request.now_us)
        if not left:
            return NOT_FOUND  # nothing is answered to a broadcast; a unicast must have an end
        return [answer(command_of(Identify, "identify_query_response"), timeout=left)]
