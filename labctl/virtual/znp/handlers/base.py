"""A part of the firmware."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labctl.virtual.znp.status import Z

if TYPE_CHECKING:
    from labctl.virtual.znp.firmware import Znp

Answer = Mapping[str, Any] | Z
"""A response: its fields, or the status where there is nothing else in it."""


class Part:
    """Handlers of frames, and what they share. `boot` is called at each start of the firmware."""

    def __init__(self, znp: Znp) -> None:
        self.znp = znp

    def boot(self) -> None:
        """All that was in RAM is gone."""
