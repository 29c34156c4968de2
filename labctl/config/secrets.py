"""Install codes, certificates and private keys: in place, or by reference.

What a file says about a secret and the secret itself are kept apart: the models hold the *source*,
and `SecretReader` turns a source into octets when somebody needs them. Nothing here puts a secret
into a message, not even a part of one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Discriminator,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
)

from labctl.config.fields import Strict, Text, as_written, wrong
from labctl.config.problems import quote
from labctl.secret import Secret

_LARGEST_SECRET_FILE = 64 * 1024


def _variable(value: Any) -> str:
    text = as_written(value)
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text):
        raise wrong(
            f"{quote(value)} is not the name of an environment variable",
            "write the variable's name here; the code itself goes into the variable",
        )
    if re.fullmatch(r"[0-9A-Fa-f]{14,}", text):
        raise wrong(
            "this looks like a code, not like the name of an environment variable",
            "write the variable's name here; the code itself goes into the variable",
        )
    return text


class FromEnvironment(Strict):
    """A secret that stands in an environment variable."""

    env: Annotated[str, BeforeValidator(_variable)]
    """Name of the environment variable."""


class FromFile(Strict):
    """A secret that stands in a file of its own."""

    file: Text
    """Path of the file, from the folder of the inventory."""


def _in_place(value: Any) -> Secret:
    if isinstance(value, Secret):
        return value
    text = as_written(value)
    if not isinstance(text, str) or not text.strip():
        raise wrong("nothing is written here")
    return Secret(text.encode())


_SecretText = Annotated[
    Secret,
    PlainValidator(_in_place),
    PlainSerializer(lambda _value: "<secret>", return_type=str),
    WithJsonSchema({"type": "string", "x-kind": "text"}),
]


def _form(value: Any) -> str | None:
    """Which of the three forms this is; None for something else. No key can look like a tag."""
    if isinstance(value, Secret):
        return "<text>"
    if isinstance(value, FromEnvironment):
        return "<env>"
    if isinstance(value, FromFile):
        return "<file>"
    if isinstance(as_written(value), str):
        return "<text>"
    if isinstance(value, dict) and ("env" in value) != ("file" in value):
        return "<env>" if "env" in value else "<file>"
    return None


def _form_of_reference(value: Any) -> str | None:
    form = _form(value)
    return None if form == "<text>" else form


SecretSource = Annotated[
    Annotated[_SecretText, Tag("<text>")]
    | Annotated[FromEnvironment, Tag("<env>")]
    | Annotated[FromFile, Tag("<file>")],
    Discriminator(
        _form,
        custom_error_type="secret_source",
        custom_error_message="neither a value nor one reference to it",
    ),
]
"""A value in place, or {env: NAME}, or {file: path}."""

SecretReference = Annotated[
    Annotated[FromEnvironment, Tag("<env>")] | Annotated[FromFile, Tag("<file>")],
    Discriminator(
        _form_of_reference,
        custom_error_type="secret_reference",
        custom_error_message="this is only taken by reference",
    ),
]
"""{env: NAME} or {file: path}: private keys do not belong into an inventory."""

AnySource = Secret | FromEnvironment | FromFile


class UnreadableSecret(Exception):
    """A reference leads nowhere. Becomes a problem at the reference's place in the file."""

    def __init__(self, what: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend


class SecretReader:
    """Reads what sources refer to. `folder` is where relative paths start."""

    def __init__(self, folder: Path, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._environ = os.environ if environ is None else environ

    def read(self, source: AnySource) -> Secret:
        """The octets as they are written. Raises `UnreadableSecret`."""
        if isinstance(source, Secret):
            return source
        if isinstance(source, FromEnvironment):
            value = self._environ.get(source.env, "")
            if not value.strip():
                state = "is empty" if source.env in self._environ else "is not set"
                raise UnreadableSecret(
                    f"the environment variable {source.env} {state}",
                    f"export {source.env}=... before calling labctl",
                )
            return Secret(os.fsencode(value))
        return self._from_file(source.file)

    def _from_file(self, written: str) -> Secret:
        shown = quote(written)
        try:
            path = self._folder / Path(written).expanduser()
            with path.open("rb") as file:
                octets = file.read(_LARGEST_SECRET_FILE + 1)
        except FileNotFoundError:
            raise UnreadableSecret(
                f"the file {shown} does not exist",
                "paths start at the folder of the inventory",
            ) from None
        except IsADirectoryError:
            raise UnreadableSecret(f"{shown} is a folder, not a file", "") from None
        except (OSError, ValueError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a path"
            raise UnreadableSecret(f"the file {shown} cannot be read: {reason}", "") from None
        if len(octets) > _LARGEST_SECRET_FILE:
            raise UnreadableSecret(f"the file {shown} is too large for a key or a code", "")
        if not octets.strip():
            raise UnreadableSecret(f"the file {shown} is empty", "")
        return Secret(octets)


def text_of(secret: Secret) -> str:
    """A secret as text, without the line end that editors add. Raises `UnicodeDecodeError`."""
    return secret.reveal().decode("utf-8-sig").strip()
