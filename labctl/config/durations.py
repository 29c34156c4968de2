"""Durations as people write them. Imports nothing heavy, so that any command may use it."""

from __future__ import annotations

import datetime
import re

from labctl.config.problems import quote

_UNITS_S = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\s*\d+(?:\.\d+)?\s*(?:ms|s|min|h|d))+\s*")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")


def parse_duration(text: str) -> datetime.timedelta:
    """`10s`, `500ms`, `30min`, `24h`, `1d`, `1h30min`, or a bare number of seconds.

    Raises `ValueError` with a sentence for the person who wrote it.
    """
    stripped = text.strip()
    try:
        if re.fullmatch(r"\d+(\.\d+)?", stripped):
            return datetime.timedelta(seconds=float(stripped))
        if _DURATION.fullmatch(stripped):
            seconds = sum(float(n) * _UNITS_S[unit] for n, unit in _PART.findall(stripped))
            return datetime.timedelta(seconds=seconds)
    except OverflowError:
        raise ValueError(f"{quote(text)} is longer than time can be counted") from None
    if re.fullmatch(r"\d+(\.\d+)?\s*m", stripped):
        minutes = stripped.removesuffix("m").strip()
        raise ValueError(f"{quote(text)} is not a duration: did you mean '{minutes}min'?")
    raise ValueError(f"{quote(text)} is not a duration: write 10s, 500ms, 30min, 24h or 1d")


def duration_text(value: datetime.timedelta) -> str:
    """The shortest form that `parse_duration` reads back: `30min`, `1h30min`, `500ms`."""
    left = round(value / datetime.timedelta(milliseconds=1))
    parts = []
    for unit, size in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
