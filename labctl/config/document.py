"""A YAML file as plain values, with the place of every key and value.

The nodes of ruamel.yaml are walked here instead of constructed there, because constructing loses
three things that a good message needs: where each value stands, duplicate keys (all of them), and
how a number was written (`serial_number: 00123` means those five characters).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from labctl.config.problems import ConfigurationErrors, Problem, quote
from labctl.config.reading import article, read_text, syntax_problem

_MOST_VALUES = 50_000
_LONGEST_NUMBER = 64
_DEEPEST = 50
_TAG = "tag:yaml.org,2002:"

Key = str | int
Place = tuple[Key, ...]


class Mark(NamedTuple):
    """A place in the file; both count from 1."""

    line: int
    column: int


class WrittenInt(int):
    """An integer that remembers how it was written."""

    text: str


class WrittenFloat(float):
    """A real number that remembers how it was written."""

    text: str


@dataclass(slots=True)
class Document:
    """What a file says, and where. `data` is plain dicts, lists, strings, numbers and None."""

    path: Path
    data: dict[str, Any] = field(default_factory=dict)
    values: dict[Place, Mark] = field(default_factory=dict)
    keys: dict[Place, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def mark(self, place: Place, *, of_key: bool = False) -> Mark:
        """Where `place` stands; where it is not written, the nearest thing around it."""
        for length in range(len(place), 0, -1):
            here = place[:length]
            of_key = of_key or length < len(place)
            table = self.keys if of_key and here in self.keys else self.values
            if here in table:
                return table[here]
        return Mark(1, 1)

    def problem(
        self, place: Place, what: str, mend: str = "", *, of_key: bool = False, **more: Any
    ) -> Problem:
        """A problem at `place` of this file."""
        line, column = self.mark(place, of_key=of_key)
        return Problem(path=self.path, line=line, column=column, what=what, mend=mend, **more)


def is_commented_out(path: Path) -> bool:
    """Whether a file has text, and all of it is comments. False when it cannot be read."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return False
    return any(lines) and all(not line or line.startswith("#") for line in lines)


def read_document(path: Path, *, what: str) -> Document:
    """Read a YAML file whose top is a mapping.

    Raises `ConfigurationErrors` when there is nothing to go on with. What can be reported together
    with what the models find (duplicate keys, tags) is left in `problems`.
    """
    text = read_text(path, what=what)
    document = Document(path)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        raise ConfigurationErrors([syntax_problem(path, text, error)]) from None
    except RecursionError:
        raise ConfigurationErrors(
            [Problem(path=path, what="the file is nested too deeply")]
        ) from None
    if node is None:
        empty = not text.strip()
        problem = Problem(
            path=path,
            line=1,
            column=1,
            what="the file is empty" if empty else "the file holds nothing but comments",
            mend="" if empty else "take away the '#' before the lines that are to count",
        )
        raise ConfigurationErrors([problem])
    if not isinstance(node, MappingNode):
        line, column = _mark(node)
        found = "a list" if isinstance(node, SequenceNode) else "a single value"
        raise ConfigurationErrors(
            [
                Problem(
                    path=path,
                    line=line,
                    column=column,
                    what=f"the file holds {found}, not a mapping",
                    mend=f"{article(what)} is made of lines such as 'key: value'",
                )
            ]
        )
    document.data = _Walker(document).mapping(node, ())
    return document


def _mark(node: Node) -> Mark:
    return Mark(node.start_mark.line + 1, node.start_mark.column + 1)


class _Walker:
    """Turns nodes into values, noting places and problems in the document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: list[Node] = []
        self._count = 0

    def mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[tuple[Node, Node]] = []
        with _Opened(self, node):
            for key_node, value_node in node.value:
                if _tag(key_node) == "merge":
                    merged.append((key_node, value_node))
                    continue
                self._entry(result, key_node, value_node, place)
            for key_node, value_node in merged:
                self._merge(result, key_node, value_node, place)
        return result

    def _entry(
        self, result: dict[str, Any], key_node: Node, value_node: Node, place: Place
    ) -> None:
        if not isinstance(key_node, ScalarNode):
            self._complain(key_node, "a key must be a single word")
            return
        key = str(key_node.value)
        here = (*place, key)
        if key in result:
            first = self._document.keys[here]
            self._complain(
                key_node,
                f"the key {quote(key)} stands here a second time",
                f"the first is in line {first.line}; keep one of the two",
            )
            return
        self._document.keys[here] = _mark(key_node)
        result[key] = self.value(value_node, here)

    def _merge(
        self, result: dict[str, Any], key_node: Node, value_node: Node, place: Place
    ) -> None:
        sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
        for source in sources:
            if not isinstance(source, MappingNode):
                self._complain(key_node, "'<<' takes a mapping, or a list of mappings")
                return
            with _Opened(self, source):
                for inner_key, inner_value in source.value:
                    if isinstance(inner_key, ScalarNode) and inner_key.value not in result:
                        self._entry(result, inner_key, inner_value, place)

    def value(self, node: Node, place: Place) -> Any:
        self._document.values[place] = _mark(node)
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ConfigurationErrors(
                [Problem(path=self._document.path, what="the file holds too many values")]
            )
        if len(self._open) > _DEEPEST:
            raise ConfigurationErrors(
                [Problem(path=self._document.path, what="the file is nested too deeply")]
            )
        if node in self._open:
            self._complain(node, "an alias points back to what it stands in")
            return None
        if isinstance(node, MappingNode):
            return self.mapping(node, place)
        if isinstance(node, SequenceNode):
            with _Opened(self, node):
                return [self.value(item, (*place, i)) for i, item in enumerate(node.value)]
        return self._scalar(node)

    def _scalar(self, node: Node) -> Any:
        text, tag = str(node.value), _tag(node)
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag in {"int", "float"} and len(text) <= _LONGEST_NUMBER:
            try:
                return _written_int(text) if tag == "int" else _written_float(text)
            except ValueError:  # only a tag can call such a thing a number
                self._complain(node, "this is not a number", "remove the tag (!)")
        elif tag not in {"str", "timestamp", "int", "float"}:
            self._complain(node, "a tag (!) has no meaning here", "remove it")
        return text

    def _complain(self, node: Node, what: str, mend: str = "") -> None:
        line, column = _mark(node)
        self._document.problems.append(
            Problem(path=self._document.path, line=line, column=column, what=what, mend=mend)
        )

    def enter(self, node: Node) -> None:
        self._open.append(node)

    def leave(self) -> None:
        self._open.pop()


class _Opened:
    """While a node is being walked, an alias to it would be a circle."""

    def __init__(self, walker: _Walker, node: Node) -> None:
        self._walker, self._node = walker, node

    def __enter__(self) -> None:
        self._walker.enter(self._node)

    def __exit__(self, *exc: object) -> None:
        self._walker.leave()


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _written_int(text: str) -> WrittenInt:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)
    number = WrittenInt(sign * int(digits[2:] if base != 10 else digits, base))
    number.text = text
    return number


def _written_float(text: str) -> WrittenFloat:
    number = WrittenFloat(re.sub(r"_|\.(?=[in])", "", text.lower()))
    number.text = text
    return number
