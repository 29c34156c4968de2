"""Arguments and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from labctl.config.paths import rig_files
from labctl.errors import LabctlError


class RigName(click.types.StringParamType):
    """A rig: the path of a rig file, or a name that stands for one in `rigs/`."""

    name = "rig"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names of rig files, and files. Reads folders, opens nothing."""
        names = [path.stem for path in rig_files()]
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")]


RIG = RigName()


class Duration(click.ParamType[timedelta]):
    """A duration as the rig files write it: ``10s``, ``30min``, ``24h``; ``10m`` is 10 minutes."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Parse it, or fail with what is possible."""
        from labctl.config.durations import parse_duration

        if isinstance(value, timedelta):
            return value
        try:
            # Files are read for years, and `m` may be a metre there; a command is typed in a hurry.
            duration = parse_duration(re.sub(r"(?<=\d)\s*m(?![a-z])", "min", str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if duration <= timedelta(0):
            self.fail("it must be longer than nothing", param, ctx)
        return duration


def inventory_option(function: Any) -> Any:
    """`--inventory PATH`."""
    return click.option(
        "--inventory",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The inventory. Default: LABCTL_INVENTORY, what the rig file names, or "
        "inventory.yaml here or above.",
    )(function)


def database_option(function: Any) -> Any:
    """`--db PATH`."""
    return click.option(
        "--db",
        "database",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The database. Default: LABCTL_DB, or labctl.db beside the inventory.",
    )(function)


def html_option(function: Any) -> Any:
    """`--html FILE`."""
    return click.option(
        "--html",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write a page for the browser: one file, which needs no network.",
    )(function)


def wait_option(function: Any) -> Any:
    """`--wait DURATION`: `wait`, a timedelta, or None."""
    return click.option(
        "--wait",
        type=Duration(),
        metavar="DURATION",
        help="How long to wait for the rig while somebody else has it, or a thing in it. Default: "
        "not at all, exit code 75.",
    )(function)


def waiting_told(say: Callable[[str], None]) -> Callable[[LabctlError], None]:
    """What tells the person, through `say`, whom a command is waiting for."""
    return lambda error: say(f"waiting: {error.what}")


def reports_option(function: Any) -> Any:
    """`--reports PATH`."""
    return click.option(
        "--reports",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Folder for reports. Default: LABCTL_REPORTS, or reports/ beside the inventory.",
    )(function)
