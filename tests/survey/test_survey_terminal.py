"""A walk that is led from a terminal: what is asked, what is typed, the bell at the end."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_house import HALL, written

_PATIENCE_S = 120
_LABCTL = "import sys; from labctl.cli.main import main; sys.exit(main())"


class Terminal:
    """`labctl survey start` on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        self._ours = ours
        self._told = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _LABCTL, "survey", "start", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def until(self, what: str) -> str:
        """All that is told until `what` was."""
        deadline = time.monotonic() + _PATIENCE_S
        while what not in self._told:
            assert time.monotonic() < deadline, self._told
            if select.select([self._ours], [], [], 0.5)[0]:
                try:
                    more = os.read(self._ours, 4096)
                except OSError:  # that is how the end of a terminal looks on Linux
                    more = b""
                assert more, f"it ended: {self._told}"
                self._told += more.decode(errors="replace")
        told, _, self._told = self._told.partition(what)
        return told

    def type(self, line: str) -> None:
        os.write(self._ours, f"{line}\n".encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    rig, _ = written(tmp_path, [HALL])
    terminal = Terminal(str(rig), "--site", "typed")
    yield terminal
    terminal.close()


def test_a_person_is_led_through_the_walk(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("where are you?")
    terminal.type("hal")
    assert "did you mean 'hall'" in terminal.until("where are you?")
    terminal.type("hall / door")
    told = terminal.until("where to?")
    assert "turn the device slowly" in told
    assert "to it 32/32 pass" in told
    assert "0 s or more to go" in told
    assert "\a   done, move on" in told
    terminal.type(":note it rained")
    terminal.until("where to?")
    terminal.type(":quit")
    assert "2.4 GHz here" in terminal.until("2.4 GHz in hall")
    assert terminal.process.wait(_PATIENCE_S) == 0
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        assert db.execute("SELECT site, verdict FROM surveys").fetchall() == [("typed", "pass")]
        assert db.execute("SELECT room, spot FROM waypoints").fetchall() == [(HALL, "door")]
        remarks = db.execute("SELECT text FROM survey_remarks WHERE kind = 'note'").fetchall()
    assert remarks == [("it rained",)]


def test_ctrl_c_at_the_question_leaves_the_survey_to_be_resumed(terminal: Terminal) -> None:
    terminal.until("where are you?")
    terminal.process.send_signal(signal.SIGINT)
    told = terminal.until("--resume")
    assert "is not ended" in told
    assert terminal.process.wait(_PATIENCE_S) == 130


def test_lines_may_come_from_a_pipe_all_at_once(tmp_path: Path) -> None:
    rig, _ = written(tmp_path, [HALL])
    done = subprocess.run(
        [sys.executable, "-c", _LABCTL, "survey", "start", str(rig), "-q", "--json"],
        input=b"hall\n:note one\n\n:undo\n:quit",
        capture_output=True,
        timeout=_PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["data"]
    assert (told["finished"], told["verdict"], told["waypoints"]) == (True, "pass", 1)


def test_without_an_input_a_file_is_asked_for(tmp_path: Path) -> None:
    rig, _ = written(tmp_path, [HALL])
    labctl = [sys.executable, "-c", _LABCTL, "survey", "start", str(rig)]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *labctl],
        capture_output=True,
        timeout=_PATIENCE_S,
    )
    assert done.returncode == 2
    assert b"nobody is there to be asked" in done.stderr
    assert not (tmp_path / "labctl.db").exists()
