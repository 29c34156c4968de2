"""A small drawn house: the stone house with its display on 2.4 GHz alone, and walks in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from virtual_rigs import loaded_rig, write_rig

from labctl.config.resolved import LoadedRig
from labctl.errors import UsageError
from labctl.survey.commands import Command, Pause
from labctl.survey.run import SurveyOptions, SurveyResult, run_survey, to_resume
from labctl.survey.view import View
from labctl.survey.walk import Walk

HALL, KITCHEN, PARLOUR = "hall", "kitchen", "parlour"


def display_only(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    rig["devices"] = rig["devices"][:1]
    del rig["virtual"]["house"]["devices"]["virtual-dual-cad"]


def small_house(folder: Path, change: Callable[..., None] | None = None) -> LoadedRig:
    return loaded_rig(folder, change or display_only, "virtual-stone-house")


def written(folder: Path, rooms: Sequence[str | dict[str, Any]], **more: Any) -> tuple[Path, Path]:
    """The rig file and a waypoints file with those rooms."""
    rig = write_rig(folder, display_only, "virtual-stone-house")
    walk = folder / "walk.yaml"
    places = [room if isinstance(room, dict) else {"room": room} for room in rooms]
    with walk.open("w") as file:
        YAML(typ="safe").dump({"waypoints": places, **more}, file)
    return rig, walk


class Leading:
    """Says one thing after the other, and keeps what was refused. At the end it pauses."""

    def __init__(self, *commands: Command | Callable[[Walk], Command]) -> None:
        self._commands = list(commands)
        self.refusals: list[str] = []
        self.interrupted: list[bool] = []

    async def next(self, walk: Walk, *, interrupted: bool, **_: Any) -> Command:
        self.interrupted.append(interrupted)
        if not self._commands:
            return Pause()
        command = self._commands.pop(0)
        return command(walk) if callable(command) else command

    def refused(self, error: UsageError) -> None:
        self.refusals.append(error.what)


def walked(
    loaded: LoadedRig,
    folder: Path,
    leader: Leading,
    *,
    resume: bool = False,
    view: View | None = None,
    **options: Any,
) -> SurveyResult:
    database = folder / "labctl.db"
    survey = to_resume(database, loaded.name, None) if resume else None
    return run_survey(
        loaded, SurveyOptions(database=database, resume=survey, **options), leader, view
    )
