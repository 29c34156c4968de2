"""One hub under attack for long: does its memory stand still?

    python -m fuzz.soak EXECUTIONS SEED FOLDER

No coverage here and no corpus, whose memory would hide the hub's: seeds and their mutations only.
Memory is looked at every `LOOK_EVERY` arrivals, after what is unreachable has been collected.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Final

from fuzz import mutator, seeds
from fuzz.arrivals import decode
from fuzz.finding import Finding
from fuzz.world import World, allocated_blocks

LOOK_EVERY: Final = 5000
WARM: Final = 4
"""Looks after which the hub is warm."""

BLOCKS_LIMIT: Final = 60_000
RSS_LIMIT_KB: Final = 32_768
_STATUS: Final = Path("/proc/self/status")


def resident_kb() -> int:
    """The memory of this process, in kB; 0 where the system does not tell."""
    if not _STATUS.exists():
        return 0
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def soak(executions: int, seed: int) -> dict[str, object]:
    """Attack one hub. Raises `Finding`; returns the figures."""
    rng = random.Random(seed)
    world = World()
    world.start()
    valid = seeds.all_seeds(world.endpoints)
    blocks: list[int] = []
    resident: list[int] = []
    octets = b""
    began = time.monotonic()
    while world.figures.arrivals < executions:
        octets = mutator.mutate(octets if rng.random() < 0.7 else b"", 3000, rng, valid)
        world.throw(decode(octets))
        if world.figures.arrivals >= LOOK_EVERY * (len(blocks) + 1):
            blocks.append(allocated_blocks())
            resident.append(resident_kb())
            if len(blocks) > WARM:
                _compare("blocks of memory", blocks, BLOCKS_LIMIT)
                _compare("kB of memory", resident, RSS_LIMIT_KB)
    took_s = time.monotonic() - began
    world.check_tables()
    world.stop()
    figures = world.summary()
    return {
        "target": "soak",
        "seed": seed,
        "executions": figures.arrivals,
        "seconds": round(took_s, 1),
        "per_second": round(figures.arrivals / took_s),
        "packets": figures.packets,
        "answers": figures.answers,
        "good_reads": figures.good_reads,
        "rig_s": figures.rig_s,
        "blocks": blocks,
        "resident_kb": resident,
        "largest_tables": figures.largest_tables,
    }


def _compare(what: str, samples: list[int], limit: int) -> None:
    grown = samples[-1] - max(samples[:WARM])
    if grown > limit:
        raise Finding(f"one hub has grown by {grown} {what} since it was warm: {samples}")


def main(arguments: list[str]) -> int:
    """Soak, and write down the figures."""
    if len(arguments) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    executions, seed, folder = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    try:
        figures = soak(executions, seed)
    except Finding as finding:
        print(f"FOUND: {finding}\nagain: {sys.executable} -m fuzz.soak {' '.join(arguments)}")
        return 1
    (folder / f"soak-{seed}.json").write_text(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
