"""Rig time over wall time: two devices that read every 10 s, and the dual-band rig with seven."""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import time
from pathlib import Path

from labctl.config.loading import load_rig
from labctl.rig.loop import run
from labctl.rig.session import open_rig

RIGS = Path(__file__).parents[1] / "rigs"
RIG_TIME_S = 4 * 3600.0


def main() -> None:
    """Print the ratios."""
    for name in ("virtual", "virtual-dual-band"):
        rig = load_rig(RIGS / f"{name}.yaml")
        with tempfile.TemporaryDirectory() as folder:
            loaded = dataclasses.replace(rig, inventory_path=Path(folder) / "inventory.yaml")
            rig_s, wall_s, reads = run(loaded, _day(loaded, Path(folder)))
        print(
            f"fast clock, {name}: rig time over wall time {rig_s / wall_s:.0f} "
            f"({reads} reads served, {wall_s / reads * 1000:.2f} ms of wall time each, all in)"
        )


async def _day(loaded, folder: Path) -> tuple[float, float, int]:
    async with open_rig(loaded, kind="bench", database=folder / "labctl.db") as session:
        await session.pair_all()
        session.power_on()
        await asyncio.sleep(120)
        loop = asyncio.get_running_loop()
        started_s, rig_started_s = time.perf_counter(), loop.time()
        count = "SELECT count(*) FROM reads"
        (before,) = session.recorder.connection.execute(count).fetchone()
        await asyncio.sleep(RIG_TIME_S)
        session.recorder.flush()
        wall_s, rig_s = time.perf_counter() - started_s, loop.time() - rig_started_s
        (after,) = session.recorder.connection.execute(count).fetchone()
    return rig_s, wall_s, after - before


if __name__ == "__main__":
    main()
