"""JSON Schema of the two files."""

from __future__ import annotations

from typing import Any

from labctl.config.fields import Strict
from labctl.config.inventory import Inventory
from labctl.config.rig_file import Rig

FILES: dict[str, type[Strict]] = {"inventory": Inventory, "rig": Rig}


def json_schema(file: str) -> dict[str, Any]:
    """The schema of `inventory` or `rig` files (JSON Schema 2020-12)."""
    model = FILES[file]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(mode="validation"),
    }
