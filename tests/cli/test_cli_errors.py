"""Whatever happens, a call ends with one clear message and the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from labctl import __version__
from labctl.cli import main as program
from labctl.cli.lazy import LazyCommand
from labctl.cli.main import main
from labctl.cli.output import Output, output_options
from labctl.errors import BusyError, ConfigurationError, ExitCode, LabctlError, RigError, UsageError
from labctl.secret import Secret, scrub

CODE = "83FED3407A939723A5C639B26916D505C3B5"
raised: BaseException = Exception()


@click.command(epilog="x")
@output_options("labctl.test/1")
def failing(output: Output) -> int:
    """Raise whatever the test put there."""
    raise raised


@pytest.fixture(autouse=True)
def _failing_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    table = {**program.COMMANDS, "failing": LazyCommand(f"{__name__}:failing", "Fails.")}
    monkeypatch.setattr(program.labctl, "lazy", table)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def run_failing(error: BaseException, *words: str) -> int:
    global raised
    raised = error
    return main(["failing", *words])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("wrong"), 78),
        (RigError("no stick"), 69),
        (BusyError("held"), 75),
        (UsageError("what?"), 2),
        (LabctlError("ours"), 70),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_labctl_errors_give_their_exit_code_and_one_message(
    error: LabctlError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    error.where, error.mend = "a/place:3:4", "do this"
    assert run_failing(error) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == f"error: a/place:3:4: {error.what}\n  do this\n"


def test_labctl_errors_are_an_envelope_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    error = ConfigurationError("wrong", where="x.yaml:1:2", mend="write it right")
    assert run_failing(error, "--json") == 78
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "labctl": __version__,
        "schema": "labctl.test/1",
        "error": {
            "kind": "ConfigurationError",
            "exit_code": 78,
            "what": "wrong",
            "where": "x.yaml:1:2",
            "mend": "write it right",
        },
    }
    assert "x.yaml:1:2: wrong" in shown.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interruption_is_130(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_failing(error) == ExitCode.INTERRUPTED
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_is_one_line_and_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_failing(ZeroDivisionError("division by zero")) == ExitCode.BUG
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "this is a bug in labctl: ZeroDivisionError: division by zero" in shown.err
    assert "Traceback" not in shown.err
    (kept,) = tmp_path.glob("labctl-bug-*.txt")
    assert str(kept) in shown.err
    assert "Traceback" in kept.read_text()
    assert kept.stat().st_mode & 0o077 == 0


def test_a_bug_shows_its_traceback_with_vv(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_failing(ZeroDivisionError("division by zero"), "-vv") == ExitCode.BUG
    assert "Traceback" in capsys.readouterr().err
    assert not list(tmp_path.glob("labctl-bug-*"))


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        CODE.lower(),
        " ".join(CODE[i : i + 4] for i in range(0, len(CODE), 4)),
        repr(bytes.fromhex(CODE)),
        f"key={CODE},",
    ],
)
def test_a_bug_report_holds_no_code(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for words in ([], ["-vv"], ["--json"]):
        run_failing(ValueError(f"invalid literal: {text}", Secret(bytes.fromhex(CODE))), *words)
        shown = capsys.readouterr()
        kept = "".join(path.read_text() for path in tmp_path.glob("labctl-bug-*"))
        for output in (shown.out, shown.err, kept):
            squeezed = output.lower().replace(" ", "")
            assert CODE.lower()[4:20] not in squeezed
            assert r"\xd3@z\x93\x97#" not in squeezed


def test_scrubbing_leaves_ordinary_text_alone() -> None:
    text = 'File "labctl/cli/main.py", line 12, in main: a bad face, 0x1234, 00:1b'
    assert scrub(text) == text


def test_usage_errors_are_2_also_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rig", "check", "--no-such-option", "--json"]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert json.loads(shown.out)["error"]["exit_code"] == 2
    assert "No such option" in shown.err


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inventry"]) == ExitCode.USAGE
    assert "Did you mean 'inventory'?" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_product_failure() -> None:
    """`labctl ... | head` in a shell: no traceback, and not exit code 1."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "labctl.cli.main", "rig", "show", "virtual", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    os.close(writer)
    assert done.returncode == program.READER_GONE
    assert done.stderr == ""
