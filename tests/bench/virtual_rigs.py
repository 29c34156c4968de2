"""Rigs for the tests: the shipped virtual rigs, with changes, in a folder of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig

PROJECT = Path(__file__).parents[2]

SHIPPED = "virtual"
"""The rig of tests that ask for none by name; the fixture `either_stick` changes it."""

Change = Callable[[dict[str, Any], dict[str, Any]], None]
"""Takes the inventory and the rig file as plain data, and changes them."""


def write_rig(folder: Path, change: Change | None = None, name: str | None = None) -> Path:
    """Write inventory and a shipped rig into `folder`; returns the rig file's path."""
    name = name or SHIPPED
    yaml = YAML(typ="safe")
    inventory = yaml.load((PROJECT / "inventory.yaml").read_text())
    rig = yaml.load((PROJECT / "rigs" / f"{name}.yaml").read_text())
    inventory, rig = copy.deepcopy(inventory), copy.deepcopy(rig)
    if change is not None:
        change(inventory, rig)
    (folder / "rigs").mkdir(parents=True, exist_ok=True)
    path = folder / "rigs" / f"{name}.yaml"
    with (folder / "inventory.yaml").open("w") as file:
        yaml.dump(inventory, file)
    with path.open("w") as file:
        yaml.dump(rig, file)
    return path


def loaded_rig(folder: Path, change: Change | None = None, name: str | None = None) -> LoadedRig:
    """The same, loaded."""
    return load_rig(write_rig(folder, change, name))


def short_periods(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """Read gas and price every 2 min, so that a short run has something to judge."""
    for device in rig["devices"]:
        for read in device["reads"]:
            if read["every"] == "30min":
                read["every"], read["tolerance"] = "2min", "20s"
