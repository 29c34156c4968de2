"""SIGKILL at any moment: the walk goes on, with at most the probe lost that was under way."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_house import HALL, KITCHEN, PARLOUR, small_house, written

from labctl.cli.main import main
from labctl.record.database import check

# Walks, and says on stdout after each probe which waypoint it is and how many there were of it.
CHILD = """
import os, sys
from pathlib import Path
from labctl.config.loading import load_rig
from labctl.survey.leaders import Script
from labctl.survey.places import Positions
from labctl.survey.run import SurveyOptions, run_survey
from labctl.survey.view import View
from labctl.survey.waypoints_file import read_waypoints, steps

rig, walk, database = map(Path, sys.argv[1:])
loaded = load_rig(rig)

class Telling(View):
    def progress(self, progress):
        os.write(1, b"%d %d %d\\n" % (
            progress.waypoint, progress.down.probes, progress.up.probes))

run_survey(loaded, SurveyOptions(database=database), Script(
    steps(read_waypoints(walk), Positions(loaded))), Telling())
"""


def killed_after(lines: int, *arguments: Path) -> list[tuple[int, int, int]]:
    """Kill the child when it has told of so many probes; all that it told of."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *map(str, arguments)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    told = b""
    while told.count(b"\n") < lines:
        more = os.read(child.stdout.fileno(), 100)
        assert more, "the child ended by itself"
        told += more
    child.send_signal(signal.SIGKILL)
    told += child.stdout.read()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    return [_numbers(line) for line in told.split(b"\n")[:-1]]


def _numbers(line: bytes) -> tuple[int, int, int]:
    waypoint, down, up = map(int, line.split())
    return waypoint, down, up


def asked(database: Path, sql: str, *values: object) -> list[Any]:
    with sqlite3.connect(database) as db:
        return db.execute(sql, values).fetchall()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_walk_goes_on_with_every_probe_that_was_taken(seed: int, tmp_path: Path) -> None:
    small_house(tmp_path)
    rig, walk = written(tmp_path, [HALL, KITCHEN, PARLOUR])
    database = tmp_path / "labctl.db"
    lines = random.Random(seed).randint(1, 50)
    told = killed_after(lines, rig, walk, database)
    waypoint, down, up = told[-1]
    kept = asked(database, "SELECT id, at_us FROM probes ORDER BY id")
    counts = dict(
        asked(
            database,
            "SELECT direction, count(*) FROM probes p JOIN waypoints w ON w.id = p.waypoint_id"
            " WHERE w.number = ? GROUP BY 1",
            waypoint,
        )
    )
    # What was shown is there; the kill came before the next was shown.
    assert down <= counts["from-hub"] <= down + 1
    assert up <= counts.get("to-hub", 0) <= up + 3
    assert check(database).ok

    code = main(["survey", "start", str(rig), "--waypoints", str(walk), "--resume", "-q"])
    assert code == 1, "the parlour is out of reach"
    assert asked(database, "SELECT id, at_us FROM probes ORDER BY id")[: len(kept)] == kept
    found = asked(
        database,
        "SELECT w.number, w.room, v.direction, v.probes, (SELECT count(*) FROM probes p"
        " WHERE p.waypoint_id = w.id AND p.direction = v.direction), v.verdict"
        " FROM direction_verdicts v JOIN waypoints w ON w.id = v.waypoint_id ORDER BY v.id",
    )
    assert [(number, room) for number, room, *_ in found[::2]] == [
        (1, HALL),
        (2, KITCHEN),
        (3, PARLOUR),
    ]
    assert all(judged == taken for *_, judged, taken, _verdict in found)
    assert [verdict for *_, verdict in found[:2]] == ["pass", "pass"]
    ((surveys, ended),) = asked(database, "SELECT count(*), count(ended_us) FROM surveys")
    assert (surveys, ended) == (1, 1)
    runs = asked(database, "SELECT verdict FROM runs ORDER BY id")
    assert runs == [("incomplete",), ("fail",)]
    assert check(database).ok
