"""The drawn house: which walls and floors a straight way goes through."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.config.house_plan import HousePlan, RoomPlan, WallPlan
from labctl.events import Band
from labctl.virtual.house import House, Slab, Stuff, Wall, house_of
from labctl.virtual.propagation import Propagation

BRICK = Stuff("brick", 4.0, 8.0)
STONE = Stuff("stone", 11.0, 22.0)
FLOOR = Stuff("floor", 3.0, 5.0)

METRES = st.floats(-30, 30).map(lambda x: round(x, 2))
POINTS = st.tuples(METRES, METRES)
PLACES = st.tuples(METRES, METRES, st.floats(-3, 9).map(lambda x: round(x, 2)))
STUFFS = st.builds(Stuff, st.sampled_from("abc"), st.floats(0, 40), st.floats(0, 40))


@st.composite
def walls(draw: st.DrawFn) -> Wall:
    start = draw(POINTS)
    end = draw(POINTS.filter(lambda other: other != start))
    bottom = draw(st.floats(-5, 5))
    return Wall(start, end, draw(STUFFS), bottom, bottom + draw(st.floats(0.1, 10)))


SLABS = st.builds(Slab, st.floats(-3, 9), STUFFS)
HOUSES = st.builds(
    House,
    st.lists(walls(), max_size=8).map(tuple),
    st.lists(SLABS, max_size=3).map(tuple),
)


@given(HOUSES, PLACES, PLACES, st.sampled_from((868.0, 2440.0)))
def test_the_way_back_goes_through_the_same(
    house: House, one: tuple[float, float, float], other: tuple[float, float, float], mhz: float
) -> None:
    assert house.crossings(one, other) == house.crossings(other, one)
    assert house.loss_db(one, other, mhz) == house.loss_db(other, one, mhz)


@given(HOUSES, walls(), PLACES, PLACES)
def test_another_wall_never_makes_it_better(
    house: House, wall: Wall, one: tuple[float, float, float], other: tuple[float, float, float]
) -> None:
    more = House((*house.walls, wall), house.slabs)
    gain = more.loss_db(one, other, 2440) - house.loss_db(one, other, 2440)
    crossed = wall in more.crossings(one, other)
    if wall not in house.walls:
        assert gain == pytest.approx(wall.stuff.above_db if crossed else 0.0, abs=1e-9)
    assert gain >= -1e-9


@given(HOUSES, PLACES)
def test_nothing_is_between_a_place_and_itself(
    house: House, place: tuple[float, float, float]
) -> None:
    assert not house.crossings(place, place)


@given(walls(), PLACES, PLACES)
def test_a_wall_is_crossed_as_by_the_textbook(
    wall: Wall, one: tuple[float, float, float], other: tuple[float, float, float]
) -> None:
    """Against the solution of the two equations, where no end is near the other line."""
    (ax, ay), (bx, by) = wall.start, wall.end
    dx, dy = other[0] - one[0], other[1] - one[1]
    determinant = dx * (by - ay) - dy * (bx - ax)
    crossed = bool(House((wall,)).crossings(one, other))
    if abs(determinant) < 1e-6:
        return
    along = ((ax - one[0]) * (by - ay) - (ay - one[1]) * (bx - ax)) / determinant
    across = ((ax - one[0]) * dy - (ay - one[1]) * dx) / determinant
    if any(abs(each - edge) < 1e-6 for each in (along, across) for edge in (0, 1)):
        return
    height = one[2] + along * (other[2] - one[2])
    if min(abs(height - wall.bottom_m), abs(height - wall.top_m)) < 1e-6:
        return
    inside = 0 < along < 1 and 0 < across < 1 and wall.bottom_m < height < wall.top_m
    assert crossed is inside


@given(
    st.lists(st.integers(-20, 20), min_size=2, max_size=8, unique=True).map(sorted),
    st.integers(-20, 20),
    st.integers(1, 10),
    st.integers(1, 10),
)
def test_pieces_of_one_wall_cost_as_much_as_the_whole(
    joints: list[int], meets: int, before: int, behind: int
) -> None:
    """Also where the way meets exactly a joint, or an end."""
    whole = House((Wall((0, joints[0]), (0, joints[-1]), STONE),))
    pieces = House(
        tuple(Wall((0, low), (0, high), STONE) for low, high in itertools.pairwise(joints))
    )
    one, other = (-before, meets, 1.0), (behind, meets, 1.0)
    assert len(whole.crossings(one, other)) <= 1
    assert pieces.loss_db(one, other, 868) == whole.loss_db(one, other, 868)
    assert pieces.loss_db(other, one, 868) == whole.loss_db(one, other, 868)
    if joints[0] < meets < joints[-1]:
        assert whole.loss_db(one, other, 868) == 11.0


@given(st.integers(1, 12), st.integers(0, 12))
def test_walls_in_a_row_are_counted(rows: int, passed: int) -> None:
    house = House(tuple(Wall((x, -5), (x, 5), BRICK) for x in range(rows)))
    crossings = house.crossings((-0.5, 0.1, 1.0), (passed - 0.5, -0.1, 1.0))
    assert len(crossings) == min(rows, passed)


def test_floors_are_counted_and_who_lies_on_one_is_above_it() -> None:
    house = House(slabs=(Slab(2.6, FLOOR), Slab(5.2, FLOOR)))
    assert house.loss_db((0, 0, 1), (3, 3, 1), 2440) == 0
    assert house.loss_db((0, 0, 1), (3, 3, 3.6), 2440) == 5.0
    assert house.loss_db((0, 0, 1), (3, 3, 6.2), 868) == 6.0
    assert house.loss_db((0, 0, 1), (0, 0, 2.6), 868) == 3.0
    assert house.loss_db((0, 0, 2.6), (0, 0, 5.1), 868) == 0.0


def test_a_way_up_goes_through_the_walls_of_the_storey_that_it_is_in() -> None:
    low = Wall((5, -5), (5, 5), STONE, 0.0, 2.6)
    high = Wall((8, -5), (8, 5), BRICK, 2.6, 5.2)
    house = House((low, high), (Slab(2.6, FLOOR),))
    # From 1 m to 3.6 m over 10 m: 2.3 m up at x = 5, 3.08 m at x = 8.
    assert (
        house.account((0, 0, 1.0), (10, 0, 3.6), 2440)
        == "stone 22.0 dB, brick 8.0 dB, floor 5.0 dB"
    )
    assert house.account((0, 0, 1.0), (10, 0, 1.0), 2440) == "stone 22.0 dB"
    assert house.account((0, 0, 3.6), (10, 0, 3.6), 2440) == "brick 8.0 dB"
    assert house.account((0, 0, 1.0), (4, 0, 1.0), 2440) == ""


def test_several_of_a_kind_are_told_together() -> None:
    house = House(tuple(Wall((x, -5), (x, 5), STONE) for x in (1, 2, 3)))
    assert house.account((0, 0, 1), (2.5, 0, 1), 868) == "2 × stone 22.0 dB"


@pytest.mark.parametrize(
    "build",
    [
        lambda: Wall((0, 0), (0, 0), BRICK),
        lambda: Wall((0, 0), (0, math.nan), BRICK),
        lambda: Wall((0, 0), (1, 0), BRICK, 2.0, 2.0),
        lambda: Stuff("x", -1.0, 1.0),
        lambda: Stuff("x", 1.0, math.inf),
        lambda: Stuff("x", math.nan, 1.0),
    ],
)
def test_what_is_no_wall(build) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="wall"):
        build()


def plan() -> HousePlan:
    loss = {Band.GHZ_2_4: 22.0, Band.MHZ_868: 11.0}
    square = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
    return HousePlan(
        rooms=tuple(RoomPlan(f"room {floor}", floor, square) for floor in (-1, 0, 1)),
        walls=tuple(WallPlan(floor, (4.0, 0.0), (4.0, 4.0), "stone", loss) for floor in (-1, 0, 1)),
        storey_height_m=2.5,
        slab_material="floor",
        slab_loss_db={Band.GHZ_2_4: 5.0, Band.MHZ_868: 3.0},
    )


def test_the_house_of_a_plan() -> None:
    house = house_of(plan())
    assert [slab.elevation_m for slab in house.slabs] == [0.0, 2.5], "none under the cellar"
    cellar, ground, upstairs = (2.0, 2.0, -1.5), (2.0, 2.0, 1.0), (2.0, 2.0, 3.5)
    assert house.loss_db(cellar, upstairs, 2440) == 10.0
    assert house.loss_db(ground, upstairs, 868) == 3.0
    assert house.account(ground, (6.0, 2.0, 1.0), 868) == "stone 11.0 dB"
    assert house.account(upstairs, (6.0, 2.0, 3.5), 2440) == "stone 22.0 dB"
    assert house.loss_db(ground, (6.0, 2.0, 3.5), 2440) == 27.0, "one of the two walls, one floor"


def test_a_house_adds_its_walls_to_the_way() -> None:
    house = house_of(plan())
    bare = Propagation(shadowing_db=0, asymmetry_db=0)
    drawn = Propagation(shadowing_db=0, asymmetry_db=0, house=house)
    ends = ((2.0, 2.0, 1.0), (6.0, 2.0, 1.0))
    for mhz, walls_db in ((868.0, 11.0), (2440.0, 22.0)):
        for one, other in (ends, ends[::-1]):
            through = drawn.mean_loss_db(1, "a", "b", one, other, mhz)
            assert through - bare.mean_loss_db(1, "a", "b", one, other, mhz) == pytest.approx(
                walls_db
            )
    same = Propagation(house=house)
    assert same.mean_loss_db(5, "a", "b", *ends, 868.0) == Propagation(house=house).mean_loss_db(
        5, "a", "b", *ends, 868.0
    ), "the seed decides"
