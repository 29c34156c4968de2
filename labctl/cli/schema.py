"""`labctl schema`: JSON Schema for editors."""

from __future__ import annotations

import json

import click

from labctl.cli.output import examples


@click.command(
    epilog=examples(
        "labctl schema rig > rig.schema.json",
        "labctl schema inventory > inventory.schema.json",
    )
)
@click.argument("file", type=click.Choice(["inventory", "rig"]))
def schema(file: str) -> None:
    """Print the JSON Schema of a file, for editors that complete and check YAML.

    Editors with the YAML language server read it when the file starts with the line
    "# yaml-language-server: $schema=PATH". It knows less than "labctl rig check" does: nothing of
    references from one file to the other.
    """
    from labctl.config.schema import json_schema

    click.echo(json.dumps(json_schema(file), indent=2, ensure_ascii=False))
