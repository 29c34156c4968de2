"""What all parts of the firmware have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.virtual.ncp.ezsp import Ezsp

Answer = Mapping[str, Any]
"""The parameters of a response, by name."""


class Part:
    """One idea's worth of handlers. `ezsp` is the whole firmware."""

    def __init__(self, ezsp: Ezsp) -> None:
        self.ezsp = ezsp
        self.reset()

    def reset(self) -> None:
        """Put RAM as after power-on."""
