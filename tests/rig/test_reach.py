"""What a drawn house lets through, as a report tells it."""

from __future__ import annotations

from pathlib import Path

from labctl.config.loading import load_rig
from labctl.events import Band
from labctl.rig.reach import reach

PROJECT = Path(__file__).parents[2]


def test_stone_stops_2_4_ghz_and_lets_868_mhz_through() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual-stone-house.yaml")
    told = {device.name: reach(loaded, device) for device in loaded.devices}
    behind = told["virtual-dual-cad"]
    assert "below the sensitivity (simulated; " in behind[Band.GHZ_2_4]
    assert "above the sensitivity (simulated; " in behind[Band.MHZ_868]
    assert all("3 × stone" in words for words in behind.values())
    assert "above the sensitivity" in told["virtual-ihd"][Band.GHZ_2_4]


def test_where_no_house_is_drawn_nothing_is_foretold() -> None:
    loaded = load_rig(PROJECT / "rigs" / "virtual-dual-band.yaml")
    assert [dict(reach(loaded, device)) for device in loaded.devices] == [{}] * 8
