"""`labctl config`: which paths are in use, and who said so."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.core import ParameterSource

from labctl.cli.arguments import database_option, inventory_option, reports_option
from labctl.cli.output import Color, Output, examples, output_options
from labctl.config.paths import (
    Located,
    Source,
    locate_database,
    locate_inventory,
    locate_reports,
    rig_folders,
)


@click.group(epilog=examples("labctl config show"))
def config() -> None:
    """Which paths are in use, and who said so."""


@config.command(
    epilog=examples(
        "labctl config show",
        "LABCTL_DB=/srv/lab.db labctl config show --json",
    )
)
@inventory_option
@database_option
@reports_option
@output_options("labctl.config.show/1")
def show(
    output: Output, inventory: Path | None, database: Path | None, reports: Path | None
) -> None:
    """Show the settings in force, and where each comes from.

    An option goes before the environment, that before a rig file (which may name its inventory),
    and that before the default.
    """
    found = locate_inventory(inventory)
    beside = found.path
    settings: dict[str, Located] = {
        "inventory": found,
        "database": locate_database(database, beside),
        "reports": locate_reports(reports, beside),
    }
    rows: list[dict[str, str]] = [
        {"name": name, "value": str(at.path), "source": at.source.value, "detail": at.detail}
        for name, at in settings.items()
    ]
    folders = ", ".join(map(str, rig_folders(beside))) or "none"
    rows.append({"name": "rigs", "value": folders, "source": "default", "detail": "rigs/"})
    rows.append({"name": "color", **_color(output)})
    width = max(len(row["value"]) for row in rows)
    lines = [
        f"{row['name']:<10} {row['value']:<{width}}  {row['source']}"
        + (f" ({row['detail']})" if row["detail"] else "")
        for row in rows
    ]
    output.emit(rows, text="\n".join(lines))


def _color(output: Output) -> dict[str, str]:
    given = click.get_current_context().get_parameter_source("color")
    value = output.color.value
    if given is ParameterSource.COMMANDLINE:
        source, detail = Source.OPTION, "--color"
    elif given is ParameterSource.ENVIRONMENT:
        source, detail = Source.ENVIRONMENT, "LABCTL_COLOR"
    elif os.environ.get("NO_COLOR"):
        value, source, detail = Color.NEVER.value, Source.ENVIRONMENT, "NO_COLOR"
    else:
        source, detail = Source.DEFAULT, ""
    return {"value": value, "source": source.value, "detail": detail}
