"""Events 0x0709: the logs of the hub and of its meters (SE 1.4 D.11)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Final

from labctl.hub.services.base import (
    NOT_FOUND,
    PUSHED,
    Answer,
    Outcome,
    Request,
    Service,
    answer,
    command_of,
)
from labctl.smart_energy.clusters import Events
from labctl.smart_energy.clusters.events import EventLogId, LogEntry

GET_EVENT_LOG, CLEAR_EVENT_LOG = 0x00, 0x01

DEVICE_LOG_CHANGED: Final = 0x8F12
"""GBCS: a device was added to the log or taken out of it, or its key changed."""

LOG_SIZE: Final = 100
"""Entries that a log holds; the oldest goes."""
_IN_ONE_FRAME = 4  # 5 octets and 4 entries of 8 octets and their data pass without fragments
_DATA_LIMIT = 10  # octets of data in an entry of a frame: 4 entries of 18 and the head make 77
_LOGS = {int(log) for log in EventLogId if log is not EventLogId.ALL}
_ANY_EVENT = 0x0000
_FULL = 0x1
_U8, _U16 = 0xFF, 0xFFFF
_REPORT_TO_HAN = 0x01


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event; `time` in seconds since 2000."""

    log: EventLogId
    event_id: int
    time: int
    data: bytes = b""

    def __post_init__(self) -> None:
        if self.log is EventLogId.ALL:
            raise ValueError("an event stands in one log, not in all")
        if not 0 < self.event_id <= _U16:
            raise ValueError(f"an event id is 0x0001 to 0xFFFF, not {self.event_id:#06x}")
        if len(self.data) > _DATA_LIMIT:
            raise ValueError(f"an event has at most {_DATA_LIMIT} octets of data")


class EventsService(Service[None]):
    """Keeps `LOG_SIZE` events in each log."""

    definition = Events
    sends = (
        "publish_event",
        "publish_event_log",
        "clear_event_log_response",
    )
    commands = frozenset({GET_EVENT_LOG, CLEAR_EVENT_LOG})

    def __init__(self) -> None:
        super().__init__([])
        self._logs: dict[EventLogId, deque[LoggedEvent]] = {}

    def record(self, event: LoggedEvent) -> Answer:
        """Write an event down; what goes out to whoever is bound."""
        self._logs.setdefault(event.log, deque(maxlen=LOG_SIZE)).appendleft(event)
        return answer(
            command_of(Events, "publish_event"),
            PUSHED,
            log_id=int(event.log),
            event_id=event.event_id,
            event_time=event.time,
            event_control=_REPORT_TO_HAN,
            event_data=event.data,
        )

    def command(self, request: Request, fields: Any) -> Outcome:
        """Hand out a part of a log, or clear it."""
        if request.command_id == CLEAR_EVENT_LOG:
            return self._clear(int(fields.log_id) & 0x0F)
        return self._publish(fields)

    def _publish(self, fields: Any) -> Outcome:
        """The newest first, in frames that need no fragments (D.11.2.3.1, D.11.2.4.2)."""
        octet = int(fields.event_control_log_id)
        full, log = octet >> 4 == _FULL, octet & 0x0F
        matching = [
            event
            for event in self._of(log)
            if fields.event_id in (_ANY_EVENT, event.event_id)
            and fields.start_time <= event.time < fields.end_time
        ]
        wanted = matching[int(fields.event_offset) :]
        wanted = wanted[: int(fields.number_of_events) or None]
        if not wanted:
            return NOT_FOUND
        frames = [wanted[i : i + _IN_ONE_FRAME] for i in range(0, len(wanted), _IN_ONE_FRAME)]
        return [
            answer(
                command_of(Events, "publish_event_log"),
                total_number_of_matching_events=min(len(matching), _U16),
                command_index=index,
                total_commands=len(frames[:_U8]),
                log_payload_control=len(frame) << 4,
                log_payload=[
                    LogEntry(
                        log_id=int(event.log),
                        event_id=event.event_id,
                        event_time=event.time,
                        event_data=event.data if full else b"",
                    )
                    for event in frame
                ],
            )
            for index, frame in enumerate(frames[:_U8])
        ]

    def _of(self, log: int) -> list[LoggedEvent]:
        """The events of one log, or of all of them in the order of time."""
        if log:
            return list(self._logs.get(EventLogId(log), ())) if log in _LOGS else []
        every = [event for events in self._logs.values() for event in events]
        return sorted(every, key=lambda event: event.time, reverse=True)

    def _clear(self, log: int) -> Outcome:
        """The answer has a bit for each log that was cleared; bit 0 stands for all."""
        cleared = 0
        for number in _LOGS if log == 0 else {log} & _LOGS:
            self._logs.pop(EventLogId(number), None)
            cleared |= 1 << number
        return [
            answer(
                command_of(Events, "clear_event_log_response"),
                cleared_event_logs=cleared | (1 if log == 0 else 0),
            )
        ]
