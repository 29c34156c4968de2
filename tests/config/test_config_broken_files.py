"""Broken files, through the command line: precise messages, the right exit code, no secret.

Each file in broken/ has its expected output beside it, in a .txt file of the same name.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl.cli.main import main
from labctl.errors import ExitCode

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
SECRETS = (
    "83FED3407A",
    "5B7C1E90",
    "F3FED340",
    "00b8a900fcad",
    "00f2561adb39",
)


@pytest.fixture(autouse=True)
def _in_this_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    for variable in ("LABCTL_INVENTORY", "LABCTL_TEST_CODE_THAT_IS_NOT_SET", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)


def command_for(path: Path) -> list[str]:
    group = "rig" if path.name.startswith("rig-") else "inventory"
    return [group, "check", str(path.relative_to(HERE))]


def test_there_are_enough_broken_files() -> None:
    assert len(BROKEN) >= 40


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_broken_file_is_refused_with_its_messages(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(command_for(path))
    shown = capsys.readouterr()
    assert code == ExitCode.CONFIGURATION
    assert shown.out == path.with_suffix(".txt").read_text()
    assert f"{path.relative_to(HERE)}:" in shown.out or "lab/inventory.yaml:" in shown.out
    assert "Traceback" not in shown.out + shown.err


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_no_form_of_output_shows_a_secret(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--json"], ["-vv"]):
        main(command_for(path) + more)
        shown = capsys.readouterr()
        everything = (shown.out + shown.err).lower().replace(" ", "")
        assert not [secret for secret in SECRETS if secret.lower() in everything]


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_json_tells_the_same_places(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([*command_for(path), "--json"])
    answer = json.loads(capsys.readouterr().out)
    data = answer["data"]["rigs"][0] if "rigs" in answer["data"] else answer["data"]
    assert data["ok"] is False
    places = [f"{p['path']}:{p['line']}:{p['column']}: {p['severity']}" for p in data["problems"]]
    expected = path.with_suffix(".txt").read_text().splitlines()
    assert places == [
        ":".join(line.split(":")[:4]) for line in expected if not line.startswith("  ")
    ]


def test_every_expectation_belongs_to_a_file() -> None:
    assert {path.stem for path in BROKEN} == {path.stem for path in (HERE / "broken").glob("*.txt")}
