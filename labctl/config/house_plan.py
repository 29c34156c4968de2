"""A drawn house as plain geometry: which walls stand where, and at which points devices are.

All coordinates are whole millimetres while walls are put together, so that two rooms that share
a side on paper share it here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from labctl.config.house_file import House
from labctl.config.materials import losses_db
from labctl.events import Band

OPEN = "open"
MATERIALS: Mapping[str, Mapping[Band, float]] = {
    OPEN: {Band.GHZ_2_4: 0.0, Band.MHZ_868: 0.0},
    **losses_db(),
}
"""Loss in dB of one wall, by band: assumptions for tests, never a claim about coverage."""

ABOVE_FLOOR_M = 1.0
"""How high above the floor of its room something stands."""

_MM = 1000
_BESIDE_MM = 1000

Point = tuple[float, float]
Position = tuple[float, float, float]
_Spot = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """A room from above: its corners in metres, in the order in which one walks around."""

    name: str
    floor: int
    corners: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class WallPlan:
    """A straight wall from floor to ceiling. `loss_db` is what one crossing takes."""

    floor: int
    start: Point
    end: Point
    material: str
    loss_db: Mapping[Band, float]


@dataclass(frozen=True, slots=True)
class HousePlan:
    """The house. Storey `n` reaches from `n * storey_height_m` up to the next; `slab_loss_db` is
    what each floor between two storeys takes, wherever it is crossed."""

    rooms: tuple[RoomPlan, ...]
    walls: tuple[WallPlan, ...]
    storey_height_m: float
    slab_material: str
    slab_loss_db: Mapping[Band, float]

    def room_at(self, position: Position) -> str | None:
        """The room that a point is in; None outdoors."""
        x, y, z = position
        floor = math.floor(z / self.storey_height_m)
        point = (round(x * _MM), round(y * _MM))
        for room in self.rooms:
            if room.floor == floor and _inside(point, _millimetres(room.corners)):
                return room.name
        return None


@dataclass(slots=True)
class Places:
    """Gives everyone in a room a point of their own, a metre apart where the room allows it."""

    house: HousePlan
    _taken: dict[str, set[_Spot]] = field(default_factory=dict)

    def in_room(self, name: str) -> Position:
        """A free point in the room. Raises `KeyError` when there is no such room."""
        room = {room.name: room for room in self.house.rooms}[name]
        corners = _millimetres(room.corners)
        middle = _middle(corners)
        taken = self._taken.setdefault(name, set())
        free = (
            spot
            for dx, dy in _NEAR
            if (spot := (middle[0] + dx, middle[1] + dy)) not in taken and _inside(spot, corners)
        )
        x, y = next(free, middle)
        taken.add((x, y))
        z = room.floor * self.house.storey_height_m + ABOVE_FLOOR_M
        return x / _MM, y / _MM, round(z, 3)


_NEAR = sorted(
    ((x * _BESIDE_MM, y * _BESIDE_MM) for x in range(-4, 5) for y in range(-4, 5)),
    key=lambda step: (step[0] ** 2 + step[1] ** 2, step),
)


def plan_of(house: House) -> HousePlan:
    """The plan of a house whose materials are all known (`KeyError` otherwise)."""
    losses = {**MATERIALS} | {
        name: {Band.GHZ_2_4: own.loss_2_4_ghz_db, Band.MHZ_868: own.loss_868_mhz_db}
        for name, own in house.materials.items()
    }
    rooms = tuple(
        RoomPlan(name, room.floor, corners_of(room.rectangle, room.corners))
        for name, room in house.rooms.items()
    )
    sides = [
        _Side(room.floor, *ends, house.rooms[room.name].walls)
        for room in rooms
        for ends in _sides(_millimetres(room.corners))
    ]
    drawn = [
        _Side(wall.floor, _spot(wall.start), _spot(wall.end), wall.material) for wall in house.walls
    ]

    def strength(material: str) -> tuple[float, str]:
        return sum(losses[material].values()), material

    def material_of(covering: Sequence[_Side], over: Sequence[_Side]) -> str:
        if over:
            return str(over[-1].material)
        if own := [side.material for side in covering if side.material is not None]:
            return max(own, key=strength)
        return house.outer_walls if len(covering) == 1 else house.inner_walls

    walls = []
    for piece, covering, over in _pieces(sides, drawn):
        material = material_of(covering, over)
        if any(losses[material].values()):
            walls.append(
                WallPlan(
                    floor=piece.floor,
                    start=_metres(piece.start),
                    end=_metres(piece.end),
                    material=material,
                    loss_db=losses[material],
                )
            )
    return HousePlan(
        rooms=rooms,
        walls=tuple(_joined(walls)),
        storey_height_m=house.storey_height_m,
        slab_material=house.floors,
        slab_loss_db=losses[house.floors],
    )


def corners_of(
    rectangle: tuple[Point, Point] | None, corners: tuple[Point, ...] | None
) -> tuple[Point, ...]:
    """The corners of a room that is drawn either way."""
    if rectangle is None:
        return corners or ()
    (x1, y1), (x2, y2) = rectangle
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


def shape_problem(corners: Sequence[Point]) -> str:
    """What is wrong with the outline of a room; empty when nothing is."""
    points = _millimetres(corners)
    sides = list(_sides(points))
    if len(set(points)) < len(points):
        return "two of its corners are the same"
    for number, one in enumerate(sides):
        for other in sides[number + 1 :]:
            shared = {*one} & {*other}
            if not shared and _touch(*one, *other):
                return "its sides cross each other"
            if shared and _folded(*one, *other):
                return "one of its sides runs back over another"
    return "" if _twice_area(points) else "it has no area"


# -- walls ----------------------------------------------------------------------------------------


class _Side(NamedTuple):
    floor: int
    start: _Spot
    end: _Spot
    material: str | None


class _Line(NamedTuple):
    """A storey, and an endless line on it: reduced direction, and distance as a cross product."""

    floor: int
    direction: _Spot
    offset: int


def _line(side: _Side) -> _Line:
    (x1, y1), (x2, y2) = side.start, side.end
    dx, dy = x2 - x1, y2 - y1
    shrink = math.gcd(dx, dy) * (-1 if (dx, dy) < (0, 0) else 1)
    dx, dy = dx // shrink, dy // shrink
    return _Line(side.floor, (dx, dy), dx * y1 - dy * x1)


def _pieces(
    sides: Sequence[_Side], drawn: Sequence[_Side]
) -> Iterator[tuple[_Side, list[_Side], list[_Side]]]:
    """Every stretch of wall, once, with the sides of rooms and the walls that are drawn there."""
    lines: dict[_Line, tuple[list[_Side], list[_Side]]] = {}
    for group, found in enumerate((sides, drawn)):
        for side in found:
            lines.setdefault(_line(side), ([], []))[group].append(_rising(side))
    for _, (covering, over) in sorted(lines.items()):
        ends = sorted({end for side in (*covering, *over) for end in (side.start, side.end)})
        for start, end in itertools.pairwise(ends):
            here = [side for side in covering if side.start <= start and end <= side.end]
            above = [side for side in over if side.start <= start and end <= side.end]
            if here or above:
                yield _Side((here or above)[0].floor, start, end, None), here, above


def _rising(side: _Side) -> _Side:
    start, end = sorted((side.start, side.end))
    return side._replace(start=start, end=end)


def _joined(walls: Iterable[WallPlan]) -> Iterator[WallPlan]:
    """Stretches of the same wall in one piece: a signal through the seam crosses it once."""
    last: WallPlan | None = None
    for wall in walls:
        if last is None:
            last = wall
        elif (
            (last.floor, last.end, last.material) == (wall.floor, wall.start, wall.material)
            and _line(_side_of(last)) == _line(_side_of(wall))
        ):  # fmt: skip
            last = WallPlan(last.floor, last.start, wall.end, last.material, last.loss_db)
        else:
            yield last
            last = wall
    if last is not None:
        yield last


def _side_of(wall: WallPlan) -> _Side:
    return _Side(wall.floor, _spot(wall.start), _spot(wall.end), None)


# -- points ---------------------------------------------------------------------------------------


def _millimetres(points: Iterable[Point]) -> tuple[_Spot, ...]:
    return tuple(_spot(point) for point in points)


def _spot(point: Point) -> _Spot:
    return round(point[0] * _MM), round(point[1] * _MM)


def _metres(spot: _Spot) -> Point:
    return spot[0] / _MM, spot[1] / _MM


def _sides(points: Sequence[_Spot]) -> Iterator[tuple[_Spot, _Spot]]:
    yield from zip(points, (*points[1:], points[0]), strict=True)


def _twice_area(points: Sequence[_Spot]) -> int:
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in _sides(points))


def _turn(a: _Spot, b: _Spot, c: _Spot) -> int:
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (cross > 0) - (cross < 0)


def _between(a: _Spot, b: _Spot, c: _Spot) -> bool:
    """Whether `c`, which is on the line through `a` and `b`, is between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _touch(a: _Spot, b: _Spot, c: _Spot, d: _Spot) -> bool:
    turns = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    ends = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(not turn and _between(*end) for turn, end in zip(turns, ends, strict=True))


def _folded(a: _Spot, b: _Spot, c: _Spot, d: _Spot) -> bool:
    """Whether two sides that share a corner lie upon each other."""
    corner = ({a, b} & {c, d}).pop()
    one, other = (b if a == corner else a), (d if c == corner else c)
    if _turn(corner, one, other):
        return False
    return _between(corner, one, other) or _between(corner, other, one)


def _inside(point: _Spot, corners: Sequence[_Spot]) -> bool:
    """Whether a point is in a room; on its walls it is not."""
    inside = False
    for a, b in _sides(corners):
        turn = _turn(a, b, point)
        if not turn and _between(a, b, point):
            return False
        if (a[1] > point[1]) != (b[1] > point[1]) and (turn > 0) == (b[1] > a[1]):
            inside = not inside
    return inside


def _middle(corners: Sequence[_Spot]) -> _Spot:
    """The centre of a room; where that is outside of it, the middle of its widest part there."""
    area = _twice_area(corners)
    x = sum((a[0] + b[0]) * (a[0] * b[1] - b[0] * a[1]) for a, b in _sides(corners))
    y = sum((a[1] + b[1]) * (a[0] * b[1] - b[0] * a[1]) for a, b in _sides(corners))
    centre = round(x / (3 * area)), round(y / (3 * area))
    if _inside(centre, corners):
        return centre
    level = centre[1]
    crossings = sorted(
        a[0] + (b[0] - a[0]) * (level - a[1]) / (b[1] - a[1])
        for a, b in _sides(corners)
        if (a[1] > level) != (b[1] > level)
    )
    spans = list(zip(crossings[::2], crossings[1::2], strict=True))
    left, right = max(spans, key=lambda span: span[1] - span[0])
    return round((left + right) / 2), level
