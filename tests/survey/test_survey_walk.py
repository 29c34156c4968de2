"""A walk through a small drawn house: verdicts, undo and redo, remarks, and what is kept."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from small_house import HALL, KITCHEN, PARLOUR, Leading, small_house, walked, written

from labctl.cli.main import main
from labctl.errors import ExitCode
from labctl.record.database import open_for_reading
from labctl.record.survey import load_survey, probes
from labctl.survey.commands import Finish, Measure, Place, Redo, Remark, Undo

IHD = "00:00:5e:ef:10:00:00:02"


@pytest.fixture(scope="module")
def stone_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Walked with the display: it hears the hub in the hall and in the dairy."""
    folder = tmp_path_factory.mktemp("stone")
    rig, walk = written(
        folder, [HALL, {"room": "dairy", "note": "door open", "photo": "a.jpg"}, PARLOUR]
    )
    assert main(["survey", "start", str(rig), "--waypoints", str(walk), "-q"]) == 1
    return folder


def rows(folder: Path, sql: str) -> list[Any]:
    with sqlite3.connect(folder / "labctl.db") as db:
        return db.execute(sql).fetchall()


def test_rooms_behind_stone_fail_and_the_others_pass(stone_house: Path) -> None:
    assert rows(stone_house, "SELECT room, band, verdict FROM v_survey_rooms ORDER BY room") == [
        ("dairy", "2.4 GHz", "pass"),
        ("hall", "2.4 GHz", "pass"),
        ("parlour", "2.4 GHz", "fail"),
    ]
    ((kind, verdict, reasons),) = rows(stone_house, "SELECT kind, verdict, reasons FROM runs")
    assert (kind, verdict) == ("survey", "fail")
    assert "2.4 GHz in hall, dairy" in reasons
    assert "not on the one band that was measured in parlour" in reasons


def test_the_intervals_and_margins_are_kept_with_each_direction(stone_house: Path) -> None:
    found = rows(
        stone_house,
        "SELECT w.room, v.direction, v.probes, v.delivered, v.ratio_low, v.ratio_high, v.verdict,"
        " v.p10_margin_db, v.level_source, v.retries FROM direction_verdicts v"
        " JOIN waypoints w ON w.id = v.waypoint_id ORDER BY v.id",
    )
    assert len(found) == 6
    for room, direction, sent, arrived, low, high, verdict, margin, source, retries in found:
        if room == PARLOUR:
            assert verdict == ("fail" if direction == "from-hub" else "incomplete")
            assert (arrived, margin, source) == (0, None, None)
            assert sent == (10 if direction == "from-hub" else 0)
            continue
        assert (verdict, sent >= 32, arrived) == ("pass", True, sent)
        assert 0.89 < low < arrived / sent <= high == 1.0
        assert margin >= 10
        # The display serves Diagnostics: it says itself how it heard each probe.
        assert source == ("reported" if direction == "from-hub" else "measured")
        assert (retries is None) == (direction == "to-hub")


def test_a_dead_link_costs_ten_probes_and_its_repetitions_are_counted(stone_house: Path) -> None:
    ((sent, arrived, again),) = rows(
        stone_house,
        "SELECT count(*), sum(delivered), sum(retries) FROM probes p JOIN waypoints w"
        " ON w.id = p.waypoint_id WHERE w.room = 'parlour' AND p.direction = 'from-hub'",
    )
    assert (sent, arrived) == (10, 0)
    assert again >= 30, "the MAC repeats three times what nobody acknowledges"


def test_every_verdict_can_be_had_from_its_probes(stone_house: Path) -> None:
    connection = open_for_reading(stone_house / "labctl.db")
    data = load_survey(connection, 1)
    for waypoint in data.waypoints:
        taken = probes(connection, 1, waypoint.number)
        for link in waypoint.links:
            for side in (link.down, link.up):
                assert side is not None
                own = [each for each in taken if each.direction == side.direction]
                assert (side.probes, side.delivered) == (
                    len(own),
                    sum(each.delivered for each in own),
                )
                assert all(
                    waypoint.started_us <= each.at_us <= (waypoint.ended_us or 0) for each in own
                )


def test_probes_are_spread_over_half_a_minute(stone_house: Path) -> None:
    ((first, last),) = rows(
        stone_house,
        "SELECT min(at_us), max(at_us) FROM probes p JOIN waypoints w ON w.id = p.waypoint_id"
        " WHERE w.room = 'hall'",
    )
    assert 30e6 <= last - first <= 60e6


def test_noise_notes_and_photos_are_kept_with_the_waypoint(stone_house: Path) -> None:
    data = load_survey(open_for_reading(stone_house / "labctl.db"), 1)
    for waypoint in data.waypoints:
        levels = {each.band: each.level_dbm for each in waypoint.noise}
        assert set(levels) == {"2.4 GHz", "868 MHz"}
        assert -106 <= levels["2.4 GHz"] <= -92
    remarks = [(each.kind, each.text) for each in data.waypoints[1].remarks]
    assert remarks == [("note", "door open"), ("photo", "a.jpg")]
    (limit,) = data.remarks
    assert limit.text.startswith("no device is on 868 MHz")


def test_addresses_are_masked_unless_they_are_asked_for(
    stone_house: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown(*more: str) -> str:
        database = str(stone_house / "labctl.db")
        assert main(["survey", "show", "1", "--db", database, *more]) == 0
        return capsys.readouterr().out

    for form in ((), ("--json",), ("--csv",)):
        assert IHD not in shown(*form)
        assert IHD in shown(*form, "--addresses")
    told = json.loads(shown("--json"))["data"]
    assert told["together"]["site"]["verdict"] == "fail"
    lines = list(csv.DictReader(io.StringIO(shown("--csv"))))
    assert [line["room"] for line in lines] == [HALL, "dairy", PARLOUR]
    assert [line["verdict"] for line in lines] == ["pass", "pass", "fail"]
    assert float(lines[0]["from_hub_ratio_low"]) > 0.89


def test_what_is_undone_counts_nowhere_and_redo_takes_that_back(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    seen: list[list[int]] = []

    def look(walk: Any) -> Any:
        seen.append([each.number for each in walk.data().counted])
        return Remark("note", "looked")

    leader = Leading(
        Redo(),
        Undo(),
        Measure(Place(room=HALL)),
        Measure(Place(room=PARLOUR)),
        look,
        Undo(),
        look,
        Undo(),
        look,
        Redo(),
        look,
        Measure(Place(room="attic")),
        Undo(),
        Redo(),
        Finish(),
    )
    result = walked(loaded, tmp_path, leader)
    assert seen == [[1, 2], [1], [], [1]]
    assert leader.refusals == [
        "nothing was undone",
        "there is nothing to undo",
        "there is no room 'attic' in the house of this rig",
    ]
    assert [each.counts for each in result.data.waypoints] == [True, False]
    assert result.data.together.site.text == "2.4 GHz in hall"
    assert result.exit_code is ExitCode.PASS


def test_a_paused_walk_goes_on_in_another_run(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    first = walked(loaded, tmp_path, Leading(Measure(Place(room=HALL))))
    assert (first.finished, first.exit_code) == (False, ExitCode.PASS)
    assert rows(tmp_path, "SELECT verdict, reasons FROM runs") == [
        ("incomplete", '["virtual-stone-house: the survey is not ended"]')
    ]
    leader = Leading(Measure(Place(room=KITCHEN)), Finish())
    second = walked(loaded, tmp_path, leader, resume=True)
    assert second.data.survey.id == first.data.survey.id
    assert second.finished
    assert [(each.number, each.room, each.run_id) for each in second.data.waypoints] == [
        (1, HALL, first.run_id),
        (2, KITCHEN, second.run_id),
    ]
    assert [link.verdict for link in second.data.waypoints[0].links] == ["pass"]


def test_two_devices_measure_both_bands_at_the_same_places(tmp_path: Path) -> None:
    def both(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        """As it is shipped: a display on 2.4 GHz, and behind stone a CAD that chose 868 MHz."""

    loaded = small_house(tmp_path, both)
    result = walked(loaded, tmp_path, Leading(Measure(Place(room=PARLOUR)), Finish()))
    (room,) = result.data.together.rooms
    assert {band.value: reach.verdict.value for band, reach in room.bands.items()} == {
        "2.4 GHz": "fail",
        "868 MHz": "pass",
    }
    assert room.advice.text == "868 MHz here (2.4 GHz: fail)"
    assert result.exit_code is ExitCode.PASS
    names = {device.id: device.name for device in result.data.devices}
    alone = {names[key]: each.site.text for key, each in result.data.each.items()}
    assert alone == {
        "virtual-ihd": "not on the one band that was measured in parlour",
        "virtual-dual-cad": "868 MHz in parlour",
    }
    (limit,) = result.data.remarks
    assert limit.text.startswith("virtual-dual-cad could be on 2.4 GHz too")


def test_two_waypoints_of_a_room_are_at_two_points_also_after_a_pause(tmp_path: Path) -> None:
    loaded = small_house(tmp_path)
    walked(loaded, tmp_path, Leading(Measure(Place(room=HALL)), Measure(Place(room=HALL))))
    leader = Leading(Measure(Place(room=HALL)), Finish())
    result = walked(loaded, tmp_path, leader, resume=True)
    assert len({each.position for each in result.data.waypoints}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("waypoints: []\n", "at least one entry"),
        ("waypoints:\n  - {room: hall, flor: 1}\n", "flor"),
        ("waypoints:\n  - {room: hall, position: [1]}\n", "two or three numbers"),
        ("waypoints:\n  - {floor: 1}\n", "room"),
        ("{", "walk.yaml:1"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_place(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig, walk = written(tmp_path, [HALL])
    walk.write_text(text)
    code = main(["survey", "start", str(rig), "--waypoints", str(walk)])
    told = capsys.readouterr().err
    assert code == ExitCode.CONFIGURATION
    assert "walk.yaml" in told
    assert message in told
    assert "Traceback" not in told


def test_nothing_is_resumed_where_nothing_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig, walk = written(tmp_path, [HALL])
    assert main(["survey", "start", str(rig), "--waypoints", str(walk), "-q"]) == 0
    code = main(["survey", "start", str(rig), "--waypoints", str(walk), "--resume"])
    assert code == ExitCode.USAGE
    assert "waits to be resumed" in capsys.readouterr().err
