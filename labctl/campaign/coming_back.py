"""A device that was cut off, until it is there again: how long it took, and by what."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from labctl.campaign.case import READERS, Measure
from labctl.campaign.findings import Incomplete, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.stage import Stage
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.events import JoinKind, JoinStepTaken, Note, ReadServed, Step

BACK_WITHIN_S = 15 * 60.0
"""How long a device may take to come back: it tries again at least so often (SE 1.4a 5.4.1)."""
QUIET_S = 35 * 60.0
"""Longer than the slowest steady read of a device lets one wait: gas, every 30 min."""

_ACKNOWLEDGED_WITHIN_S = 8.0
"""An answer is tried three times, 1.6 s apart, before it counts as lost (R22 2.2.8.4.4)."""

BACK: tuple[Measure, ...] = (
    Measure("back_s", "s", most=BACK_WITHIN_S, good_to=600, why="SE 1.4a 5.4.1"),
    Measure.exactly("second_pairings", 0, why="S3 paragraph 25"),
)
"""What coming back is held against. The read that tells of it may itself be due late: the limits
are for devices that read every 10 s, and a rig whose devices read less often sets its own."""


async def steady(device: Subject) -> None:
    """Wait until the device reads, so that what comes then is what the case did.

    Raises `Incomplete`, since nothing was done to it yet.
    """
    try:
        await device.next_read(within_s=QUIET_S)
    except NotSeen as unseen:
        raise Incomplete(f"it was not at work before the case began: {unseen.cause}") from None


async def served_read(device: Subject, *, within_s: float) -> ReadServed:
    """The next read whose answer arrives: the device acknowledges it. Raises `NotSeen`.

    That the hub answered is not enough: a device that does not understand the network any more
    asks on, and hears nothing.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + within_s
    lost = 0
    while True:
        try:
            read = await device.next_read(within_s=max(0.0, end_s - loop.time()))
        except NotSeen as unseen:
            heard = f", though it asked {lost} times: no answer reached it" if lost else ""
            raise NotSeen(f"a read that is answered: not within {within_s:g} s{heard}") from unseen
        try:
            await device.watch.wait(
                Note,
                device.eui64,
                within_s=_ACKNOWLEDGED_WITHIN_S,
                what="an answer that is lost",
                which=lambda note: note.kind == "answer-not-delivered",
            )
        except NotSeen:
            return read
        lost += 1


async def others_at_work(rig: Stage, device: Subject, watch: Watch) -> None:
    """Wait until the other devices that were cut off too read again, or have had the time to."""
    waits = []
    for declared in rig.loaded.devices:
        other = rig.subject(declared, watch)
        if declared.eui64 == device.eui64 or declared.kind not in READERS or not other.authorised:
            continue
        if rig.session.bench is None or rig.session.bench.devices[declared.name].is_on:
            waits.append(other.next_read(within_s=BACK_WITHIN_S))
    # Who does not come is the business of the case on that device.
    await asyncio.gather(*waits, return_exceptions=True)


@dataclass(slots=True)
class ComingBack:
    """Looks at a device from `since_us` on: when it reads again, and whether it joined anew."""

    device: Subject
    since_us: int

    @classmethod
    def from_now(cls, device: Subject) -> ComingBack:
        """What was cut off is on again at this instant."""
        return cls(device, device.session.clock.now_us())

    async def measure(self, measure: Measurements, within_s: float | None = None) -> ReadServed:
        """Wait for the first read that is served, and take `BACK`. Raises `NotSeen`."""
        limit_s = measure["back_s"].most or BACK_WITHIN_S
        try:
            read = await served_read(self.device, within_s=within_s or limit_s)
        except NotSeen as unseen:
            raise NotSeen(unseen.cause + self._tries()) from None
        measure.take("back_s", (read.at_us - self.since_us) / MICROSECONDS)
        measure.take("second_pairings", self.second_pairings)
        return read

    @property
    def second_pairings(self) -> int:
        """How often it joined as if for the first time, or asked for a new link key."""
        joins = [join for join in self.device.joins if join.at_us >= self.since_us]
        anew = sum(join.kind is JoinKind.JOIN for join in joins)
        begun = [
            step
            for step in self.device.watch.of(
                self.device.eui64, JoinStepTaken, since_us=self.since_us
            )
            if step.step is Step.KEY_INITIATE
        ]
        return max(anew, len(begun))

    def _tries(self) -> str:
        joins = [join for join in self.device.joins if join.at_us >= self.since_us]
        if not joins:
            return "; it did not try to come back"
        ends = [end for end in self.device.join_ends if end.at_us >= self.since_us]
        last = f", the last {ends[-1].outcome.value}: {ends[-1].cause}" if ends else ""
        return f"; it tried {len(joins)} times{last}"
