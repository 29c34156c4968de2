"""An endpoint of another node."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """An endpoint of another node, by its short address."""

    nwk: int
    endpoint: int
