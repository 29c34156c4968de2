"""`labctl capture` of a virtual rig, and rotation in `labctl bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from virtual_rigs import write_rig

from labctl.capture.tap import FILE_OCTETS, RECORD_OCTETS
from labctl.cli.main import main
from labctl.errors import ExitCode


def records(path: Path) -> int:
    octets, at, found = path.read_bytes(), FILE_OCTETS, 0
    while at < len(octets):
        at += 16 + int.from_bytes(octets[at + 8 : at + 12], "little")
        found += 1
    return found


def test_a_virtual_rig_is_run_for_its_capture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = write_rig(tmp_path)
    air, keys = tmp_path / "air.pcap", tmp_path / "air.keys"
    words = ["capture", str(rig), "--for", "2min", "-o", str(air), "--keys", str(keys), "--json"]
    assert main(words) == ExitCode.PASS
    told: dict[str, Any] = json.loads(capsys.readouterr().out)["data"]
    assert told["simulated"]
    assert told["frames"] == records(air) == sum(each["frames"] for each in told["channels"])
    assert told["octets"] == air.stat().st_size
    assert told["ended_us"] - told["began_us"] == 120_000_000
    busiest = max(told["channels"], key=lambda each: each["frames"])
    assert (busiest["page"], busiest["channel"]) == (0, 20)
    assert told["keys"]["keys"] == len(keys.read_text().splitlines()) >= 3
    assert keys.stat().st_mode & 0o777 == 0o600


def test_a_bench_run_rotates_its_capture(tmp_path: Path) -> None:
    rig = write_rig(tmp_path)
    words = ["bench", str(rig), "--for", "2min", "-q", "--capture", str(tmp_path / "air.pcap")]
    words += ["--reports", str(tmp_path / "reports")]
    main([*words, "--capture-rotate", "10kB", "--capture-keep", "3"])
    there = sorted(tmp_path.glob("air*.pcap"))
    assert len(there) == 3
    assert there[0].name > "air-0001.pcap"
    assert all(path.stat().st_size <= 10_000 for path in there)
    assert all(path.stat().st_size > 10_000 - RECORD_OCTETS - 127 for path in there[:-1])
    assert all(records(path) for path in there)


@pytest.mark.parametrize("option", [["--radio", "x"], ["--channel", "11"], ["--band", "868 MHz"]])
def test_options_for_sticks_are_refused(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", str(write_rig(tmp_path)), *option]) == ExitCode.USAGE
    assert option[0] in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pcap"))
