"""A drawn house: which walls stand, where everyone is, and what disturbs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.config.house_file import House
from labctl.config.house_plan import (
    MATERIALS,
    HousePlan,
    Places,
    plan_of,
    shape_problem,
)
from labctl.config.loading import load_rig
from labctl.config.resolved import VirtualPlace
from labctl.config.virtual_file import InterferenceKind
from labctl.events import Band
from labctl.smart_energy.channels import Channel

PROJECT = Path(__file__).parents[2]
BOTH = "{driver: ezsp, path: virtual, bands: [2.4 GHz, 868 MHz]}"
LAB = f"""
radios: {{both: {BOTH}}}
devices:
  cad: &cad
    kind: cad
    eui64: 00:00:5e:ef:10:00:00:11
    install_code: 83FED3407A939723A5C639B26916D505C3B5
    virtual: {{room: kitchen, position: [7, 8, 9]}}
  ihd: {{<<: *cad, kind: ihd, eui64: 00:00:5e:ef:10:00:00:12}}
  gas: {{<<: *cad, kind: gas-meter, eui64: 00:00:5e:ef:10:00:00:13, virtual: {{}}}}
"""


def plan(**house: Any) -> HousePlan:
    return plan_of(House.model_validate({"hub": [0, 0, 0], **house}))


def walls(found: HousePlan) -> set[tuple[int, tuple[float, ...], str]]:
    return {(wall.floor, (*wall.start, *wall.end), wall.material) for wall in found.walls}


def place(folder: Path, virtual: str) -> VirtualPlace:
    (folder / "inventory.yaml").write_text(LAB)
    (folder / "rig.yaml").write_text(
        "rig: test\nhub: {radio: both, band: dual}\n"
        "meters:\n  e: {kind: electricity, mpxn: 1200012345678, serial_number: E1}\n"
        f"devices:\n  - device: cad\n  - device: ihd\n  - device: gas\nvirtual:\n{virtual}"
    )
    return load_rig(folder / "rig.yaml").place


# -- walls ----------------------------------------------------------------------------------------


def test_a_room_alone_has_outer_walls() -> None:
    found = plan(rooms={"hall": {"rectangle": [[0, 0], [4, 5]]}})
    assert walls(found) == {
        (0, (0, 0, 4, 0), "brick"),
        (0, (4, 0, 4, 5), "brick"),
        (0, (0, 5, 4, 5), "brick"),
        (0, (0, 0, 0, 5), "brick"),
    }
    assert found.walls[0].loss_db == MATERIALS["brick"]


def test_where_two_rooms_meet_there_is_one_inner_wall() -> None:
    found = plan(
        rooms={
            "hall": {"rectangle": [[0, 0], [4, 5]]},
            "kitchen": {"corners": [[4, 1], [8, 1], [8, 7], [4, 7]]},
        }
    )
    at_4 = {wall for wall in walls(found) if wall[1][0] == wall[1][2] == 4}
    assert at_4 == {
        (0, (4, 0, 4, 1), "brick"),
        (0, (4, 1, 4, 5), "partition"),
        (0, (4, 5, 4, 7), "brick"),
    }


def test_rooms_on_other_floors_do_not_meet() -> None:
    hall = {"rectangle": [[0, 0], [4, 5]]}
    found = plan(rooms={"hall": hall, "bedroom": {**hall, "floor": 1}})
    assert len(found.walls) == 8
    assert {wall.material for wall in found.walls} == {"brick"}


def test_of_two_rooms_the_wall_that_takes_more_counts() -> None:
    found = plan(
        rooms={
            "hall": {"rectangle": [[0, 0], [4, 5]], "walls": "stone"},
            "kitchen": {"rectangle": [[4, 0], [8, 5]], "walls": "foil-backed"},
        }
    )
    assert (0, (4, 0, 4, 5), "foil-backed") in walls(found)
    assert (0, (0, 0, 0, 5), "stone") in walls(found)


def test_walls_that_are_drawn_take_the_place_of_others_and_the_last_one_holds() -> None:
    found = plan(
        rooms={
            "hall": {"rectangle": [[0, 0], [4, 5]]},
            "kitchen": {"rectangle": [[4, 0], [8, 5]]},
        },
        walls=[
            {"start": [4, 5], "end": [4, 0], "material": "stone"},
            {"start": [4, 2], "end": [4, 3], "material": "open"},
            {"start": [20, 0], "end": [23, 4], "material": "cob"},
            {"start": [0, 0], "end": [0, 5], "floor": 1, "material": "cob"},
        ],
        materials={"cob": {"loss_2_4_ghz_db": 17, "loss_868_mhz_db": 9}},
    )
    at_4 = {wall for wall in walls(found) if wall[1][0] == wall[1][2] == 4}
    assert at_4 == {(0, (4, 0, 4, 2), "stone"), (0, (4, 3, 4, 5), "stone")}
    assert (0, (20, 0, 23, 4), "cob") in walls(found)
    assert (1, (0, 0, 0, 5), "cob") in walls(found)
    (free,) = (wall for wall in found.walls if wall.start == (20, 0))
    assert free.loss_db == {Band.GHZ_2_4: 17, Band.MHZ_868: 9}


def test_a_wall_along_several_rooms_is_in_one_piece() -> None:
    found = plan(
        rooms={
            name: {"rectangle": [[3 * n, 0], [3 * n + 3, 4]]}
            for n, name in enumerate(("hall", "kitchen", "parlour"))
        }
    )
    assert (0, (0, 0, 9, 0), "brick") in walls(found)
    assert len(found.walls) == 6


spot = st.tuples(st.integers(-20, 20), st.integers(-20, 20))
rectangles = st.tuples(spot, spot).filter(lambda c: c[0][0] != c[1][0] and c[0][1] != c[1][1])


@given(st.lists(rectangles, min_size=1, max_size=6))
def test_no_stretch_of_wall_stands_twice(rooms: list[Any]) -> None:
    found = plan(
        rooms={f"r{n}": {"rectangle": [list(a), list(b)]} for n, (a, b) in enumerate(rooms)}
    )
    units: list[tuple[int, int, bool]] = []
    for wall in found.walls:
        (x1, y1), (x2, y2) = wall.start, wall.end
        units += [(int(x1), int(y), True) for y in range(int(y1), int(y2))] if x1 == x2 else []
        units += [(int(x), int(y1), False) for x in range(int(x1), int(x2))] if y1 == y2 else []
    assert len(units) == len(set(units))
    sides = set()
    for (x1, y1), (x2, y2) in rooms:
        left, right, low, high = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        sides |= {(x, y, True) for x in (left, right) for y in range(low, high)}
        sides |= {(x, y, False) for y in (low, high) for x in range(left, right)}
    assert set(units) == sides


def test_materials_take_more_on_2_4_ghz() -> None:
    for name, loss in MATERIALS.items():
        assert loss[Band.GHZ_2_4] >= loss[Band.MHZ_868] >= 0, name


# -- outlines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corners", "says"),
    [
        ([(0, 0), (4, 0), (4, 4), (0, 4)], ""),
        ([(0, 0), (4, 0), (4, 4), (2, 4), (2, 2), (0, 2)], ""),
        ([(0, 0), (2, 0), (4, 0), (4, 4)], ""),
        ([(0, 0), (4, 4), (4, 0), (0, 4)], "its sides cross each other"),
        ([(0, 0), (4, 0), (4, 0), (0, 4)], "two of its corners are the same"),
        ([(0, 0), (4, 0), (2, 0), (2, 3)], "one of its sides runs back over another"),
        ([(0, 0), (4, 0), (8, 0)], "one of its sides runs back over another"),
        ([(0, 0), (6, 0), (6, 4), (3, 0), (0, 4)], "its sides cross each other"),
    ],
)
def test_outline_of_a_room(corners: list[tuple[float, float]], says: str) -> None:
    assert shape_problem(corners) == says
    assert bool(shape_problem(corners[::-1])) == bool(says)


# -- who stands where -----------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(0, 2 * math.pi), st.floats(1, 50)), min_size=3, max_size=12).map(
        lambda points: sorted(points)
    )
)
def test_everyone_in_a_room_is_inside_it(points: list[tuple[float, float]]) -> None:
    """Stars of any shape: sharp corners, and centres that are outside."""
    corners = [(round(r * math.cos(a), 3), round(r * math.sin(a), 3)) for a, r in points]
    if shape_problem(corners):
        return
    found = plan(rooms={"odd": {"corners": [list(c) for c in corners], "floor": 2}})
    places = Places(found)
    spots = [places.in_room("odd") for _ in range(4)]
    sides = zip(corners, corners[1:] + corners[:1], strict=True)
    area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in sides)) / 2
    if area > 0.1:
        assert all(found.room_at(spot) == "odd" for spot in spots)
    assert {round(z, 3) for _, _, z in spots} == {6.2}


def test_those_in_a_room_stand_a_metre_apart(tmp_path: Path) -> None:
    found = place(
        tmp_path,
        "  house:\n"
        "    storey_height_m: 3\n"
        "    rooms:\n"
        "      kitchen: {rectangle: [[0, 0], [4, 5]]}\n"
        "      loft: {floor: 1, rectangle: [[0, 0], [4, 5]]}\n"
        "    hub: kitchen\n"
        "    devices: {ihd: loft, gas: [-3, 0, 0.5]}\n",
    )
    assert found.hub == (2, 2.5, 1)
    assert found.devices["ihd"] == (2, 2.5, 4)
    assert found.devices["gas"] == (-3, 0, 0.5)
    assert math.dist(found.devices["cad"], found.hub) == 1
    assert found.house is not None
    assert found.house.room_at(found.devices["cad"]) == "kitchen"
    assert found.house.room_at(found.devices["gas"]) is None
    assert found.house.slab_loss_db == MATERIALS["floor"]


def test_without_a_house_the_inventory_tells_where_devices_stand(tmp_path: Path) -> None:
    found = place(tmp_path, "  seed: 3\n")
    assert found.house is None
    assert found.hub == (0, 0, 0)
    assert found.devices == {"cad": (7, 8, 9), "ihd": (7, 8, 9), "gas": (3, 0, 0)}
    assert found.interference == ()


def test_a_closet_has_room_for_everyone(tmp_path: Path) -> None:
    places = Places(plan(rooms={"closet": {"rectangle": [[0, 0], [0.5, 0.5]]}}))
    assert {places.in_room("closet") for _ in range(5)} == {(0.25, 0.25, 1.0)}


def test_stone_house_puts_three_stone_walls_between_hub_and_cad() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual-stone-house.yaml")
    house, cad = loaded.place.house, loaded.place.devices["virtual-dual-cad"]
    assert house is not None
    assert (house.room_at(loaded.place.hub), house.room_at(cad)) == ("hall", "parlour")
    between = [
        wall.material
        for wall in house.walls
        if wall.floor == 0
        and wall.start[0] == wall.end[0]
        and loaded.place.hub[0] < wall.start[0] < cad[0]
    ]
    assert between == ["stone"] * 3


# -- what disturbs --------------------------------------------------------------------------------


def test_interference_in_numbers(tmp_path: Path) -> None:
    wifi, hog = place(
        tmp_path,
        "  house: {rooms: {den: {rectangle: [[0, 0], [2, 2]]}, kitchen: {rectangle:"
        " [[2, 0], [4, 2]]}}, hub: [0, 0, 0]}\n"
        "  interference:\n"
        "    - {name: neighbour, kind: wifi, at: den, wifi_channel: 6}\n"
        "    - {name: hog, kind: sub-ghz, at: [1, 2, 3], frequency: 868.45 MHz, busy_percent: 80,\n"
        "       tx_power_dbm: 10, burst_ms: 400, start: 10min, duration: 1h}\n",
    ).interference
    assert (wifi.kind, hog.kind) == (InterferenceKind.WIFI, InterferenceKind.SUB_GHZ)
    assert (wifi.centre_khz, wifi.width_khz, wifi.channel) == (2_437_000, 20_000, None)
    assert (wifi.position, wifi.tx_power_dbm, wifi.busy) == ((1, 1, 1), 18, 0.3)
    assert (wifi.burst_s, wifi.start_s, wifi.duration_s) == (0.0015, 0, None)
    assert (hog.centre_khz, hog.width_khz, hog.channel) == (868_450, 200, Channel(28, 26))
    assert (hog.position, hog.tx_power_dbm, hog.busy) == ((1, 2, 3), 10, 0.8)
    assert (hog.burst_s, hog.start_s, hog.duration_s) == (0.4, 600, 3600)
