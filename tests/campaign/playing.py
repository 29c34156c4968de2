"""Playing built-in cases in a test, without pytest inside of pytest.

results = play(tmp_path, cases=["J01"], behaviour={"wrong_install_code": True})
assert results["J01", "virtual-cad"].outcome is CaseOutcome.FAIL
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from labctl.campaign.applies import why_not
from labctl.campaign.case import Case
from labctl.campaign.catalogue import BuiltIn, built_in
from labctl.campaign.measurements import Measurements
from labctl.campaign.observation import Observation, observe
from labctl.campaign.play import Player
from labctl.campaign.stage import Stage, StageOptions
from labctl.campaign.subject import Subject
from labctl.campaign.watch import Watch
from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.events import CaseEnded, CaseOutcome

PROJECT = Path(__file__).parents[2]
Change = Callable[[dict[str, Any]], None]


def rig_in(
    folder: Path,
    *,
    rig: str = "virtual",
    device: str = "virtual-cad",
    behaviour: Mapping[str, Any] | None = None,
    entry: Mapping[str, Any] | None = None,
    change_rig: Change = lambda rig: None,
    change_inventory: Change = lambda inventory: None,
) -> LoadedRig:
    """A shipped rig, copied to `folder`, with a device that misbehaves and other changes.

    `entry` is what else the device's entry in the inventory has.
    """
    yaml = YAML()
    (folder / "rigs").mkdir(exist_ok=True)
    inventory = yaml.load((PROJECT / "inventory.yaml").read_text())
    if behaviour is not None:
        inventory["devices"][device].setdefault("virtual", {})["behaviour"] = dict(behaviour)
    inventory["devices"][device].update(entry or {})
    change_inventory(inventory)
    with (folder / "inventory.yaml").open("w") as file:
        yaml.dump(inventory, file)
    source = yaml.load((PROJECT / "rigs" / f"{rig}.yaml").read_text())
    change_rig(source)
    path = folder / "rigs" / f"{rig}.yaml"
    with path.open("w") as file:
        yaml.dump(source, file)
    for other in (PROJECT / "rigs").iterdir():
        if other.is_dir():
            shutil.copytree(other, folder / "rigs" / other.name, dirs_exist_ok=True)
    return load_rig(path, None)


def play(
    folder: Path,
    *,
    cases: Sequence[str],
    devices: Sequence[str] | None = None,
    seed: int = 1,
    attempts: int = 1,
    observe_s: float | None = None,
    loaded: LoadedRig | None = None,
    **rig: Any,
) -> dict[tuple[str, str | None], CaseEnded]:
    """Play these cases on these devices (None: all), and say what each came to, by both names.

    `observe_s` is how long cases that watch do so, if not as the rig file says. What is not
    applicable is in the result as well.
    """
    loaded = loaded or rig_in(folder, **rig)
    print(f"seed {seed}: cases {', '.join(cases)} on {loaded.path}")
    stage = Stage(loaded, StageOptions(database=folder / "labctl.db", seed=seed))
    limits = {
        case: {name: limit.model_dump() for name, limit in own.items()}
        for case, own in loaded.rig.campaign.limits.items()
    }
    player = Player(stage, limits)
    known = {each.case.name: each for each in built_in()}
    seconds = observe_s or loaded.rig.campaign.observe.total_seconds()
    results: dict[tuple[str, str | None], CaseEnded] = {}
    observations: list[Observation] = []
    try:
        for name in sorted(cases, key=lambda name: known[name].case.order):
            found = known[name]
            chosen = [d for d in loaded.devices if devices is None or d.name in devices]
            for device in chosen if {"device", "power"} & set(found.asks_for) else [None]:
                ended = _one(player, found, found.case, device, seconds, attempts, observations)
                results[name, device.name if device else None] = ended
                print(name, device.name if device else "", ended.outcome.value, ended.cause)
    finally:
        stage.close()
    return results


def _one(
    player: Player,
    found: BuiltIn,
    case: Case,
    device: Any,
    seconds: float,
    attempts: int,
    observations: list[Observation],
) -> CaseEnded:
    reason = why_not(case, player.stage.loaded, device)
    if reason is not None:
        return player.not_tried(case, device, CaseOutcome.NOT_APPLICABLE, reason)
    before: list[CaseOutcome] = []
    for attempt in range(1, attempts + 1):
        ended = player.play(
            case,
            device,
            _call(player, found, observations),
            attempt,
            "",
            tuple(before),
            prepare=_observe(player, seconds, observations)
            if "observation" in found.asks_for
            else None,
        )
        before.append(ended.outcome)
        if ended.outcome not in (CaseOutcome.FAIL, CaseOutcome.INFRASTRUCTURE_ERROR):
            break
    return ended


def _observe(
    player: Player, seconds: float, observations: list[Observation]
) -> Callable[[Watch], Awaitable[None]]:
    async def prepare(watch: Watch) -> None:
        if not observations:
            observations.append(await observe(player.stage, seconds))
        watch.began_us = observations[0].started_us

    return prepare


def _call(
    player: Player, found: BuiltIn, observations: list[Observation]
) -> Callable[[Subject | None, Measurements, Watch], Awaitable[None]]:
    async def call(subject: Subject | None, measure: Measurements, watch: Watch) -> None:
        given: dict[str, Any] = {
            "rig": player.stage,
            "hub": player.stage.session.hub,
            "device": subject,
            "power": None if subject is None else subject.hands,
            "measure": measure,
            "watch": watch,
        }
        if "observation" in found.asks_for:
            given["observation"] = observations[0]
        result = found.function(**{name: given[name] for name in found.asks_for})
        if inspect.isawaitable(result):
            await result

    return call
