"""The command `labctl`: its table of commands, and what happens to errors."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

import click

from labctl import __version__
from labctl.cli.lazy import LazyCommand, LazyGroup
from labctl.cli.output import DEBUG, Output, examples
from labctl.errors import ExitCode, LabctlError
from labctl.secret import scrub

PROGRAM = "labctl"
COMPLETION_VARIABLE = "_LABCTL_COMPLETE"
READER_GONE = 141
"""Whoever read our output went away (128 + SIGPIPE), as other Unix tools have it."""

COMMANDS = {
    "bench": LazyCommand("labctl.cli.bench:bench", "Run a rig: pair, serve, watch, record."),
    "campaign": LazyCommand(
        "labctl.cli.campaign:campaign", "Play the acceptance cases on a rig's devices."
    ),
    "survey": LazyCommand(
        "labctl.cli.survey:survey", "Walk over a site: which band reaches where."
    ),
    "pair": LazyCommand("labctl.cli.pair:pair", "Pair a device with the hub of a rig."),
    "unpair": LazyCommand("labctl.cli.pair:unpair", "Take a device out of the device log."),
    "hub": LazyCommand("labctl.cli.hub:hub", "Hold the hub of a rig; its device log."),
    "read": LazyCommand("labctl.cli.hub_up:read", "Have the hub read attributes of a device."),
    "rig": LazyCommand("labctl.cli.rig:rig", "Check, list and show rig files."),
    "lease": LazyCommand("labctl.cli.lease:lease", "Who has which rig, stick or device."),
    "power": LazyCommand("labctl.cli.power:power", "Switch a stick or a device off and on."),
    "capture": LazyCommand(
        "labctl.cli.capture:capture", "Write what is on the air of a rig, for Wireshark."
    ),
    "meter": LazyCommand("labctl.cli.meter:meter", "Do something to the emulated meters."),
    "inventory": LazyCommand(
        "labctl.cli.inventory:inventory", "Check and list radios and devices."
    ),
    "radios": LazyCommand("labctl.cli.radios:radios", "Find sticks, and ask the free ones."),
    "doctor": LazyCommand("labctl.cli.doctor:doctor", "What ails this computer, or a rig."),
    "selftest": LazyCommand("labctl.cli.selftest:selftest", "Try out a stick, and report on it."),
    "report": LazyCommand("labctl.cli.record:report", "Write the report of a rig or a run."),
    "links": LazyCommand(
        "labctl.cli.links:links", "How well devices and hub hear each other, by band."
    ),
    "trend": LazyCommand("labctl.cli.trend:trend", "What a rig's nights say: drift, flakes."),
    "matrix": LazyCommand("labctl.cli.matrix:matrix", "What works with what, and since when."),
    "evidence": LazyCommand(
        "labctl.cli.evidence:evidence", "A campaign's archive: make it, check it."
    ),
    "runs": LazyCommand("labctl.cli.record:runs", "List recorded runs."),
    "db": LazyCommand("labctl.cli.record:db", "Where the database is, and whether it is sound."),
    "virtual": LazyCommand(
        "labctl.cli.virtual:virtual", "Parts of the virtual bench on their own."
    ),
    "schema": LazyCommand("labctl.cli.schema:schema", "JSON Schema of the files, for editors."),
    "config": LazyCommand("labctl.cli.config:config", "Which paths are in use, and who said so."),
    "completion": LazyCommand("labctl.cli.completion:completion", "Shell completion."),
    "help": LazyCommand("labctl.cli.help:help_", "Help on a command or a topic."),
}


@click.group(
    PROGRAM,
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "labctl bench rigs/virtual.yaml   the whole job, without hardware",
        "labctl rig check                 all rig files",
        "labctl help exit-codes           what the exit codes mean",
    ),
)
@click.version_option(__version__, prog_name=PROGRAM)
def labctl() -> None:
    """Make a GB smart-metering communications hub of a USB stick, and test devices on it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`labctl.errors.ExitCode`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if COMPLETION_VARIABLE in os.environ:
        labctl.main(words, prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE)
    output = Output()
    try:
        code = _run(words, output)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        return READER_GONE
    return code


def _run(words: list[str], output: Output) -> int:
    try:
        with labctl.make_context(PROGRAM, list(words), obj=output) as context:
            result = labctl.invoke(context)
        return int(result) if type(result) in (int, ExitCode) else ExitCode.PASS
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        return _click_error(error, words, output)
    except (click.Abort, KeyboardInterrupt):
        output.message("interrupted")
        return ExitCode.INTERRUPTED
    except LabctlError as error:
        output.error(error)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: say that the fault is ours
        return _bug(error, output)


def _click_error(error: click.ClickException, words: list[str], output: Output) -> int:
    """The call itself is wrong. Click's own 1 would mean that the product failed."""
    error.show()
    if output.json or "--json" in words:
        output.error_envelope(type(error).__name__, ExitCode.USAGE, error.format_message())
    return ExitCode.USAGE


def _bug(error: Exception, output: Output) -> int:
    """One line, and the traceback where it can be found: on request, or in a file of its own."""
    text = scrub("".join(traceback.format_exception(error)))
    what = scrub(f"{type(error).__name__}: {error}").splitlines()[0][:200]
    mend = ""
    if output.verbosity >= DEBUG:
        output.message(text)
    else:
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="labctl-bug-", suffix=".txt", delete=False, encoding="utf-8"
            ) as file:
                file.write(f"labctl {__version__}\n{text}")
            mend = f"the traceback is in {file.name}"
        except OSError:
            mend = "run it again with -vv for the traceback"
    output.fail(f"this is a bug in labctl: {what}" + (f"\n  {mend}" if mend else ""))
    if output.json:
        output.error_envelope("Bug", ExitCode.BUG, what, mend=mend)
    return ExitCode.BUG


def _abandon_stdout() -> None:
    """So that the interpreter's own flush on the way out does not stumble again."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - lives until exit


if __name__ == "__main__":
    sys.exit(main())
