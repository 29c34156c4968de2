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
from labctl.hub.bearers import Bearers
from labctl.radio.coordinator import short_address
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

    def __init__(self, bus: EventBus, clock: Clock, bearers: Bearers) -> None:
        self.emit = bus.emit
        self.now_us = clock.now_us
        self._bearers = bearers
        self._count = 0

    def start(
        self,
        eui64: Eui64,
        kind: JoinKind,
        *,
        nwk: int | None = None,
        parent: int | None = None,
        bearer: int | None = None,
    ) -> JoinRow:
        """Begin a row. `bearer` is None when nothing was heard."""
        self._count += 1
        radio = self._bearers[bearer or 0]
        row = JoinRow(self, self._count, eui64, kind)
        self.emit(
            JoinStarted(
                at_us=row.started_us,
                join=row.number,
                eui64=eui64,
                kind=kind,
                band=radio.band,
                page=radio.page,
                channel=radio.channel,
                nwk=None if nwk is None else short_address(nwk),
                parent_nwk=None if parent is None else short_address(parent),
            )
        )
        return row
