"""The coverage-guided fuzzer: atheris over a whole hub, or over the decoders.

`fuzz.run` starts it, as many at a time as there are processors:

    python -m fuzz.coverage_guided hub|decoders|files EXECUTIONS SEED FOLDER

One call of libFuzzer's is a batch; an execution is one arrival in it (or one string of octets for
a decoder). The hub lives on from batch to batch, and after `WORLD_LASTS` arrivals there is a fresh
one. What was thrown at it is in the journal: a finding is written down with all that led to it,
made shorter, and printed with the command that finds it again.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any, Final

import atheris  # type: ignore[import-untyped]

# Arithmetic has no corners that octets could reach, and costs ten times as much when it is counted.
import labctl.meters
import labctl.smart_energy.ecmqv  # noqa: F401

_INSTRUMENTED: Final = {
    "hub": [
        "labctl.hub",
        "labctl.smart_energy.cbke",
        "labctl.smart_energy.cbke_actions",
        "labctl.smart_energy.cbke_messages",
        "labctl.smart_energy.certificates",
        "labctl.smart_energy.clusters",
        "labctl.smart_energy.access",
    ],
    "decoders": [
        "labctl.hub.frames",
        "labctl.hub.binding",
        "labctl.smart_energy",
        "labctl.virtual.frames",
        "labctl.virtual.ncp",
        "labctl.virtual.devices",
        "labctl.radio",
    ],
    "files": ["labctl.config", "labctl.smart_energy"],
}

target_name = sys.argv[1] if len(sys.argv) > 1 else ""
if target_name not in _INSTRUMENTED:
    sys.exit(__doc__)
with atheris.instrument_imports(include=_INSTRUMENTED[target_name]):
    import fuzz.decoders
    import fuzz.files
    import fuzz.journal
    import fuzz.world
    from fuzz import mutator, seeds
    from fuzz.arrivals import decode, encode
    from fuzz.entry import chosen
    from fuzz.finding import Finding

WORLD_LASTS: Final = 20_000
"""Arrivals after which a hub is stopped and another one started."""

BLOCKS_LIMIT: Final = 60_000
"""Blocks of memory that one world may leave behind when it is gone (about 4 MB)."""

_SHORTEN_S: Final = 120.0
_LONGEST: Final = 3000


class HubTarget:
    """Batches at a hub."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._worlds = seed - 2
        self._world = self._fresh()
        self._journal: list[bytes] = []
        self._seeds = seeds.all_seeds(self._world.endpoints)
        self._blocks: list[int] = []
        self._totals: dict[str, Any] = {}
        self.executions = 0

    def _fresh(self) -> fuzz.world.World:
        self._worlds += 1
        attackers = fuzz.world.ATTACKERS
        self._attacker = attackers[self._worlds % len(attackers)]
        world = fuzz.world.World(self._attacker)
        world.start()
        return world

    def corpus(self) -> list[bytes]:
        """Where to start."""
        return [encode(batch) for batch in seeds.batches(self._seeds)]

    def one(self, octets: bytes) -> None:
        """One batch."""
        batch = decode(octets)
        if not batch:
            return
        self._journal.append(octets)
        self.executions += len(batch)
        try:
            self._world.throw(batch)
            if self._world.figures.arrivals >= WORLD_LASTS:
                self._renew()
        except Finding as finding:
            self._write_down(finding)

    def _renew(self) -> None:
        self.finish()
        self._journal = []
        self._world = self._fresh()

    def finish(self) -> None:
        """Stop the world, and see that it leaves nothing behind. Raises `Finding`."""
        self._world.check_tables()
        self._world.stop()
        self._add_up(self._world)
        del self._world
        self._blocks.append(fuzz.world.allocated_blocks())
        # The first worlds fill what is filled once in a process.
        if len(self._blocks) > 3 and self._blocks[-1] - self._blocks[2] > BLOCKS_LIMIT:
            grown = self._blocks[-1] - self._blocks[2]
            raise Finding(
                f"{len(self._blocks) - 3} worlds have left {grown} blocks of memory behind"
            )

    def _add_up(self, world: fuzz.world.World) -> None:
        figures = world.summary()
        totals = self._totals
        for name in ("arrivals", "packets", "batches", "good_reads", "answers", "own", "rig_s"):
            totals[name] = totals.get(name, 0) + getattr(figures, name)
        for name in ("longest_answer", "most_answers"):
            totals[name] = max(totals.get(name, 0), getattr(figures, name))
        for name in ("refusals", "notes"):
            counts = totals.setdefault(name, {})
            for what, count in getattr(figures, name).items():
                counts[what] = counts.get(what, 0) + count
        largest = totals.setdefault("largest_tables", {})
        for label, grown in figures.largest_tables.items():
            largest[label] = max(grown, largest.get(label, 0))

    def figures(self) -> dict[str, Any]:
        """For the summary."""
        return {**self._totals, "blocks": self._blocks}

    def _write_down(self, finding: Finding) -> None:
        path = self._folder / f"hub-{self._seed}.journal"
        attacker = self._attacker
        fuzz.journal.write(path, attacker, self._journal)
        print(f"\nFOUND: {finding}\nwritten to {path}; making it shorter ...", file=sys.stderr)
        if fuzz.journal.replay(self._journal[-1:], attacker) is not None:
            shorter = self._journal[-1:]
        else:
            shorter = fuzz.journal.shorten(self._journal, patience_s=_SHORTEN_S, attacker=attacker)
        if fuzz.journal.replay(shorter, attacker) is not None:
            fuzz.journal.write(path, attacker, shorter)
            print(f"{len(shorter)} of {len(self._journal)} batches are enough", file=sys.stderr)
        else:
            print("a fresh process is needed to find it again", file=sys.stderr)
        print(f"again: PYTHONHASHSEED=0 {sys.executable} -m fuzz.replay {path}", file=sys.stderr)
        raise finding

    def mutated(self, octets: bytes, most: int, seed: int) -> bytes:
        """libFuzzer's custom mutator."""
        return mutator.mutate(octets, most, random.Random(seed), self._seeds, atheris.Mutate)

    def crossed(self, one: bytes, other: bytes, most: int, seed: int) -> bytes:
        """libFuzzer's custom cross-over."""
        return mutator.cross(one, other, most, random.Random(seed))


class OctetsTarget:
    """Octets at a table of decoders: the first octet chooses, the rest is split at its lengths."""

    def __init__(self, name: str, folder: Path, seed: int) -> None:
        module: Any = fuzz.decoders if name == "decoders" else fuzz.files
        self._table = module.table()
        self._module = module.__name__
        self._path = folder / f"{name}-{seed}.octets"
        self.executions = 0

    def corpus(self) -> list[bytes]:
        """The samples of every decoder."""
        return [
            bytes((number,)) + sample
            for number, entry in enumerate(self._table)
            for sample in entry.samples
        ]

    def one(self, octets: bytes) -> None:
        """One string of octets."""
        if not octets:
            return
        self.executions += 1
        entry = chosen(self._table, octets)
        try:
            entry.decode(octets[1:])
        except Exception:
            self._path.write_bytes(octets)
            print(
                f"\nFOUND in {entry.name}; again: {sys.executable} -m {self._module} {self._path}",
                file=sys.stderr,
            )
            raise

    def finish(self) -> None:
        """Nothing lives on."""

    def figures(self) -> dict[str, Any]:
        """For the summary."""
        return {"decoders": [entry.name for entry in self._table]}


def main() -> None:
    """Fuzz until there were as many executions as asked for."""
    executions, seed, folder = int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    corpus = folder / f"corpus-{target_name}-{seed}"
    corpus.mkdir(parents=True, exist_ok=True)
    is_hub = target_name == "hub"
    target: Any = HubTarget(folder, seed) if is_hub else OctetsTarget(target_name, folder, seed)
    for number, octets in enumerate(target.corpus()):
        (corpus / f"seed-{number:04}").write_bytes(octets)
    began = time.monotonic()

    def one(octets: bytes) -> None:
        target.one(octets)
        if target.executions >= executions:
            target.finish()
            took_s = time.monotonic() - began
            figures = {
                "target": target_name,
                "seed": seed,
                "executions": target.executions,
                "seconds": round(took_s, 1),
                "per_second": round(target.executions / took_s),
                **target.figures(),
            }
            (folder / f"{target_name}-{seed}.json").write_text(json.dumps(figures, indent=1))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)  # libFuzzer knows no other end from inside

    flags = [
        sys.argv[0],
        str(corpus),
        f"-seed={seed}",
        f"-max_len={_LONGEST if is_hub else 1024}",
        "-len_control=0",
        f"-artifact_prefix={folder}/",
        "-rss_limit_mb=2048",
        "-timeout=120",
        "-print_final_stats=1",
    ]
    if is_hub:
        atheris.Setup(flags, one, custom_mutator=target.mutated, custom_crossover=target.crossed)
    else:
        atheris.Setup(flags, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
