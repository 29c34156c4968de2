"""What a device does when its hub is wrong in key establishment, seen from the hub.

It is asked twice. As a server: the hub begins with a device that has its key, which has to hold
afterwards. That takes no hand at the device. As a client: the device begins, because it joins anew;
that is left out where nobody can reset it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from labctl.campaign.case import Measure
from labctl.campaign.findings import Incomplete, NotApplicable, NotSeen
from labctl.campaign.measurements import Measurements
from labctl.campaign.subject import AUTHORISED_WITHIN_S, Subject
from labctl.clock import MICROSECONDS
from labctl.events import Band, Event, JoinEnded, JoinOutcome, Note, Suspended
from labctl.hub.provocation import ENDED, Provocation
from labctl.smart_energy.cbke import TerminateStatus

_COMES_BACK = Measure(
    "authorised_after_s",
    "s",
    most=AUTHORISED_WITHIN_S,
    good_to=300,
    optional=True,
    why="SE 1.4a 5.4.2",
)
STATUSES = "SE 1.4a C.3.1.2.3"

CANNOT = "it takes part in no key establishment that could be spoiled"
"""Why a case does not apply where neither side can begin."""

_NO_SERVER = "the device answered command 0x00 with status"
"""How a join ends whose device has no server for key establishment, or refuses to be one."""
_TRIES = 4
_EXCHANGE_S = 600.0
"""Longer than any exchange: two declared times of 254 s at most."""
_BUSY_S = 60.0
"""After NO_RESOURCES: more than stacks ask for (30 s)."""
_READS_WITHIN_S = 35 * 60.0
"""The slowest steady read of a display is each half hour."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of one spoiled attempt.

    `status` is that of the device's Terminate, None without one. `suite` is the one in use.
    """

    status: TerminateStatus | None
    key_taken: bool
    suite: int | None
    cause: str
    undelivered: str
    """Why the radio says that the wrong message did not arrive, if it says so."""
    too_slow: bool
    """The hub was slower than it meant to be, and than the device had to bear."""
    at_us: int

    @property
    def text(self) -> str:
        """For people."""
        if self.key_taken:
            return "it took the key"
        return self.status.name if self.status is not None else f"no Terminate: {self.cause}"


def asked_by_the_hub(status: TerminateStatus) -> tuple[Measure, ...]:
    """What is measured where the hub begins, and the device has to end it with `status`."""
    code = int(status)
    return (
        Measure("status_to_hub", least=code, most=code, optional=True, why=STATUSES),
        Measure("key_taken_from_hub", most=0, optional=True, why=STATUSES),
        Measure("old_key_holds", least=1, most=1, optional=True, why=STATUSES),
    )


def reactions(status: TerminateStatus, *, comes_back: bool = True) -> tuple[Measure, ...]:
    """What is measured where the device has to end it with `status`, whoever began.

    `comes_back`: a device that joins has to try again on this network.
    """
    code = int(status)
    joining = (
        Measure("status_joining", least=code, most=code, optional=True, why=STATUSES),
        Measure("key_taken_joining", most=0, optional=True, why=STATUSES),
    )
    return (*asked_by_the_hub(status), *joining, *((_COMES_BACK,) if comes_back else ()))


async def both_ways(device: Subject, measure: Measurements, what: Provocation) -> None:
    """Spoil one attempt that the hub begins and one that the device begins, and measure.

    Raises `NotApplicable` where neither can be had.
    """
    async with left_paired(device):
        served = await hub_begins(device, what)
        if served is not None:
            await take_served(device, measure, served)
        joining = await device_begins(device, what)
        if joining is not None:
            take_joining(measure, joining)
            measure.take("authorised_after_s", await authorised_after_s(device, joining))
        if served is None and joining is None:
            raise NotApplicable(CANNOT)


async def take_served(device: Subject, measure: Measurements, served: Reaction) -> None:
    """Measure what the device did that the hub began with."""
    measure.take("status_to_hub", served.status or 0, served.text)
    measure.take("key_taken_from_hub", served.key_taken)
    measure.take("old_key_holds", await still_reads(device))


def take_joining(measure: Measurements, joining: Reaction) -> None:
    """Measure what the device did that began by itself."""
    measure.take("status_joining", joining.status or 0, joining.text)
    measure.take("key_taken_joining", joining.key_taken)


@asynccontextmanager
async def left_paired(device: Subject) -> AsyncIterator[None]:
    """Whatever happens meanwhile, the hub is sound again, and the device paired."""
    try:
        yield
    finally:
        device.session.hub.provoke(device.eui64, None)
        if not device.authorised:
            # A device that does not get in even so is found unpaired by the next case, which says
            # so; the verdict on this one has been found.
            with suppress(NotSeen, NotApplicable):
                await device.forget()
                await device.pair()


# -- provocations ---------------------------------------------------------------------------------


async def hub_begins(device: Subject, what: Provocation) -> Reaction | None:
    """What a paired device does; None when it does not take part in what the hub begins.

    Raises `Incomplete` when the wrong message did not reach it, `NotSeen` when it reads no more.
    """
    cause, busy = "", 0
    hub = device.session.loaded.rig.hub
    suites = sorted(device.declared.settings.suites or hub.all_suites, reverse=True)
    for attempt in range(_TRIES):
        if attempt or device.band is Band.MHZ_868:
            # It may have been told to be silent; when it reads, that is over.
            await device.next_read(within_s=_READS_WITHIN_S)
        began_us = device.session.clock.now_us()
        device.session.hub.provoke(device.eui64, what)
        await device.session.hub.establish_key(device.eui64, suite=suites[0])
        end = await device.watch.wait(
            Event,
            device.eui64,
            within_s=_EXCHANGE_S,
            what="the end of key establishment",
            which=lambda event: isinstance(event, JoinEnded) or _ended(event),
        )
        if isinstance(end, JoinEnded):
            if end.outcome is JoinOutcome.AUTHORISED or _NO_SERVER in end.cause:
                return None
            cause = end.cause
            if TerminateStatus.UNSUPPORTED_SUITE.name in cause and len(suites) > 1:
                del suites[0]  # it has the other one alone
            continue
        assert isinstance(end, Note)
        reaction = _reaction(end)
        if reaction.status is TerminateStatus.NO_RESOURCES:
            cause, busy = reaction.text, busy + 1
            await asyncio.sleep(_BUSY_S)
            continue
        wrong_suite = reaction.status is TerminateStatus.UNSUPPORTED_SUITE
        if wrong_suite and what is not Provocation.UNKNOWN_SUITE and len(suites) > 1:
            del suites[0]
        elif (lost := _lost(device, reaction, began_us)) is None:
            return reaction
        else:
            cause = lost
    if busy == _TRIES:
        return None
    raise Incomplete(f"key establishment did not get far enough to be spoiled: {cause}")


async def device_begins(device: Subject, what: Provocation) -> Reaction | None:
    """What a device does that joins anew; None when nobody can make it, or it cannot be spoiled.

    Raises `NotSeen` when it does not come, `Incomplete` when the wrong message did not reach it.
    """
    if not device.hands.can_reset:
        return None
    cause = ""
    for _ in range(_TRIES):
        await device.forget()
        began_us = device.session.clock.now_us()
        device.session.hub.provoke(device.eui64, what)
        await device.arm(round(AUTHORISED_WITHIN_S))
        await device.hands.look_for_network()
        end = await device.watch.wait(
            Event,
            device.eui64,
            within_s=AUTHORISED_WITHIN_S,
            what=f"key establishment begun by {device.name}",
            which=lambda event: _ended(event) or _authorised(event),
        )
        if not isinstance(end, Note):
            return None  # it has nothing that could be spoiled so
        reaction = _reaction(end)
        lost = _lost(device, reaction, began_us)
        if lost is None:
            return reaction
        cause = lost
    raise Incomplete(f"the wrong message did not reach it: {cause}")


def _lost(device: Subject, reaction: Reaction, since_us: int) -> str | None:
    """Why nothing can be made of an attempt in which the device said nothing; None: it could."""
    if reaction.status is not None or reaction.key_taken:
        return None
    if device.watch.of(device.eui64, Suspended, since_us=since_us):
        return "the hub told the device to be silent meanwhile"
    if reaction.too_slow:
        return "the hub was slower than it had declared"
    return reaction.undelivered or None


def _ended(event: Event) -> bool:
    return isinstance(event, Note) and event.kind == ENDED


def _authorised(event: Event) -> bool:
    return isinstance(event, JoinEnded) and event.outcome is JoinOutcome.AUTHORISED


def _reaction(note: Note) -> Reaction:
    status, suite = note.detail["status"], note.detail["suite"]
    return Reaction(
        status=TerminateStatus(status) if isinstance(status, int) else None,
        key_taken=bool(note.detail["key_taken"]),
        suite=suite if isinstance(suite, int) else None,
        cause=str(note.detail["cause"]),
        undelivered=str(note.detail["undelivered"]),
        too_slow=bool(note.detail["too_slow"]),
        at_us=note.at_us,
    )


# -- afterwards -----------------------------------------------------------------------------------


async def still_reads(device: Subject) -> bool:
    """Whether it reads on under the key that it had."""
    try:
        await device.next_read(within_s=_READS_WITHIN_S)
    except NotSeen:
        with suppress(NotSeen, NotApplicable):
            await device.forget()
            await device.pair()
        return False
    return True


async def authorised_after_s(device: Subject, reaction: Reaction) -> float:
    """How long it took to get in after all, seconds. Raises `NotSeen`."""
    if not device.authorised:
        await device.authorisation(AUTHORISED_WITHIN_S)
    return (device.session.clock.now_us() - reaction.at_us) / MICROSECONDS
