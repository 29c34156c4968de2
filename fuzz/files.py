"""The loaders of files that people write: inventories, rig files, access tables, CSV profiles.

    python -m fuzz.files FILE         the octets that a fuzzer wrote down, once more

A loader may find any fault with a file, but as a problem that says where it is, never by raising.
A file that is edited is closer to what people get wrong than one made of noise, so most entries
replace a line of a shipped file by the fuzzer's octets.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

from fuzz.entry import Entry, once_more
from fuzz.finding import Finding
from labctl.config.access_file import inspect_access
from labctl.config.loading import inspect_inventory, inspect_rig
from labctl.meters.csv_profile import CsvError, CsvProfile

_PROJECT: Final = Path(__file__).resolve().parent.parent
_RIG: Final = _PROJECT / "rigs" / "virtual.yaml"
_INVENTORY: Final = _PROJECT / "inventory.yaml"
_ACCESS: Final = _PROJECT / "labctl" / "smart_energy" / "data" / "access.yaml"
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own in it, and only if it is there
_INSTALL_CODE: Final = "83FED3407A939723A5C639B26916D505C3B5"

_FRAGMENTS: Final = (
    b"\x00\x05  - name: x\n",
    b"\x00\x10: [1, 2, {a: b}]",
    b"\x01\x08  every: 10s",
    b"\x02\x0a - &a [*a]",
    b"\x05\x14? !!python/object:os.system x",
    b"\x01\x20  <<: *x",
    b"\x00\x20hub: null",
    b"\x00\x21meters: {electricity: {kind: gas}}",
    b"\x00\x22    attributes: [0x10000, -1, 1e400, .nan]",
    b"\x00\x23  channel: 99999999999999999999999",
    b"\x00\x24  start: 2026-02-30T25:61:00Z",
    b"\x00\x25    install_code: {file: ../../x, env: Y}",
    b"\x00\x26  duration: 9999999999h",
    b"\x00\x22    attributes: [cad, {a: b}, [ihd]]",
    b"\xff\x00%YAML 9.9\n---\n...\n---",
)


@cache
def _folder() -> Path:
    where = _MEMORY if _MEMORY.is_dir() else None
    folder = tempfile.TemporaryDirectory(prefix="labctl-fuzz-", dir=where)
    _KEPT.append(folder)
    path = Path(folder.name)
    (path / "inventory.yaml").write_bytes(_INVENTORY.read_bytes())
    (path / "rig.yaml").write_bytes(_RIG.read_bytes())
    return path


_KEPT: Final[list[Any]] = []


def _write(name: str, octets: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(octets)
    return path


def _edited(shipped: bytes, octets: bytes) -> bytes:
    """A shipped file with lines replaced: (lines to go, line number, text up to a zero) each."""
    lines = shipped.split(b"\n")
    at = 0
    while at + 2 < len(octets):
        end = octets.find(b"\x00", at + 2)
        end = len(octets) if end < 0 else end
        number = octets[at + 1] % len(lines)
        going = octets[at] % 4
        lines[number : number + going] = [octets[at + 2 : end]]
        at = end + 1
    return b"\n".join(lines)


def _told(problems: Iterable[Any], octets: bytes) -> None:
    """Every problem can be printed, and gives no secret away."""
    for problem in problems:
        text = str(problem)
        if not text.strip():
            raise Finding("a problem without a word")
        if _INSTALL_CODE in text.replace(" ", "").upper():
            raise Finding("a problem with an install code in it")


def _rig(octets: bytes) -> None:
    checked = inspect_rig(_write("fuzzed-rig.yaml", octets), _folder() / "inventory.yaml")
    _told(checked.problems, octets)
    if checked.rig is None and not checked.errors:
        raise Finding("no rig, and no error either")


def _inventory(octets: bytes) -> None:
    path = _write("fuzzed-inventory.yaml", octets)
    checked = inspect_inventory(path, environ={})
    _told(checked.problems, octets)
    if checked.inventory is None and not checked.errors:
        raise Finding("no inventory, and no error either")
    _told(inspect_rig(_folder() / "rig.yaml", path, environ={}).problems, octets)


def _access(octets: bytes) -> None:
    found, problems = inspect_access(_write("access.yaml", octets))
    _told(problems, octets)
    if found is None and not problems:
        raise Finding("no access table, and no problem either")


def _csv(octets: bytes) -> None:
    text = octets[1:].decode("utf-8", "replace")
    try:
        profile = CsvProfile(text, origin_s=1_767_600_000, gas=bool(octets[:1] > b"\x7f"))
    except CsvError as error:
        if not str(error):
            raise Finding("an error without a word") from error
        return
    rng = random.Random(1)
    for _ in range(4):
        profile.at(rng.randrange(0, 4_000_000_000) * 1_000_000)


def _edits(run: Callable[[bytes], None], shipped: bytes) -> Callable[[bytes], None]:
    return lambda octets: run(_edited(shipped, octets))


@cache
def table() -> tuple[Entry, ...]:
    """All entries, always in this order."""
    rig, inventory, access = (path.read_bytes() for path in (_RIG, _INVENTORY, _ACCESS))
    return (
        Entry("rig file, edited", _edits(_rig, rig), _FRAGMENTS),
        Entry("inventory, edited", _edits(_inventory, inventory), _FRAGMENTS),
        Entry("rig file", _rig, (rig[:900], b"rig: x\n")),
        Entry("inventory", _inventory, (inventory[:900], b"radios: {}\n")),
        Entry("access table, edited", _edits(_access, access), _FRAGMENTS),
        Entry("CSV profile", _csv, (_CSV, _CSV.replace(b"W", b"Wh"))),
    )


_CSV: Final = (
    b"0time,W\n2026-01-05T00:00:00Z,100\n2026-01-05T00:30:00Z,200.5\n2026-01-05T01:00:00Z,0\n"
)


if __name__ == "__main__":
    sys.exit(once_more(sys.argv[1:], table(), __doc__, repr))
