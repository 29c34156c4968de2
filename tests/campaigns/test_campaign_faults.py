"""A short version of the campaign of faults, and that it notices what it is there to notice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
sys.path.insert(0, str(PROJECT / "campaigns"))

import faults  # noqa: E402

from labctl.events import Event, ReadServed  # noqa: E402
from labctl.radio import lasting  # noqa: E402
from labctl.record.recorder import Recorder  # noqa: E402


@pytest.mark.parametrize("driver", ["ezsp", "znp"])
def test_a_rig_comes_back_from_each_of_24_faults(tmp_path: Path, driver: str) -> None:
    outcome = faults.campaign(tmp_path, seed=7, count=24, hours=2.2, driver=driver)
    assert len(outcome.faults) == 24
    assert {fault.kind for fault in outcome.faults} >= {"unplug", "hang", "garbage", "power-cut"}
    assert not outcome.wrong


def only_unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "WEIGHTS", {"unplug": 1})


def test_a_radio_that_comes_back_late_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_unplugged(monkeypatch)
    monkeypatch.setattr(lasting, "FIRST_PAUSE_S", 70.0)
    monkeypatch.setattr(lasting, "LONGEST_PAUSE_S", 70.0)
    outcome = faults.campaign(tmp_path, seed=1, count=3, hours=1.2)
    assert any("not back after 10 s" in sentence for sentence in outcome.wrong)


def test_a_row_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_unplugged(monkeypatch)
    takes, seen = Recorder.__call__, 0

    def forgetful(self: Recorder, event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, ReadServed)
        if not isinstance(event, ReadServed) or seen != 500:
            takes(self, event)

    monkeypatch.setattr(Recorder, "__call__", forgetful)
    outcome = faults.campaign(tmp_path, seed=1, count=2, hours=1.2)
    assert any("are in the record" in sentence for sentence in outcome.wrong)


def test_a_gap_that_is_not_marked_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "WEIGHTS", {"hang": 1})
    silent = lasting.LastingCoordinator.silent_s
    monkeypatch.setattr(lasting.LastingCoordinator, "silent_s", lambda self, bearer=0: 0.0)
    assert silent is not lasting.LastingCoordinator.silent_s
    outcome = faults.campaign(tmp_path, seed=1, count=4, hours=1.3)
    assert any("is not marked" in sentence for sentence in outcome.wrong)
