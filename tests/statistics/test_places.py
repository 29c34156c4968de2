"""From links to rooms, devices and sites."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from labctl.statistics.places import (
    Advice,
    BandReach,
    Where,
    advise,
    compare,
    over_rooms,
    over_waypoints,
)
from labctl.statistics.reach import Answer, Reach

PASS, MARGINAL, FAIL, INCOMPLETE = Reach.PASS, Reach.MARGINAL, Reach.FAIL, Reach.INCOMPLETE


@dataclass
class Row:
    """What a table has of a link."""

    verdict: Reach
    p10_margin_db: float | None = 20.0
    passes_lower: Answer = Answer.YES


def band(verdict: Reach | None) -> BandReach | None:
    return None if verdict is None else over_waypoints([Row(verdict)])


def test_a_room_is_as_good_as_its_worst_waypoint() -> None:
    found = over_waypoints([Row(PASS, 25.0), Row(MARGINAL, 6.5, Answer.NO), Row(PASS, 12.0)])
    assert found == BandReach(MARGINAL, 3, 2, 6.5, Answer.NO)
    assert over_waypoints([Row(PASS), Row(FAIL, None, Answer.NO)]).p10_margin_db is None
    assert over_waypoints([Row(PASS), Row(PASS, 13, Answer.OPEN)]).passes_lower is Answer.OPEN
    assert over_waypoints([]) == BandReach(INCOMPLETE, 0, 0, None, Answer.OPEN)


@pytest.mark.parametrize(
    ("kind", "ghz", "sub_ghz", "where", "verdict", "text"),
    [
        ("cad", PASS, PASS, Where.GHZ_2_4, PASS, "2.4 GHz here (868 MHz: pass)"),
        ("cad", FAIL, PASS, Where.MHZ_868, PASS, "868 MHz here (2.4 GHz: fail)"),
        ("cad", MARGINAL, PASS, Where.MHZ_868, PASS, "868 MHz here (2.4 GHz: marginal)"),
        ("ihd", MARGINAL, PASS, Where.GHZ_2_4, MARGINAL, "where an IHD belongs"),
        ("ihd", FAIL, PASS, Where.MHZ_868, PASS, "868 MHz here"),
        ("cad", MARGINAL, FAIL, Where.GHZ_2_4, MARGINAL, "with little margin"),
        ("cad", FAIL, MARGINAL, Where.MHZ_868, MARGINAL, "868 MHz here, with little margin"),
        ("cad", PASS, None, Where.GHZ_2_4, PASS, "2.4 GHz here (868 MHz was not measured)"),
        ("cad", FAIL, FAIL, Where.NEITHER, FAIL, "neither band: an alternative HAN is needed"),
        ("ihd", FAIL, FAIL, Where.NEITHER, FAIL, "neither band: an alternative HAN is needed"),
        ("cad", FAIL, None, Where.NOT_THE_ONE, FAIL, "868 MHz was not measured"),
        ("cad", None, FAIL, Where.NOT_THE_ONE, FAIL, "2.4 GHz was not measured"),
        ("cad", FAIL, INCOMPLETE, Where.UNKNOWN, INCOMPLETE, "not enough"),
        ("cad", None, None, Where.UNKNOWN, INCOMPLETE, "not enough"),
    ],
)
def test_the_band_for_a_device(
    kind: str, ghz: Reach | None, sub_ghz: Reach | None, where: Where, verdict: Reach, text: str
) -> None:
    found = advise(kind, band(ghz), band(sub_ghz))
    assert (found.where, found.verdict) == (where, verdict)
    assert text in found.text


def test_what_is_practicable_for_an_ihd_is_a_setting() -> None:
    found = advise("ihd", band(MARGINAL), band(PASS), practicable=PASS)
    assert found.where is Where.MHZ_868


def test_a_site_says_which_rooms_go_where() -> None:
    advice = {
        "hall": Advice(Where.GHZ_2_4, PASS, ""),
        "kitchen": Advice(Where.GHZ_2_4, PASS, ""),
        "garage": Advice(Where.MHZ_868, MARGINAL, ""),
        "cellar": Advice(Where.NEITHER, FAIL, ""),
    }
    found = over_rooms(advice)
    assert found.verdict is FAIL
    assert found.rooms[Where.GHZ_2_4] == ("hall", "kitchen")
    assert found.text == (
        "2.4 GHz in hall, kitchen; 868 MHz in garage; "
        "neither band in cellar: an alternative HAN is needed"
    )
    assert over_rooms({}).text == "nothing was measured"
    assert over_rooms({}).verdict is INCOMPLETE


def test_another_place_of_the_hub_is_compared_room_by_room() -> None:
    before = {"hall": PASS, "loft": FAIL, "attic": MARGINAL, "shed": INCOMPLETE, "bath": PASS}
    after = {"hall": PASS, "loft": PASS, "attic": PASS, "shed": PASS, "bath": MARGINAL, "den": PASS}
    found = compare(before, after)
    assert found.better == found.newly_passing == ("loft", "attic")
    assert found.worse == found.no_longer_passing == ("bath",)
    assert found.same == ("hall",)
    assert found.open == ("shed", "den")
    assert found.text == ("2 more rooms pass; 1 room no longer passes; 2 rooms cannot be compared")
    assert compare({"hall": FAIL}, {"hall": MARGINAL}).text == "as many rooms pass"
    assert compare({"hall": FAIL}, {"hall": PASS}).text == "1 more room passes"
