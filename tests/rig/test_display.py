"""What a device shows, read by a program."""

from __future__ import annotations

import asyncio
import shlex
import sys

import pytest

from labctl.errors import RigError
from labctl.rig.display import Shown, number_in, read_display


def shown(script: str, what: Shown = Shown.ELECTRICITY) -> float | None:
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)} {{what}}"
    return asyncio.run(read_display("ihd-1", command, what))


@pytest.mark.parametrize(
    ("text", "number"),
    [("54321.098 kWh", 54321.098), ("-0.5", -0.5), ("£24 a day", 24), ("--", None), ("", None)],
)
def test_the_first_number_is_what_is_shown(text: str, number: float | None) -> None:
    assert number_in(text) == number


def test_the_program_is_told_what_to_read() -> None:
    script = "import sys; print({'electricity': 1.5, 'gas': 2.5, 'price': 24.5}[sys.argv[1]])"
    assert [shown(script, what) for what in Shown] == [1.5, 2.5, 24.5]


def test_a_dark_display_shows_nothing() -> None:
    assert shown("print('--')") is None
    assert shown("pass") is None


def test_a_program_that_fails_is_the_rigs_trouble() -> None:
    with pytest.raises(RigError, match="exit code 3"):
        shown("raise SystemExit(3)")


def test_a_program_that_is_not_there_is_the_rigs_trouble() -> None:
    with pytest.raises(RigError, match="cannot be run"):
        asyncio.run(read_display("ihd-1", "/nowhere/read-display {what}", Shown.GAS))
