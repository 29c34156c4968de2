"""Data on stdout, the rest on stderr; JSON; colour; how much is said; who decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labctl import __version__
from labctl.cli.main import main
from labctl.cli.output import Color, Output
from labctl.errors import ExitCode

PROJECT = Path(__file__).parents[2]
VARIABLES = ("LABCTL_INVENTORY", "LABCTL_DB", "LABCTL_REPORTS", "LABCTL_COLOR", "NO_COLOR", "TERM")


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("words", "schema"),
    [
        (["rig", "check"], "labctl.rig.check/1"),
        (["rig", "list"], "labctl.rig.list/1"),
        (["rig", "show", "virtual"], "labctl.rig.show/1"),
        (["inventory", "check"], "labctl.inventory.check/1"),
        (["inventory", "list"], "labctl.inventory.list/1"),
        (["config", "show"], "labctl.config.show/1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_json_is_one_versioned_envelope(
    words: list[str], schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == ExitCode.PASS
    shown = capsys.readouterr()
    answer = json.loads(shown.out)
    assert answer["labctl"] == __version__
    assert answer["schema"] == schema
    assert answer["data"]
    assert "\x1b" not in shown.out
    assert "83FED340" not in shown.out + shown.err


def test_rig_show_has_everything_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "show", "rigs/virtual.yaml", "--json"]) == ExitCode.PASS
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["hub"]["suites"] == [2]
    assert data["virtual"] is True
    ihd, cad = data["devices"]
    assert [read["name"] for read in ihd["reads"]] == ["electricity", "gas", "price"]
    assert ihd["reads"][2]["cluster_id"] == 0x0700
    assert ihd["reads"][2]["command_id"] == 0
    assert cad["reads"][0] == {
        "name": "electricity",
        "cluster_id": 0x0702,
        "endpoint": None,
        "meter": "electricity",
        "on_hub": False,
        "attributes": [0x0000, 0x0400],
        "command_id": None,
        "period_ms": 10_000,
        "tolerance_ms": 2_000,
    }


def test_no_listing_shows_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["rig", "show", "virtual"], ["inventory", "list"], ["rig", "check"]):
        for more in ([], ["--json"], ["-vv"]):
            assert main([*words, *more]) == ExitCode.PASS
            shown = capsys.readouterr()
            assert "A939723" not in (shown.out + shown.err).upper()


def test_remarks_go_to_stderr_and_quiet_drops_them(capsys: pytest.CaptureFixture[str]) -> None:
    main(["rig", "check"])
    shown = capsys.readouterr()
    assert "rigs/virtual.yaml: ok" in shown.out
    assert "bench-ezsp.yaml: left alone" in shown.err
    main(["rig", "check", "-q"])
    quiet = capsys.readouterr()
    assert quiet.out == shown.out
    assert quiet.err == ""


def test_color_only_when_asked_for_or_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["rig", "check"])
    assert "\x1b" not in capsys.readouterr().out
    main(["rig", "check", "--color", "always"])
    assert "\x1b[32mok" in capsys.readouterr().out
    monkeypatch.setenv("LABCTL_COLOR", "always")
    main(["rig", "check"])
    assert "\x1b[32mok" in capsys.readouterr().out
    main(["rig", "check", "--color", "never"])
    assert "\x1b" not in capsys.readouterr().out


def test_no_color_counts_unless_an_option_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert Output().colored()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Output().colored()
    assert Output(color=Color.ALWAYS).colored()


def settings(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[str, str, str]]:
    assert main(["config", "show", "--json", *words]) == ExitCode.PASS
    rows = json.loads(capsys.readouterr().out)["data"]
    return {row["name"]: (row["value"], row["source"], row["detail"]) for row in rows}


def test_database_is_beside_the_inventory_unless_told_otherwise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert settings(capsys)["database"] == ("labctl.db", "default", "beside the inventory")
    monkeypatch.setenv("LABCTL_INVENTORY", str(tmp_path / "inventory.yaml"))
    found = settings(capsys)
    assert found["inventory"] == (
        str(tmp_path / "inventory.yaml"),
        "environment",
        "LABCTL_INVENTORY",
    )
    assert found["database"][0] == str(tmp_path / "labctl.db")
    assert found["reports"][0] == str(tmp_path / "reports")
    monkeypatch.setenv("LABCTL_DB", "/elsewhere/lab.db")
    assert settings(capsys)["database"] == ("/elsewhere/lab.db", "environment", "LABCTL_DB")
    assert settings(capsys, "--db", "mine.db")["database"] == ("mine.db", "option", "--db")
    assert settings(capsys, "--inventory", "x.yaml")["inventory"] == (
        "x.yaml",
        "option",
        "--inventory",
    )


def test_settings_say_who_decided_about_color(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings(capsys)["color"] == ("auto", "default", "")
    assert settings(capsys, "--color", "never")["color"] == ("never", "option", "--color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert settings(capsys)["color"] == ("never", "environment", "NO_COLOR")
    monkeypatch.setenv("LABCTL_COLOR", "always")
    assert settings(capsys)["color"] == ("always", "environment", "LABCTL_COLOR")
    assert settings(capsys, "--color", "always")["color"] == ("always", "option", "--color")


def test_inventory_is_found_from_a_folder_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT / "docs")
    assert settings(capsys)["inventory"][0] == str(PROJECT / "inventory.yaml")
    assert main(["rig", "check", "virtual"]) == ExitCode.PASS


def test_help_explains_topics_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "exit-codes"]) == ExitCode.PASS
    assert "the product failed" in capsys.readouterr().out
    assert main(["help", "rig", "check"]) == ExitCode.PASS
    assert "Usage: labctl rig check" in capsys.readouterr().out
    assert main(["help"]) == ExitCode.PASS
    assert "exit-codes" in capsys.readouterr().out
    assert main(["help", "nonsense"]) == ExitCode.USAGE


def test_an_unknown_rig_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "check", "virtaul"]) == ExitCode.CONFIGURATION
    assert "did you mean 'virtual'?" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts_name_the_program(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == ExitCode.PASS
    assert "_LABCTL_COMPLETE" in capsys.readouterr().out


def test_a_broken_rig_is_an_error_with_all_its_problems(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = "tests/config/broken/rig-unknown-key-and-reference.yaml"
    assert main(["rig", "show", path, "--json"]) == ExitCode.CONFIGURATION
    shown = capsys.readouterr()
    error = json.loads(shown.out)["error"]
    assert error["exit_code"] == 78
    assert error["where"] == f"{path}:3:14"
    assert [problem["column"] for problem in error["problems"]] == [14, 27]
    assert shown.err.count("error: ") == 2
