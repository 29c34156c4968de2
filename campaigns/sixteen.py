"""A full device log: 16 devices of all kinds join one hub and keep their schedules for a day.

    python campaigns/sixteen.py [--hours 24] [--seed 1]

Exits with 1, and says which claim did not hold, unless every device was authorised, every schedule
was met, the hub lost no read, and the device that is one too many was refused.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import rigs
from labctl.errors import RigError
from labctl.events import DeviceKind, PairingMethod
from labctl.hub.settings import LoggedDevice, PairingRequest
from labctl.record.queries import load_run
from labctl.rig.loop import run
from labctl.rig.session import RigSession, open_rig
from labctl.secret import Secret
from labctl.smart_energy.eui64 import Eui64

KINDS = (
    ["cad"] * 3
    + ["ihd"] * 2
    + ["ppmid"] * 2
    + ["load-switch"] * 5
    + ["hand-held-terminal"] * 2
    + ["gas-meter"]
    + ["cad"]
)
READERS = {"cad", "ihd", "ppmid"}
ONE_TOO_MANY = Eui64("00:00:5e:ef:10:00:01:ff")


def full_rig(folder: Path, seed: int) -> object:
    """A rig with sixteen devices; displays read every 10 s."""
    inventory, rig = rigs.shipped()
    names = [f"{kind}-{number}" for number, kind in enumerate(KINDS, 1)]
    inventory["devices"] = {
        name: rigs.device(number, kind)
        for number, (name, kind) in enumerate(zip(names, KINDS, strict=True), 1)
    }
    rig["rig"] = "sixteen"
    rig["hub"]["max_devices"] = 16
    rig["virtual"]["seed"] = seed
    rig["devices"] = [
        {
            "device": name,
            "pairing": {"method": "remote", "window": "15min"},
            "reads": [rigs.electricity(), rigs.gas()] if kind in READERS else [],
        }
        for name, kind in zip(names, KINDS, strict=True)
    ]
    return rigs.write(folder, inventory, rig)


async def day(loaded: object, database: Path, hours: float) -> tuple[RigSession, str]:
    """The day itself; returns what the hub said to the seventeenth device."""
    async with open_rig(loaded, kind="bench", database=database) as session:  # type: ignore[arg-type]
        await session.pair_all()
        session.power_on()
        await asyncio.sleep(1800)
        refusal = "it was taken"
        try:
            await session.hub.pair(
                PairingRequest(
                    eui64=ONE_TOO_MANY,
                    window_s=60,
                    method=PairingMethod.REMOTE,
                    device=LoggedDevice(
                        eui64=ONE_TOO_MANY,
                        name="seventeenth",
                        kind=DeviceKind.CAD,
                        link_key=Secret(bytes(range(16))),
                    ),
                )
            )
        except RigError as error:
            refusal = f"refused: {error.what}"
        await asyncio.sleep(hours * 3600 - 1800)
    return session, refusal


def main() -> int:
    """Run the campaign and check its claims."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}: python campaigns/sixteen.py --seed {options.seed}")
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "labctl.db"
        started_s = time.perf_counter()
        session, refusal = run(
            full_rig(folder, options.seed),  # type: ignore[arg-type]
            day(full_rig(folder, options.seed), database, options.hours),
        )
        wall_s = time.perf_counter() - started_s
        from labctl.record.database import open_for_reading

        data = load_run(open_for_reading(database), session.run_id)
        authorised = {join.eui64 for join in data.joins if join.outcome == "authorised"}
        wrong += [
            f"{d.name} was not authorised"
            for d in session.loaded.devices
            if d.eui64 not in authorised
        ]
        reads = 0
        for schedule in data.schedules:
            result = schedule.result
            device = data.device(schedule.device_id)
            reads += result.observed
            if result.missed_counting or result.late > 2 or result.early > 2:
                wrong.append(
                    f"{device.name if device else '?'} {schedule.name}: {result.missed} missed, "
                    f"{result.late} late, {result.early} early of {result.expected}"
                )
        lost = [
            event
            for event in data.events
            if event.kind in ("requests-dropped", "internal-error", "radio-error")
        ]
        wrong += [f"the hub noted {event.kind} {event.detail}" for event in lost[:5]]
        if not refusal.startswith("refused"):
            wrong.append(f"the seventeenth device: {refusal}")
    print(
        f"{len(authorised)} of {len(KINDS)} devices authorised, {reads} scheduled reads observed "
        f"in {options.hours:g} h of rig time, {wall_s:.0f} s of wall time "
        f"(ratio {options.hours * 3600 / wall_s:.0f}); the seventeenth: {refusal}"
    )
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
