"""500 random faults in a day: the rig comes back from each, marks each, and loses no row.

    python campaigns/faults.py [--hours 24] [--faults 500] [--seed 1] [--driver ezsp]

Faults of the radio (unplugged, reset, hung, stuck, garbage on its line), of the database (locked by
a reader or a writer, disk full for seconds), of devices (power cuts) and of the computer's clock.
Exits with 1, and says which claim did not hold, unless

* the hub's radio was back within 10 s of each fault's end, in rig time,
* each loss is marked as infrastructure in the record from before it began until it was over,
* every event that was emitted is in the record, and every row that was reported written stayed,
* nothing hung, nobody was paired again, and at the end every device reads as at the beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rigs
from labctl.clock import MICROSECONDS
from labctl.config.resolved import LoadedRig
from labctl.events import Event, LinkSample, Note, RadioLost, RadioUp, ReadServed
from labctl.record.circumstances import infrastructure
from labctl.record.compliance import GapCause
from labctl.record.database import open_for_reading
from labctl.record.queries import load_run
from labctl.rig.clock_watch import LOOK_EVERY_S, ClockWatch
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

RECOVERED_S = 10.0
"""The claim: how soon after a fault's end the radio runs again."""
FOUND_S = 30.0
"""How long a hung radio may go unnoticed (docs/faults.md)."""
_SETTLED_S = 1800.0
_QUIET_S = 1500.0
_SNAPSHOT_EVERY_S = 1200.0
_TABLES = ("reads", "link_samples", "events", "joins", "join_steps", "radios")

DEVICES = {"ihd-1": "ihd", "ihd-2": "ihd", "cad-1": "cad", "cad-2": "cad", "ppmid-1": "ppmid"}
RADIO_FAULTS = ("unplug", "reset", "hang", "stuck", "garbage")
WEIGHTS = {
    "unplug": 8,
    "reset": 6,
    "hang": 6,
    "stuck": 4,
    "garbage": 8,
    "reader-lock": 4,
    "writer-lock": 3,
    "disk-full": 3,
    "power-cut": 6,
    "clock-ahead": 2,
    "clock-back": 1,
}


def rig_of(folder: Path, seed: int, driver: str = "ezsp") -> LoadedRig:
    """Five displays that read every 10 s."""
    inventory, rig = rigs.shipped()
    inventory["devices"] = {
        name: rigs.device(number, kind) for number, (name, kind) in enumerate(DEVICES.items(), 1)
    }
    if driver == "znp":
        inventory["radios"]["virtual-ezsp"]["driver"] = "znp"
        rig["hub"]["tx_power_dbm"] = 5
    rig["rig"] = "faults"
    rig["virtual"]["seed"] = seed
    rig["devices"] = [
        {
            "device": name,
            "pairing": {"method": "remote", "window": "15min"},
            "reads": [rigs.electricity(), rigs.gas()],
        }
        for name in DEVICES
    ]
    return rigs.write(folder, inventory, rig)


@dataclass
class Host:
    """The computer's clocks, of which people set one."""

    loop: asyncio.AbstractEventLoop
    origin_us: int
    set_by_us: int = 0

    def awake_s(self) -> float:
        """It never sleeps."""
        return self.loop.time()

    def since_boot_s(self) -> float:
        """The same."""
        return self.loop.time()

    def wall_us(self) -> int:
        """What it was set to, and what passed since."""
        return self.origin_us + round(self.loop.time() * MICROSECONDS) + self.set_by_us


@dataclass
class Fault:
    """What was done, when it was over, and what came of it. Times are the record's."""

    number: int
    kind: str
    seconds: float
    began_us: int = 0
    ended_us: int = 0
    lost_us: int | None = None
    up_us: int | None = None
    outages: list[tuple[int, int]] = field(default_factory=list)
    """From each loss of the radio to its return: garbage may bring about several."""


@dataclass
class Watch:
    """Counts what is emitted, and knows when the radio was lost and is up."""

    now_s: Callable[[], float]
    reads: int = 0
    samples: int = 0
    notes: int = 0
    losses: list[tuple[float, int]] = field(default_factory=list)
    ups: list[tuple[float, int]] = field(default_factory=list)
    read_by: Counter[str] = field(default_factory=Counter)
    is_up: asyncio.Event = field(default_factory=asyncio.Event)
    is_lost: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, ReadServed):
            self.reads += 1
            self.read_by[event.eui64] += 1
        elif isinstance(event, LinkSample):
            self.samples += 1
        elif isinstance(event, Note):
            self.notes += 1
        elif isinstance(event, RadioLost):
            self.losses.append((self.now_s(), event.at_us))
            self.is_up.clear()
            self.is_lost.set()
        elif isinstance(event, RadioUp):
            self.ups.append((self.now_s(), event.at_us))
            self.is_up.set()
            self.is_lost.clear()


@dataclass
class Snapshot:
    """Rows that were reported written: how many, and what they say."""

    rows: dict[str, tuple[int, str]]


class Campaign:
    """One day on one rig."""

    def __init__(self, session: RigSession, watch: Watch, rng: random.Random) -> None:
        self.session = session
        self.watch = watch
        self.rng = rng
        self.faults: list[Fault] = []
        self.wrong: list[str] = []
        self.snapshots: list[Snapshot] = []
        assert session.bench is not None
        self.bench = session.bench
        self.stick: Any = session.bench.sticks[0]
        loop = asyncio.get_running_loop()
        start_us = session.clock.now_us() - round(loop.time() * MICROSECONDS)
        self.host = Host(loop, start_us)
        self.clocks = ClockWatch(session.clock, session.bus, self.host)

    async def day(self, count: int, hours: float) -> None:
        """All the faults, spread over the time, and a quiet end."""
        slot_s = (hours * 3600 - _SETTLED_S - _QUIET_S) / count
        looking = asyncio.create_task(self.clocks.run())
        kinds = [kind for kind in WEIGHTS if kind != "stuck" or hasattr(self.stick, "get_stuck")]
        weights = [WEIGHTS[kind] for kind in kinds]
        next_snapshot_s = self._now()
        for number in range(count):
            began_s = self._now()
            kind = self.rng.choices(kinds, weights)[0]
            longest = min(60.0, slot_s - FOUND_S - 2 * RECOVERED_S)
            fault = Fault(number, kind, round(self.rng.uniform(0.1, max(1.0, longest)), 2))
            spare_s = slot_s - fault.seconds - FOUND_S - 2 * RECOVERED_S
            await asyncio.sleep(self.rng.uniform(0.0, max(0.0, spare_s)))
            await self._suffer(fault)
            self.faults.append(fault)
            if self.session.broken.done():
                self.wrong.append(f"fault {number}, {kind}: {self.session.broken.result()}")
                break
            if self._now() >= next_snapshot_s:
                next_snapshot_s += _SNAPSHOT_EVERY_S
                self._snapshot()
            await asyncio.sleep(max(0.0, began_s + slot_s - self._now()))
        await self._quiet_end()
        looking.cancel()
        without = len(self.watch.losses) - sum(len(fault.outages) for fault in self.faults)
        if without:
            self.wrong.append(f"the radio was lost {without} times without a fault")

    async def _quiet_end(self) -> None:
        await asyncio.sleep(_QUIET_S - 300)
        self.watch.read_by.clear()
        await asyncio.sleep(300)
        for device in self.session.loaded.devices:
            reads = self.watch.read_by[device.eui64]
            if reads < 28:
                self.wrong.append(f"{device.name} read {reads} times in the last 5 min, not 30")
        self._snapshot()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- one fault --------------------------------------------------------------------------------

    async def _suffer(self, fault: Fault) -> None:
        before, ups = len(self.watch.losses), len(self.watch.ups)
        fault.began_us = self.session.clock.now_us()
        act: dict[str, Callable[[Fault], Awaitable[None]]] = {
            "unplug": self._unplug,
            "reset": self._reset,
            "hang": self._hang,
            "stuck": self._stuck,
            "garbage": self._garbage,
            "reader-lock": self._reader_lock,
            "writer-lock": self._writer_lock,
            "disk-full": self._disk_full,
            "power-cut": self._power_cut,
            "clock-ahead": self._clock_set,
            "clock-back": self._clock_set,
        }
        await act[fault.kind](fault)
        fault.ended_us = self.session.clock.now_us()
        ended_s = self._now()
        if fault.kind not in RADIO_FAULTS:
            await asyncio.sleep(RECOVERED_S)
            if len(self.watch.losses) != before:
                self.wrong.append(f"fault {fault.number}, {fault.kind}: the radio was lost")
            return
        await asyncio.sleep(RECOVERED_S)
        if fault.kind == "garbage":
            # What it left behind in the NCP or the driver may come to light only now.
            await asyncio.sleep(FOUND_S)
        if len(self.watch.losses) == before:
            if fault.kind != "garbage":
                self.wrong.append(f"fault {fault.number}, {fault.kind}: nobody noticed")
            return
        fault.lost_us = self.watch.losses[before][1]
        if not self.watch.is_up.is_set():
            try:
                async with asyncio.timeout(600):
                    await self.watch.is_up.wait()
            except TimeoutError:
                self.wrong.append(f"fault {fault.number}, {fault.kind}: not back at all")
                return
        late_s = self.watch.ups[-1][0] - ended_s
        if late_s > RECOVERED_S:
            self.wrong.append(
                f"fault {fault.number}, {fault.kind} of {fault.seconds} s: not back after "
                f"{RECOVERED_S:g} s, but after {late_s:.1f} s"
            )
        fault.up_us = self.watch.ups[-1][1]
        fault.outages = [
            (lost[1], up[1])
            for lost, up in zip(self.watch.losses[before:], self.watch.ups[ups:], strict=True)
        ]
        if self.watch.ups[-1][0] < ended_s and fault.kind not in ("stuck", "garbage"):
            self.wrong.append(f"fault {fault.number}, {fault.kind}: up before it was over")

    async def _unplug(self, fault: Fault) -> None:
        await self.stick.pull()
        await asyncio.sleep(fault.seconds)
        await self.stick.plug()

    async def _reset(self, fault: Fault) -> None:
        fault.seconds = 0.0
        self.stick.crash()

    async def _hang(self, fault: Fault) -> None:
        self.stick.hang()
        await asyncio.sleep(fault.seconds)
        self.stick.restart()

    async def _stuck(self, fault: Fault) -> None:
        """It lasts until the host finds it and resets the stick."""
        began_s = self._now()
        self.stick.get_stuck()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FOUND_S + 1):
                await self.watch.is_lost.wait()
        fault.seconds = round(self._now() - began_s, 1)
        if fault.seconds > FOUND_S:
            self.wrong.append(f"fault {fault.number}: stuck for {FOUND_S:g} s, and nobody saw it")

    async def _garbage(self, fault: Fault) -> None:
        until_s = self._now() + min(fault.seconds, 20.0)
        while self._now() < until_s:
            self.stick.garbage(self.rng.randbytes(self.rng.randrange(1, 300)))
            await asyncio.sleep(self.rng.uniform(0.01, 1.0))

    async def _reader_lock(self, fault: Fault) -> None:
        """A report or a backup reads, for long."""
        other = sqlite3.connect(self.session.recorder.path, isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM reads").fetchone()
        await asyncio.sleep(fault.seconds)
        other.execute("ROLLBACK")
        other.close()

    async def _writer_lock(self, fault: Fault) -> None:
        fault.seconds = min(fault.seconds, 3.0)
        self.session.recorder.flush()
        other = sqlite3.connect(self.session.recorder.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(fault.seconds)
        other.execute("ROLLBACK")
        other.close()

    async def _disk_full(self, fault: Fault) -> None:
        fault.seconds = min(fault.seconds, 12.0)
        connection = self.session.recorder.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        await asyncio.sleep(fault.seconds)
        connection.execute("PRAGMA max_page_count = 1073741823")

    async def _power_cut(self, fault: Fault) -> None:
        device = self.bench.devices[self.rng.choice(sorted(self.bench.devices))]
        await device.power_off()
        await asyncio.sleep(fault.seconds)
        device.power_on()

    async def _clock_set(self, fault: Fault) -> None:
        by_us = round(fault.seconds * MICROSECONDS) + 2_500_000
        if fault.kind == "clock-back":
            # And back again before the next look but one, so that the day stays a day.
            self.host.set_by_us -= by_us
            await asyncio.sleep(LOOK_EVERY_S)
        self.host.set_by_us += by_us
        await asyncio.sleep(LOOK_EVERY_S)

    # -- rows -------------------------------------------------------------------------------------

    def _snapshot(self) -> None:
        """Have everything written, and remember what is there, as another process sees it."""
        self.session.recorder.flush()
        reader = open_for_reading(self.session.recorder.path)
        try:
            self.snapshots.append(
                Snapshot({table: _digest(reader, table, None) for table in _TABLES})
            )
        finally:
            reader.close()


def _digest(reader: sqlite3.Connection, table: str, most: int | None) -> tuple[int, str]:
    """How many of the first rows there are, and a digest of what never changes in them."""
    columns = {
        "joins": "id, run_id, eui64, kind, started_us",
        "events": "id, run_id, at_us, kind, severity, detail",
    }.get(table, "*")
    key = "rowid"
    limit = -1 if most is None else most
    rows = reader.execute(
        f"SELECT {columns} FROM {table} ORDER BY {key} LIMIT ?",  # noqa: S608 - our own names
        (limit,),
    )
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(repr(row).encode())
        count += 1
    return count, digest.hexdigest()


async def _day(
    loaded: LoadedRig, database: Path, seed: int, count: int, hours: float
) -> tuple[Campaign, Watch]:
    watch = Watch(asyncio.get_running_loop().time)
    async with open_rig(loaded, kind="campaign", database=database, subscribers=[watch]) as session:
        await session.pair_all()
        session.power_on()
        await asyncio.sleep(_SETTLED_S)
        campaign = Campaign(session, watch, random.Random(f"{seed}/faults"))
        await campaign.day(count, hours)
    return campaign, watch


@dataclass
class Outcome:
    """What came of a campaign: its faults, figures, and the claims that did not hold."""

    faults: list[Fault]
    wrong: list[str]
    figures: list[str]


def campaign(folder: Path, *, seed: int, count: int, hours: float, driver: str = "ezsp") -> Outcome:
    """Run it and check its claims."""
    database = folder / "labctl.db"
    started_s = time.perf_counter()
    loaded = rig_of(folder, seed, driver)
    done, watch = run(loaded, _day(loaded, database, seed, count, hours))
    wall_s = time.perf_counter() - started_s
    wrong = list(done.wrong)
    reader = open_for_reading(database)
    data = load_run(reader, done.session.run_id)
    wrong += _unmarked(done.faults, reader, data.until_us)
    wrong += _missing_rows(reader, done, watch)
    wrong += _of_the_run(data, done)
    figures = _figures(done, data, hours, wall_s)
    reader.close()
    return Outcome(done.faults, wrong, figures)


def _unmarked(faults: list[Fault], reader: sqlite3.Connection, until_us: int) -> list[str]:
    """Faults whose time is not within a time that the record calls infrastructure."""
    from labctl.record import fetch

    events = fetch.events(reader, 1)
    marked = infrastructure(events, until_us)
    wrong = []
    for fault in faults:
        what = f"fault {fault.number}, {fault.kind} of {fault.seconds} s"
        if fault.kind == "clock-ahead":
            if not any(each.overlaps(fault.began_us, fault.ended_us) for each in marked):
                wrong.append(f"{what}: no gap is marked")
            continue
        for number, (lost_us, up_us) in enumerate(fault.outages):
            # Nobody can say when it was that garbage had done its work.
            found = number > 0 or fault.kind == "garbage"
            began_us = lost_us if found else min(lost_us, fault.began_us + 1_000_000)
            if not any(each.start_us <= began_us and up_us <= each.end_us for each in marked):
                wrong.append(f"{what}: the gap is not marked from {began_us} to {up_us}")
    return wrong


def _missing_rows(reader: sqlite3.Connection, done: Campaign, watch: Watch) -> list[str]:
    wrong = []
    for table, emitted in (("reads", watch.reads), ("link_samples", watch.samples)):
        (written,) = reader.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        if written != emitted:
            wrong.append(f"{emitted} {table} were emitted, {written} are in the record")
    for number, snapshot in enumerate(done.snapshots):
        for table, (count, digest) in snapshot.rows.items():
            if count and _digest(reader, table, count) != (count, digest):
                wrong.append(f"rows of {table} that were written at snapshot {number} changed")
    return wrong


def _of_the_run(data: Any, done: Campaign) -> list[str]:
    wrong = []
    joins = [join for join in data.joins if join.kind == "join"]
    if len(joins) != len(DEVICES):
        wrong.append(f"{len(joins)} joins of {len(DEVICES)} devices: somebody was paired again")
    for event in data.events:
        if event.kind in ("internal-error", "requests-dropped", "key-not-erased"):
            wrong.append(f"the hub noted {event.kind} {event.detail}")
    cuts = sum(fault.kind == "power-cut" for fault in done.faults)
    for schedule in data.schedules:
        loose = [gap for gap in schedule.result.gaps if gap.cause is GapCause.UNEXPLAINED]
        if len(loose) > cuts:
            device = data.device(schedule.device_id)
            wrong.append(f"{device.name} {schedule.name}: {len(loose)} gaps without a cause")
    return wrong


def _figures(done: Campaign, data: Any, hours: float, wall_s: float) -> list[str]:
    found: dict[str, list[float]] = defaultdict(list)
    back: dict[str, list[float]] = defaultdict(list)
    for fault in done.faults:
        if fault.lost_us is not None:
            found[fault.kind].append((fault.lost_us - fault.began_us) / 1e6)
        if fault.up_us is not None:
            # Garbage may cost a radio that is back before the last of it.
            back[fault.kind].append(max(0.0, (fault.up_us - fault.ended_us) / 1e6))
    lines = []
    for kind in WEIGHTS:
        count = sum(fault.kind == kind for fault in done.faults)
        line = f"{kind:12} {count:4}"
        if found[kind]:
            median = statistics.median(found[kind])
            line += f"  lost {len(found[kind])} times; noticed after {median:.1f} s"
            line += f", at most {max(found[kind]):.1f} s"
        if back[kind]:
            line += (
                f"; back {statistics.median(back[kind]):.1f} s after its end, at most "
                f"{max(back[kind]):.1f} s"
            )
        lines.append(line)
    observed = sum(schedule.result.observed for schedule in data.schedules)
    expected = sum(schedule.result.expected for schedule in data.schedules)
    gaps = Counter(gap.cause.value for schedule in data.schedules for gap in schedule.result.gaps)
    outages = [each.end_us - each.start_us for each in data.infrastructure]
    lines.append(
        f"{observed} of {expected} scheduled reads; gaps: "
        + ", ".join(f"{count} {cause}" for cause, count in sorted(gaps.items()))
    )
    lines.append(
        f"{len(outages)} outages of {sum(outages) / 1e6:.0f} s in all; {hours:g} h of rig time in "
        f"{wall_s:.0f} s (ratio {hours * 3600 / wall_s:.0f})"
    )
    return lines


def main() -> int:
    """Run the campaign and check its claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", choices=["ezsp", "znp"], default="ezsp")
    options = parser.parse_args()
    print(f"seed {options.seed}: python campaigns/faults.py --seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        outcome = campaign(
            Path(name),
            seed=options.seed,
            count=options.faults,
            hours=options.hours,
            driver=options.driver,
        )
    print("\n".join(outcome.figures))
    for sentence in outcome.wrong:
        print(f"WRONG: {sentence}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
