"""Fuzz the hub and the decoders, on all processors: what `make fuzz` calls.

    python -m fuzz.run [--runs 1000000] [--seed 1] [--jobs 2] [--folder fuzz/out]

`--runs` is the number of payloads and other arrivals at the hub. The decoders get a quarter as
many, one hub that is watched for its memory a fifth, the loaders of files, which are slow, one in
500. Each run starts from the valid requests.
Exit code 0: nothing was found.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_HERE: Final = Path(__file__).resolve().parent
_COVERAGE: Final = re.compile(r"cov: (\d+) ft: (\d+)")
_TELL_EVERY_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.5
_TAIL: Final = 4000


@dataclass(slots=True)
class Job:
    """One process of `fuzz.coverage_guided`, or of `fuzz.soak`."""

    target: str
    runs: int
    seed: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What the process says."""
        return self.folder / f"{self.target}-{self.seed}.log"

    @property
    def words(self) -> list[str]:
        """The command."""
        guided = ["fuzz.coverage_guided", self.target]
        return [
            sys.executable,
            "-m",
            *(["fuzz.soak"] if self.target == "soak" else guided),
            str(self.runs),
            str(self.seed),
            str(self.folder),
        ]

    def start(self) -> None:
        """Start it. Sets and dictionaries are to have the same order each time."""
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module, with our own words
                self.words, stdout=log, stderr=log, env=environment, cwd=_HERE.parent
            )

    def coverage(self) -> tuple[int, int]:
        """Branches covered and features seen, as libFuzzer told last."""
        found = _COVERAGE.findall(self.log.read_text(errors="replace"))
        return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)

    def figures(self) -> dict[str, Any] | None:
        """What it wrote at its end; None when it did not get there."""
        path = self.folder / f"{self.target}-{self.seed}.json"
        if not path.exists():
            return None
        found: dict[str, Any] = json.loads(path.read_text())
        return found


def jobs(runs: int, seed: int, count: int, folder: Path) -> Iterator[Job]:
    """The hub on `count` processors, the decoders and the loaders beside."""
    for number in range(count):
        share = runs // count + (number < runs % count)
        yield Job("hub", share, seed + number, folder)
    yield Job("soak", max(30_000, runs // 5), seed, folder)
    yield Job("decoders", max(1000, runs // 4), seed, folder)
    yield Job("files", max(200, runs // 500), seed, folder)


def main(arguments: list[str]) -> int:
    """Run all jobs, tell how they stand, and sum up."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=_HERE / "out")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    waiting = list(jobs(options.runs, options.seed, options.jobs, folder))
    for job in waiting:
        (folder / f"{job.target}-{job.seed}.json").unlink(missing_ok=True)
        shutil.rmtree(folder / f"corpus-{job.target}-{job.seed}", ignore_errors=True)
    print(f"seed {options.seed}, {options.runs} executions at the hub, {options.jobs} processes")
    began = time.monotonic()
    done = _work_off(waiting, options.jobs)
    return _sum_up(done, time.monotonic() - began)


def _work_off(waiting: list[Job], count: int) -> list[Job]:
    running: list[Job] = []
    done: list[Job] = []
    told = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < count:
                job = waiting.pop(0)
                job.start()
                running.append(job)
            time.sleep(_LOOK_EVERY_S)
            for job in [j for j in running if j.process and j.process.poll() is not None]:
                running.remove(job)
                done.append(job)
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                for job in running:
                    print(f"  {job.target} (seed {job.seed}): coverage {job.coverage()[0]}")
    finally:
        for job in running:
            if job.process is not None:
                job.process.terminate()
                job.process.wait()
    return done


def _where(job: Job) -> str:
    return "as one hub is attacked" if job.target == "soak" else "after each hub"


def _few(samples: list[int]) -> str:
    """First, highest and last of the samples."""
    return f"{samples[0]} first, {max(samples)} at most, {samples[-1]} last" if samples else "-"


def _sum_up(done: list[Job], took_s: float) -> int:
    failed = False
    totals: dict[str, int] = {}
    for job in sorted(done, key=lambda j: (j.target, j.seed)):
        figures = job.figures()
        branches, features = job.coverage()
        if figures is None:
            failed = True
            log = job.log.read_text(errors="replace")
            at = max(log.find("FOUND"), 0)
            print(f"\n{job.target} (seed {job.seed}) did not get to its end:\n{log[at:][:_TAIL]}")
            continue
        totals[job.target] = totals.get(job.target, 0) + figures["executions"]
        covered = f", coverage {branches} branches, {features} features" if branches else ""
        print(
            f"{job.target} (seed {job.seed}): {figures['executions']} executions in "
            f"{figures['seconds']} s ({figures['per_second']}/s){covered}"
        )
        if "packets" in figures:
            print(
                f"  {figures['packets']} packets, {figures['answers']} answers checked, "
                f"{figures['good_reads']} reads of the good devices, all answered; "
                f"{figures['rig_s'] / 3600:.0f} h of rig time"
            )
            print(f"  blocks of memory {_where(job)}: {_few(figures['blocks'])}")
            if "resident_kb" in figures:
                print(f"  kB resident: {_few(figures['resident_kb'])}")
    told = ", ".join(f"{count} at {target}" for target, count in totals.items())
    print(f"{told}; {took_s:.0f} s in all; {'FAILED' if failed else 'nothing found'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
