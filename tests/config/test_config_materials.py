"""What walls cost, against figures that others measured or recommend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.config.house_plan import MATERIALS
from labctl.config.materials import BRICK, CONCRETE, CONSTRUCTIONS, PLASTERBOARD, STONE, WOOD
from labctl.events import Band

SUBSTANCES = (BRICK, CONCRETE, PLASTERBOARD, STONE, WOOD)


@pytest.mark.parametrize("ghz", [0.868, 2.44])
def test_brick_is_the_wall_that_muqaibel_measured(ghz: float) -> None:
    measured = 1.0702 * ghz + 0.9757
    assert BRICK.slab_loss_db(0.0871, ghz * 1000) == pytest.approx(measured, abs=0.2)


def test_concrete_is_what_the_full_slab_method_of_p_2040_gives() -> None:
    """200 mm at 2.4 GHz, with the interference of the reflections averaged over the band: 14.7."""
    assert CONCRETE.slab_loss_db(0.200, 2440) == pytest.approx(14.7, abs=0.3)
    assert CONCRETE.slab_loss_db(0.150, 2440) == pytest.approx(11.5, abs=0.3)


def test_floors_are_those_of_p_1238() -> None:
    """Table 5 at 2.4 GHz: 5 dB in a house, 10 dB in a block of flats."""
    assert MATERIALS["floor"][Band.GHZ_2_4] == 5.0
    assert MATERIALS["concrete-floor"][Band.GHZ_2_4] == pytest.approx(10, abs=2)


def test_every_wall_costs_less_below_1_ghz() -> None:
    assert set(CONSTRUCTIONS) < set(MATERIALS)
    for name, losses in MATERIALS.items():
        if name != "open":
            assert 0 < losses[Band.MHZ_868] < losses[Band.GHZ_2_4], name


@given(
    st.sampled_from(SUBSTANCES), st.floats(0.001, 1.0), st.floats(0.001, 1.0), st.floats(800, 2500)
)
def test_thicker_costs_more(substance, metres: float, more: float, mhz: float) -> None:  # type: ignore[no-untyped-def]
    thin = substance.slab_loss_db(metres, mhz)
    assert 0 < thin < substance.slab_loss_db(metres + more, mhz)
