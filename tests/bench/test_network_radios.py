"""A radio at socket://HOST:PORT is a radio like any other: a rig on a stick in another process."""

from __future__ import annotations

import json
import os
import select
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

from labctl.clock import MICROSECONDS
from labctl.record.queries import load_run

LABCTL = [sys.executable, "-m", "labctl.cli.main"]
ADDRESSES = {"ezsp": "00:0d:6f:00:00:00:00:01", "znp": "00:12:4b:00:00:00:00:01"}
STARTS_WITHIN_S = 60.0
"""A real stick takes seconds to form a network; the machine of the tests may be slow."""

protocols = pytest.mark.parametrize("protocol", ["ezsp", "znp"])


@contextmanager
def ncp(folder: Path, protocol: str, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A virtual NCP in a process of its own, with flash of its own; and the path to it."""
    process = subprocess.Popen(
        [
            *(*LABCTL, "virtual", "ncp", "--protocol", protocol, "--json"),
            *("--listen", f"127.0.0.1:{port}", "--state", str(folder / f"{protocol}.flash")),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        said = ""
        while not said.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, f"the NCP did not start: {said}"
            said += line
        yield process, json.loads(said)["data"]["path"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def rig_at(folder: Path, protocol: str, path: str) -> Path:
    """The shipped virtual rig, on a real radio: nothing in it is virtual any more."""

    def change(inventory: dict[str, Any], rig: dict[str, Any]) -> None:
        inventory["radios"] = {
            "far": {"driver": protocol, "path": path, "eui64": ADDRESSES[protocol]}
        }
        for device in inventory["devices"].values():
            device.pop("virtual", None)
        rig["hub"]["radio"] = "far"
        del rig["virtual"], rig["bench"]  # it runs until it is interrupted

    return write_rig(folder, change)


class Bench:
    """`labctl bench` in a process of its own, and what it says."""

    def __init__(self, rig: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [*LABCTL, "bench", str(rig), "--plain", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.said = ""

    def wait_for(self, words: str) -> None:
        """Until it has said this."""
        assert self._process.stderr is not None
        until = time.monotonic() + STARTS_WITHIN_S
        while words not in self.said:
            left = until - time.monotonic()
            ready, _, _ = select.select([self._process.stderr], [], [], max(left, 0))
            assert ready, f"{words!r} was not said in time:\n{self.said}"
            more = os.read(self._process.stderr.fileno(), 65536)
            assert more, f"it ended before it said {words!r}:\n{self.said}"
            self.said += more.decode()

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C. Returns exit code and stdout."""
        self._process.send_signal(signal.SIGINT)
        out, err = self._process.communicate(timeout=STARTS_WITHIN_S)
        self.said += err.decode()
        return self._process.returncode, out.decode()

    def kill(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def bench(rig: Path, *options: str) -> Iterator[Bench]:
    running = Bench(rig, *options)
    try:
        yield running
    finally:
        running.kill()


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "labctl.db") as db:
        return db.execute(sql).fetchall()


@protocols
def test_a_run_forms_a_network_serves_and_ends_with_ctrl_c(tmp_path: Path, protocol: str) -> None:
    with ncp(tmp_path, protocol) as (_, path):
        rig = rig_at(tmp_path, protocol, path)
        with bench(rig) as first:
            first.wait_for("formed a new network")
            first.wait_for("virtual-cad: pairing window open")
            time.sleep(3)  # of rig time: what goes wrong in the first seconds is to go wrong
            code, out = first.interrupt()
        # Open-ended, so that Ctrl-C is its end; nobody came, so that there is no verdict.
        assert code == 69, first.said
        assert "incomplete" in out
        assert "Traceback" not in first.said
        with bench(rig, "--for", "1h", "--json") as second:
            second.wait_for("resumed its network")
            code, out = second.interrupt()
        assert code == 130, second.said
        answer = json.loads(out)["data"]
        assert answer["interrupted"] is True
        assert answer["broken"] is None
        assert all(Path(path).exists() for path in answer["reports"])
    runs = query(tmp_path, "SELECT simulated, verdict, ended_us - started_us FROM runs")
    assert [(simulated, verdict) for simulated, verdict, _ in runs] == [(0, "incomplete")] * 2
    assert runs[0][2] > 3 * MICROSECONDS
    assert query(tmp_path, "SELECT DISTINCT driver, eui64 FROM radios") == [
        (protocol, ADDRESSES[protocol])
    ]
    troubles = query(
        tmp_path, "SELECT kind, detail FROM events WHERE severity = 'error' OR kind LIKE '%-error'"
    )
    assert troubles == []


@protocols
def test_a_coordinator_that_restarts_is_the_rigs_gap_and_the_run_goes_on(
    tmp_path: Path, protocol: str
) -> None:
    with ncp(tmp_path, protocol) as (process, path):
        rig = rig_at(tmp_path, protocol, path)
        with bench(rig) as running:
            running.wait_for("virtual-cad: pairing window open")
            time.sleep(1)
            process.kill()
            process.wait()
            running.wait_for("lost")
            with ncp(tmp_path, protocol, int(path.rpartition(":")[2])):
                running.wait_for("resumed its network")
                code, _ = running.interrupt()
            assert code == 69, running.said
            assert "Traceback" not in running.said
    with sqlite3.connect(tmp_path / "labctl.db") as db:
        (outage,) = load_run(db, 1).infrastructure
        (ended_us,) = db.execute("SELECT ended_us FROM runs").fetchone()
    assert 0 < outage.end_us - outage.start_us < STARTS_WITHIN_S * MICROSECONDS
    assert outage.end_us < ended_us


@protocols
def test_a_port_where_nobody_listens_is_one_clear_message(tmp_path: Path, protocol: str) -> None:
    with ncp(tmp_path, protocol) as (_, path):
        pass
    done = subprocess.run(
        [*LABCTL, "bench", str(rig_at(tmp_path, protocol, path)), "--plain"],
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )
    assert done.returncode == 69
    assert "nothing listens there" in done.stderr
    assert path in done.stderr
    assert "Traceback" not in done.stderr


@protocols
def test_another_stick_at_the_port_than_the_inventory_says_is_refused(
    tmp_path: Path, protocol: str
) -> None:
    with ncp(tmp_path, protocol) as (_, path):
        rig = rig_at(tmp_path, protocol, path)
        inventory = tmp_path / "inventory.yaml"
        text = inventory.read_text()
        assert ADDRESSES[protocol] in text
        inventory.write_text(text.replace(ADDRESSES[protocol], "00:0d:6f:00:00:00:77:77"))
        done = subprocess.run(
            [*LABCTL, "bench", str(rig), "--plain"],
            capture_output=True,
            text=True,
            timeout=STARTS_WITHIN_S,
            check=False,
        )
    assert done.returncode in (69, 78), done.stderr
    assert "00:0d:6f:00:00:00:77:77" in done.stderr
    assert ADDRESSES[protocol] in done.stderr
