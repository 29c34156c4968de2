"""A rig with a stick on a real pty, wanted by two laboratories at once."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from labctl.cli.main import main
from labctl.config.loading import load_rig
from labctl.leases import LeaseLostError, Leases, LockFolder
from labctl.rig.hold import radio_things
from labctl.rig.session import open_rig

LABCTL = [sys.executable, "-m", "labctl.cli.main"]
DISPLAY = "00:0d:6f:00:0a:90:69:e7"

INVENTORY = {
    "devices": {
        "ihd-1": {
            "kind": "ihd",
            "eui64": DISPLAY,
            "install_code": "83FED3407A939723A5C639B26916D505C3B5",
        }
    }
}
RIG = {
    "rig": "lab",
    "hub": {"radio": "stick-1", "generation": "smets2", "channel": 20},
    "meters": {
        "electricity": {
            "kind": "electricity",
            "mpxn": "1200012345678",
            "serial_number": "LAB-E-0001",
            "tariff": {
                "name": "Standard",
                "standing_charge_p_per_day": 54.794,
                "unit_p_per_kwh": 24.5,
            },
        }
    },
    "devices": [{"device": "ihd-1"}],
}


@dataclass
class Lab:
    """A folder with the stick, the lock folder and the processes of a test."""

    folder: Path
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def stick(self) -> Path:
        return self.folder / "stick"

    def environment(self) -> dict[str, str]:
        # What a bug leaves behind goes to the folder of temporary files: `told` finds it there.
        return {
            **os.environ,
            "LABCTL_LOCKS": str(self.folder / "locks"),
            "TMPDIR": str(self.folder),
        }

    def rig(self, name: str, path: Path | None = None) -> Path:
        """An inventory of its own, with a rig on the one stick."""
        yaml, home = YAML(typ="safe"), self.folder / name
        (home / "rigs").mkdir(parents=True)
        radio = {"driver": "ezsp", "path": str(path or self.stick)}
        with (home / "inventory.yaml").open("w") as file:
            yaml.dump({"radios": {"stick-1": radio}, **INVENTORY}, file)
        with (home / "rigs" / "lab.yaml").open("w") as file:
            yaml.dump(RIG, file)
        return home / "rigs" / "lab.yaml"

    def start(self, *words: str, until: str) -> subprocess.Popen[str]:
        """A command that goes on; its stderr is read until a line has `until`."""
        process = subprocess.Popen(
            [*LABCTL, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
        )
        self.running.append(process)
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()

        def read() -> None:
            stream = process.stdout if words[:2] == ("virtual", "ncp") else process.stderr
            assert stream is not None
            for line in stream:
                lines.put(line)
            lines.put("")

        threading.Thread(target=read, daemon=True).start()
        process.lines = lines  # type: ignore[attr-defined]
        self.wait_for(process, until)
        return process

    @staticmethod
    def wait_for(process: subprocess.Popen[str], until: str) -> str:
        """The first line with `until` in it; all lines before it when the process ends."""
        said = ""
        while until not in said:
            line = process.lines.get(timeout=60)  # type: ignore[attr-defined]
            assert line, f"ended without {until!r}:\n{said}"
            said += line
        return said

    def told(self, process: subprocess.Popen[str]) -> str:
        """All that a command said since, to its end, with the traceback of a bug."""
        said = ""
        while line := process.lines.get(timeout=60):  # type: ignore[attr-defined]
            said += line
        return "\n".join([said, *(path.read_text() for path in self.folder.glob("labctl-bug-*"))])

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command that ends, in this process: starting one takes longer than what it does."""
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setenv("LABCTL_LOCKS", str(self.folder / "locks"))
            code = main(words)
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    def bench(self, rig: Path) -> subprocess.Popen[str]:
        """A bench run that serves: the stick is open."""
        process = self.start("bench", str(rig), "--for", "5min", "--plain", until="window")
        return process


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    found.start("virtual", "ncp", "--pty", str(found.stick), until="stick")
    try:
        yield found
    finally:
        for process in found.running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def test_a_stick_in_use_is_busy_for_every_other_inventory_and_path(lab: Lab) -> None:
    first, second = lab.rig("first"), lab.rig("second", Path(os.path.realpath(lab.stick)))
    process = lab.bench(first)
    other = lab.run("bench", str(second), "--for", "1min")
    assert other.returncode == 75, other.stderr
    assert f"in use by process {process.pid}" in other.stderr
    assert "labctl bench on rig lab" in other.stderr
    assert "until 20" in other.stderr
    own = lab.run("pair", str(first), "ihd-1")
    assert own.returncode == 75
    assert "the rig lab is in use" in own.stderr
    inventory = ("--inventory", str(first.parents[1] / "inventory.yaml"))
    listed = lab.run("lease", "list", "--json", *inventory)
    leases = {one["thing"]: one["owners"][0] for one in json.loads(listed.stdout)["data"]}
    assert set(leases) == {
        "rig:lab",
        f"radio:port:{os.path.realpath(lab.stick)}",
        f"device:{DISPLAY}",
    }
    assert {owner["pid"] for owner in leases.values()} == {process.pid}
    process.kill()
    process.wait()
    assert lab.run("lease", "list", *inventory).stdout == "nothing is leased\n"


def test_a_run_whose_lease_is_broken_ends_and_the_stick_is_the_next_ones(lab: Lab) -> None:
    process = lab.bench(lab.rig("first"))
    thing = f"radio:port:{os.path.realpath(lab.stick)}"
    refused = lab.run("lease", "break", thing)
    assert refused.returncode == 2
    assert f"process {process.pid}" in refused.stderr
    released = lab.run("lease", "release", thing)
    assert released.returncode == 2, "somebody works with it"
    assert lab.run("lease", "break", thing, "--yes").returncode == 0
    # As the end of the run, or of whatever it was just doing with the stick.
    lab.wait_for(process, f"the lease of the radio port:{os.path.realpath(lab.stick)} is lost")
    told = lab.told(process)
    assert process.wait(timeout=60) == 69, told
    lab.bench(lab.rig("second"))


def test_a_rig_that_is_kept_is_for_the_command_that_is_run_under_it(lab: Lab) -> None:
    rig = lab.rig("first")
    inside = subprocess.run(
        [*LABCTL, "lease", "take", str(rig), "--", *LABCTL, "bench", str(rig), "--for", "3s"],
        env=lab.environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "run 1" in inside.stdout, inside.stderr
    kept = lab.start("lease", "take", str(rig), "--purpose", "new firmware", until="is yours")
    other = lab.run("bench", str(rig), "--for", "1min")
    assert other.returncode == 75
    assert "new firmware" in other.stderr
    freed = lab.run("lease", "release", str(rig))
    assert freed.returncode == 0, freed.stderr
    assert kept.wait(timeout=30) == 0
    assert lab.run("lease", "release", str(rig)).returncode == 2


def test_who_waits_gets_the_rig_when_it_is_free(lab: Lab) -> None:
    rig = lab.rig("first")
    kept = lab.start("lease", "take", str(rig), until="is yours")
    waiting = lab.start("lease", "take", str(rig), "--wait", "1m", until="waiting: the rig lab")
    kept.kill()
    lab.wait_for(waiting, "is yours")
    over = lab.run("lease", "take", str(rig), "--wait", "300ms")
    assert over.returncode == 75


def test_without_a_lock_folder_no_rig_is_opened(lab: Lab) -> None:
    (lab.folder / "locks").write_text("in the way")
    done = lab.run("bench", str(lab.rig("first")), "--for", "1min")
    assert done.returncode == 69
    assert "the lock folder cannot be used" in done.stderr
    assert "LABCTL_LOCKS" in done.stderr
    assert not (lab.folder / "first" / "labctl.db").exists()


def test_what_fails_since_the_lease_is_lost_is_told_as_that(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is broken after the rig was opened, before anything is paired."""
    monkeypatch.setenv("LABCTL_LOCKS", str(lab.folder / "locks"))
    loaded = load_rig(lab.rig("first"))

    async def opened() -> None:
        database = lab.folder / "labctl.db"
        async with open_rig(loaded, kind="bench", database=database) as session:
            Leases(LockFolder.shared()).break_(radio_things(loaded).values())
            await session.pair_all()

    with pytest.raises(LeaseLostError, match="it was broken"):
        asyncio.run(opened())
