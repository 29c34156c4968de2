"""Infrastructure faults while good devices are being judged: not one is called the product's.

    python campaigns/infrastructure.py [--faults 30] [--seed 1] [--driver ezsp]

For each fault a case and a device are drawn. The case is played undisturbed, then with the fault
at a moment that is drawn (the stick is pulled, starts over, hangs, gets garbage; the database is
locked, its disk is full), then once more. Exits with 1 when the disturbed attempt comes to a fail,
a marginal or an incomplete, or when one of the others does not pass.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import inspect
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faults

from labctl.campaign.applies import why_not
from labctl.campaign.catalogue import BuiltIn, built_in
from labctl.campaign.measurements import Measurements
from labctl.campaign.play import Player
from labctl.campaign.stage import Stage, StageOptions
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.clock import MICROSECONDS
from labctl.config.resolved import DeviceUnderTest
from labctl.errors import LabctlError
from labctl.events import CaseOutcome

CASES = ("J01", "J02", "J05", "J07", "K12", "K13", "K17", "D25", "A26", "R31", "R32", "R34", "L39")
"""Cases that take minutes of rig time, of all themes."""
KINDS = ("unplug", "reset", "hang", "garbage", "reader-lock", "writer-lock", "disk-full")
NOT_THE_PRODUCTS = frozenset(
    {CaseOutcome.PASS, CaseOutcome.INFRASTRUCTURE_ERROR, CaseOutcome.NOT_APPLICABLE}
)


@dataclass
class Outcome:
    """What came of it. `wrong` are sentences about what must not be."""

    wrong: list[str] = field(default_factory=list)
    first: Counter[str] = field(default_factory=Counter)
    """What the attempts that were disturbed came to."""
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens, at which part of the case (0 to 1), and for how many seconds of rig time."""

    number: int
    kind: str
    at: float
    seconds: float


class Injury:
    """Does it to the rig, by the means of the campaign of faults."""

    def __init__(self, stage: Stage, fault: Fault, after_s: float, rng: random.Random) -> None:
        session = stage.session
        self._done = faults.Campaign(session, faults.Watch(asyncio.get_running_loop().time), rng)
        self._fault = fault
        self._after_s = after_s

    async def __call__(self) -> None:
        """Wait, do it, and undo it."""
        await asyncio.sleep(self._after_s)
        suffered = faults.Fault(self._fault.number, self._fault.kind, self._fault.seconds)
        act: dict[str, Callable[[faults.Fault], Awaitable[None]]] = {
            "unplug": self._done._unplug,
            "reset": self._done._reset,
            "hang": self._done._hang,
            "garbage": self._done._garbage,
            "reader-lock": self._done._reader_lock,
            "writer-lock": self._done._writer_lock,
            "disk-full": self._done._disk_full,
        }
        await act[self._fault.kind](suffered)


def campaign(folder: Path, *, seed: int, count: int, driver: str = "ezsp") -> Outcome:
    """Play `count` cases, each with a fault in it."""
    rng = random.Random(f"infrastructure/{seed}")
    loaded = faults.rig_of(folder, seed, driver)
    stage = Stage(loaded, StageOptions(database=folder / "labctl.db", seed=seed))
    player = Player(stage, {})
    known = {found.case.name: found for found in built_in() if found.case.name in CASES}
    outcome = Outcome()
    devices = [device for device in loaded.devices if device.kind.value in ("ihd", "cad", "ppmid")]
    try:
        for number in range(count):
            found = known[rng.choice(sorted(known))]
            device = rng.choice(devices)
            while why_not(found.case, loaded, device) is not None:
                found = known[rng.choice(sorted(known))]
            fault = Fault(
                number,
                rng.choice(KINDS),
                rng.random(),
                round(rng.uniform(0.5, 60.0), 1),
            )
            _one(player, found, device, fault, rng, outcome)
            if stage.broken is not None:
                outcome.wrong.append(f"fault {number}: the rig went out: {stage.broken.what}")
                break
    finally:
        stage.close()
    return outcome


def _one(
    player: Player,
    found: BuiltIn,
    device: DeviceUnderTest,
    fault: Fault,
    rng: random.Random,
    outcome: Outcome,
) -> None:
    injuries: list[asyncio.Task[None]] = []

    async def disturbed(subject: Subject | None, measure: Measurements, watch: Watch) -> None:
        injury = Injury(player.stage, fault, fault.at * lasted_s, rng)
        injuries.append(asyncio.create_task(injury()))
        await _played(player, found, subject, measure, watch)

    async def plain(subject: Subject | None, measure: Measurements, watch: Watch) -> None:
        await _played(player, found, subject, measure, watch)

    case = found.case
    before = player.play(case, device, plain, 1)
    lasted_s = (before.at_us - before.started_us) / MICROSECONDS
    first = player.play(case, device, disturbed, 2)
    player.stage.run(_over(injuries))
    again = player.play(case, device, plain, 3)
    outcome.first[first.outcome.value] += 1
    text = (
        f"fault {fault.number}: {fault.kind} for {fault.seconds:g} s, {fault.at * lasted_s:.1f} s"
        f" into {case.name} {device.name}: {first.outcome.value}, then {again.outcome.value}"
    )
    outcome.lines.append(text)
    print(text, first.cause, flush=True)
    if first.outcome not in NOT_THE_PRODUCTS:
        outcome.wrong.append(f"{text}: {first.cause}")
    for attempt in (before, again):
        if attempt.outcome not in (CaseOutcome.PASS, CaseOutcome.NOT_APPLICABLE):
            outcome.wrong.append(f"{text}: without a fault {attempt.cause}")


async def _played(
    player: Player, found: BuiltIn, subject: Subject | None, measure: Measurements, watch: Watch
) -> None:
    given: dict[str, Any] = {
        "rig": player.stage,
        "hub": player.stage.session.hub,
        "device": subject,
        "power": None if subject is None else subject.hands,
        "measure": measure,
        "watch": watch,
    }
    result = found.function(**{name: given[name] for name in found.asks_for})
    if inspect.isawaitable(result):
        await result


async def _over(injuries: list[asyncio.Task[None]]) -> None:
    """The fault is over, or was never due, and everybody has had time to be at work again."""
    for task in injuries:
        with contextlib.suppress(LabctlError, sqlite3.Error):
            await task
    await asyncio.sleep(300.0)


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", choices=("ezsp", "znp"), default="ezsp")
    given = parser.parse_args()
    print(f"seed {given.seed}, {given.faults} faults, {given.driver}", flush=True)
    with tempfile.TemporaryDirectory(prefix="infrastructure-") as name:
        outcome = campaign(Path(name), seed=given.seed, count=given.faults, driver=given.driver)
    print(f"the disturbed attempts: {dict(outcome.first)}")
    for sentence in outcome.wrong:
        print(f"WRONG: {sentence}")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
