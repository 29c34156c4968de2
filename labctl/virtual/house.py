"""A drawn house: which walls and floors lie between two places, and what they cost.

Pure geometry. A wave goes straight from one place to the other and pays for every wall and every
floor that it goes through, on top of its way through the air: the multi-wall model of COST 231.
No reflections, no doors and windows, no way round. How rooms become walls is the drawing's matter
(`labctl.config.house_plan`); here they are given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labctl.config.house_plan import HousePlan
from labctl.events import Band
from labctl.virtual.propagation import Position

Point = tuple[float, float]
"""Metres on the plan: x, y."""

_SUB_GHZ_BELOW_MHZ = 1000.0


@dataclass(frozen=True, slots=True)
class Stuff:
    """What an obstacle is made of, for people, and what one crossing takes, dB.

    Raises `ValueError` for losses that are negative or no numbers.
    """

    name: str
    sub_ghz_db: float
    above_db: float

    def __post_init__(self) -> None:
        if not all(0 <= each < math.inf for each in (self.sub_ghz_db, self.above_db)):
            raise ValueError("what a wall takes is a number of dB, and not negative")

    def loss_db(self, mhz: float) -> float:
        """One crossing at that frequency, dB."""
        return self.sub_ghz_db if mhz < _SUB_GHZ_BELOW_MHZ else self.above_db


@dataclass(frozen=True, slots=True)
class Wall:
    """An upright rectangle over a line of the plan. Raises `ValueError` when it has no extent."""

    start: Point
    end: Point
    stuff: Stuff
    bottom_m: float = -math.inf
    top_m: float = math.inf

    def __post_init__(self) -> None:
        if not all(math.isfinite(each) for each in (*self.start, *self.end)):
            raise ValueError("a wall's ends are numbers of metres")
        if self.start == self.end:
            raise ValueError("a wall has two ends that differ")
        if not self.bottom_m < self.top_m:
            raise ValueError("a wall's top is above its bottom")

    def crossed_by(self, low: Position, high: Position) -> bool:
        """Whether the line between two places, in ascending order, goes through it.

        One that meets exactly where two walls join goes through one of them, not both or neither;
        one that runs within the wall's plane goes through nothing.
        """
        before, after = _side(self.start, self.end, low), _side(self.start, self.end, high)
        if (before > 0) is (after > 0):
            return False
        if (_side(low, high, self.start) > 0) is (_side(low, high, self.end) > 0):
            return False
        share = before / (before - after)
        return self.bottom_m <= low[2] + share * (high[2] - low[2]) < self.top_m


@dataclass(frozen=True, slots=True)
class Slab:
    """A floor between two storeys, wherever it is gone through."""

    elevation_m: float
    stuff: Stuff

    def crossed_by(self, low: Position, high: Position) -> bool:
        """Whether the line between two places goes through it. Who lies on it is above it."""
        return (low[2] >= self.elevation_m) is not (high[2] >= self.elevation_m)


@dataclass(frozen=True, slots=True)
class House:
    """All that can be in the way."""

    walls: tuple[Wall, ...] = ()
    slabs: tuple[Slab, ...] = ()

    def crossings(self, one: Position, other: Position) -> Sequence[Wall | Slab]:
        """What lies between two places: the same in either direction."""
        low, high = (one, other) if one <= other else (other, one)
        obstacles: tuple[Wall | Slab, ...] = (*self.walls, *self.slabs)
        return [each for each in obstacles if each.crossed_by(low, high)]

    def loss_db(self, one: Position, other: Position, mhz: float) -> float:
        """What that costs, dB; the way itself is not in it."""
        return sum(each.stuff.loss_db(mhz) for each in self.crossings(one, other))

    def account(self, one: Position, other: Position, mhz: float) -> str:
        """The same in words: ``2 × stone 43.8 dB, floor 5.0 dB``; empty for a clear view."""
        costs: dict[str, list[float]] = {}
        for each in self.crossings(one, other):
            costs.setdefault(each.stuff.name, []).append(each.stuff.loss_db(mhz))
        return ", ".join(
            f"{f'{len(each)} × ' if len(each) > 1 else ''}{name} {sum(each):.1f} dB"
            for name, each in costs.items()
        )


def house_of(plan: HousePlan) -> House:
    """The house of a plan. Its floors are between its storeys: none is under the lowest one."""
    storey_m = plan.storey_height_m
    floors = {room.floor for room in plan.rooms} | {wall.floor for wall in plan.walls}
    slab = Stuff("floor", plan.slab_loss_db[Band.MHZ_868], plan.slab_loss_db[Band.GHZ_2_4])
    return House(
        walls=tuple(
            Wall(
                wall.start,
                wall.end,
                Stuff(wall.material, wall.loss_db[Band.MHZ_868], wall.loss_db[Band.GHZ_2_4]),
                wall.floor * storey_m,
                (wall.floor + 1) * storey_m,
            )
            for wall in plan.walls
        ),
        slabs=tuple(
            Slab(floor * storey_m, slab) for floor in range(min(floors) + 1, max(floors) + 1)
        )
        if floors
        else (),
    )


def _side(start: Sequence[float], end: Sequence[float], at: Sequence[float]) -> float:
    """On which side of the line a point is: positive, negative, or 0 on it."""
    return (end[0] - start[0]) * (at[1] - start[1]) - (end[1] - start[1]) * (at[0] - start[0])
