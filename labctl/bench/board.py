"""What is going on at the bench right now: the events so far, folded into what a person asks for.

No I/O and no clock: the views draw it, tests read it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from labctl.events import (
    DeviceSeen,
    Event,
    JoinEnded,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    LinkSample,
    Note,
    PairingArmed,
    PairingWindowClosed,
    RadioLost,
    RadioUp,
    ReadScheduleDeclared,
    ReadServed,
    Refused,
    RunEnded,
    RunStarted,
    Severity,
    Step,
    StepStatus,
)

RECENT_SAMPLES = 200
"""Link samples kept for the median shown."""

RECENT_NOTES = 6


@dataclass(slots=True)
class ScheduleLine:
    """One read schedule: how often it should come, how often it came."""

    name: str
    period_ms: int
    tolerance_ms: int
    observed: int = 0
    late: int = 0
    first_us: int | None = None
    last_us: int | None = None

    def count(self, at_us: int) -> None:
        """A read of this schedule was served."""
        if self.last_us is None:
            self.first_us = at_us
        elif at_us - self.last_us > (self.period_ms + self.tolerance_ms) * 1000:
            self.late += 1
        self.last_us = at_us
        self.observed += 1

    def expected(self, now_us: int) -> int:
        """Reads due by now, counted from the first one; one is due once its tolerance is over."""
        if self.first_us is None:
            return 0
        since_us, period_us = now_us - self.first_us, self.period_ms * 1000
        overdue = max(0, since_us - self.tolerance_ms * 1000) // period_us + 1
        due = since_us // period_us + 1
        return min(due, max(overdue, self.observed))


@dataclass(slots=True)
class StepLine:
    """A step of the join that is going on, or of the last one."""

    step: Step
    status: StepStatus
    elapsed_us: int
    detail: str


@dataclass(slots=True)
class DeviceLine:
    """A device as the bench sees it."""

    eui64: str
    name: str
    kind: str = ""
    state: str = "not seen yet"
    window_until_us: int | None = None
    joins: int = 0
    steps: list[StepLine] = field(default_factory=list)
    outcome: JoinOutcome | None = None
    cause: str = ""
    schedules: dict[str, ScheduleLine] = field(default_factory=dict)
    other_reads: int = 0
    refused: int = 0
    rssi_dbm: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_SAMPLES))
    lqi: int | None = None
    frames: int = 0

    def rssi_median_dbm(self) -> int | None:
        """Median of the last samples, dBm."""
        return round(median(self.rssi_dbm)) if self.rssi_dbm else None


class Board:
    """Folds events. `now_us` is the time of the newest one."""

    def __init__(self) -> None:
        self.rig = ""
        self.simulated = False
        self.started_us: int | None = None
        self.now_us = 0
        self.radio: RadioUp | None = None
        self.radio_lost: str | None = None
        self.devices: dict[str, DeviceLine] = {}
        self.notes: deque[str] = deque(maxlen=RECENT_NOTES)
        self.ended: RunEnded | None = None
        self._device_of_join: dict[int, DeviceLine] = {}

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        self.now_us = max(self.now_us, event.at_us)
        match event:
            case LinkSample():
                device = self._device(event.eui64)
                device.frames += 1
                device.lqi = event.lqi
                if event.rssi_dbm is not None:
                    device.rssi_dbm.append(event.rssi_dbm)
            case ReadServed():
                self._read(event)
            case RunStarted():
                self.rig, self.simulated = event.rig, event.simulated
                self.started_us = event.at_us
            case RadioUp():
                self.radio, self.radio_lost = event, None
            case RadioLost():
                self.radio_lost = event.cause
            case DeviceSeen():
                device = self._device(event.eui64)
                device.name = event.name or device.name
                device.kind = event.kind.value if event.kind else device.kind
            case ReadScheduleDeclared():
                self._device(event.eui64).schedules[event.name] = ScheduleLine(
                    event.name, event.period_ms, event.tolerance_ms
                )
            case PairingArmed():
                device = self._device(event.eui64)
                device.window_until_us = event.at_us + event.window_s * 1_000_000
                device.state = "window open"
            case PairingWindowClosed():
                device = self._device(event.eui64)
                device.window_until_us = None
                if not event.authorised:
                    device.state = "window closed"
            case JoinStarted():
                self._join_started(event)
            case JoinStepTaken():
                self._join_step(event)
            case JoinEnded():
                self._join_ended(event)
            case Refused():
                self._device(event.eui64).refused += 1
            case Note():
                self._waits(event)
                if event.severity is not Severity.INFO:
                    self.notes.append(f"{event.severity}: {event.kind} {_shown(event.detail)}")
            case RunEnded():
                self.ended = event
            case _:
                pass

    def _waits(self, event: Note) -> None:
        """A device whose pairing takes a person's act."""
        if event.eui64 is None or self._device(event.eui64).window_until_us is not None:
            return
        if event.kind == "pairing-awaits-person":
            self._device(event.eui64).state = "waits for a person"
        elif event.kind == "pairing-not-begun":
            self._device(event.eui64).state = "not paired"

    def tick(self, now_us: int) -> None:
        """Time passes although nothing happens: windows run out and reads become due."""
        self.now_us = max(self.now_us, now_us)

    def _device(self, eui64: str) -> DeviceLine:
        device = self.devices.get(eui64)
        if device is None:
            device = self.devices[eui64] = DeviceLine(eui64, eui64)
        return device

    def _read(self, event: ReadServed) -> None:
        if event.initiator != "device":
            return
        device = self._device(event.eui64)
        schedule = device.schedules.get(event.schedule) if event.schedule else None
        if schedule is None:
            device.other_reads += 1
        else:
            schedule.count(event.at_us)
        if device.outcome is JoinOutcome.AUTHORISED:
            device.state = "reading"

    def _join_started(self, event: JoinStarted) -> None:
        device = self._device(event.eui64)
        self._device_of_join[event.join] = device
        device.joins += 1
        device.steps = []
        device.outcome = None
        device.cause = ""
        device.state = f"{event.kind.value} …"

    def _join_step(self, event: JoinStepTaken) -> None:
        device = self._device_of_join.get(event.join)
        if device is None:
            return
        device.steps.append(StepLine(event.step, event.status, event.elapsed_us, event.detail))
        if device.outcome is None:
            device.state = event.step.value

    def _join_ended(self, event: JoinEnded) -> None:
        device = self._device_of_join.get(event.join)
        if device is None:
            return
        device.outcome, device.cause = event.outcome, event.cause
        device.state = event.outcome.value


def _shown(detail: dict[str, object]) -> str:
    return " ".join(f"{key}={value}" for key, value in detail.items())
