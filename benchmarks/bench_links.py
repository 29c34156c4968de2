"""RSSI percentiles by band among millions of link samples, against counting the samples themselves.

The database holds ten million samples (another number as argument) in a year of runs: two devices
on each band, two directions. Both ways are asked in turns, of one run and of all, and must agree.
A third figure is what a database of an older labctl costs once, when its samples are counted.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from labctl.events import Band
from labctl.record import schema_bearers
from labctl.record.band_quality import BandRssi, rssi_by_band
from labctl.record.database import open_for_writing
from labctl.record.stats import percentile

SAMPLES = 10_000_000
SAMPLES_IN_A_RUN = 34_560  # a day of four devices, one read of 10 s and its answer each
ROUNDS = 7
ORIGIN_US = 1_795_000_000_000_000

_FILL = """
INSERT INTO link_samples (run_id, device_id, radio_id, at_us, direction, page, channel, rssi_dbm,
    lqi)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)
SELECT :run, 1 + i % 4, 2 * :run - i % 2, :start + i * 2500000,
    CASE WHEN i / 4 % 2 THEN 'from-hub' ELSE 'to-hub' END,
    28 * (i % 2), 15, -88 + 10 * (i % 4) + abs(random()) % 9 + abs(random()) % 9,
    100 + abs(random()) % 60
FROM n
"""
_COUNT_SAMPLES = """
SELECT page = 0, direction, rssi_dbm, count(*) FROM link_samples
WHERE rssi_dbm IS NOT NULL {where} GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2 DESC
"""


def fill(db: sqlite3.Connection, samples: int) -> int:
    """Runs with their samples, as an older labctl left them; the number of runs."""
    for device in range(1, 5):
        db.execute(
            "INSERT INTO devices (id, eui64, first_seen_us, last_seen_us) VALUES (?, ?, 0, 0)",
            (device, f"00:0d:6f:00:0a:90:00:{device:02x}"),
        )
    run, left = 0, samples
    while left > 0:
        run += 1
        db.execute(
            "INSERT INTO runs (id, rig, kind, started_us, simulated, labctl_version, host,"
            " config_sha256) VALUES (?, 'bench', 'bench', ?, 1, '0', 'host', '0')",
            (run, ORIGIN_US + run * 86_400_000_000),
        )
        for radio, band, page in ((2 * run, Band.GHZ_2_4, 0), (2 * run - 1, Band.MHZ_868, 28)):
            db.execute(
                "INSERT INTO radios (id, run_id, name, driver, band, path, eui64, page, channel)"
                " VALUES (?, ?, ?, 'ezsp', ?, 'path', '00:0d:6f:00:0a:90:00:00', ?, 15)",
                (radio, run, band.value, band.value, page),
            )
        count = min(left, SAMPLES_IN_A_RUN)
        start_us = ORIGIN_US + run * 86_400_000_000
        db.execute(_FILL, {"run": run, "count": count, "start": start_us})
        left -= count
    return run


def by_samples(db: sqlite3.Connection, run_id: int | None) -> tuple[BandRssi, ...]:
    """The same as `rssi_by_band`, counted from every sample."""
    where = "" if run_id is None else f"AND run_id = {run_id}"
    counts: dict[tuple[int, str], dict[int, int]] = {}
    for is_2450, direction, rssi_dbm, count in db.execute(_COUNT_SAMPLES.format(where=where)):
        counts.setdefault((is_2450, direction), {})[rssi_dbm] = count
    return tuple(
        BandRssi(
            Band.GHZ_2_4 if is_2450 else Band.MHZ_868,
            direction,
            sum(values.values()),
            *(percentile(values, percent) or 0 for percent in (5, 50, 95)),
        )
        for (is_2450, direction), values in counts.items()
    )


def timed(ask: Callable[[], tuple[BandRssi, ...]]) -> tuple[float, tuple[BandRssi, ...]]:
    """Seconds that a question takes, and its answer."""
    begin = time.perf_counter()
    found = ask()
    return time.perf_counter() - begin, found


def compare(db: sqlite3.Connection, run_id: int | None, rounds: int) -> tuple[float, float]:
    """Median seconds by the counts and by the samples, asked in turns."""
    quick, slow = [], []
    for _ in range(rounds):
        seconds, by_counts = timed(lambda: rssi_by_band(db, run_id=run_id))
        quick.append(seconds)
        seconds, expected = timed(lambda: by_samples(db, run_id))
        slow.append(seconds)
        assert by_counts == expected
        assert by_counts
    return statistics.median(quick), statistics.median(slow)


def main() -> None:
    """Print the ratios."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES
    with tempfile.TemporaryDirectory() as name:
        db = open_for_writing(Path(name) / "lab.db")
        db.execute("BEGIN")
        runs = fill(db, samples)
        db.execute("COMMIT")
        begin = time.perf_counter()
        db.execute("BEGIN")
        for statement in schema_bearers.COUNT_OLD_SAMPLES:
            db.execute(statement)
        db.execute("COMMIT")
        counted = time.perf_counter() - begin
        (rows,) = db.execute("SELECT count(*) FROM link_rssi_counts").fetchone()
        one, one_slow = compare(db, max(1, runs // 2), ROUNDS)
        every, every_slow = compare(db, None, 3)
        db.close()
    print(
        f"RSSI percentiles by band among {samples / 1e6:g} million samples, by counts over by"
        f" samples: one run {one_slow / one:.0f} times as quick ({one * 1e3:.1f} ms over"
        f" {one_slow * 1e3:.0f} ms), all {runs} runs {every_slow / every:.0f} times"
        f" ({every * 1e3:.0f} ms over {every_slow * 1e3:.0f} ms)"
    )
    print(
        f"  {rows:,} counts; counting the samples of an older database once: {counted:.1f} s,"
        f" {counted / samples * 1e6:.1f} us a sample"
    )


if __name__ == "__main__":
    main()
