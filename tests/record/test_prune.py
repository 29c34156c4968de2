"""`labctl db prune`: samples go, what they came to stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from synthetic_runs import emit, healthy, troubled

from labctl.cli.main import main
from labctl.record.database import check
from labctl.record.recorder import Recorder

SAMPLES = ("reads", "link_samples", "link_reports", "airtime_samples", "noise_samples")
VIEWS = (
    "v_schedule_compliance",
    "v_rig_health",
    "v_join_times",
    "v_link_by_device",
    "v_link_by_band",
    "v_case_results",
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(troubled(hours=2), recorder)
        emit(healthy(hours=1), recorder)
    return path


def shown(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as db:
        return {
            view: sorted(db.execute(f"SELECT * FROM {view}").fetchall(), key=repr) for view in VIEWS
        }


def counts(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as db:
        return {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in SAMPLES
        }


def test_views_say_the_same_after_the_samples_have_gone(database: Path) -> None:
    before = shown(database)
    assert all(before[view] for view in VIEWS[:5])
    assert main(["db", "prune", "--keep", "1s", "--yes", "--db", str(database)]) == 0
    assert counts(database) == dict.fromkeys(SAMPLES, 0)
    assert shown(database) == before
    assert check(database).ok


def test_pruning_again_changes_nothing(database: Path) -> None:
    for _ in range(2):
        assert main(["db", "prune", "--keep", "1s", "--yes", "--db", str(database)]) == 0
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT count(*) FROM run_rollups").fetchone() == (2,)


def test_runs_that_are_young_enough_keep_their_samples(database: Path) -> None:
    before = counts(database)
    assert main(["db", "prune", "--keep", "36500d", "--yes", "--db", str(database)]) == 0
    assert counts(database) == before


def test_a_dry_run_and_a_refusal_change_nothing(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counts(database)
    assert main(["db", "prune", "--keep", "1s", "--dry-run", "--db", str(database)]) == 0
    assert "would be dropped" in capsys.readouterr().out
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    assert main(["db", "prune", "--keep", "1s", "--db", str(database)]) == 2
    assert counts(database) == before


def test_only_the_named_rigs_runs(database: Path) -> None:
    with sqlite3.connect(database) as db:
        db.execute("UPDATE runs SET rig = 'another' WHERE id = 2")
    words = ["db", "prune", "--keep", "1s", "--yes", "--rig", "another", "--db", str(database)]
    assert main(words) == 0
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT DISTINCT run_id FROM reads").fetchall() == [(1,)]


def test_no_report_is_made_of_a_run_without_samples(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "prune", "--keep", "1s", "--yes", "--db", str(database)]) == 0
    assert main(["report", "1", "--db", str(database), "--out", str(tmp_path)]) == 2
    assert "the samples of run 1 were dropped" in capsys.readouterr().err


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    with Recorder(path) as recorder:
        emit(healthy(hours=0.2, verdict=None), recorder)
    before = counts(path)
    assert main(["db", "prune", "--keep", "1s", "--yes", "--db", str(path)]) == 0
    assert counts(path) == before
