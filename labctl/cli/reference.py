"""The help of every command, for `docs/command-line.md`.

`python -m labctl.cli.reference docs/command-line.md` brings that page up to date; a test says when
that is due.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from labctl.cli.lazy import LazyGroup
from labctl.cli.main import PROGRAM, labctl

START = "<!-- help of every command: generated -->"
END = "<!-- end of help -->"
_WIDTH = 100


def every_command() -> Iterator[tuple[str, click.Context]]:
    """All commands and groups by their full name, `labctl` first. Imports them all."""
    names = labctl.context_settings["help_option_names"]
    root = click.Context(labctl, info_name=PROGRAM, terminal_width=_WIDTH, help_option_names=names)
    yield from _walk(PROGRAM, root)


def _walk(name: str, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield name, context
    group = context.command
    if not isinstance(group, click.Group):
        return
    for word in group.list_commands(context):
        if isinstance(group, LazyGroup) and not exists(group.lazy[word].target):
            continue
        command = group.get_command(context, word)
        assert command is not None, word
        if not command.hidden:
            below = click.Context(command, info_name=word, parent=context, terminal_width=_WIDTH)
            yield from _walk(f"{name} {word}", below)


def exists(target: str) -> bool:
    """Whether the module of a command is there."""
    return importlib.util.find_spec(target.partition(":")[0]) is not None


def help_text(context: click.Context) -> str:
    """A command's help as a terminal of 100 columns shows it."""
    lines = context.command.get_help(context).splitlines()
    return "\n".join(line.rstrip() for line in lines)


def section(name: str, context: click.Context) -> str:
    """One command's part of the page."""
    return f"### {name}\n\n```text\n{help_text(context)}\n```\n"


def with_help(page: str) -> str:
    """The page with the help of every command made anew."""
    before, found, rest = page.partition(START)
    _, found_end, after = rest.partition(END)
    if not (found and found_end):
        raise ValueError(f"the markers {START} and {END} are missing")
    sections = "\n".join(section(name, context) for name, context in every_command())
    return f"{before}{START}\n\n{sections}\n{END}{after}"


def write(path: Path) -> None:
    """Bring the page up to date."""
    path.write_text(with_help(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
