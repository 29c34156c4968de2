"""Sticks as entries of an inventory: as text, and put into a file whose comments stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from labctl.config.inventory import Driver, FlowControl
from labctl.errors import ConfigurationError
from labctl.events import Band
from labctl.files import replace_file
from labctl.lab.survey import Row, State
from labctl.radio.sticks import Confidence, Line

_USUAL = Line()
_LONGEST_NAME = 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One radio for the inventory: its name, and the lines below it."""

    name: str
    lines: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    def text(self, indent: str) -> str:
        """YAML, with `indent` before its name."""
        said = [f"{indent}# {remark}" for remark in self.remarks]
        return "\n".join(
            [*said, f"{indent}{self.name}:", *(f"{indent}  {line}" for line in self.lines)]
        )


def suggestions(rows: Iterable[Row], taken: Iterable[str] = ()) -> list[Entry]:
    """An entry for each stick that is in no inventory yet. `taken` are names that are in use."""
    names = set(taken)
    entries = []
    for row in rows:
        driver, line = _spoken(row)
        if row.names or driver is None or row.state in (State.OTHER, State.MISSING):
            continue
        name = _name(row, names)
        names.add(name)
        entries.append(Entry(name, tuple(_lines(row, driver, line)), tuple(_remarks(row))))
    return entries


def _spoken(row: Row) -> tuple[Driver | None, Line]:
    """What it answered to; else what its name says, if that can be believed."""
    if row.probed is not None:
        return row.probed.driver, row.probed.line
    stick = row.port.stick
    if stick is None or stick.confidence is not Confidence.LIKELY or row.state is State.SILENT:
        return None, _USUAL
    return stick.driver, stick.line


def _name(row: Row, taken: set[str]) -> str:
    stick = row.port.stick
    known = stick is not None and stick.confidence is Confidence.LIKELY
    said = stick.name if stick is not None and known else "stick"
    slug = re.sub(r"[^a-z0-9]+", "-", said.partition("/")[0].lower()).strip("-")[:_LONGEST_NAME]
    if row.probed is not None and row.probed.eui64 is not None:
        slug = f"{slug}-{str(row.probed.eui64).replace(':', '')[-4:]}"
    elif row.port.serial_number and re.fullmatch(r"[A-Za-z0-9]{4,}", row.port.serial_number):
        slug = f"{slug}-{row.port.serial_number[-4:].lower()}"
    name, number = slug, 2
    while name in taken:
        name, number = f"{slug}-{number}", number + 1
    return name


def _lines(row: Row, driver: Driver, line: Line) -> Iterable[str]:
    yield f"driver: {driver}"
    usb = row.port.usb
    if usb is not None and usb.serial_number and not row.twins:
        yield (
            f"usb: {{vid: 0x{usb.vid:04X}, pid: 0x{usb.pid:04X}, "
            f"serial_number: {_quoted(usb.serial_number)}}}"
        )
    else:
        yield f"path: {_quoted(row.path)}"
    if line.baudrate != _USUAL.baudrate and not row.port.is_network:
        yield f"baudrate: {line.baudrate}"
    if line.flow_control is not FlowControl.NONE and not row.port.is_network:
        yield f"flow_control: {line.flow_control}"
    if row.probed is not None and row.probed.eui64 is not None:
        yield f"eui64: {row.probed.eui64}"
    if row.probed is not None and row.probed.bands not in ((), (Band.GHZ_2_4,)):
        yield f"bands: [{', '.join(row.probed.bands)}]"


def _remarks(row: Row) -> Iterable[str]:
    if row.probed is None:
        yield "not asked: what it speaks is told by its name alone"
    else:
        told = (row.probed.manufacturer, row.probed.model, row.probed.protocol, row.probed.firmware)
        yield _plain(", ".join(part for part in told if part))
    judgement = row.judgement
    if judgement is not None and judgement.fitness != "good":
        yield _plain(f"{judgement.fitness}: {judgement.why}")
    if row.twins:
        yield "another stick looks the same: this path is the socket that it is plugged into"


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _quoted(text: str) -> str:
    """A YAML scalar in double quotes: serial numbers may look like numbers, or be odd."""
    inside = "".join(
        letter
        if letter.isprintable() and letter not in '"\\'
        else f"\\{letter}"
        if letter in '"\\'
        else f"\\x{ord(letter):02x}"
        for letter in text
    )
    return f'"{inside}"'


def stanza(entries: Sequence[Entry]) -> str:
    """All entries under `radios:`, for a file that has none."""
    return "radios:\n" + "\n\n".join(entry.text("  ") for entry in entries)


def add_to(path: Path, entries: Sequence[Entry]) -> None:
    """Put the entries into the inventory, after its last radio. Nothing else in it changes.

    The file is made when it is not there. Raises `ConfigurationError` when it is written in a way
    that lines cannot be added to.
    """
    try:
        old = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        old = ""
    except (OSError, UnicodeDecodeError) as error:
        raise _cannot(path, f"it cannot be read: {error}") from error
    new = _added(path, old, entries)
    before, after = _parsed(path, old), _parsed(path, new)
    radios = before.get("radios")
    kept = radios if isinstance(radios, dict) else {}
    if after != {**before, "radios": {**kept, **_parsed_entries(entries)}}:
        raise _cannot(path, "its lines are laid out in a way that entries cannot be added to")
    try:
        mode = path.stat().st_mode & 0o777 if old else 0o666
        replace_file(path, new, mode=mode)
        if old:
            path.chmod(mode)
    except OSError as error:
        raise _cannot(path, f"it cannot be written: {error.strerror}") from error


def _added(path: Path, old: str, entries: Sequence[Entry]) -> str:
    try:
        node = YAML(typ="safe", pure=True).compose(old) if old.strip() else None
    except YAMLError as error:
        raise _cannot(path, "it is not YAML: `labctl inventory check` says where") from error
    if node is None:
        head = old if not old or old.endswith("\n") else old + "\n"
        return f"{head}{stanza(entries)}\n"
    if not isinstance(node, MappingNode) or node.flow_style:
        raise _cannot(path, "it is no mapping in lines of its own")
    radios = next((value for key, value in node.value if key.value == "radios"), None)
    lines = old.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    if radios is None:
        return "".join(lines) + f"\n{stanza(entries)}\n"
    if not isinstance(radios, MappingNode) or radios.flow_style or not radios.value:
        raise _cannot(path, "its radios are not in lines of their own")
    indent = " " * radios.value[0][0].start_mark.column
    after = _last_line(radios.value[-1][1], radios.value[-1][0]) + 1
    text = "\n\n".join(entry.text(indent) for entry in entries)
    return "".join([*lines[:after], f"\n{text}\n", *lines[after:]])


def _last_line(node: Node, key: Node) -> int:
    """The line in which the last thing below a node ends. A mapping's own end is past comments."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return max(_last_line(value, name) for name, value in node.value)
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return max(_last_line(value, value) for value in node.value)
    end = node.end_mark
    # What ends at the first column of a line ended in the line before.
    return max(int(end.line - (end.column == 0)), int(key.start_mark.line))


def _parsed(path: Path, text: str) -> dict[str, object]:
    try:
        data = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise _cannot(path, "it is not YAML: `labctl inventory check` says where") from error
    return dict(data) if isinstance(data, dict) else {}


def _parsed_entries(entries: Sequence[Entry]) -> dict[str, object]:
    data = YAML(typ="safe", pure=True).load(stanza(entries))
    return dict(data["radios"])


def _cannot(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"nothing was added: {why}", where=str(path), mend="add what is suggested by hand"
    )
