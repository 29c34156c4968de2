"""A house that a rig file draws: rooms and walls on storeys, and who stands where."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from labctl.config.fields import Name, Real, Strict, Whole, name, wrong
from labctl.config.inventory import position
from labctl.config.problems import quote

_FARTHEST_M = 1000


def _point(value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise wrong("a point of the plan has two numbers", "write [x, y] in metres")
    for part in value:
        if (
            isinstance(part, bool)
            or not isinstance(part, int | float)
            or not abs(part) <= _FARTHEST_M
        ):
            raise wrong(f"{quote(part)} is not a distance in metres, up to {_FARTHEST_M}")
    return tuple(round(float(part), 3) for part in value)


Point = Annotated[
    tuple[float, float],
    BeforeValidator(_point),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "number", "minimum": -_FARTHEST_M, "maximum": _FARTHEST_M},
            "minItems": 2,
            "maxItems": 2,
            "x-kind": "[x, y], m",
        }
    ),
]
"""x and y in metres, to the millimetre."""


def _spot(value: Any) -> str | tuple[float, ...]:
    return position(value) if isinstance(value, list | tuple) else name(value)


Spot = Annotated[
    str | tuple[float, float, float],
    PlainValidator(_spot),
    PlainSerializer(lambda spot: spot if isinstance(spot, str) else list(spot)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"},
                {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
            ],
            "x-kind": "room or [x, y, z], m",
        }
    ),
]
"""A room by its name, or x, y, z in metres."""


class Material(Strict):
    """What a wall or a floor takes from a signal that goes through it."""

    loss_2_4_ghz_db: Annotated[float, Real(0, 100)]
    """Loss on 2.4 GHz, dB."""
    loss_868_mhz_db: Annotated[float, Real(0, 100)]
    """Loss on 868 MHz, dB."""


_TWO_POINTS = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "minItems": 2,
        "maxItems": 2,
        "x-kind": "[[x, y], [x, y]], m",
    }
)


class Room(Strict):
    """A room, seen from above."""

    floor: Annotated[int, Whole(-2, 20)] = 0
    """The storey: 0 is the ground floor, -1 the cellar."""
    rectangle: Annotated[tuple[Point, Point] | None, Field(strict=False), _TWO_POINTS] = None
    """Two opposite corners."""
    corners: (
        Annotated[tuple[Point, ...], Field(strict=False, min_length=3, max_length=64)] | None
    ) = None
    """Instead of a rectangle: the corners, in the order in which one walks around."""
    walls: Name | None = None
    """Material of all its walls. Where two rooms meet, the wall that takes more counts. Default:
    `outer_walls` and `inner_walls` of the house."""

    @model_validator(mode="after")
    def _has_a_shape(self) -> Room:
        if (self.rectangle is None) == (self.corners is None):
            raise wrong(
                "a room has a rectangle or corners",
                "write rectangle: [[x, y], [x, y]], or corners: [[x, y], ...]",
            )
        return self


class Wall(Strict):
    """A wall, or a part of one, that is of another kind than those around it."""

    start: Point
    """Where it begins."""
    end: Point
    """Where it ends."""
    floor: Annotated[int, Whole(-2, 20)] = 0
    """The storey that it stands on."""
    material: Name
    """What it is made of. `open` where there is none."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Wall:
        if self.start == self.end:
            raise wrong("the wall has no length")
        return self


class House(Strict):
    """The house: z is 0 on the ground floor. Who is placed in a room stands 1 m above its floor."""

    rooms: Annotated[dict[Name, Room], Field(min_length=1, max_length=100)]
    """Rooms, by name."""
    outer_walls: Name = "brick"
    """Material of walls that only one room has."""
    inner_walls: Name = "partition"
    """Material of walls between two rooms."""
    floors: Name = "floor"
    """Material of what is between two storeys."""
    walls: Annotated[tuple[Wall, ...], Field(strict=False, max_length=500)] = ()
    """Walls that are otherwise. They take the place of those of the rooms; the last one holds."""
    materials: dict[Name, Material] = Field(default_factory=dict)
    """Materials of your own, by name. There are `open`, `partition`, `timber`, `brick`, `cavity`,
    `stone`, `concrete`, `foil-backed`, `floor` and `concrete-floor`."""
    storey_height_m: Annotated[float, Real(1.5, 20)] = 2.6
    """From one floor to the next, m."""
    hub: Spot
    """Where the hub stands: a room, or [x, y, z]."""
    devices: dict[Name, Spot] = Field(default_factory=dict)
    """Where devices stand, by name. Default: as the inventory says."""
