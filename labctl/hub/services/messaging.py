"""Messaging 0x0703: texts for displays (SE 1.4 D.5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labctl.events import Event, Note
from labctl.hub.services.base import (
    NOT_FOUND,
    PUSHED,
    SUCCESS,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.smart_energy.clusters import Messaging

GET_LAST_MESSAGE = 0x00
MESSAGE_CONFIRMATION = 0x01
GET_MESSAGE_CANCELLATION = 0x02

MESSAGE_LIMIT = 116
"""Octets of a text that GB displays are known to take."""
_UNTIL_CHANGED = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text. `duration_min` None means until another comes; `start` 0 means now."""

    message_id: int
    text: str
    confirm: bool = False
    start: int = 0
    duration_min: int | None = None

    def __post_init__(self) -> None:
        if len(self.text.encode()) > MESSAGE_LIMIT:
            raise ValueError(f"a message has at most {MESSAGE_LIMIT} octets")


class MessagingService(Service[None]):
    """Keeps the last message. There is none to begin with."""

    definition = Messaging
    commands = frozenset({GET_LAST_MESSAGE, MESSAGE_CONFIRMATION, GET_MESSAGE_CANCELLATION})
    queries = commands

    def __init__(self) -> None:
        super().__init__([])
        self.last: Message | None = None

    def command(self, request: Request, fields: Any) -> Outcome:
        """Hand out the last message; take confirmations."""
        if request.command_id == MESSAGE_CONFIRMATION:
            known = self.last is not None and int(fields.message_id) == self.last.message_id
            return SUCCESS if known else NOT_FOUND
        if request.command_id == GET_MESSAGE_CANCELLATION or self.last is None:
            return NOT_FOUND
        last = self.last
        return [
            answer(
                command_of(Messaging, "display_message"),
                PUSHED,
                message_id=last.message_id,
                message_control=0x80 if last.confirm else 0x00,
                start_time=last.start,
                duration_in_minutes=(
                    _UNTIL_CHANGED if last.duration_min is None else last.duration_min
                ),
                message=last.text,
            )
        ]

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """A confirmation is evidence."""
        if request.command_id == MESSAGE_CONFIRMATION:
            yield Note(
                at_us=request.now_us,
                kind="message-confirmed",
                eui64=request.eui64,
                detail={"message_id": int(fields.message_id)},
            )
