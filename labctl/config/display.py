"""What a device under test shows, as a program can tell it: by a camera, a service port, an app."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from labctl.config.fields import as_written, wrong

WHAT: Final = "{what}"


def _command(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not text.strip():
        raise wrong("a command is needed here", "write 'read-display ihd-1 {what}'")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise wrong(f"the command cannot be taken apart: {error}", "close its quotes") from None
    if not any(WHAT in word for word in words):
        raise wrong(
            "the command does not say what is to be read",
            "put {what} where 'electricity', 'gas' or 'price' goes",
        )
    if WHAT in words[0]:
        raise wrong("the program's own name depends on what is read", "use a script")
    return text


DisplayCommand = Annotated[
    str,
    BeforeValidator(_command),
    WithJsonSchema({"type": "string", "pattern": r"\{what\}", "x-kind": "command"}),
]
"""A program with its arguments, without a shell."""


def words(command: str, what: str) -> list[str]:
    """The program and its arguments that read one thing."""
    return [word.replace(WHAT, what) for word in shlex.split(command)]
