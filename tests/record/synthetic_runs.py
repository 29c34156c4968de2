"""Runs that never happened, as a stream of events: seeded, so that a run is repeatable.

Not the virtual bench: nothing here speaks a protocol. It makes the events that the recorder,
the verdict and the reports are tested with, healthy and unhealthy ones alike.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labctl import events as ev

ORIGIN_US = 1_795_000_000_000_000  # 2026-11-18
SECOND = 1_000_000
HOUR = 3600 * SECOND
MINUTE = 60 * SECOND

JOIN_STEPS = (
    (ev.Step.BEACON_REQUEST, 0.0),
    (ev.Step.ASSOCIATION, 0.31),
    (ev.Step.TRANSPORT_KEY, 0.12),
    (ev.Step.DEVICE_ANNOUNCE, 0.26),
    (ev.Step.KEY_INITIATE, 4.1),
    (ev.Step.KEY_EPHEMERAL, 1.7),
    (ev.Step.KEY_CONFIRM, 2.4),
    (ev.Step.LINK_KEY_INSTALLED, 0.4),
)


def eui64(number: int) -> str:
    return "00:0d:6f:00:0a:90:" + f"{number >> 8:02x}:{number & 255:02x}"


@dataclass(frozen=True)
class Plan:
    """One schedule of a device."""

    name: str
    cluster_id: int
    attributes: tuple[int, ...]
    period_ms: int
    tolerance_ms: int
    endpoint: int = 2
    command_id: int | None = None


ELECTRICITY = Plan("electricity", 0x0702, (0x0400, 0x0000), 10_000, 2_000)
GAS = Plan("gas", 0x0702, (0x0000,), 1_800_000, 60_000, endpoint=3)
PRICE = Plan("price", 0x0700, (), 1_800_000, 120_000, command_id=0)


@dataclass
class Actor:
    """A device of the run, and how it misbehaves."""

    number: int
    name: str | None
    kind: ev.DeviceKind = ev.DeviceKind.CAD
    plans: tuple[Plan, ...] = (ELECTRICITY, GAS)
    rssi_dbm: float = -58.0
    loss: float = 0.0
    jitter_ms: float = 90.0
    silent: tuple[tuple[int, int], ...] = ()  # spans after the start in which it does not read, us
    failed_joins: int = 0
    fails_at: ev.Step = ev.Step.KEY_CONFIRM
    joins: bool = True
    came_paired: bool = False
    refused_per_hour: float = 0.0
    knows_rssi: bool = True
    rejoins_at: tuple[int, ...] = ()
    described: bool = True
    radio: str = "main"
    page: int = 0
    channel: int = 15

    @property
    def band(self) -> ev.Band:
        return ev.Band.GHZ_2_4 if self.page == 0 else ev.Band.MHZ_868

    @property
    def eui64(self) -> str:
        return eui64(self.number)


@dataclass
class Story:
    """A whole run."""

    actors: list[Actor]
    rig: str = "virtual"
    hours: float = 24.0
    simulated: bool = True
    seed: int = 1
    start_us: int = ORIGIN_US
    radio_outages: tuple[tuple[int, int], ...] = ()
    strangers: int = 0
    verdict: ev.Verdict | None = ev.Verdict.PASS
    reasons: tuple[str, ...] = ()
    radio_comes_up: bool = True
    more: tuple[ev.Event, ...] = ()
    _events: list[ev.Event] = field(default_factory=list)

    @property
    def end_us(self) -> int:
        return self.start_us + round(self.hours * HOUR)

    def events(self) -> Iterator[ev.Event]:
        """All events in the order of time."""
        rng = random.Random(self.seed)
        self._events = list(self.more)
        add = self._events.append
        start = self.start_us
        add(
            ev.RunStarted(
                at_us=start,
                rig=self.rig,
                kind="bench",
                simulated=self.simulated,
                labctl_version="0.1.0",
                host="bench-3",
                config_sha256="9b1c" * 16,
            )
        )
        if self.radio_comes_up:
            self._radio(start + SECOND, resumed=False)
        for begin, end in self.radio_outages:
            add(ev.RadioLost(at_us=start + begin, name="main", cause="the port vanished"))
            if start + end < self.end_us:
                self._radio(start + end, resumed=True)
        for index in range(self.strangers):
            at = start + MINUTE + index * MINUTE
            self._attempt(
                900 + index,
                eui64(4000 + index),
                at,
                (),
                ev.JoinOutcome.REFUSED,
                "not in the device log",
            )
        for index, actor in enumerate(self.actors):
            self._act(actor, index, rng)
        if self.verdict is not None:
            add(ev.RunEnded(at_us=self.end_us, verdict=self.verdict, reasons=self.reasons))
        return iter(sorted(self._events, key=lambda event: event.at_us))

    def _radio(self, at_us: int, *, resumed: bool) -> None:
        self._events.append(
            ev.RadioUp(
                at_us=at_us,
                name="main",
                driver="ezsp",
                band=ev.Band.GHZ_2_4,
                path="socket://127.0.0.1:9999",
                eui64=eui64(1),
                page=0,
                channel=15,
                pan_id=0x1A62,
                extended_pan_id=eui64(1),
                resumed=resumed,
                tx_power_dbm=8,
                serial_number="0001",
                manufacturer="Lab",
                model="Virtual NCP",
                firmware="7.4.1.0",
                protocol_version=13,
            )
        )

    def _attempt(
        self,
        join: int,
        address: str,
        at_us: int,
        steps: tuple[tuple[ev.Step, float], ...],
        outcome: ev.JoinOutcome,
        cause: str = "",
        kind: ev.JoinKind = ev.JoinKind.JOIN,
        fails_at: ev.Step | None = None,
        on: tuple[int, int] = (0, 15),
    ) -> int:
        add = self._events.append
        add(
            ev.JoinStarted(
                at_us=at_us,
                join=join,
                eui64=address,
                kind=kind,
                band=ev.Band.MHZ_868 if on[0] else ev.Band.GHZ_2_4,
                page=on[0],
                channel=on[1],
                nwk=0x4B1D,
                parent_nwk=0,
            )
        )
        for step, seconds in steps:
            elapsed = round(seconds * SECOND)
            at_us += elapsed
            failed = step is fails_at
            add(
                ev.JoinStepTaken(
                    at_us=at_us,
                    join=join,
                    step=step,
                    elapsed_us=elapsed,
                    status=ev.StepStatus.FAILED if failed else ev.StepStatus.OK,
                    detail="MAC did not match" if failed else "",
                )
            )
            if failed:
                break
        at_us += 1000
        add(ev.JoinEnded(at_us=at_us, join=join, outcome=outcome, cause=cause))
        return at_us

    def _act(self, actor: Actor, index: int, rng: random.Random) -> None:
        add = self._events.append
        at = self.start_us + 5 * SECOND + index * 20 * SECOND
        if actor.described:
            add(
                ev.DeviceSeen(
                    at_us=at,
                    eui64=actor.eui64,
                    name=actor.name,
                    kind=actor.kind,
                    manufacturer="Northfield",
                    model=f"{actor.kind.value.upper()}-{actor.number}",
                    hardware_version="2",
                    firmware_version="1.4.2",
                    certificate_suite=2,
                    certificate_issuer="00:0d:6f:00:00:00:00:ca",
                )
            )
        for plan in actor.plans:
            add(
                ev.ReadScheduleDeclared(
                    at_us=at,
                    eui64=actor.eui64,
                    name=plan.name,
                    cluster_id=plan.cluster_id,
                    attributes=plan.attributes,
                    period_ms=plan.period_ms,
                    tolerance_ms=plan.tolerance_ms,
                    endpoint=plan.endpoint,
                )
            )
        if not actor.came_paired:
            add(
                ev.PairingArmed(
                    at_us=at,
                    eui64=actor.eui64,
                    method=ev.PairingMethod.REMOTE,
                    requested_by="operator",
                    window_s=600,
                    consent_reference=f"C-{actor.number}",
                )
            )
        join = 1 + index * 20
        for attempt in range(actor.failed_joins):
            at = (
                self._attempt(
                    join + attempt,
                    actor.eui64,
                    at + 2 * SECOND,
                    JOIN_STEPS,
                    ev.JoinOutcome.FAILED,
                    "key confirmation failed: the MACs differ",
                    fails_at=actor.fails_at,
                )
                + 30 * SECOND
            )
        if not actor.joins:
            if not actor.came_paired:
                add(
                    ev.PairingWindowClosed(
                        at_us=min(self.end_us, at + 600 * SECOND),
                        eui64=actor.eui64,
                        authorised=False,
                    )
                )
            return
        join += actor.failed_joins
        if not actor.came_paired:
            steps = tuple((step, s * rng.uniform(0.8, 1.4)) for step, s in JOIN_STEPS)
            at = self._attempt(
                join,
                actor.eui64,
                at + 2 * SECOND,
                steps,
                ev.JoinOutcome.AUTHORISED,
                on=(actor.page, actor.channel),
            )
            add(ev.PairingWindowClosed(at_us=at, eui64=actor.eui64, authorised=True))
            for step, seconds in ((ev.Step.DISCOVERY, 19.0), (ev.Step.FIRST_READ, 6.0)):
                at += round(seconds * SECOND)
                add(
                    ev.JoinStepTaken(
                        at_us=at, join=join, step=step, elapsed_us=round(seconds * SECOND)
                    )
                )
        for number, offset in enumerate(actor.rejoins_at):
            self._attempt(
                join + 1 + number,
                actor.eui64,
                self.start_us + offset,
                JOIN_STEPS[:4],
                ev.JoinOutcome.AUTHORISED,
                kind=ev.JoinKind.SECURED_REJOIN,
            )
        quiet = [*actor.silent, *self.radio_outages]
        for plan in actor.plans:
            self._reads(actor, plan, at, quiet, rng)
        if actor.refused_per_hour:
            t = at
            while (t := t + round(HOUR / actor.refused_per_hour)) < self.end_us:
                add(
                    ev.Refused(
                        at_us=t,
                        eui64=actor.eui64,
                        layer="application",
                        cause="a CAD may only read",
                        endpoint=2,
                        cluster_id=0x0705,
                        command_id=0x02,
                        status=0x81,
                    )
                )

    def _reads(
        self,
        actor: Actor,
        plan: Plan,
        at: int,
        quiet: list[tuple[int, int]],
        rng: random.Random,
    ) -> None:
        add = self._events.append
        fade = 0.0
        due = at
        while due < self.end_us:
            t = due + round(abs(rng.gauss(0, actor.jitter_ms)) * 1000)
            due += plan.period_ms * 1000
            offset = t - self.start_us
            if any(b <= offset < e for b, e in quiet) or rng.random() < actor.loss:
                continue
            if t >= self.end_us:
                break
            fade = 0.98 * fade + rng.gauss(0, 0.5)
            for direction, shift in ((ev.Direction.TO_HUB, 0.0), (ev.Direction.FROM_HUB, -2.0)):
                rssi = round(actor.rssi_dbm + fade + shift + rng.gauss(0, 2))
                for _ in range(2 if direction is ev.Direction.TO_HUB else 1):
                    add(
                        ev.LinkSample(
                            at_us=t,
                            eui64=actor.eui64,
                            radio=actor.radio,
                            direction=direction,
                            page=actor.page,
                            channel=actor.channel,
                            lqi=max(0, min(255, 3 * (rssi + 110))),
                            rssi_dbm=rssi if actor.knows_rssi else None,
                        )
                    )
            add(
                ev.ReadServed(
                    at_us=t,
                    eui64=actor.eui64,
                    initiator="device",
                    endpoint=plan.endpoint,
                    cluster_id=plan.cluster_id,
                    attributes=plan.attributes,
                    command_id=plan.command_id,
                    status=0,
                    latency_us=round(rng.lognormvariate(8.6, 0.35)),
                    aps_encrypted=True,
                    schedule=plan.name,
                )
            )


def healthy(hours: float = 24.0, **changes: object) -> Story:
    """A CAD and an IHD that do what they should."""
    story = Story(
        actors=[
            Actor(2, "kitchen-cad", ev.DeviceKind.CAD, (ELECTRICITY, GAS)),
            Actor(3, "hall-ihd", ev.DeviceKind.IHD, (ELECTRICITY, PRICE), rssi_dbm=-71.0),
        ],
        hours=hours,
    )
    for name, value in changes.items():
        setattr(story, name, value)
    return story


def troubled(hours: float = 24.0) -> Story:
    """A night in which much goes wrong: gaps, an outage of the rig, failed joins, refusals."""
    return Story(
        actors=[
            Actor(
                2,
                "kitchen-cad",
                loss=0.012,
                failed_joins=2,
                refused_per_hour=2,
                silent=((9 * HOUR, 10 * HOUR), (15 * HOUR, 15 * HOUR + 4 * MINUTE)),
                rejoins_at=(10 * HOUR - 30 * SECOND,),
            ),
            Actor(3, "hall-ihd", ev.DeviceKind.IHD, (ELECTRICITY, PRICE), rssi_dbm=-86.0),
            Actor(4, None, ev.DeviceKind.PPMID, (ELECTRICITY,), failed_joins=3, joins=False),
            Actor(5, "never-heard", ev.DeviceKind.CAD, (ELECTRICITY,), joins=False),
        ],
        rig="north-lab",
        hours=hours,
        simulated=False,
        radio_outages=((5 * HOUR, 5 * HOUR + 12 * MINUTE),),
        strangers=3,
        verdict=ev.Verdict.FAIL,
    )


def crowd(hours: float = 6.0) -> Story:
    """Sixteen devices, some with names as long as names get."""
    actors = [
        Actor(
            10 + n,
            f"device-{n:02d}" if n % 5 else f"the display in the meeting room behind stairs {n}",
            (ev.DeviceKind.CAD, ev.DeviceKind.IHD, ev.DeviceKind.PPMID)[n % 3],
            (ELECTRICITY,) if n % 2 else (ELECTRICITY, GAS),
            rssi_dbm=-50 - 2.5 * n,
            loss=0.002 * n,
            knows_rssi=n != 7,
        )
        for n in range(16)
    ]
    return Story(actors=actors, rig="crowd", hours=hours, verdict=ev.Verdict.MARGINAL)


def emit(story: Story, subscriber: Callable[[ev.Event], None]) -> None:
    """Hand all events of a story to a subscriber."""
    for event in story.events():
        subscriber(event)
