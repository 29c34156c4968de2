"""`labctl radios`, `inventory suggest` and `selftest` on a pty that another process serves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labctl.cli.main import main
from labctl.config.loading import load_inventory
from labctl.errors import ExitCode


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABCTL_LOCKS", str(tmp_path / "locks"))
    for variable in ("LABCTL_INVENTORY", "LABCTL_DB", "LABCTL_REPORTS"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def stick(lab: Path) -> Iterator[str]:
    """The path of a virtual stick, which is a program of its own as a real one would be."""
    link = lab / "stick"
    command = [sys.executable, "-m", "labctl.cli.main", "virtual", "ncp", "--pty", str(link)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip(), "it says where it is once it is there"
        yield str(link)
        process.terminate()


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    capsys.readouterr()
    code = main([*words, "--json"])
    out, err = capsys.readouterr()
    answer = json.loads(out)
    return code, answer.get("data", answer.get("error")), err


def test_a_stick_from_the_first_look_to_a_report(
    lab: Path, stick: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, data, _ = call(capsys, "radios", stick)
    assert code == ExitCode.PASS
    (found,) = data["radios"]
    assert found["state"] == "answered"
    assert found["probed"]["protocol"] == "EZSP 13"
    assert found["firmware"]["fitness"] == "good"

    code, data, _ = call(capsys, "inventory", "suggest", stick, "--write")
    assert (code, data["written"]) == (ExitCode.PASS, True)
    ((name, radio),) = load_inventory(lab / "inventory.yaml").radios.items()
    assert radio.path == stick
    assert str(radio.eui64) == found["probed"]["eui64"]
    code, data, err = call(capsys, "inventory", "suggest", stick)
    assert (code, data["radios"]) == (ExitCode.PASS, [])
    assert "no stick that is not in the inventory" in err

    code, data, _ = call(capsys, "radios", "--no-probe")
    (known,) = [row for row in data["radios"] if name in row["radios"]]
    assert (code, known["state"], known["probed"]) == (ExitCode.PASS, "not asked", None)

    code, data, err = call(capsys, "selftest", name, "--form")
    assert code == ExitCode.PASS, err
    assert data["passed"]
    assert "forgets the scratch network" in err
    (report,) = data["reports"]
    assert Path(report["markdown"]) == Path("reports", f"selftest-{name}.md")
    text = Path(report["markdown"]).read_text() + Path(report["json"]).read_text()
    assert "labctl selftest: passed" in text
    assert found["probed"]["eui64"] not in text

    code, data, _ = call(capsys, "doctor")
    assert code == ExitCode.PASS
    rows = {row["id"]: row["verdict"] for row in data["rows"]}
    assert rows[f"radio:{name}"] == "ok"
    assert rows[f"firmware:{stick}"] == "ok"


def test_a_port_that_is_not_there_is_69_and_told(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, data, err = call(capsys, "radios", "/dev/no-such-port")
    assert code == ExitCode.RIG_UNAVAILABLE
    assert data["radios"][0]["state"] == "silent"
    assert "there is no such port" in err
    code, data, err = call(capsys, "selftest", "/dev/no-such-port")
    assert code == ExitCode.RIG_UNAVAILABLE
    assert data["reports"][0]["steps"][0]["outcome"] == "fail"


def test_a_radio_of_a_rig_that_is_missing_is_69(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (lab / "inventory.yaml").write_text(
        "radios:\n  hub: {driver: ezsp, usb: {vid: 0xFFF0, pid: 0xFFF1, serial_number: a}}\n"
    )
    (lab / "rigs").mkdir()
    (lab / "rigs" / "bench.yaml").write_text(
        "rig: bench\n"
        "hub: {radio: hub}\n"
        "meters:\n"
        "  house:\n"
        "    kind: electricity\n"
        "    mpxn: '1200012345678'\n"
        "    serial_number: A\n"
        "    tariff: {name: S, standing_charge_p_per_day: 1, unit_p_per_kwh: 2}\n"
    )
    code, data, err = call(capsys, "radios", "--rig", "bench")
    assert code == ExitCode.RIG_UNAVAILABLE
    assert [row["state"] for row in data["radios"]] == ["missing"]
    assert "fff0:fff1 a of the radio 'hub' is not plugged in" in err
    code, error, _ = call(capsys, "selftest", "bench")
    assert code == ExitCode.RIG_UNAVAILABLE
    assert "not plugged in" in error["what"]


def test_what_cannot_be_tried_is_said(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (lab / "inventory.yaml").write_text("radios:\n  v: {driver: ezsp, path: virtual}\n")
    code, error, _ = call(capsys, "selftest", "v")
    assert (code, "virtual" in error["what"]) == (ExitCode.CONFIGURATION, True)
    code, error, _ = call(capsys, "selftest", "v", "--give-up-network")
    assert (code, "--form" in error["mend"]) == (ExitCode.USAGE, True)
    code, error, _ = call(capsys, "selftest", "no-such-rig")
    assert code == ExitCode.CONFIGURATION
