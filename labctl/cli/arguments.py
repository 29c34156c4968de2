"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from labctl.config.paths import rig_files


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


def reports_option(function: Any) -> Any:
    """`--reports PATH`."""
    return click.option(
        "--reports",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Folder for reports. Default: LABCTL_REPORTS, or reports/ beside the inventory.",
    )(function)
