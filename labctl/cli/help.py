"""`labctl help`: topics that belong to no single command."""

from __future__ import annotations

import click

from labctl.cli.output import examples

_EXIT_CODES = """\
Exit codes

    0  pass: the command did what it was asked, or the product passed
    1  the product failed: the device under test, or the hub as it was set up, did wrong
    2  usage: the command was called in a way that makes no sense
   69  the rig is not available: cable, stick, port, firmware, or the database
   70  a bug in labctl: please report it
   75  busy: somebody else holds the rig; trying again later is the mend
   78  configuration: a file or a setting says something that cannot be
  130  interrupted from the keyboard
  141  whoever read the output went away (as with any Unix tool)

Only 1 speaks of the product. A script that runs rigs at night can tell a failed device (1) from
a failed rig (69, 75) without reading anything.
"""

_ENVIRONMENT = """\
Environment variables

  LABCTL_INVENTORY  path of the inventory, when --inventory is not given
  LABCTL_DB         path of the database, when --db is not given
  LABCTL_REPORTS    folder for reports, when --reports is not given
  LABCTL_LOCKS      folder in which all users of the computer lease things (docs/leases.md)
  LABCTL_LEASE      the lease under which a command runs: `labctl lease take` sets it
  LABCTL_COLOR      auto, always or never, when --color is not given
  NO_COLOR          when set to anything, no colours (--color goes before it)

An option goes before the environment, the environment before a rig file, a rig file before the
default. `labctl config show` says which of them is in force.
Install codes may be in variables too: `install_code: {env: NAME}` in the inventory.
"""

_JSON = """\
JSON output

Commands that read have --json. The answer is one object on stdout:

  {"labctl": "VERSION", "schema": "labctl.COMMAND/N", "data": ...}

or, when the command could not do what it was asked:

  {"labctl": "VERSION", "schema": "...", "error": {"kind", "exit_code", "what", "where", "mend"}}

N goes up when a field changes its meaning or goes away; new fields may come at any time. Streams
are one such object a line. Messages and progress are on stderr whatever the options say.
"""

TOPICS = {"exit-codes": _EXIT_CODES, "environment": _ENVIRONMENT, "json": _JSON}


@click.command(
    "help",
    epilog=examples(
        "labctl help exit-codes",
        "labctl help rig check",
    ),
)
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND...]")
@click.pass_context
def help_(context: click.Context, words: tuple[str, ...]) -> None:
    """Help on a command, or on a topic: exit-codes, environment, json."""
    root = context.find_root()
    if not words:
        click.echo(root.get_help())
        click.echo("\nTopics (labctl help TOPIC): " + ", ".join(TOPICS))
    elif len(words) == 1 and words[0] in TOPICS:
        click.echo(TOPICS[words[0]].rstrip())
    else:
        click.echo(_help_on(root, words))


def _help_on(root: click.Context, words: tuple[str, ...]) -> str:
    context, command = root, root.command
    for word in words:
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(
                f"There is no command or topic {' '.join(words)!r}. Topics: {', '.join(TOPICS)}.",
                root,
            )
        context, command = click.Context(found, info_name=word, parent=context), found
    return command.get_help(context)
