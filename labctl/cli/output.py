"""How every command speaks: data on stdout, all else on stderr, `--json`, colour, how much.

    @click.command(epilog=examples("labctl rig list", "labctl rig list --json"))
    @output_options("labctl.rig.list/1")
    def list_rigs(output: Output) -> None:
        output.emit([...], text="...")

Nothing heavy is imported here: `labctl --help` loads this module.
"""

from __future__ import annotations

import enum
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from labctl import __version__
from labctl.config.problems import ConfigurationErrors
from labctl.errors import LabctlError

if TYPE_CHECKING:
    from rich.console import Console

Function = TypeVar("Function", bound=Callable[..., Any])

QUIET, NORMAL, VERBOSE, DEBUG, DRIVERS = -1, 0, 1, 2, 3


class Color(enum.StrEnum):
    """Whether to colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass
class Output:
    """What the options of this call say about output. Commands get it as first argument."""

    json: bool = False
    color: Color = Color.AUTO
    verbosity: int = NORMAL
    schema: str = "labctl.error/1"

    def emit(self, data: object, *, text: str | Callable[[], str] = "") -> None:
        """The answer of a command: an envelope with `--json`, else text. Both go to stdout."""
        if self.json:
            click.echo(json.dumps(self._envelope("data", data), indent=2, ensure_ascii=False))
            return
        shown = text if isinstance(text, str) else text()
        if shown:
            click.echo(shown, color=self.colored())

    def emit_line(self, data: object) -> None:
        """One line of a stream (NDJSON), each an envelope of its own. Only for `--json`."""
        click.echo(json.dumps(self._envelope("data", data), ensure_ascii=False))

    def _envelope(self, key: str, content: object) -> dict[str, object]:
        return {"labctl": __version__, "schema": self.schema, key: content}

    def message(self, text: str, *, level: int = NORMAL) -> None:
        """Progress and remarks, on stderr. `level` is the verbosity from which it is shown."""
        if self.verbosity >= level:
            click.echo(text, err=True, color=self.colored(err=True))

    def warning(self, text: str) -> None:
        """Something that the person should know and that stops nothing. Shown with `-q` too."""
        click.echo(
            f"{click.style('warning:', fg='yellow')} {text}", err=True, color=self.colored(err=True)
        )

    def error(self, error: LabctlError) -> None:
        """What stopped us: a message on stderr, and an envelope on stdout with `--json`."""
        problems = error.problems if isinstance(error, ConfigurationErrors) else ()
        for part in problems or (error,):
            self.fail(str(part))
        if self.json:
            self.error_envelope(
                type(error).__name__,
                error.exit_code,
                error.what,
                error.where,
                error.mend,
                problems=[problem.as_json() for problem in problems],
            )

    def error_envelope(
        self,
        kind: str,
        exit_code: int,
        what: str,
        where: str = "",
        mend: str = "",
        *,
        problems: Sequence[object] = (),
    ) -> None:
        """The JSON form of an error; `problems` when several things are wrong with a file."""
        content: dict[str, object] = {
            "kind": kind,
            "exit_code": int(exit_code),
            "what": what,
            "where": where or None,
            "mend": mend or None,
        }
        if problems:
            content["problems"] = problems
        click.echo(json.dumps(self._envelope("error", content), indent=2, ensure_ascii=False))

    def fail(self, text: str) -> None:
        """A line on stderr that says why the exit code is not 0. Shown with `-q` too."""
        click.echo(f"{self._error_word()} {text}", err=True, color=self.colored(err=True))

    def _error_word(self) -> str:
        return click.style("error:", fg="red", bold=True)

    def colored(self, *, err: bool = False) -> bool:
        """Whether to colour what goes to stdout (or stderr)."""
        if self.color is not Color.AUTO:
            return self.color is Color.ALWAYS
        stream = sys.stderr if err else sys.stdout
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return stream.isatty()

    def console(self, *, err: bool = False) -> Console:
        """A rich console with these settings."""
        from rich.console import Console

        colored = self.colored(err=err)
        return Console(
            stderr=err,
            highlight=False,
            no_color=not colored,
            force_terminal=True if self.color is Color.ALWAYS else None,
        )


def _set(attribute: str, convert: Callable[[Any], Any]) -> Callable[..., None]:
    def callback(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value is not None and value is not False and value != 0:
            setattr(context.ensure_object(Output), attribute, convert(value))

    return callback


def output_options(schema: str | None = None) -> Callable[[Function], Function]:
    """Give a command its output options, and an `Output` as its first argument.

    With a `schema` (name and version, such as ``labctl.rig.check/1``) the command has `--json`.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            output = click.get_current_context().ensure_object(Output)
            if schema is not None:
                output.schema = schema
            return function(output, *args, **kwargs)

        options = [
            click.option(
                "-v",
                "--verbose",
                count=True,
                expose_value=False,
                callback=_set("verbosity", int),
                help="Say more; -vv shows tracebacks, -vvv the drivers' lines too.",
            ),
            click.option(
                "-q",
                "--quiet",
                is_flag=True,
                expose_value=False,
                callback=_set("verbosity", lambda _value: QUIET),
                help="Say nothing but the answer and what went wrong.",
            ),
            click.option(
                "--color",
                type=click.Choice([color.value for color in Color]),
                envvar="LABCTL_COLOR",
                expose_value=False,
                callback=_set("color", Color),
                help="Colours. Default: auto, and never when NO_COLOR is set.",
            ),
        ]
        if schema is not None:
            options.append(
                click.option(
                    "--json",
                    "as_json",
                    is_flag=True,
                    expose_value=False,
                    callback=_set("json", bool),
                    help=f"Answer in JSON ({schema}).",
                )
            )
        command: Any = wrapper
        for option in options:
            command = option(command)
        return command  # type: ignore[no-any-return]

    return decorate


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called. Click keeps these lines as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
