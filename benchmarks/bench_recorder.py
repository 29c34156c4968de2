"""Recorder rows a second, events in through the bus, against raw `executemany` of the same rows.

Both write the same rows into the same tables with the same pragmas and the same batches of 100, in
turns, in one process. The ratio is what the recorder itself costs.

A second figure shows what the guarantee costs on the fast clock: one event a second of rig time, so
that each event is a commit of its own.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from labctl import events as ev
from labctl.record.database import open_for_writing
from labctl.record.recorder import FLUSH_EVENTS, Recorder
from labctl.virtual.clock import FastLoop

ROUNDS = 7
ROWS = 20_000
DEVICES = [f"00:0d:6f:00:0a:90:00:{n:02x}" for n in range(2, 6)]
ORIGIN_US = 1_795_000_000_000_000


def opening() -> Iterator[ev.Event]:
    """What a run begins with."""
    yield ev.RunStarted(
        at_us=ORIGIN_US,
        rig="bench",
        kind="bench",
        simulated=True,
        labctl_version="0",
        host="host",
        config_sha256="0" * 64,
    )
    yield ev.RadioUp(
        at_us=ORIGIN_US,
        name="main",
        driver="ezsp",
        band=ev.Band.GHZ_2_4,
        path="path",
        eui64="00:0d:6f:00:0a:90:00:01",
        page=0,
        channel=15,
        pan_id=1,
        extended_pan_id="00:0d:6f:00:0a:90:00:01",
        resumed=False,
    )
    for eui64 in DEVICES:
        yield ev.DeviceSeen(at_us=ORIGIN_US, eui64=eui64, name=eui64[-2:])
        yield ev.ReadScheduleDeclared(
            at_us=ORIGIN_US,
            eui64=eui64,
            name="electricity",
            cluster_id=0x0702,
            attributes=(0x0400, 0x0000),
            period_ms=10_000,
            tolerance_ms=2_000,
        )


def traffic() -> list[ev.Event]:
    """Three link samples and a read, over and over, as a 10 s poll makes them."""
    found: list[ev.Event] = []
    for n in range(ROWS // 4):
        eui64, at_us = DEVICES[n % len(DEVICES)], ORIGIN_US + n * 2_500_000
        for k in range(3):
            found.append(
                ev.LinkSample(
                    at_us=at_us + k,
                    eui64=eui64,
                    radio="main",
                    direction=ev.Direction.TO_HUB if k else ev.Direction.FROM_HUB,
                    page=0,
                    channel=15,
                    lqi=200 - n % 50,
                    rssi_dbm=-60 - n % 11,
                )
            )
        found.append(
            ev.ReadServed(
                at_us=at_us + 3,
                eui64=eui64,
                initiator="device",
                endpoint=2,
                cluster_id=0x0702,
                attributes=(0x0400, 0x0000),
                command_id=None,
                status=0,
                latency_us=5_300 + n % 700,
                aps_encrypted=True,
                schedule="electricity",
            )
        )
    return found


def through_the_bus(folder: Path, events: list[ev.Event]) -> tuple[float, Path]:
    """Seconds that the recorder takes."""
    path = folder / "recorder.db"
    with Recorder(path) as recorder:
        bus = ev.EventBus()
        recorder.subscribe(bus)
        for event in opening():
            bus.emit(event)
        recorder.flush()
        begin = time.perf_counter()
        for event in events:
            bus.emit(event)
        recorder.flush()
        return time.perf_counter() - begin, path


def rows_of(path: Path) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """What the recorder wrote into its two hot tables."""
    with sqlite3.connect(path) as db:
        links = db.execute("SELECT * FROM link_samples ORDER BY id").fetchall()
        reads = db.execute("SELECT * FROM reads ORDER BY id").fetchall()
    db.close()
    return links, reads


def raw(folder: Path, links: list[tuple[object, ...]], reads: list[tuple[object, ...]]) -> float:
    """Seconds that bare `executemany` takes for the same rows in the same batches."""
    path = folder / "raw.db"
    with Recorder(path) as recorder:
        for event in opening():
            recorder(event)
    db = open_for_writing(path)
    link_sql = f"INSERT INTO link_samples VALUES ({', '.join('?' * len(links[0]))})"
    read_sql = f"INSERT INTO reads VALUES ({', '.join('?' * len(reads[0]))})"
    share = FLUSH_EVENTS // 4
    begin = time.perf_counter()
    for n in range(0, len(reads), share):
        db.execute("BEGIN IMMEDIATE")
        db.executemany(link_sql, links[3 * n : 3 * (n + share)])
        db.executemany(read_sql, reads[n : n + share])
        db.execute("COMMIT")
    taken = time.perf_counter() - begin
    db.close()
    return taken


def a_commit_each(folder: Path, events: list[ev.Event]) -> float:
    """Seconds on the fast clock with one event in each second of rig time."""
    loop = FastLoop()

    async def emit() -> float:
        begin = time.perf_counter()
        for event in events:
            recorder(event)
            await asyncio.sleep(1.5)
        return time.perf_counter() - begin

    async def wait_only() -> float:
        begin = time.perf_counter()
        for _ in events:
            await asyncio.sleep(1.5)
        return time.perf_counter() - begin

    with Recorder(folder / "each.db", loop=loop) as recorder:
        for event in opening():
            recorder(event)
        taken = loop.run_until_complete(emit()) - loop.run_until_complete(wait_only())
    loop.close()
    return taken


def main() -> None:
    """Print the ratio, and what a commit for each event costs."""
    events = traffic()
    ratios, rates, each = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            gc.collect()
            taken, path = through_the_bus(folder, events)
            links, reads = rows_of(path)
            assert len(links) + len(reads) == len(events)
            gc.collect()
            bare = raw(folder, links, reads)
            ratios.append(bare / taken)
            rates.append(len(events) / taken)
            each.append(a_commit_each(folder, events[:2000]) / 2000)
    print(
        f"recorder rows/s over raw executemany rows/s: {statistics.median(ratios):.2f}"
        f" (from {min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} rounds in turns)"
    )
    print(
        f"  {statistics.median(rates) * 60 / 1e6:.1f} million rows a minute in batches of"
        f" {FLUSH_EVENTS}; {statistics.median(each) * 1e6:.0f} us for an event that is a commit"
        " of its own (one a second of rig time)"
    )


if __name__ == "__main__":
    main()
