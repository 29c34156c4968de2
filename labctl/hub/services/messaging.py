"""Messaging 0x0703: texts for displays (SE 1.4 D.5)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from labctl.events import Event, Note
from labctl.hub.services.base import (
    NOT_FOUND,
    PUSHED,
    SUCCESS,
    Answer,
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
_CONFIRMATION_REQUIRED = 0x80
_ENHANCED_CONFIRMATION = 0x20
_ANSWERS = {0x01: "no", 0x02: "yes"}


class Importance(enum.IntEnum):
    """How much a message matters (D.5.2.3.1.1.1)."""

    LOW = 0
    MEDIUM = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A text. `duration_min` None means until another comes; `start` 0 means now.

    `confirm` asks the consumer to say that it was read, `enhanced` to answer yes, no or in words.
    """

    message_id: int
    text: str
    confirm: bool = False
    enhanced: bool = False
    importance: Importance = Importance.LOW
    start: int = 0
    duration_min: int | None = None

    def __post_init__(self) -> None:
        if len(self.text.encode()) > MESSAGE_LIMIT:
            raise ValueError(f"a message has at most {MESSAGE_LIMIT} octets")
        if self.duration_min is not None and not 0 <= self.duration_min < _UNTIL_CHANGED:
            raise ValueError(f"a message lasts 0 to 65534 min, not {self.duration_min}")

    @property
    def control(self) -> int:
        """The message control octet."""
        control = self.importance << 2
        if self.confirm:
            control |= _CONFIRMATION_REQUIRED
        if self.enhanced:
            control |= _ENHANCED_CONFIRMATION
        return control


class MessagingService(Service[None]):
    """Keeps the last message. There is none to begin with."""

    definition = Messaging
    sends = (
        "display_message",
        "cancel_message",
        "cancel_all_messages",
    )
    commands = frozenset({GET_LAST_MESSAGE, MESSAGE_CONFIRMATION, GET_MESSAGE_CANCELLATION})

    def __init__(self) -> None:
        super().__init__([])
        self.last: Message | None = None
        self._cancelled_at: int | None = None

    def publish(self, message: Message) -> Answer:
        """Take the place of the message before; what goes out to displays."""
        self.last = message
        self._cancelled_at = None
        return _display(message)

    def cancel(self, message_id: int, now: int) -> Answer | None:
        """Take a message back (`now` in seconds since 2000); None when it is not the last one."""
        if self.last is None or self.last.message_id != message_id:
            return None
        self.last = None
        self._cancelled_at = now
        return answer(
            command_of(Messaging, "cancel_message"),
            PUSHED,
            message_id=message_id,
            message_control=0,
        )

    def command(self, request: Request, fields: Any) -> Outcome:
        """Hand out the last message or its cancellation; take confirmations."""
        if request.command_id == MESSAGE_CONFIRMATION:
            known = self.last is not None and int(fields.message_id) == self.last.message_id
            return SUCCESS if known else NOT_FOUND
        if request.command_id == GET_MESSAGE_CANCELLATION:
            return self._cancellation(int(fields.earliest_implementation_time))
        return NOT_FOUND if self.last is None else [_display(self.last)]

    def _cancellation(self, earliest: int) -> Outcome:
        """A message that was taken back is told with Cancel All Messages (D.5.2.3.3.3)."""
        if self._cancelled_at is None or self._cancelled_at < earliest:
            return NOT_FOUND
        return [
            answer(
                command_of(Messaging, "cancel_all_messages"),
                PUSHED,
                implementation_time=self._cancelled_at,
            )
        ]

    def events(self, request: Request, fields: Any) -> Iterable[Event]:
        """A confirmation is evidence."""
        if request.command_id == MESSAGE_CONFIRMATION:
            detail: dict[str, object] = {"message_id": int(fields.message_id)}
            detail["confirmed_at"] = int(fields.confirmation_time)
            if fields.confirmation_control is not None:
                control = int(fields.confirmation_control)
                detail["answer"] = _ANSWERS.get(control, f"0x{control:02X}")
            if fields.confirmation_response:
                detail["response"] = bytes(fields.confirmation_response).decode("utf-8", "replace")
            yield Note(
                at_us=request.now_us, kind="message-confirmed", eui64=request.eui64, detail=detail
            )


def _display(message: Message) -> Answer:
    return answer(
        command_of(Messaging, "display_message"),
        PUSHED,
        message_id=message.message_id,
        message_control=message.control,
        start_time=message.start,
        duration_in_minutes=(
            _UNTIL_CHANGED if message.duration_min is None else message.duration_min
        ),
        message=message.text,
    )
