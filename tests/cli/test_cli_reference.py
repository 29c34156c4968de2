"""Every command has help, an example, and its place in the documentation."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from labctl.cli import reference
from labctl.cli.help import TOPICS
from labctl.cli.main import COMMANDS, READER_GONE
from labctl.errors import ExitCode

DOCS = Path(__file__).parents[2] / "docs" / "command-line.md"
COMMANDS_FOUND = dict(reference.every_command())


def test_every_command_of_the_table_is_there() -> None:
    missing = [entry.target for entry in COMMANDS.values() if not reference.exists(entry.target)]
    assert not missing


def test_the_walk_finds_the_commands() -> None:
    assert {"labctl", "labctl rig", "labctl rig check", "labctl completion"} <= set(COMMANDS_FOUND)


@pytest.mark.parametrize("name", COMMANDS_FOUND)
def test_command_has_help_and_an_example(name: str) -> None:
    command = COMMANDS_FOUND[name].command
    assert command.help, "a command says what it does"
    assert command.epilog, "a command shows how it is called"
    assert "Examples:" in command.epilog
    own_examples = [line for line in command.epilog.splitlines() if name in line]
    assert own_examples, f"one of the examples calls {name}"


@pytest.mark.parametrize("name", COMMANDS_FOUND)
def test_every_option_has_help(name: str) -> None:
    for parameter in COMMANDS_FOUND[name].command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.opts


@pytest.mark.parametrize("name", COMMANDS_FOUND)
def test_command_stands_in_the_documentation(name: str) -> None:
    section = reference.section(name, COMMANDS_FOUND[name])
    assert section in DOCS.read_text(), (
        f"run: python -m labctl.cli.reference {DOCS.relative_to(DOCS.parents[1])}"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_short_help_of_the_table_fits_a_line(name: str) -> None:
    entry = COMMANDS[name]
    assert entry.short_help.endswith(".")
    assert len(entry.short_help) <= 60


def test_every_exit_code_is_explained() -> None:
    for code in (*ExitCode, READER_GONE):
        assert f"{int(code):>5}  " in TOPICS["exit-codes"]
        assert f"| {int(code)} |" in DOCS.read_text()


def test_commands_that_read_have_json() -> None:
    writers = {"bench", "report", "completion", "schema", "help", "ncp"}
    for name, context in COMMANDS_FOUND.items():
        last = name.split()[-1]
        if isinstance(context.command, click.Group) or last in writers:
            continue
        options = [word for parameter in context.command.params for word in parameter.opts]
        assert "--json" in options, name
