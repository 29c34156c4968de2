"""Join attempts as they go into the record: numbered, with steps and an end."""

from __future__ import annotations

from labctl.clock import Clock
from labctl.events import (
    EventBus,
    JoinEnded,
    JoinKind,
    JoinOutcome,
    JoinStarted,
    JoinStepTaken,
    Step,
    StepStatus,
)
from labctl.radio.coordinator import RadioState
from labctl.smart_energy.eui64 import Eui64


class JoinRow:
    """One attempt. Steps may be added after its end: discovery and first read come later."""

    def __init__(self, book: JoinBook, number: int, eui64: Eui64, kind: JoinKind) -> None:
        self._book = book
        self.number = number
        self.eui64 = eui64
        self.kind = kind
        self.started_us = self._last_us = book.now_us()
        self.outcome: JoinOutcome | None = None
        self._taken: set[Step] = set()

    def took(self, step: Step) -> bool:
        """Whether the step was taken."""
        return step in self._taken

    def step(self, step: Step, status: StepStatus = StepStatus.OK, detail: str = "") -> None:
        """Record a step."""
        now_us = self._book.now_us()
        elapsed_us = now_us - self._last_us if self._taken else 0
        self._last_us = now_us
        self._taken.add(step)
        self._book.emit(
            JoinStepTaken(
                at_us=now_us,
                join=self.number,
                step=step,
                elapsed_us=elapsed_us,
                status=status,
                detail=detail,
            )
        )

    def end(self, outcome: JoinOutcome, cause: str = "") -> None:
        """Record the outcome; only the first counts."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        self._book.emit(
            JoinEnded(at_us=self._book.now_us(), join=self.number, outcome=outcome, cause=cause)
        )


class JoinBook:
    """Numbers the attempts of a run."""

    def __init__(self, bus: EventBus, clock: Clock, radio: RadioState) -> None:
        self.emit = bus.emit
        self.now_us = clock.now_us
        self._radio = radio
        self._count = 0

    def start(
        self, eui64: Eui64, kind: JoinKind, *, nwk: int | None = None, parent: int | None = None
    ) -> JoinRow:
        """Begin a row."""
        self._count += 1
        row = JoinRow(self, self._count, eui64, kind)
        self.emit(
            JoinStarted(
                at_us=row.started_us,
                join=row.number,
                eui64=eui64,
                kind=kind,
                band=self._radio.band,
                page=self._radio.page,
                channel=self._radio.channel,
                nwk=nwk,
                parent_nwk=parent,
            )
        )
        return row
