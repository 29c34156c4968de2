"""Paths for the plots. Every plot has a viewBox of 100 by 100 and is stretched to its place.

Labels are not in the drawings: the page sets them as text beside the plot, so that they stay
readable on a telephone and on paper alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Point = tuple[float, float]


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def lines(segments: Iterable[Sequence[Point]], half_width: float) -> str:
    """Broken lines; each runs half a bucket past its first and last point, so single ones show."""
    parts = []
    for points in segments:
        (x0, y0), (x1, _) = points[0], points[-1]
        parts.append(f"M{_n(max(0.0, x0 - half_width))} {_n(100 - y0)}")
        parts.extend(f"L{_n(x)} {_n(100 - y)}" for x, y in points)
        parts.append(f"H{_n(min(100.0, x1 + half_width))}")
    return "".join(parts)


def bands(segments: Iterable[Sequence[tuple[float, float, float]]], half_width: float) -> str:
    """Filled bands between a low and a high value."""
    parts = []
    for points in segments:
        left = max(0.0, points[0][0] - half_width)
        right = min(100.0, points[-1][0] + half_width)
        wide = [(left, *points[0][1:]), *points, (right, *points[-1][1:])]
        upper = [f"{_n(x)} {_n(100 - high)}" for x, _, high in wide]
        lower = [f"{_n(x)} {_n(100 - low)}" for x, low, _ in reversed(wide)]
        parts.append("M" + "L".join(upper + lower) + "Z")
    return "".join(parts)


def steps(bars: Sequence[tuple[float, float, float]]) -> str:
    """A histogram's outline from bars of (left, right, height), ascending; nought between them."""
    parts = []
    previous: float | None = None
    for left, right, height in bars:
        if previous is None or abs(left - previous) > 1e-6:
            if previous is not None:
                parts.append("V100")
            parts.append(f"M{_n(left)} 100")
        parts.append(f"V{_n(100 - height)}H{_n(right)}")
        previous = right
    if previous is not None:
        parts.append("V100")
    return "".join(parts)


def segments(points: Sequence[tuple[int, Point]], longest: float) -> list[list[Point]]:
    """Cut a series where two neighbours are further than `longest` apart in their first value."""
    found: list[list[Point]] = []
    last: int | None = None
    for at, point in points:
        if last is None or at - last > longest:
            found.append([])
        found[-1].append(point)
        last = at
    return found
