"""Where a virtual rig is: the house that is drawn, who stands where in it, and what disturbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from labctl.config.channel_choice import ChannelCheck
from labctl.config.document import Document
from labctl.config.document import Place as Key
from labctl.config.house_file import House
from labctl.config.house_plan import (
    MATERIALS,
    HousePlan,
    Places,
    Position,
    corners_of,
    plan_of,
    shape_problem,
)
from labctl.config.hub_radio import SUB_GHZ_MOST_DBM
from labctl.config.inventory import Inventory
from labctl.config.problems import Problem, did_you_mean, quote
from labctl.config.resolved import Interference, VirtualPlace
from labctl.config.rig_file import Rig
from labctl.config.virtual_file import InterferenceKind, Interferer, VirtualBench
from labctl.events import Band
from labctl.smart_energy.channels import Channel

_HOUSE: Key = ("virtual", "house")
_ORIGIN: Position = (0.0, 0.0, 0.0)
_WIFI_WIDTH_KHZ = 20_000
_SUB_GHZ_WIDTH_KHZ = 200
_WIFI_DBM, _WIFI_BURST_MS, _SUB_GHZ_BURST_MS = 18, 1.5, 50.0


@dataclass(slots=True)
class PlaceCheck:
    """Resolves positions in metres, and says what cannot be drawn."""

    rig: Rig
    virtual: VirtualBench
    document: Document
    inventory: Inventory
    problems: list[Problem] = field(default_factory=list)

    def run(self, devices: Sequence[str]) -> VirtualPlace:
        """The place, as far as it can be made out; `problems` tells what cannot."""
        house = self.virtual.house
        plan = self._plan(house) if house is not None else None
        places = Places(plan) if plan is not None else None
        hub = _ORIGIN
        if house is not None:
            hub = self._spot((*_HOUSE, "hub"), house.hub, places)
            for name in house.devices:
                if name not in devices:
                    self._error(
                        (*_HOUSE, "devices", name),
                        f"there is no device {quote(name)} under test on this rig",
                        did_you_mean(name, devices),
                        of_key=True,
                    )
        return VirtualPlace(
            house=plan,
            hub=hub,
            devices={
                name: self._device(number, name, places)
                for number, name in enumerate(devices)
                if name in self.inventory.devices
            },
            interference=self._interference(places),
        )

    def _error(self, place: Key, what: str, mend: str = "", *, of_key: bool = False) -> None:
        self.problems.append(self.document.problem(place, what, mend, of_key=of_key))

    # -- the house --------------------------------------------------------------------------------

    def _plan(self, house: House) -> HousePlan | None:
        before = len(self.problems)
        for name in house.materials:
            if name in MATERIALS:
                self._error(
                    (*_HOUSE, "materials", name),
                    f"the material {quote(name)} is there already",
                    "give yours another name",
                    of_key=True,
                )
        self._material(house, ("outer_walls",), house.outer_walls)
        self._material(house, ("inner_walls",), house.inner_walls)
        self._material(house, ("floors",), house.floors)
        for number, wall in enumerate(house.walls):
            self._material(house, ("walls", number, "material"), wall.material)
        for name, room in house.rooms.items():
            self._material(house, ("rooms", name, "walls"), room.walls)
            key = "corners" if room.rectangle is None else "rectangle"
            wrong = shape_problem(corners_of(room.rectangle, room.corners))
            if wrong:
                self._error(
                    (*_HOUSE, "rooms", name, key),
                    f"the room {quote(name)} cannot be drawn: {wrong}",
                    "list the corners in the order in which one walks around the room"
                    if key == "corners"
                    else "write two opposite corners",
                )
        return plan_of(house) if len(self.problems) == before else None

    def _material(self, house: House, place: Key, name: str | None) -> None:
        known = [*MATERIALS, *house.materials]
        if name is not None and name not in known:
            self._error(
                (*_HOUSE, *place),
                f"there is no material {quote(name)}",
                did_you_mean(name, known),
            )

    # -- who stands where -------------------------------------------------------------------------

    def _device(self, number: int, name: str, places: Places | None) -> Position:
        house, virtual = self.virtual.house, self.inventory.devices[name].virtual
        if house is not None and name in house.devices:
            return self._spot((*_HOUSE, "devices", name), house.devices[name], places)
        if virtual is None:
            return _ORIGIN
        if virtual.room is None or house is None:
            return virtual.position
        if virtual.room not in house.rooms:
            self._error(
                ("devices", number, "device"),
                f"{quote(name)} stands in the room {quote(virtual.room)}, and the house has none "
                "of that name",
                did_you_mean(virtual.room, house.rooms),
            )
            return virtual.position
        return places.in_room(virtual.room) if places is not None else virtual.position

    def _spot(self, place: Key, spot: str | Position, places: Places | None) -> Position:
        if not isinstance(spot, str):
            return spot
        house = self.virtual.house
        if house is None:
            self._error(
                place,
                f"there is no room {quote(spot)}: no house is drawn",
                "write [x, y, z] in metres, or draw one below 'virtual.house'",
            )
        elif spot not in house.rooms:
            self._error(place, f"there is no room {quote(spot)}", did_you_mean(spot, house.rooms))
        elif places is not None:
            return places.in_room(spot)
        return _ORIGIN

    # -- what disturbs ----------------------------------------------------------------------------

    def _interference(self, places: Places | None) -> tuple[Interference, ...]:
        found: list[Interference] = []
        names: set[str] = set()
        for number, entry in enumerate(self.virtual.interference):
            place: Key = ("virtual", "interference", number)
            if entry.name in names:
                self._error((*place, "name"), f"the name {quote(entry.name)} is taken already")
            names.add(entry.name)
            if entry.kind is InterferenceKind.WIFI:
                source = self._wifi(place, entry, places)
            else:
                source = self._sub_ghz(place, entry, places)
            if source is not None:
                found.append(source)
        return tuple(found)

    def _wifi(self, place: Key, entry: Interferer, places: Places | None) -> Interference | None:
        self._not_for(place, entry, ("channel", "page", "frequency"), "write 'wifi_channel: 6'")
        if entry.wifi_channel is None:
            self._error(place, "the key 'wifi_channel' is missing", "write 'wifi_channel: 6'")
            return None
        centre_khz = 2_412_000 + 5_000 * (entry.wifi_channel - 1)
        return self._source(
            place, entry, places, centre_khz, _WIFI_WIDTH_KHZ, None, _WIFI_DBM, _WIFI_BURST_MS
        )

    def _sub_ghz(self, place: Key, entry: Interferer, places: Places | None) -> Interference | None:
        self._not_for(place, entry, ("wifi_channel",), "write 'frequency: 868.45 MHz'")
        if entry.channel is None and entry.frequency is None:
            self._error(place, "the key 'frequency' is missing", "write 'frequency: 868.45 MHz'")
            return None
        channel = ChannelCheck(self.document, self.problems, place, Band.MHZ_868).resolve(
            entry.page, entry.channel, entry.frequency
        )
        if channel is None:
            return None
        return self._source(
            place,
            entry,
            places,
            channel.frequency_khz,
            _SUB_GHZ_WIDTH_KHZ,
            channel,
            SUB_GHZ_MOST_DBM,
            _SUB_GHZ_BURST_MS,
        )

    def _not_for(self, place: Key, entry: Interferer, keys: Sequence[str], mend: str) -> None:
        for key in keys:
            if getattr(entry, key) is not None:
                self._error(
                    (*place, key), f"{key!r} is not for the kind {entry.kind}", mend, of_key=True
                )

    def _source(
        self,
        place: Key,
        entry: Interferer,
        places: Places | None,
        centre_khz: int,
        width_khz: int,
        channel: Channel | None,
        usual_dbm: int,
        usual_burst_ms: float,
    ) -> Interference:
        return Interference(
            name=entry.name,
            kind=entry.kind,
            position=self._spot((*place, "at"), entry.at, places),
            centre_khz=centre_khz,
            width_khz=width_khz,
            channel=channel,
            tx_power_dbm=usual_dbm if entry.tx_power_dbm is None else entry.tx_power_dbm,
            busy=entry.busy_percent / 100,
            burst_s=(usual_burst_ms if entry.burst_ms is None else entry.burst_ms) / 1000,
            start_s=entry.start.total_seconds(),
            duration_s=None if entry.duration is None else entry.duration.total_seconds(),
        )
