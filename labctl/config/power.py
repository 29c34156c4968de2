"""Switching the power of a stick's port, or of a device under test."""

from __future__ import annotations

import re
import shlex
from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import core_schema

from labctl.config.fields import Strict, Whole, as_written, wrong
from labctl.config.problems import quote
from labctl.config.times import Duration, Within

_LOCATION = r"\d+(-\d+(\.\d+)*)?"
_STATE = "{state}"
_NONE = "none"


def _location(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not re.fullmatch(_LOCATION, text):
        raise wrong(
            f"{quote(str(value))} is no USB hub", "write it as uhubctl shows it: 1-1, 2-1.4"
        )
    return text


def _command(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not text.strip():
        raise wrong("a command is needed here", "write 'switch-outlet 3 {state}'")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise wrong(f"the command cannot be taken apart: {error}", "close its quotes") from None
    if not any(_STATE in word for word in words):
        raise wrong("the command does not say what to do", "put {state} where 'on' or 'off' goes")
    if _STATE in words[0]:
        raise wrong("the program's own name depends on the state", "use a script")
    return text


class HubPort(Strict):
    """A port of a USB hub that can switch its ports' power, as `uhubctl` lists it."""

    location: Annotated[
        str,
        BeforeValidator(_location),
        WithJsonSchema(
            {"type": "string", "pattern": f"^{_LOCATION}$", "x-kind": "hub, as `1-1.4`"}
        ),
    ]
    """The hub, as `uhubctl` shows it: `1-1`."""
    port: Annotated[int, Whole(1, 255)]
    """The number of its port."""

    def __str__(self) -> str:
        return f"hub {self.location} port {self.port}"


class Power(Strict):
    """How the power is switched: by `uhubctl` or by `command`, one of the two."""

    uhubctl: HubPort | None = None
    """A USB hub that can do it. `uhubctl` must be installed, and may be used by who runs labctl."""
    command: (
        Annotated[
            str,
            BeforeValidator(_command),
            WithJsonSchema({"type": "string", "pattern": r"\{state\}", "x-kind": "command"}),
        ]
        | None
    ) = None
    """A program with its arguments, without a shell; `{state}` becomes `on` or `off`. It ends with
    exit code 0 once that is so."""
    off_for: Annotated[Duration, Within("100ms", "10min")] = timedelta(seconds=3)
    """How long it stays off when it is switched off and on again."""
    back_within: Annotated[Duration, Within("1s", "10min")] = timedelta(seconds=20)
    """How long a stick may take to be there again."""

    @model_validator(mode="after")
    def _is_one(self) -> Power:
        if (self.uhubctl is None) == (self.command is None):
            raise wrong(
                "one of 'uhubctl' and 'command' is needed",
                "write power: {uhubctl: {location: 1-1, port: 2}}, or power: none",
            )
        return self

    @property
    def identity(self) -> str:
        """What stands for the switch, whoever else uses it."""
        if self.uhubctl is not None:
            return f"uhubctl:{self.uhubctl.location}:{self.uhubctl.port}"
        assert self.command is not None
        return f"command:{' '.join(shlex.split(self.command))}"

    def words(self, *, on: bool) -> list[str]:
        """The program and its arguments that switch it."""
        state = "on" if on else "off"
        if self.uhubctl is not None:
            hub = self.uhubctl
            return ["uhubctl", "-l", hub.location, "-p", str(hub.port), "-a", state]
        assert self.command is not None
        return [word.replace(_STATE, state) for word in shlex.split(self.command)]


class _OrNone:
    """The word `none`, which is the same as nothing."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def parse(value: Any) -> Any:
            return None if as_written(value) == _NONE else value

        return core_schema.no_info_before_validator_function(parse, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found = handler(schema)
        return {**found, "anyOf": [*found["anyOf"], {"const": _NONE}]}


PowerOrNone = Annotated[Power | None, _OrNone()]
"""A switch, or `none`: it is done by hand."""
