"""What a call imports, and what completion touches: measured in fresh processes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = {
    "bellows",
    "cryptography",
    "jinja2",
    "matplotlib",
    "numpy",
    "pydantic",
    "rich",
    "ruamel",
    "serialx",
    "sqlite_utils",
    "zigpy",
}


def loaded_after(words: list[str], **environment: str) -> tuple[set[str], str]:
    """The top-level packages that one call of labctl leaves imported, and its stdout."""
    program = (
        "import sys; from labctl.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n--', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    shown, _, names = done.stdout.rpartition("\n--")
    return set(names.split()), shown


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["rig", "--help"],
        ["rig", "check", "--help"],
        ["config", "show"],
        ["help", "exit-codes"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_light_calls_import_nothing_heavy(words: list[str]) -> None:
    loaded, _ = loaded_after(words)
    assert "labctl" in loaded
    assert not loaded & HEAVY


def test_checking_a_rig_imports_no_radio_stack() -> None:
    loaded, shown = loaded_after(["rig", "check", "--json"])
    assert '"ok": true' in shown
    assert not loaded & (HEAVY - {"pydantic", "ruamel", "cryptography"})


def test_completion_of_a_command_opens_nothing() -> None:
    loaded, shown = loaded_after(
        [], _LABCTL_COMPLETE="bash_complete", COMP_WORDS="labctl r", COMP_CWORD="1"
    )
    offered = {"plain,radios", "plain,read", "plain,rig", "plain,report", "plain,runs"}
    assert offered == set(shown.split())
    assert not loaded & HEAVY


def test_completion_of_a_rig_offers_its_name() -> None:
    loaded, shown = loaded_after(
        [], _LABCTL_COMPLETE="bash_complete", COMP_WORDS="labctl rig check v", COMP_CWORD="3"
    )
    assert "plain,virtual" in shown.split()
    assert not loaded & HEAVY
