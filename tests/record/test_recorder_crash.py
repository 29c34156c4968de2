"""SIGKILL at any moment: the database opens, is sound, and lacks at most the last second."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from synthetic_runs import emit, healthy

from labctl.record.database import check
from labctl.record.queries import runs
from labctl.record.recorder import Recorder

# Writes events as fast as told, and says on stdout which one it has handed over. On the real clock
# `at_us` is the loop's time, on the fast clock it is rig time; a microsecond is a microsecond.
CHILD = """
import asyncio, os, sys
from labctl import events as ev
from labctl.record.recorder import Recorder
from labctl.virtual.clock import run

path, fast, pause_s = sys.argv[1], sys.argv[2] == "fast", float(sys.argv[3])

async def main():
    loop = asyncio.get_running_loop()
    recorder = Recorder(path, loop=loop)
    origin = loop.time()
    def now():
        return 1_000_000_000 + round((loop.time() - origin) * 1e6)
    recorder(ev.RunStarted(at_us=now(), rig="r", kind="bench", simulated=fast,
        labctl_version="0", host="h", config_sha256="0"))
    n = 0
    while True:
        at_us = now()
        eui64 = f"00:00:00:00:00:00:00:{n % 7:02x}"
        if n % 5:
            recorder(ev.LinkSample(at_us=at_us, eui64=eui64, radio="main", lqi=n % 256,
                direction=ev.Direction.TO_HUB, page=0, channel=11, rssi_dbm=-n % 90 - 90))
        elif n % 50:
            recorder(ev.ReadServed(at_us=at_us, eui64=eui64, initiator="device", endpoint=1,
                cluster_id=0x702, attributes=(0,), command_id=None, status=0, latency_us=n,
                aps_encrypted=True))
        else:
            recorder(ev.JoinStarted(at_us=at_us, join=n, eui64=eui64, kind=ev.JoinKind.JOIN,
                band=ev.Band.GHZ_2_4, page=0, channel=11))
            recorder(ev.JoinEnded(at_us=at_us, join=n, outcome=ev.JoinOutcome.AUTHORISED))
        os.write(1, b"%d\\n" % at_us)
        n += 1
        await asyncio.sleep(pause_s)

run(main(), fast=fast)
"""


def killed_after(path: Path, clock: str, pause_s: float, alive_s: float) -> list[int]:
    """Run the child and kill it after `alive_s` of writing: the times of all events it told of."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), clock, str(pause_s)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    told = [os.read(child.stdout.fileno(), 100)]  # it has begun to write
    assert told[0], "the child ended by itself"
    deadline = time.monotonic() + alive_s
    while time.monotonic() < deadline:
        told.append(os.read(child.stdout.fileno(), 1 << 16))
    child.send_signal(signal.SIGKILL)
    told.append(child.stdout.read())
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return [int(line) for line in b"".join(told).split(b"\n")[:-1]]


@pytest.mark.parametrize(
    ("clock", "pause_s", "alive_s"),
    [
        ("real", 0.0, 0.5),  # a flood: batches of a hundred
        ("real", 0.05, 1.7),  # a trickle: the timer
        ("fast", 0.4, 0.5),  # rig time flies
        ("fast", 7.0, 0.3),  # each event alone in its second
        ("fast", 0.0, 0.3),  # rig time stands still
    ],
)
def test_a_killed_run_lacks_at_most_its_last_second(
    tmp_path: Path, clock: str, pause_s: float, alive_s: float
) -> None:
    path = tmp_path / "lab.db"
    rng = random.Random(f"{clock} {pause_s}")
    told = killed_after(path, clock, pause_s, alive_s * rng.uniform(0.9, 1.1))

    health = check(path)
    assert health.ok, health
    assert health.unfinished_runs == (1,)
    with sqlite3.connect(path) as db:
        kept = sorted(
            at_us
            for (at_us,) in db.execute(
                "SELECT at_us FROM reads UNION ALL SELECT at_us FROM link_samples"
                " UNION ALL SELECT started_us FROM joins"
            )
        )
    db.close()
    older = [at_us for at_us in told if at_us <= told[-1] - 1_000_000]
    assert kept[: len(older)] == older
    assert len(told) > 20


def test_after_kills_at_many_moments_the_next_run_works(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    rng = random.Random(7)
    for _ in range(4):
        killed_after(path, "fast", rng.choice((0.0, 0.01, 0.4)), rng.uniform(0.0, 0.15))
        assert check(path).ok
    with Recorder(path) as recorder:
        emit(healthy(hours=0.2, rig="r"), recorder)
        found = runs(recorder.connection)
    assert [run.verdict for run in found] == ["pass", *["incomplete"] * 4]
    assert all(run.ended_us is not None for run in found)
    assert check(path).unfinished_runs == ()
