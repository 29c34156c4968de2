"""What a fuzzer found."""

from __future__ import annotations


class Finding(Exception):
    """Something that must not happen did. The text says what, without secrets."""
