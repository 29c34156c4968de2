"""The load switch's application: Demand Response and Load Control events (Smart Energy 1.4a D.2).

It takes part in every event that is meant for its device class and group, and reports each step.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from labctl.virtual.devices import zcl
from labctl.virtual.devices.cursor import Cursor
from labctl.virtual.devices.observations import Observations, What
from labctl.virtual.devices.peer import Peer

SIMPLE_MISC_LOADS = 0x0080
"""Device class bit 7: simple, residential on/off loads."""

_EVENT, _CANCEL, _CANCEL_ALL, _REPORT = 0x00, 0x01, 0x02, 0x00
_RECEIVED, _STARTED, _COMPLETED, _CANCELLED, _SUPERSEDED = 0x01, 0x02, 0x03, 0x06, 0x07
_INVALID_CANCEL, _EXPIRED = 0xF8, 0xFD
_RANDOM_START, _RANDOM_END = 0x01, 0x02
_NO_SETPOINT, _NO_ADJUSTMENT, _NO_DUTY_CYCLE, _NO_SIGNATURE = 0x8000, 0x80, 0xFF, 0x00
_MINUTES = 60.0


@dataclass(slots=True)
class LoadEvent:
    """A load control event that is pending or active; times in UTC seconds since 2000."""

    peer: Peer
    number: int
    start: float
    end: float
    criticality: int
    control: int
    active: bool = False
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class LoadControl:
    """Follows events. `fire(peer, command, payload)` sends; `utc()` is the device's time or None.

    Attributes of the client: enrolment group 0 (all), 0 or `randomisation_min` minutes of random
    delay, device class simple loads.
    """

    fire: Callable[[Peer, int, bytes], object]
    utc: Callable[[], float | None]
    rng: random.Random
    saw: Observations
    group: int = 0
    randomisation_min: int = 30
    events: dict[int, LoadEvent] = field(default_factory=dict)

    @property
    def is_shed(self) -> bool:
        """Whether an event holds the load off at the moment."""
        return any(event.active for event in self.events.values())

    def heard(self, peer: Peer, frame: zcl.Frame) -> None:
        """A command of the DRLC server. Raise `ZclError` when it cannot be read."""
        cursor = Cursor(frame.payload)
        if frame.command == _EVENT:
            self._event(peer, cursor)
        elif frame.command == _CANCEL:
            self._cancel(peer, cursor.unsigned(4))
        elif frame.command == _CANCEL_ALL:
            for number in list(self.events):
                self._cancel(peer, number)

    def close(self) -> None:
        """The power is gone."""
        for event in self.events.values():
            if event.timer is not None:
                event.timer.cancel()
        self.events.clear()

    def _event(self, peer: Peer, cursor: Cursor) -> None:
        number, device_class, group = cursor.unsigned(4), cursor.unsigned(2), cursor.unsigned(1)
        start, minutes, criticality = cursor.unsigned(4), cursor.unsigned(2), cursor.unsigned(1)
        cursor.take(8)  # cooling and heating, load adjustment, duty cycle: not of a switch
        control = cursor.unsigned(1)
        utc = self.utc()
        if not device_class & SIMPLE_MISC_LOADS or group not in (0, self.group) or utc is None:
            return
        if number in self.events:
            return  # the same event again
        begins = utc if start == 0 else float(start)
        event = LoadEvent(peer, number, begins, begins + minutes * _MINUTES, criticality, control)
        if event.end <= utc:
            self._report(event, _EXPIRED)
            return
        for other in list(self.events.values()):
            if other.start < event.end and event.start < other.end:
                self._end(other, _SUPERSEDED)
        if control & _RANDOM_START:
            event.start += self.rng.uniform(0, self.randomisation_min * _MINUTES)
        if control & _RANDOM_END:
            event.end += self.rng.uniform(0, self.randomisation_min * _MINUTES)
        self.events[number] = event
        self._report(event, _RECEIVED)
        self._at(event, event.start - utc, self._start)

    def _at(self, event: LoadEvent, delay_s: float, then: Callable[[LoadEvent], None]) -> None:
        event.timer = asyncio.get_running_loop().call_later(max(0.0, delay_s), then, event)

    def _start(self, event: LoadEvent) -> None:
        event.active = True
        self._report(event, _STARTED)
        self._at(event, event.end - event.start, self._complete)

    def _complete(self, event: LoadEvent) -> None:
        self._end(event, _COMPLETED)

    def _cancel(self, peer: Peer, number: int) -> None:
        event = self.events.get(number)
        if event is None:
            now = self.utc() or 0.0
            self._report(LoadEvent(peer, number, now, now, 0, 0), _INVALID_CANCEL)
            return
        self._end(event, _CANCELLED)

    def _end(self, event: LoadEvent, status: int) -> None:
        if event.timer is not None:
            event.timer.cancel()
        event.active = False
        del self.events[event.number]
        self._report(event, status)

    def _report(self, event: LoadEvent, status: int) -> None:
        """ReportEventStatus (D.2.3.3.1), without a signature."""
        payload = struct.pack(
            "<IBIBHHBBBB",
            event.number,
            status,
            int(self.utc() or 0),
            event.criticality,
            _NO_SETPOINT,
            _NO_SETPOINT,
            _NO_ADJUSTMENT,
            _NO_DUTY_CYCLE,
            event.control,
            _NO_SIGNATURE,
        )
        self.saw.note(What.LOAD, f"event {event.number}: status 0x{status:02X}")
        self.fire(event.peer, _REPORT, payload)
