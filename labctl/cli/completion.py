"""`labctl completion`: what to give to the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from labctl.cli.output import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        'eval "$(labctl completion bash)"                  in ~/.bashrc',
        'eval "$(labctl completion zsh)"                   in ~/.zshrc',
        "labctl completion fish | source                   in ~/.config/fish/config.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that makes a shell complete labctl's commands, options and rigs.

    Completing reads folders; it opens no file and touches no port.
    """
    from labctl.cli.main import COMPLETION_VARIABLE, PROGRAM, labctl

    found = get_completion_class(shell)
    assert found is not None, shell
    click.echo(found(labctl, {}, PROGRAM, COMPLETION_VARIABLE).source())
