"""The one error of all decoders."""

from __future__ import annotations


class FrameError(ValueError):
    """These octets are no such frame: cut short, of a kind that does not exist, or too long.

    Whoever receives frames drops and counts it; it never leaves the node.
    """
