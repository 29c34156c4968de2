"""Where the devices of a virtual rig are put, when somebody says what room they are in."""

from __future__ import annotations

from dataclasses import replace

from labctl.config.house_plan import ABOVE_FLOOR_M, Places
from labctl.config.problems import did_you_mean
from labctl.config.resolved import LoadedRig
from labctl.errors import UsageError
from labctl.survey.commands import Place


class Positions:
    """Completes places. On a real rig nothing needs to be known: somebody carries the devices."""

    def __init__(self, loaded: LoadedRig) -> None:
        self._virtual = loaded.is_virtual
        self._house = loaded.place.house
        self._free = None if self._house is None else Places(self._house)

    def completed(self, place: Place) -> Place:
        """The place with its position, and the floor of a drawn room.

        A room of the drawn house is stood in at a point that nobody stood at before. Raises
        `UsageError` on a virtual rig for a place that is in no room and has no position.
        """
        house = self._house
        if place.position is not None:
            if self._virtual and house is not None:
                return replace(place, floor=int(place.position[2] // house.storey_height_m))
            return place
        if not self._virtual:
            return place
        if house is None or self._free is None:
            raise UsageError(
                "the devices of this virtual rig cannot be carried: no house is drawn",
                mend="draw one in the rig file (virtual.house), or give positions in a file with "
                "--waypoints",
            )
        rooms = {room.name: room for room in house.rooms}
        if place.room not in rooms:
            raise UsageError(
                f"there is no room {place.room!r} in the house of this rig",
                mend=did_you_mean(place.room, list(rooms)) or f"there are {', '.join(rooms)}",
            )
        return replace(
            place, floor=rooms[place.room].floor, position=self._free.in_room(place.room)
        )

    def stood(self, place: Place) -> None:
        """Somebody stood there before: the next who is in that room stands elsewhere."""
        house = self._house
        names = set() if house is None else {room.name for room in house.rooms}
        if self._free is not None and place.room in names:
            self._free.in_room(place.room)

    def at(self, x: float, y: float, floor: int) -> tuple[float, float, float]:
        """A point on a floor's plan, a metre above the floor."""
        storey_m = 0.0 if self._house is None else self._house.storey_height_m
        return x, y, round(floor * storey_m + ABOVE_FLOOR_M, 3)
