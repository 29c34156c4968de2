"""Of an attempt that did not pass there is a capture, and all of it is in the evidence."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playing import rig_in

from labctl.campaign.air import BEFORE_US, MOST_IN_FILE, AirMemory, file_name
from labctl.cli.main import main
from labctl.clock import MICROSECONDS


class Clock:
    def __init__(self) -> None:
        self.us = 1_795_000_000_000_000

    def __call__(self) -> int:
        return self.us


def heard(memory: AirMemory, clock: Clock, count: int, *, every_us: int = 1000) -> None:
    for number in range(count):
        clock.us += every_us
        memory.frame(
            struct.pack(">L", number) + bytes(60), page=0, channel=15, rss_dbm=-60.0, lqi=200
        )


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Time and frame of each record of a pcap with TAP headers."""
    octets = path.read_bytes()
    assert struct.unpack_from("<L", octets) == (0xA1B2C3D4,)
    at = 24
    while at < len(octets):
        seconds, us, kept, length = struct.unpack_from("<4L", octets, at)
        assert kept == length
        (tap,) = struct.unpack_from("<H", octets, at + 18)
        yield seconds * MICROSECONDS + us, octets[at + 16 + tap : at + 16 + length]
        at += 16 + length


def test_the_frames_of_an_attempt_are_in_the_file_with_those_just_before(tmp_path: Path) -> None:
    clock = Clock()
    memory = AirMemory(clock)
    heard(memory, clock, 50_000)
    began_us = clock.us + 1
    heard(memory, clock, 500)
    ended_us = clock.us
    heard(memory, clock, 500)
    captured = memory.write(tmp_path, "virtual-run-1/J01-cad-1.pcap", began_us, ended_us)
    assert captured is not None
    path = tmp_path / captured.path
    found = list(records(path))
    assert captured.last_frame == len(found)
    assert found[captured.first_frame - 1][0] == captured.first_us >= began_us
    assert found[captured.first_frame - 2][0] < began_us
    assert found[0][0] >= began_us - BEFORE_US
    assert found[-1][0] == captured.last_us == ended_us
    assert captured.last_frame - captured.first_frame + 1 == 500
    assert [frame[:4] for _, frame in found[-500:]] == [struct.pack(">L", n) for n in range(500)]
    assert captured.left_out == 0
    assert captured.octets == path.stat().st_size
    assert captured.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_a_long_attempt_the_last_frames_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    clock = Clock()
    memory = AirMemory(clock)
    began_us = clock.us
    heard(memory, clock, 60_000)
    captured = memory.write(tmp_path, "a.pcap", began_us, clock.us)
    assert captured is not None
    assert MOST_IN_FILE - 1000 < captured.octets <= MOST_IN_FILE
    assert captured.first_frame == 1
    assert captured.last_frame + captured.left_out == 60_000
    assert captured.last_us == clock.us


def test_what_was_forgotten_is_counted_too(tmp_path: Path) -> None:
    clock = Clock()
    memory = AirMemory(clock, most_octets=2 << 20)
    began_us = clock.us
    heard(memory, clock, 60_000)
    captured = memory.write(tmp_path, "a.pcap", began_us, clock.us)
    assert captured is not None
    assert captured.octets <= 2 << 20
    assert captured.last_frame + captured.left_out == 60_000


def test_silence_makes_no_file(tmp_path: Path) -> None:
    clock = Clock()
    memory = AirMemory(clock)
    heard(memory, clock, 10)
    assert memory.write(tmp_path, "a.pcap", clock.us + 1, clock.us + 100) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_no_trouble_of_the_case(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    memory = AirMemory(clock)
    heard(memory, clock, 10)
    (tmp_path / "reports").write_text("a file")
    with caplog.at_level(logging.WARNING):
        assert memory.write(tmp_path / "reports", "x/a.pcap", 0, clock.us) is None
    assert "x/a.pcap cannot be written" in caplog.text


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (("bench", 3, "J01", "cad", 2), "bench-run-3/J01-cad-2.pcap"),
        (("a/b", 3, "../../etc", None, 1), "a-b-run-3/etc-1.pcap"),
        (("é", 3, "", "the display/2", 1), "x-run-3/x-the-display-2-1.pcap"),
    ],
)
def test_names_of_files_stay_below_the_reports(names: tuple[Any, ...], path: str) -> None:
    assert file_name(*names) == path


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A campaign with a fail, a pass and a skip, as a CI job has it; where it was, what it told."""
    folder = tmp_path_factory.mktemp("night")

    def change(rig: dict[str, Any]) -> None:
        del rig["devices"][1:]
        rig["campaign"] = {
            "attempts": 2,
            "limits": {"J01": {"authorised_s": {"good_to": 0, "most": 1}}},
        }

    loaded = rig_in(folder, change_rig=change)
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.stdout", out)
        code = main(
            [
                *("campaign", "run", str(loaded.path), "J01", "J03", "J07", "--json"),
                *("--db", "labctl.db", "--reports", "reports"),
            ]
        )
    assert code == 1
    return folder, json.loads(out.getvalue())["data"]


def test_each_attempt_that_failed_has_its_capture(night: tuple[Path, dict[str, Any]]) -> None:
    folder, told = night
    reports = folder / "reports"
    run = told["run"]
    facts = json.loads((reports / f"virtual-run-{run}.json").read_text())
    for case in facts["campaign"]["cases"]:
        for attempt in case["attempts"]:
            capture = attempt["capture"]
            assert (capture is not None) == (attempt["outcome"] == "fail")
            if capture is None:
                continue
            found = list(records(reports / capture["path"]))
            during = [
                number
                for number, (at_us, _) in enumerate(found, 1)
                if attempt["started_us"] <= at_us <= attempt["ended_us"]
            ]
            assert during == list(range(capture["first_frame"], capture["last_frame"] + 1))
            assert len(during) > 100
    names = sorted(path.name for path in (reports / f"virtual-run-{run}").iterdir())
    assert names == ["J01-virtual-ihd-1.pcap", "J01-virtual-ihd-2.pcap"]
    summary = (reports / f"virtual-run-{run}.md").read_text()
    assert f"virtual-run-{run}/J01-virtual-ihd-2.pcap, frames " in summary


def test_the_evidence_is_whole_and_made_again_it_is_the_same(
    night: tuple[Path, dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, told = night
    monkeypatch.chdir(folder)
    path = Path(told["evidence"]["path"])
    assert str(path) in told["files"]
    assert told["evidence"]["left_out"] == []
    before = path.read_bytes()
    assert main(["evidence", "verify", str(path), "--sha256", told["evidence"]["sha256"]]) == 0
    capsys.readouterr()
    with zipfile.ZipFile(path) as archive:
        configuration = archive.read("configuration.json")
        report = json.loads(archive.read(f"virtual-run-{told['run']}.json"))
        names = archive.namelist()
    assert hashlib.sha256(configuration).hexdigest() == report["run"]["config_sha256"]
    assert json.loads(configuration)["rig"]["rig"] == "virtual"
    assert sum(name.endswith(".pcap") for name in names) == 2
    words = ["--db", "labctl.db", "--reports", "reports", "--json"]
    assert main(["evidence", "make", "virtual", *words]) == 0
    assert path.read_bytes() == before
    capsys.readouterr()
    assert main(["matrix", "--db", "labctl.db", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["data"]
    assert row["evidence_sha256"] == hashlib.sha256(before).hexdigest()
