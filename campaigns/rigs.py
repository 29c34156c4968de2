"""Rigs that campaigns make up: the shipped virtual rig, with other devices."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from labctl.config.loading import load_rig
from labctl.config.resolved import LoadedRig
from labctl.smart_energy.install_code import InstallCode

PROJECT = Path(__file__).parents[1]


def shipped() -> tuple[dict[str, Any], dict[str, Any]]:
    """Inventory and rig file of the shipped virtual rig, as plain data."""
    yaml = YAML(typ="safe")
    return (
        copy.deepcopy(yaml.load((PROJECT / "inventory.yaml").read_text())),
        copy.deepcopy(yaml.load((PROJECT / "rigs" / "virtual.yaml").read_text())),
    )


def install_code(number: int) -> str:
    """A valid install code for the device of that number."""
    code = InstallCode.from_octets_without_crc(bytes((number * 7 + i) % 256 for i in range(16)))
    return code.octets.reveal().hex().upper()


def device(number: int, kind: str, **virtual: Any) -> dict[str, Any]:
    """An inventory entry for a virtual device, a few metres from the stick."""
    return {
        "kind": kind,
        "eui64": f"00:00:5e:ef:10:00:01:{number:02x}",
        "install_code": install_code(number),
        "virtual": {
            "position": [1.0 + number % 4 * 2, (number // 4 - 2) * 2.0, 0.0],
            **virtual,
        },
    }


def electricity(every: str = "10s", tolerance: str = "2s") -> dict[str, Any]:
    """The read schedule of a display."""
    return {
        "name": "electricity",
        "cluster": "metering",
        "endpoint": "electricity",
        "attributes": ["current_summation_delivered", "instantaneous_demand"],
        "every": every,
        "tolerance": tolerance,
    }


def gas() -> dict[str, Any]:
    """The gas read of a display."""
    return {
        "name": "gas",
        "cluster": "metering",
        "endpoint": "gas",
        "attributes": ["current_summation_delivered"],
        "every": "30min",
        "tolerance": "1min",
    }


def write(folder: Path, inventory: dict[str, Any], rig: dict[str, Any]) -> LoadedRig:
    """Write both files and load them, as a person's would be."""
    yaml = YAML(typ="safe")
    (folder / "rigs").mkdir(parents=True, exist_ok=True)
    with (folder / "inventory.yaml").open("w") as file:
        yaml.dump(inventory, file)
    path = folder / "rigs" / f"{rig['rig']}.yaml"
    with path.open("w") as file:
        yaml.dump(rig, file)
    return load_rig(path)
