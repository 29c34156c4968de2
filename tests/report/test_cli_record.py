"""`labctl report`, `runs` and `db`."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from synthetic_runs import crowd, emit, healthy

from labctl.cli.main import main
from labctl.record.recorder import Recorder


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("LABCTL_DB", "LABCTL_REPORTS", "LABCTL_INVENTORY", "LABCTL_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with Recorder(tmp_path / "labctl.db") as recorder:
        emit(healthy(hours=0.2), recorder)
        emit(crowd(hours=0.05), recorder)
        emit(healthy(hours=0.1, verdict=None, simulated=False), recorder)
    return tmp_path


def test_runs_lists_the_newest_first_and_marks_what_was_simulated(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["3", "virtual"],
        ["2", "crowd"],
        ["1", "virtual"],
    ]
    assert "unfinished" in lines[1]
    assert "simulated" not in lines[1]
    assert "marginal (simulated)" in lines[2]


def test_runs_of_one_rig_as_json(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--rig", "rigs/virtual.yaml", "--json", "--limit", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "labctl.runs/1"
    (run,) = answer["data"]
    assert (run["id"], run["rig"], run["simulated"], run["ended"]) == (3, "virtual", False, None)


def test_runs_of_a_rig_that_never_ran_is_an_empty_answer(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "--rig", "other"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "no runs of other" in said.err


def test_report_prints_the_paths_it_wrote(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "crowd"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.name for path in paths] == [f"crowd-run-2.{s}" for s in ("html", "md", "json")]
    assert all((lab / path).is_file() for path in paths)
    assert (lab / "reports" / "crowd-run-2.html").is_file()


def test_report_into_a_folder_in_one_format_as_json(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "1", "--out", "x/y", "--format", "md", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["data"] == [{"format": "md", "path": "x/y/virtual-run-1.md"}]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report", "virtul"], 2, "Did you mean virtual?"),
        (["report", "99"], 2, "no run and no rig"),
        (["report", "1", "--format", "pdf"], 2, "no report format 'pdf'"),
        (["report", "1", "--format", ","], 2, "no report format was given"),
        (["report", "1", "--format", "md", "--open"], 2, "--open"),
        (["report"], 2, "RIG|RUN"),
        (["runs", "--limit", "-1"], 2, "--limit"),
        (["runs", "--db", "none.db"], 69, "no database here yet"),
        (["db", "check", "--db", "."], 69, "folder"),
    ],
)
def test_what_cannot_be_done_has_its_exit_code_and_a_way_out(
    lab: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_db_path_needs_no_database(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "path"]) == 0
    assert Path(capsys.readouterr().out.strip()) == Path("labctl.db")
    monkeypatch.setenv("LABCTL_DB", "/srv/none.db")
    assert main(["db", "path", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["path"] == "/srv/none.db"
    assert (data["exists"], data["source"], data["detail"]) == (False, "environment", "LABCTL_DB")


def test_db_check_tells_of_unfinished_runs_and_of_damage(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "check"]) == 0
    said = capsys.readouterr().out
    assert "unfinished: 3" in said
    assert "0001_first_tables" in said
    db = sqlite3.connect(lab / "labctl.db")
    db.execute(
        "INSERT INTO artefacts (id, run_id, kind, path, sha256, bytes) VALUES"
        " (1, 77, 'capture', 'x', 'y', 1)"
    )
    db.commit()
    db.close()
    assert main(["db", "check", "--json"]) == 69
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["ok"] is False
    assert {row["id"]: row["verdict"] for row in data["checks"]} == {
        "integrity": "ok",
        "references": "look",
        "migrations": "ok",
        "runs": "look",
    }
