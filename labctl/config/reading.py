"""The text of a file, and the YAML parser's complaints in our words."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from labctl.config.problems import ConfigurationErrors, Problem

_LARGEST_FILE = 1 << 20


def read_text(path: Path, *, what: str) -> str:
    """The text of a UTF-8 file. `what` names it in messages. Raises `ConfigurationErrors`."""

    def refuse(message: str, mend: str = "", line: int = 0, column: int = 0) -> ConfigurationErrors:
        return ConfigurationErrors(
            [Problem(path=path, line=line, column=column, what=message, mend=mend)]
        )

    try:
        with path.open("rb") as file:
            octets = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        raise refuse(f"there is no such {what}") from None
    except IsADirectoryError:
        raise refuse(f"this is a folder, not {article(what)}") from None
    except PermissionError:
        raise refuse(
            f"this {what} must not be read", "give yourself permission to read it"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise refuse(f"this {what} cannot be read: {reason}") from None
    if len(octets) > _LARGEST_FILE:
        raise refuse(f"this is too large for {article(what)} (more than 1 MiB)")
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(f"this {what} is UTF-16", "save it as UTF-8")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = octets[: error.start]
        start_of_line = before.rfind(b"\n") + 1
        column = len(before[start_of_line:].decode("utf-8-sig", "replace")) + 1
        raise refuse(
            f"octet 0x{octets[error.start]:02x} is not UTF-8",
            "save the file as UTF-8",
            before.count(b"\n") + 1,
            column,
        ) from None


def article(noun: str) -> str:
    """`a rig file`, `an inventory`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


_SYNTAX = (
    # (part of ruamel's words, ours, what to do)
    ("'\\t'", "a tab stands where only spaces may", "indent with spaces"),
    (
        "mapping values are not allowed here",
        "a second ': ' in one line, or a line indented too far",
        "put the value in quotes, or line the key up with its neighbours",
    ),
    ("unexpected end of stream", "a quoted text is never closed", "add the closing quote"),
    ("could not find expected ':'", "a key without ': ' after it", "write 'key: value'"),
    ("found undefined alias", "an alias (*name) without its anchor (&name)", ""),
    ("but found another document", "a second document starts here ('---')", "keep one to a file"),
    ("expected ',' or ']'", "a list in [ ] is never closed, or lacks a comma", ""),
    ("expected ',' or '}'", "a mapping in { } is never closed, or lacks a comma", ""),
    ("but found '<stream end>'", "the file ends before a list or mapping is closed", ""),
    (
        "that cannot start any token",
        "a value cannot start with this character",
        "put the value in quotes",
    ),
    ("expected <block end>", "this line does not line up with the lines around it", ""),
)


def syntax_problem(path: Path, text: str, error: YAMLError) -> Problem:
    """The parser's complaint in our words. The line itself is not shown: it may hold a code."""
    if isinstance(error, ReaderError):
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        return Problem(
            path=path,
            line=line,
            column=column,
            what="a control character that YAML does not allow",
            mend="delete it",
        )
    what, mend, mark = "this is not YAML", "", None
    if isinstance(error, MarkedYAMLError):
        complaint = error.problem or error.context or ""
        mark = error.problem_mark or error.context_mark
        for fragment, ours, hint in _SYNTAX:
            if fragment in complaint:
                what, mend = ours, hint
                if "never closed" in ours and error.context_mark is not None:
                    mark = error.context_mark
                break
        else:
            what = f"this is not YAML: {complaint}"
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
    return Problem(path=path, line=line, column=column, what=what, mend=mend)
