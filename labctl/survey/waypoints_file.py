"""A walk that is written down: places in their order, for virtual rigs, CI and tests.

site: stone house
waypoints:
  - room: kitchen
  - {room: cellar, floor: -1, spot: stairs, position: [3.5, 2], note: door shut}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from labctl.config.fields import Real, Strict, Text, Whole, wrong
from labctl.config.problems import ConfigurationErrors, errors_of, in_file_order, quote
from labctl.config.reading_models import read_model
from labctl.survey.commands import Measure, Place
from labctl.survey.places import Positions

_FARTHEST_M = 10_000


def _coordinates(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) not in (2, 3):
        raise wrong("a position has two or three numbers", "write [x, y] or [x, y, z] in metres")
    for part in value:
        if (
            isinstance(part, bool)
            or not isinstance(part, int | float)
            or not abs(part) <= _FARTHEST_M
        ):
            raise wrong(f"{quote(part)} is not a distance in metres, up to {_FARTHEST_M}")
    return tuple(float(part) for part in value)


class Waypoint(Strict):
    """A place. Without a position a virtual device is carried into the room of that name."""

    room: Text
    """What it is called."""
    floor: Annotated[int, Whole(-20, 200)] = 0
    """0 is the ground floor. A drawn room knows its own."""
    spot: str = ""
    """Where in the room."""
    position: Annotated[tuple[float, ...] | None, BeforeValidator(_coordinates)] = None
    """x and y, or x, y and z, in metres on the plan."""
    latitude: Annotated[float, Real(-90, 90)] | None = None
    """Degrees, WGS 84."""
    longitude: Annotated[float, Real(-180, 180)] | None = None
    """Degrees, WGS 84."""
    note: str = ""
    """Is kept with the waypoint."""
    photo: str = ""
    """The path of a picture."""


class WaypointsFile(Strict):
    """The walk."""

    site: Text | None = None
    """What the site is called, unless --site says so."""
    waypoints: Annotated[list[Waypoint], Field(min_length=1)]
    """In the order of the walk."""


def read_waypoints(path: Path) -> WaypointsFile:
    """Read a walk. Raises `ConfigurationErrors`, each with its place in the file."""
    walk, _document, problems = read_model(path, WaypointsFile, what="waypoints file")
    if walk is None or errors_of(problems):
        raise ConfigurationErrors(in_file_order(errors_of(problems)))
    return walk


def steps(walk: WaypointsFile, positions: Positions) -> list[Measure]:
    """What is to be done, in order."""
    found = []
    for each in walk.waypoints:
        position = None
        if each.position is not None:
            x, y, *z = each.position
            position = (x, y, z[0]) if z else positions.at(x, y, each.floor)
        place = Place(
            room=each.room,
            floor=each.floor,
            spot=each.spot,
            position=position,
            latitude=each.latitude,
            longitude=each.longitude,
        )
        found.append(Measure(place, each.note, each.photo))
    return found
