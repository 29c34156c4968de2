"""The lab of the campaign, for tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "campaigns"))

import pytest
from pairing_lab import (
    FOREIGN_ISSUER,
    ISSUER,
    OTHER_STICK,
    START_S,
    STICK,
    PairingLab,
)

import rigs
from labctl.virtual.clock import run

__all__ = [
    "FOREIGN_ISSUER",
    "ISSUER",
    "OTHER_STICK",
    "START_S",
    "STICK",
    "PairingLab",
    "both_drivers",
    "in_a_lab",
]

both_drivers = pytest.mark.parametrize("driver", ["ezsp", "znp"])
"""For scenarios in which nothing depends on what stick it is."""


def in_a_lab(
    folder: Path, scenario: Callable[[PairingLab], Coroutine[Any, Any, None]], **options: Any
) -> None:
    """Run a scenario on the fast clock; bugs of the hub or the devices fail it."""
    loaded = rigs.write(folder, *rigs.shipped())

    async def main() -> None:
        lab = PairingLab(loaded, folder, seed=1, **options)
        try:
            await scenario(lab)
        finally:
            await lab.close()

    run(main(), fast=True)
