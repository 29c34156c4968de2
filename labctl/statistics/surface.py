"""A surface through the waypoints of a floor, and how wrong it is between them.

Only from 15 places on, only between them, and never without its leave-one-out error: each place is
predicted from all the others, and the root of the mean square of what that is off by is what the
surface is off by where nobody stood. scipy does the work and is imported when it is needed: with
numpy it takes longer to load than all of labctl.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy

LEAST_PLACES = 15
_SMOOTHING = 1.0
_KERNEL = "linear"


@dataclass(frozen=True, slots=True)
class Surface:
    """Levels or margins between the places where they were measured, dB."""

    places: int
    leave_one_out_db: float
    """Root mean square of what each place is off by when it is predicted from the others."""
    spread_db: float
    """The same when each is predicted as the mean of the others: what a surface has to beat."""
    _interpolator: Any = field(repr=False)
    _hull: Any = field(repr=False)

    @property
    def informative(self) -> bool:
        """Whether it predicts better than one figure for the whole floor would."""
        return self.leave_one_out_db < self.spread_db

    def at(self, points: Sequence[tuple[float, float]]) -> list[float | None]:
        """The surface at these points; None outside the hull of the places."""
        import numpy

        if not points:
            return []
        where = numpy.asarray(points, dtype=float)
        inside = self._hull.find_simplex(where) >= 0
        values = self._interpolator(where)
        return [
            float(value) if within else None for value, within in zip(values, inside, strict=True)
        ]

    def grid(self, xs: Sequence[float], ys: Sequence[float]) -> list[list[float | None]]:
        """A row for each of `ys`, with a value for each of `xs`."""
        flat = self.at([(x, y) for y in ys for x in xs])
        return [flat[row * len(xs) : (row + 1) * len(xs)] for row in range(len(ys))]


def fit(points: Sequence[tuple[float, float, float]]) -> Surface | None:
    """A surface through (x, y, dB) of one floor; x and y in metres, or any one unit.

    None for fewer than 15 different places, or when they are all on one line. A place that was
    measured more than once counts once, with the median. A place where nothing came through
    belongs in as well, at the receiver's sensitivity: left out, its surroundings look too good.
    """
    measured: dict[tuple[float, float], list[float]] = {}
    for x, y, value in points:
        if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(value)):
            raise ValueError(f"a place of a surface is of three numbers, not {(x, y, value)}")
        measured.setdefault((x, y), []).append(value)
    if len(measured) < LEAST_PLACES:
        return None

    import numpy
    from scipy.interpolate import RBFInterpolator
    from scipy.spatial import Delaunay, QhullError

    places = numpy.array(list(measured), dtype=float)
    values = numpy.array([median(each) for each in measured.values()])
    try:
        hull = Delaunay(places)
    except QhullError:
        return None
    errors = _leave_one_out(places, values)
    count = len(values)
    deviations = (values - values.mean()) * count / (count - 1)
    return Surface(
        places=count,
        leave_one_out_db=float(numpy.sqrt(numpy.mean(errors**2))),
        spread_db=float(numpy.sqrt(numpy.mean(deviations**2))),
        _interpolator=RBFInterpolator(places, values, kernel=_KERNEL, smoothing=_SMOOTHING),
        _hull=hull,
    )


def _leave_one_out(places: numpy.ndarray, values: numpy.ndarray) -> numpy.ndarray:
    """What each place is off by when predicted from the others, without fitting that often.

    Rippa's rule (1999): a coefficient over its diagonal entry of the inverse of the system, which
    for the linear kernel is minus the distances, with the smoothing on the diagonal and a
    constant term at the border.
    """
    import numpy

    count = len(values)
    system = numpy.zeros((count + 1, count + 1))
    system[:count, :count] = -numpy.linalg.norm(places[:, None] - places[None], axis=2)
    system[range(count), range(count)] += _SMOOTHING
    system[:count, count] = system[count, :count] = 1.0
    inverse = numpy.linalg.inv(system)
    coefficients = inverse[:count, :count] @ values
    return numpy.asarray(coefficients / numpy.diag(inverse)[:count])
