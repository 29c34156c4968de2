"""The airtime of a survey on 868 MHz stays below the limits, as the capture shows it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from air_capture import ACK, frames_of
from small_house import Leading, walked
from virtual_rigs import loaded_rig

from labctl.smart_energy.airtime import frame_airtime_us
from labctl.survey.commands import Finish, Measure, Place

LIMITED_US = 3_000_000
HOUR_US = 3_600_000_000


def one_cad(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """One device that reads once in five minutes, and so little airtime that few probes fit."""
    rig["devices"] = rig["devices"][1:2]
    rig["devices"][0]["reads"] = rig["devices"][0]["reads"][:1]
    rig["devices"][0]["reads"][0] |= {"every": "5min", "tolerance": "30s"}
    rig["virtual"]["duty_cycle"] = {"limited": "3s", "critical": "5s", "regulated": "8s"}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("868")
    loaded = loaded_rig(folder, one_cad, "virtual-868")
    places = [Place(room=f"room {n}", position=(2.0 + n, 1.0, 1.0)) for n in range(4)]
    leader = Leading(*map(Measure, places), Finish())
    result = walked(loaded, folder, leader, capture=folder / "air.pcap")
    assert leader.refusals == []
    assert [link.verdict for w in result.data.waypoints for link in w.links] == ["pass"] * 4
    return folder


def test_no_hour_of_the_walk_reaches_the_limit(walk: Path) -> None:
    spent: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    to_hub = False
    for frame in frames_of(walk / "air.pcap", ()):
        if frame.kind == ACK:
            of_hub = to_hub  # it acknowledges the frame before it
        else:
            of_hub, to_hub = frame.source == 0, frame.destination == 0
        spent[of_hub].append((frame.at_us, frame_airtime_us(frame.page, len(frame.psdu))))
    for pieces in spent.values():
        assert 0 < peak(pieces) < LIMITED_US
    # It is the limit that held it back, and not that there was nothing to send.
    assert peak(spent[True]) > 0.7 * LIMITED_US


def peak(pieces: list[tuple[int, int]]) -> int:
    """The most airtime in any hour."""
    most = used = first = 0
    for at_us, us in pieces:
        used += us
        while pieces[first][0] <= at_us - HOUR_US:
            used -= pieces[first][1]
            first += 1
        most = max(most, used)
    return most


def test_the_walk_waited_and_said_so(walk: Path) -> None:
    with sqlite3.connect(walk / "labctl.db") as db:
        waits = [
            text for (text,) in db.execute("SELECT text FROM survey_remarks WHERE kind = 'limit'")
        ]
        states = db.execute("SELECT DISTINCT state FROM airtime_samples").fetchall()
        ((first, last),) = db.execute("SELECT min(at_us), max(at_us) FROM probes")
    assert any("waited" in text for text in waits)
    assert last - first > 20 * 60 * 1_000_000
    assert states == [("normal",)], "it never came to the hub's own measures"
