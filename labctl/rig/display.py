"""Reading what a device under test shows, with the program that its inventory entry names."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
from typing import Final

from labctl.config.display import words
from labctl.errors import RigError

_COMMAND_S: Final = 60.0
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


class Shown(enum.StrEnum):
    """What can be asked of a display."""

    ELECTRICITY = "electricity"
    """The reading of the electricity meter, kWh."""
    GAS = "gas"
    """The reading of the gas meter, m3."""
    PRICE = "price"
    """What a kWh of electricity costs at the moment, pence."""


def number_in(text: str) -> float | None:
    """The first number in what a display shows; None when it shows none (`--`, nothing)."""
    found = _NUMBER.search(text)
    return float(found[0]) if found else None


async def read_display(name: str, command: str, what: Shown) -> float | None:
    """What the device called `name` shows; None when it shows nothing of the kind at the moment.

    Raises `RigError` when the program fails: that is no device's fault.
    """
    program = words(command, what.value)
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise RigError(
            f"{program[0]} cannot be run: {error.strerror}",
            where=name,
            mend=f"install {program[0]}, or correct 'display' in the inventory",
        ) from error
    try:
        async with asyncio.timeout(_COMMAND_S):
            said, _ = await process.communicate()
    except TimeoutError:
        raise RigError(f"{program[0]} did not end within {_COMMAND_S:.0f} s", where=name) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RigError(
            f"{program[0]} failed with exit code {process.returncode}",
            where=name,
            mend="try the command by hand: it prints a number, or nothing, and ends with 0",
        )
    return number_in(said.decode(errors="replace"))
