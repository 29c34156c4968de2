"""A CAD that asks 200 times a second for ten minutes: how much do the others suffer?

    python campaigns/flood.py [--minutes 10] [--rate 200] [--seed 1]

Runs the same rig with and without the flood, and compares the share of the others' due reads that
came. Exits with 1 when the flood costs them 1 % or more.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import rigs
from labctl.record.database import open_for_reading
from labctl.record.queries import load_run
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig

OTHERS = ("cad-1", "ihd-2", "ihd-3")


def share(folder: Path, *, flooding: bool, options: argparse.Namespace) -> tuple[float, int, int]:
    """Success of the others' reads, reads due, and the flooder's requests that the hub saw."""
    inventory, rig = rigs.shipped()
    behaviour = {}
    lasts = f"{options.minutes:g}min"
    if flooding:
        behaviour = {
            "behaviour": {"flood": {"per_second": options.rate, "after": "2min", "duration": lasts}}
        }
    inventory["devices"] = {
        name: rigs.device(number, name.split("-")[0]) for number, name in enumerate(OTHERS, 1)
    } | {"cad-9": rigs.device(9, "cad", **behaviour)}
    rig["rig"] = "flood" if flooding else "calm"
    rig["virtual"]["seed"] = options.seed
    rig["devices"] = [
        {"device": name, "pairing": {"window": "10min"}, "reads": [rigs.electricity()]}
        for name in (*OTHERS, "cad-9")
    ]
    loaded = rigs.write(folder, inventory, rig)
    database = folder / "labctl.db"

    async def work() -> RigSession:
        async with open_rig(loaded, kind="bench", database=database) as session:
            await session.pair_all()
            session.power_on()
            await asyncio.sleep(options.minutes * 60 + 180)
        return session

    session = run(loaded, work())
    data = load_run(open_for_reading(database), session.run_id)
    due = came = flooded = 0
    for schedule in data.schedules:
        device = data.device(schedule.device_id)
        if device is not None and device.name in OTHERS:
            due += schedule.result.expected
            came += schedule.result.expected - schedule.result.missed
    flooded = sum(
        group.reads
        for group in data.reads
        if (device := data.device(group.device_id)) and device.name == "cad-9"
    )
    assert session.bench is not None
    print(session.bench.devices["cad-9"].observations.tally)
    return came / due, due, flooded


def main() -> int:
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}: python campaigns/flood.py --seed {options.seed}")
    with tempfile.TemporaryDirectory() as name:
        calm, due, _ = share(Path(name) / "calm", flooding=False, options=options)
        flooded, _, requests = share(Path(name) / "flood", flooding=True, options=options)
    print(
        f"others' success: {calm:.4%} calm, {flooded:.4%} under {options.rate} requests/s for "
        f"{options.minutes:g} min ({due} reads due; the hub answered {requests} of the flooder's)"
    )
    if calm - flooded >= 0.01:
        print("WRONG: the flood cost the others 1 % or more")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
