"""What goes wrong on a walk: Ctrl-C, a stick that is pulled, a device that is not there."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from small_house import HALL, KITCHEN, PARLOUR, Leading, display_only, small_house, walked

from labctl.errors import ConfigurationError, ExitCode, RigError, UsageError
from labctl.survey.commands import Command, Finish, GoOn, Measure, Place
from labctl.survey.links import NOT_BACK
from labctl.survey.view import Progress, View
from labctl.survey.walk import Walk


class Pressing(View):
    """Presses Ctrl-C after so many probes, once."""

    def __init__(self, after: int) -> None:
        self.left = after

    def progress(self, progress: Progress) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_stops_a_waypoint_which_is_gone_on_with(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    leader = Leading(Measure(Place(room=HALL)), GoOn(), Finish())
    result = walked(loaded, tmp_path, leader, view=Pressing(after=12))
    assert leader.interrupted == [False, True, False]
    (waypoint,) = result.data.waypoints
    (link,) = waypoint.links
    assert link.down is not None
    assert (waypoint.counts, link.verdict, link.down.probes) == (True, "pass", 32)


def test_another_place_after_ctrl_c_leaves_the_open_waypoint_out(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    leader = Leading(Measure(Place(room=HALL)), Measure(Place(room=KITCHEN)), GoOn())
    result = walked(loaded, tmp_path, leader, view=Pressing(after=12))
    assert [(each.room, each.counts) for each in result.data.waypoints] == [
        (HALL, False),
        (KITCHEN, True),
    ]
    assert leader.refusals == ["no waypoint was broken off"]
    assert (result.finished, result.exit_code) == (False, ExitCode.INTERRUPTED)


def test_a_device_that_was_cut_off_is_brought_back_at_the_next_place(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    places = (PARLOUR, PARLOUR, HALL)
    leader = Leading(*(Measure(Place(room=room)) for room in places), Finish())
    view = Keeping()
    result = walked(loaded, tmp_path, leader, view=view)
    found = [waypoint.links[0] for waypoint in result.data.waypoints]
    assert [link.verdict for link in found] == ["fail", "fail", "pass"]
    assert [link.down.reason for link in found if link.down] == ["too much is lost", NOT_BACK, ""]
    assert view.texts[-3:] == [
        "virtual-ihd was not reached at the last place: switch it off and on here",
        "virtual-ihd was not heard within 180 s",
        "virtual-ihd was not reached at the last place: switch it off and on here",
    ]


class Keeping(View):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def said(self, text: str) -> None:
        self.texts.append(text)


def test_probes_while_the_stick_is_out_count_nowhere(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    pulled: list[asyncio.Task[None]] = []

    def pull_then_measure(walk: Walk) -> Command:
        async def pull() -> None:
            await asyncio.sleep(15)
            bench = walk.session.bench
            assert bench is not None
            await bench.unplug()
            await asyncio.sleep(20)
            await bench.plug()

        pulled.append(asyncio.ensure_future(pull()))
        return Measure(Place(room=HALL))

    result = walked(loaded, tmp_path, Leading(pull_then_measure, Finish()))
    assert pulled[0].done()
    (link,) = result.data.waypoints[0].links
    assert link.down is not None
    assert link.up is not None
    assert link.verdict == "pass"
    assert (link.down.delivered, link.down.probes) == (32, 32)
    assert link.up.delivered == link.up.probes >= 32
    waypoint = result.data.waypoints[0]
    assert (waypoint.ended_us or 0) - waypoint.started_us > 45_000_000


def test_a_device_that_is_never_heard_is_named(tmp_path: Path) -> None:
    def far_away(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        display_only(inventory, rig)
        rig["virtual"]["house"]["devices"]["virtual-ihd"] = [5000.0, 0.0, 1.0]

    with pytest.raises(RigError) as told:
        walked(small_house(tmp_path, far_away), tmp_path, Leading(Finish()))
    assert "nothing was heard of virtual-ihd" in told.value.what


def test_a_device_that_a_person_pairs_is_to_be_paired_before(tmp_path: Path) -> None:
    def by_hand(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        display_only(inventory, rig)
        rig["devices"][0]["pairing"]["method"] = "confirm"

    with pytest.raises(ConfigurationError) as told:
        walked(small_house(tmp_path, by_hand), tmp_path, Leading(Finish()))
    assert "labctl pair" in told.value.mend


def test_a_device_that_is_not_of_the_rig_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as told:
        walked(small_house(tmp_path), tmp_path, Leading(), devices=("virtual-idh",))
    assert "virtual-ihd" in told.value.mend
    assert not (tmp_path / "labctl.db").exists()
