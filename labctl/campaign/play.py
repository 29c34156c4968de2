"""Playing one attempt at a case, and what it came to: the one place where that is decided.

A device is never blamed for the rig's fault: whatever a case found while a radio was out, not on
purpose, is an infrastructure error; so is an error of the rig, of the database and of the case
itself. Whoever reads it can try again; the campaign does so by itself, and keeps every attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from labctl.campaign.air import file_name
from labctl.campaign.case import Case, Start
from labctl.campaign.findings import (
    CaseEnd,
    Failed,
    Incomplete,
    NotApplicable,
    NotSeen,
    Skipped,
)
from labctl.campaign.measurements import Measurements, in_words
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.config.resolved import DeviceUnderTest
from labctl.errors import LabctlError
from labctl.events import (
    Captured,
    CaseEnded,
    CaseOutcome,
    CaseStarted,
    DeviceSeen,
    RadioLost,
    RadioUp,
)
from labctl.secret import hide

_LOGGER = logging.getLogger(__name__)

_ENDS = {
    Failed: CaseOutcome.FAIL,
    NotSeen: CaseOutcome.FAIL,
    Incomplete: CaseOutcome.INCOMPLETE,
    NotApplicable: CaseOutcome.NOT_APPLICABLE,
    Skipped: CaseOutcome.SKIPPED,
}
_SAYS_SOMETHING_BAD = (
    CaseOutcome.FAIL,
    CaseOutcome.INCOMPLETE,
    CaseOutcome.MARGINAL,
    CaseOutcome.SKIPPED,
)
MISSED_AFTER_S = 30.0
"""How long a radio that hangs may go unnoticed at most (docs/faults.md)."""
_WORST_FIRST = (
    CaseOutcome.FAIL,
    CaseOutcome.INCOMPLETE,
    CaseOutcome.MARGINAL,
    CaseOutcome.PASS,
)

Prepare = Callable[[Watch], Awaitable[None]]
"""Does what a case waits for before its own time begins: a long time of watching."""

_CAPTURED = (CaseOutcome.FAIL, CaseOutcome.INCOMPLETE, CaseOutcome.INFRASTRUCTURE_ERROR)
"""Outcomes that somebody will want to see the air of."""

Function = Callable[[Subject | None, Measurements, Watch], Awaitable[None]]
"""Calls the test function, with what it asked for."""


@dataclass(slots=True)
class Known:
    """What earlier cases of the campaign showed: outcomes by case and device."""

    outcomes: dict[tuple[str, str | None], CaseOutcome]
    firmware: dict[str, str]
    unready: dict[str, str]
    """Devices that could not be made ready for a case, and why."""

    def holds(self, case: str, device: str | None) -> bool:
        """Whether a case did not fail on the device, as far as it was tried."""
        return self.outcomes.get((case, device)) not in (CaseOutcome.FAIL, CaseOutcome.SKIPPED)


def nothing_known() -> Known:
    """At the beginning of a campaign."""
    return Known({}, {}, {})


class Player:
    """Plays attempts on a stage. `limits` are the rig's own, by case and measurement."""

    def __init__(
        self, stage: Stage, limits: Mapping[str, Mapping[str, Mapping[str, float | None]]]
    ) -> None:
        self.stage = stage
        self.known = nothing_known()
        self._limits = limits

    def play(
        self,
        case: Case,
        device: DeviceUnderTest | None,
        function: Function,
        attempt: int,
        quarantine: str = "",
        before: tuple[CaseOutcome, ...] = (),
        prepare: Prepare | None = None,
    ) -> CaseEnded:
        """One attempt. What it came to is recorded, and returned; it does not raise for a rig.

        `before` are the outcomes of the attempts before it: what failed and then passes is
        marginal.
        Raises `LabctlError` when the rig could not even be opened.
        """
        session = self.stage.session
        name = device.name if device else None
        eui64 = device.eui64 if device else None
        with Watch(session.bus, session.clock) as watch:
            measure = Measurements(case.measures, self._limits.get(case.name, {}))
            session.bus.emit(
                CaseStarted(
                    at_us=session.clock.now_us(),
                    case=case.name,
                    title=case.title,
                    attempt=attempt,
                    eui64=eui64,
                )
            )
            subject = None if device is None else self.stage.subject(device, watch)
            outcome, cause = self._outcome(case, subject, function, measure, watch, prepare)
            if outcome is CaseOutcome.PASS and CaseOutcome.FAIL in before:
                outcome = CaseOutcome.MARGINAL
                cause = f"it failed before it passed, at attempt {attempt}"
            for seen in watch:
                if isinstance(seen, DeviceSeen) and seen.firmware_version is not None:
                    self.known.firmware[seen.eui64] = seen.firmware_version
            ended = CaseEnded(
                at_us=session.clock.now_us(),
                case=case.name,
                attempt=attempt,
                outcome=outcome,
                cause=_sayable(cause),
                started_us=watch.began_us,
                eui64=eui64,
                band=subject.band if subject is not None and self.stage.broken is None else None,
                firmware_version=self.known.firmware.get(eui64) if eui64 else None,
                quarantine=quarantine,
                measurements=measure.results,
                captured=self._captured(case, name, attempt, outcome, watch.began_us),
            )
            session.bus.emit(ended)
        self.known.outcomes[case.name, name] = outcome
        return ended

    def not_tried(
        self, case: Case, device: DeviceUnderTest | None, outcome: CaseOutcome, cause: str
    ) -> CaseEnded:
        """Record that a case was not tried, and why."""
        session = self.stage.session
        now_us = session.clock.now_us()
        eui64 = device.eui64 if device else None
        session.bus.emit(
            CaseStarted(at_us=now_us, case=case.name, title=case.title, attempt=1, eui64=eui64)
        )
        ended = CaseEnded(
            at_us=now_us,
            case=case.name,
            attempt=1,
            outcome=outcome,
            cause=cause,
            started_us=now_us,
            eui64=eui64,
            firmware_version=self.known.firmware.get(eui64) if eui64 else None,
        )
        session.bus.emit(ended)
        self.known.outcomes[case.name, device.name if device else None] = outcome
        return ended

    def _captured(
        self, case: Case, device: str | None, attempt: int, outcome: CaseOutcome, began_us: int
    ) -> Captured | None:
        """What was on the air, of an attempt that did not pass."""
        stage = self.stage
        if outcome not in _CAPTURED or stage.air is None or stage.options.reports is None:
            return None
        session = stage.session
        name = file_name(stage.loaded.name, session.run_id, case.name, device, attempt)
        return stage.air.write(stage.options.reports, name, began_us, session.clock.now_us())

    # -- what it came to ----------------------------------------------------------------------

    def _outcome(
        self,
        case: Case,
        subject: Subject | None,
        function: Function,
        measure: Measurements,
        watch: Watch,
        prepare: Prepare | None,
    ) -> tuple[CaseOutcome, str]:
        try:
            self.stage.run(self._played(case, subject, function, measure, watch, prepare))
            outcome, cause = _measured(measure)
        except CaseEnd as end:
            outcome, cause = _ENDS[type(end)], end.cause
        except AssertionError as error:
            outcome, cause = CaseOutcome.FAIL, _first_line(str(error)) or "an assertion failed"
        except LabctlError as error:
            outcome, cause = CaseOutcome.INFRASTRUCTURE_ERROR, error.what
        except Exception as error:  # noqa: BLE001 - a case that breaks is not the device's fault
            said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            cause = f"the case itself broke: {hide(said)}"
            outcome = CaseOutcome.INFRASTRUCTURE_ERROR
        if outcome in _SAYS_SOMETHING_BAD:
            loss = self._lost_meanwhile(watch)
            if loss is not None:
                if subject is not None:
                    self.known.unready.pop(subject.name, None)
                return (
                    CaseOutcome.INFRASTRUCTURE_ERROR,
                    f"the radio {loss.name} was lost meanwhile ({loss.cause}): {cause}",
                )
        return outcome, cause

    def _lost_meanwhile(self, watch: Watch) -> RadioLost | None:
        """The first loss of a radio that touched the attempt and was not made on purpose.

        A radio that hangs is missed only some time later: so much is waited for before anybody is
        blamed. What was lost is given time to come back, for the next attempt.
        """
        ended_us = self.stage.session.clock.now_us()
        try:
            self.stage.run(self._doubt(watch))
        except LabctlError:
            _LOGGER.info("the rig went out while its state was looked at")
        for loss in watch.outages:
            if not self.stage.on_purpose(loss.at_us) and loss.at_us - loss.silent_us <= ended_us:
                return loss
        return None

    async def _doubt(self, watch: Watch) -> None:
        if not self.stage.session.hub.lost:
            await asyncio.sleep(MISSED_AFTER_S)
        while self.stage.session.hub.lost:
            with contextlib.suppress(NotSeen):
                await watch.wait(RadioUp, None, within_s=MISSED_AFTER_S, what="the radio")

    async def _played(
        self,
        case: Case,
        subject: Subject | None,
        function: Function,
        measure: Measurements,
        watch: Watch,
        prepare: Prepare | None,
    ) -> None:
        for name in case.rests_on:
            if subject is not None and not self.known.holds(name, subject.name):
                raise Skipped(f"{name} did not hold")
        if subject is not None:
            await self._ready(case.start, subject)
        if prepare is not None:
            await prepare(watch)
        try:
            async with asyncio.timeout(case.within_s):
                await function(subject, measure, watch)
        except TimeoutError:
            raise Incomplete(f"the case did not come to its end in {case.within_s:g} s") from None

    async def _ready(self, start: Start, subject: Subject) -> None:
        """Bring a device to where the case begins. Raises `Skipped` when that is not possible."""
        if start is Start.UNPAIRED:
            await subject.forget()
        elif start is Start.PAIRED and not subject.authorised:
            if subject.name in self.known.unready:
                raise Skipped(self.known.unready[subject.name])
            if subject.session.bench is not None:
                await subject.hands.power(on=False)  # it may have given up, or look once an hour
            try:
                await subject.pair()
            except NotSeen as unseen:
                cause = f"it could not be paired beforehand: {unseen.cause}"
                self.known.unready[subject.name] = cause
                raise Skipped(cause) from None
        elif start is Start.PAIRED and subject.session.bench is not None:
            await subject.hands.power(on=True)


def _measured(measure: Measurements) -> tuple[CaseOutcome, str]:
    """The worst of what was measured. Without any measurement, coming to the end is a pass."""
    results = measure.results
    for outcome in _WORST_FIRST[:-1]:
        found = [result for result in results if result.outcome is outcome]
        if found:
            return outcome, "; ".join(in_words(result) for result in found)
    return CaseOutcome.PASS, ""


def _sayable(text: str) -> str:
    """Without halves of characters, which neither the database nor any file could hold."""
    return text.encode("utf-8", "replace").decode()


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
