"""A hub that is held, and the commands that reach it: as processes, as people use them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import write_rig

from labctl.cli.main import main
from labctl.errors import ExitCode

STARTED_S = 60


def quick(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
    """One device of the two is in the rig file: the other one is a stranger with a label."""


@contextmanager
def held(folder: Path, *options: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """`labctl hub up` as a process, up, in a folder of its own."""
    rig = write_rig(folder, quick)
    hub = subprocess.Popen(
        [sys.executable, "-m", "labctl.cli.main", "hub", "up", str(rig), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("w"),
        text=True,
    )
    try:
        assert hub.stdout is not None
        line = hub.stdout.readline()
        assert line, (folder / "stderr").read_text()
        assert json.loads(line)["data"]["what"] == "up"
        yield rig, hub
    finally:
        if hub.poll() is None:
            hub.kill()
        hub.wait()


def labctl(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    """A command with --json; its exit code, and what it answered."""
    capsys.readouterr()
    code = main([*words, "--json"])
    out = capsys.readouterr().out
    told = json.loads(out)
    return code, told.get("data", told.get("error"))


def test_a_day_with_a_hub_that_is_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with held(tmp_path) as (path, hub):
        rig = str(path)
        code, status = labctl(capsys, "hub", "status", rig)
        assert code == ExitCode.PASS
        assert status["up"] is True
        assert status["pid"] == hub.pid
        assert status["radios"][0]["lost"] is None

        code, busy = labctl(capsys, "bench", rig, "--for", "1min")
        assert code == ExitCode.BUSY
        assert "labctl hub up" in json.dumps(busy)

        code, paired = labctl(capsys, "pair", rig, "virtual-ihd", "--consent", "form-17")
        assert code == ExitCode.PASS, paired
        assert [each["ending"] for each in paired["devices"]] == ["authorised"]
        code, again = labctl(capsys, "pair", rig, "virtual-ihd")
        assert [each["ending"] for each in again["devices"]] == ["already"]

        code, read = labctl(capsys, "read", rig, "virtual-ihd", "basic", "manufacturer_name", "5")
        assert code == ExitCode.PASS, read
        assert [each["value"] for each in read["attributes"]] == ["labctl", "Virtual IHD"]

        code, log = labctl(capsys, "hub", "log", rig)
        assert [each["name"] for each in log["entries"]] == ["virtual-ihd"]

        code, _ = labctl(capsys, "meter", "set", rig, "demand", "2.4kW")
        assert code == ExitCode.PASS

        code, moved = labctl(capsys, "hub", "channel", rig, "page 0, channel 25")
        assert code == ExitCode.PASS, moved
        assert moved["moved"] is True
        code, status = labctl(capsys, "hub", "status", rig)
        assert status["radios"][0]["channel"] == 25

        code, refused = labctl(capsys, "hub", "suspend", rig, "virtual-ihd", "--for", "5min")
        assert code == ExitCode.RIG_UNAVAILABLE
        assert "868" in refused["what"]

        code, gone = labctl(capsys, "unpair", rig, "virtual-ihd", "--yes", "--reason", "moved out")
        assert code == ExitCode.PASS
        assert gone["eui64"]
        code, _ = labctl(capsys, "unpair", rig, "virtual-ihd", "--yes")
        assert code == ExitCode.USAGE

        hub.send_signal(signal.SIGTERM)
        assert hub.wait(30) == ExitCode.PASS
        code, status = labctl(capsys, "hub", "status", rig)
        assert code == ExitCode.RIG_UNAVAILABLE
        assert status["up"] is False
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        assert db.execute("SELECT kind, ended_us IS NOT NULL FROM runs").fetchall() == [("hub", 1)]
        (removed,) = db.execute("SELECT removal_reason FROM pairings").fetchone()
        assert removed == "moved out"
        assert db.execute("SELECT count(*) FROM reads WHERE initiator = 'hub'").fetchone()[0] > 0
    assert not list((tmp_path / ".labctl").rglob("hub.sock"))
    assert "Traceback" not in (tmp_path / "stderr").read_text()


def test_a_hub_that_was_killed_leaves_the_rig_to_the_next_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(tmp_path) as (path, hub):
        hub.kill()
        hub.wait()
        code, paired = labctl(capsys, "pair", str(path), "virtual-ihd")
        assert code == ExitCode.PASS, paired
        with sqlite3.connect(tmp_path / "labctl.db") as db:
            kinds = [kind for (kind,) in db.execute("SELECT kind FROM runs ORDER BY id")]
        assert kinds == ["hub", "bench"]


def test_whoever_hangs_up_ends_nothing_but_the_waiting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held(tmp_path) as (path, hub):
        waiting = subprocess.Popen(
            [
                *(sys.executable, "-m", "labctl.cli.main", "pair", str(path)),
                *("--eui64", "00:0d:6f:00:0a:90:69:e7"),
                *("--code", "83FED3407A939723A5C639B26916D505C3B5", "--window", "10min"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + STARTED_S
        while time.monotonic() < deadline:
            _, status = labctl(capsys, "hub", "status", str(path))
            if len(status["devices"]) and any(
                d["key"] == "install code" for d in status["devices"]
            ):
                break
            time.sleep(0.2)
        else:
            pytest.fail("the window did not open")
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == ExitCode.INTERRUPTED
        code, status = labctl(capsys, "hub", "status", str(path))
        assert code == ExitCode.PASS
        assert hub.poll() is None


def test_the_socket_is_only_its_owners_and_no_code_is_in_any_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code_text = "83FED3407A939723A5C639B26916D505C3B5"
    with held(tmp_path, "-vv") as (path, hub):
        (where,) = (tmp_path / ".labctl").rglob("hub.sock")
        assert oct(where.stat().st_mode & 0o777) == "0o600"
        assert oct(where.parent.stat().st_mode & 0o777) == "0o700"
        code, told = labctl(
            capsys,
            *("pair", str(path), "--eui64", "00:0d:6f:00:0a:90:69:e7", "--code", code_text),
            *("--window", "5s"),
        )
        assert code == ExitCode.RIG_UNAVAILABLE, told
        hub.send_signal(signal.SIGTERM)
        assert hub.wait(30) == ExitCode.PASS
    log = (tmp_path / "stderr").read_text()
    assert log
    assert code_text.lower() not in log.lower()
    assert code_text.encode() not in (tmp_path / "labctl.db").read_bytes()


def test_without_a_hub_that_is_held_a_read_opens_the_rig(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = str(write_rig(tmp_path, quick))
    code, paired = labctl(capsys, "pair", rig, "virtual-ihd")
    assert code == ExitCode.PASS, paired
    code, read = labctl(capsys, "read", rig, "virtual-ihd", "basic", "model_identifier")
    assert code == ExitCode.PASS, read
    assert read["attributes"][0]["value"] == "Virtual IHD"
    assert os.path.exists(tmp_path / "labctl.db")
