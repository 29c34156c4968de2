"""Where things are: the inventory, the rigs, the database and the reports, and who said so.

An option goes before the environment, the environment before what a rig file says, and that before
the default. Nothing here reads a file, so any command may ask.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.config.problems import did_you_mean, quote
from labctl.errors import ConfigurationError

INVENTORY_NAME = "inventory.yaml"
RIGS_FOLDER = "rigs"
DATABASE_NAME = "labctl.db"
REPORTS_FOLDER = "reports"
SUFFIXES = (".yaml", ".yml")

INVENTORY_VARIABLE = "LABCTL_INVENTORY"
DATABASE_VARIABLE = "LABCTL_DB"
REPORTS_VARIABLE = "LABCTL_REPORTS"


class Source(enum.StrEnum):
    """Who set a value."""

    OPTION = "option"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Located:
    """A path, and who said so: `source`, and `detail` with the option or variable."""

    path: Path
    source: Source
    detail: str = ""


def inventory_near(folder: Path) -> Path | None:
    """`inventory.yaml` in this folder, or one up (the rigs' folder stands beside it)."""
    for candidate in (folder / INVENTORY_NAME, folder / ".." / INVENTORY_NAME):
        if candidate.is_file():
            return Path(os.path.normpath(candidate))
    return None


def locate_inventory(
    option: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Located:
    """The inventory: `--inventory`, `LABCTL_INVENTORY`, or `inventory.yaml` here or above.

    The path of the default need not exist.
    """
    found = _chosen(option, "--inventory", INVENTORY_VARIABLE, environ)
    if found is not None:
        return found
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / INVENTORY_NAME).is_file():
            path = Path(INVENTORY_NAME) if folder == here else folder / INVENTORY_NAME
            return Located(path, Source.DEFAULT, "here" if folder == here else "a folder above")
    return Located(Path(INVENTORY_NAME), Source.DEFAULT, "not found")


def chosen_inventory(
    option: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Path | None:
    """The inventory that goes before what a rig file names: the option, or the environment."""
    found = _chosen(option, "--inventory", INVENTORY_VARIABLE, environ)
    return found.path if found is not None else None


def locate_database(
    option: str | Path | None = None,
    inventory: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Located:
    """The database: `--db`, `LABCTL_DB`, or `labctl.db` beside the inventory.

    `inventory` is the one in use, when the caller has a rig; else it is looked for as always.
    """
    return _chosen(option, "--db", DATABASE_VARIABLE, environ) or _beside(
        DATABASE_NAME, inventory, environ
    )


def locate_reports(
    option: str | Path | None = None,
    inventory: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Located:
    """The reports: the option, `LABCTL_REPORTS`, or `reports` beside the inventory."""
    return _chosen(option, "--reports", REPORTS_VARIABLE, environ) or _beside(
        REPORTS_FOLDER, inventory, environ
    )


def _chosen(
    option: str | Path | None, name: str, variable: str, environ: Mapping[str, str] | None
) -> Located | None:
    if option is not None:
        return Located(Path(option).expanduser(), Source.OPTION, name)
    value = (os.environ if environ is None else environ).get(variable)
    if value:
        return Located(Path(value).expanduser(), Source.ENVIRONMENT, variable)
    return None


def _beside(name: str, inventory: Path | None, environ: Mapping[str, str] | None) -> Located:
    if inventory is None:
        inventory = locate_inventory(environ=environ).path
    return Located(inventory.parent / name, Source.DEFAULT, "beside the inventory")


def rig_folders(inventory: Path | None = None) -> list[Path]:
    """Folders that rigs are looked for in: `rigs` beside the inventory, and `rigs` here."""
    beside = (inventory or locate_inventory().path).parent / RIGS_FOLDER
    folders = [beside, Path(RIGS_FOLDER)]
    existing: dict[Path, Path] = {}
    for folder in folders:
        if folder.is_dir():
            existing.setdefault(folder.resolve(), folder)
    return list(existing.values())


def rig_files(inventory: Path | None = None) -> list[Path]:
    """All rig files in those folders, by name."""
    return [
        path
        for folder in rig_folders(inventory)
        for path in sorted(folder.iterdir())
        if path.suffix in SUFFIXES and path.is_file()
    ]


def find_rig(word: str, inventory: Path | None = None) -> Path:
    """A rig file by path, or by its name without the suffix in one of the rig folders.

    Raises `ConfigurationError`. A path that does not exist is only refused here when it cannot be
    a name; reading it says the rest.
    """
    path = Path(word).expanduser()
    if path.suffix in SUFFIXES or path.exists() or os.sep in word:
        return path
    files = rig_files(inventory)
    for candidate in files:
        if candidate.stem == word:
            return candidate
    looked = ", ".join(str(folder) for folder in rig_folders(inventory)) or f"no {RIGS_FOLDER}/"
    hint = did_you_mean(word, [file.stem for file in files])
    raise ConfigurationError(
        f"there is no rig {quote(word)}",
        where=looked,
        mend=hint or "give the path of a rig file",
    )
