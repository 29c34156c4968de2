"""Twenty acceptance campaigns on good virtual devices: nothing fails, nothing is infrastructure.

    python campaigns/acceptance.py [--runs 20] [--seed 1] [--jobs 1] [--observe 24h] [CASE]...

Each run is the command `labctl campaign run` on a rig that the seed draws: the hub's driver and
generation, its bands, an IHD, a CAD and a PPMID on bands that go with it. Exits with 1 when a run's
verdict is a fail or an infrastructure error, and prints the command that plays it again.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rigs

GOOD = frozenset({"pass", "marginal", "not-applicable"})
"""Outcomes that a good device on a sound rig may have."""
_LABCTL = "import sys; from labctl.cli.main import main; sys.exit(main())"
_POSITIONS = ([6.0, 3.0, 0.0], [2.0, -4.0, 1.0], [-5.0, 4.0, 0.0])
_KINDS = ("ihd", "cad", "ppmid")


@dataclass(frozen=True, slots=True)
class Lab:
    """What the seed drew."""

    seed: int
    driver: str
    generation: str
    band: str

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.driver}, {self.generation}, {self.band}"


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run. `wrong` are the results that a good device must not have."""

    lab: Lab
    exit_code: int
    outcomes: Counter[str]
    wrong: tuple[str, ...]
    took_s: float
    said: str


def labs(seed: int, count: int) -> list[Lab]:
    """Each seed has its lab, and eight seeds in a row have every combination once."""
    combinations = [
        (driver, generation, band)
        for driver, bands in (("ezsp", ("2.4 GHz", "868 MHz", "dual")), ("znp", ("2.4 GHz",)))
        for generation in ("smets1", "smets2")
        for band in bands
    ]
    return [Lab(own, *combinations[own % len(combinations)]) for own in range(seed, seed + count)]


def write(folder: Path, lab: Lab, observe: str) -> Path:
    """The rig of a lab, as files."""
    rng = random.Random(f"acceptance/{lab.seed}")
    suite = 1 if lab.generation == "smets1" else 2
    bands = {"2.4 GHz": ["2.4 GHz"], "868 MHz": ["868 MHz"], "dual": ["2.4 GHz", "868 MHz"]}
    _, rig = rigs.shipped()
    inventory: dict[str, Any] = {
        "radios": {
            "stick": {
                "driver": lab.driver,
                "path": "virtual",
                "eui64": "00:00:5e:ef:10:00:01:00",
                "bands": bands[lab.band],
            }
        },
        "devices": {},
    }
    channel = rng.choice([11, 15, 20, 24])
    hub: dict[str, Any] = {"radio": "stick", "generation": lab.generation, "band": lab.band}
    if lab.band == "868 MHz":
        hub |= {"page": 28, "channel": 10, "tx_power_dbm": 14}
    else:
        hub |= {"channel": channel, "tx_power_dbm": 8}
    if lab.band == "dual":
        hub["sub_ghz"] = {"page": 28, "channel": 10, "tx_power_dbm": 14}
    rig |= {"rig": "acceptance", "hub": hub, "devices": [], "campaign": {"observe": observe}}
    for number, kind in enumerate(_KINDS, 1):
        entry = rigs.device(number, kind, suites=[suite])
        entry["virtual"]["position"] = _POSITIONS[number - 1]
        entry["bands"] = bands[lab.band]
        if lab.band == "dual" and rng.random() < 0.5:
            entry["bands"] = [rng.choice(bands["dual"])]
        inventory["devices"][f"{kind}-1"] = entry
        rig["devices"].append(
            {
                "device": f"{kind}-1",
                "pairing": {"method": "remote", "window": "10min"},
                "reads": [rigs.electricity(), rigs.gas()],
            }
        )
    return rigs.write(folder, inventory, rig).path


def play(lab: Lab, observe: str, cases: list[str]) -> Played:
    """One run, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="acceptance-") as name:
        folder = Path(name)
        path = write(folder, lab, observe)
        labctl = [sys.executable, "-c", _LABCTL]
        database = ["--db", str(folder / "labctl.db")]
        began_s = time.monotonic()
        ran = subprocess.run(  # noqa: S603 - our own command
            [
                *(*labctl, "campaign", "run", str(path), *cases, "--seed", str(lab.seed)),
                *(*database, "--reports", str(folder / "reports"), "--no-input"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        took_s = time.monotonic() - began_s
        shown = subprocess.run(  # noqa: S603 - our own command
            [*labctl, "campaign", "show", "acceptance", "--json", *database],
            capture_output=True,
            text=True,
            check=False,
        )
        results = json.loads(shown.stdout)["data"]["results"] if shown.returncode == 0 else []
    wrong = [
        f"{result['case']} {result['device']}: {result['outcome']}: {result['cause']}"
        for result in results
        if result["outcome"] not in GOOD
    ]
    if not results:
        wrong.append(f"no results: {ran.stderr.strip()[-500:]}")
    return Played(
        lab=lab,
        exit_code=ran.returncode,
        outcomes=Counter(result["outcome"] for result in results),
        wrong=tuple(wrong),
        took_s=took_s,
        said=ran.stderr,
    )


def main() -> int:
    """Play them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--observe", default="24h")
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.runs} runs", flush=True)
    bad = 0
    with ThreadPoolExecutor(given.jobs) as pool:
        work = labs(given.seed, given.runs)
        for played in pool.map(lambda lab: play(lab, given.observe, given.cases), work):
            outcomes = ", ".join(f"{count} {word}" for word, count in played.outcomes.items())
            print(f"{played.lab}: exit {played.exit_code}, {played.took_s:.0f} s: {outcomes}")
            for sentence in played.wrong:
                print(f"  {sentence}")
            if played.exit_code or played.wrong:
                bad += 1
                words = ["--seed", str(played.lab.seed), "--runs", "1", *given.cases]
                print(f"  again: python campaigns/acceptance.py {' '.join(words)}")
            sys.stdout.flush()
    print(f"{given.runs - bad} of {given.runs} runs without a fail or an infrastructure error")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
