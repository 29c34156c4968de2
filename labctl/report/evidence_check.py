"""Checking an evidence archive that came from anywhere: nothing in it is trusted.

Nothing is unpacked. What is read is read piece by piece, and no more of it than the archive says
there is; an archive that says too much is not read at all.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labctl.errors import UsageError
from labctl.report.evidence_format import CONFIGURATION, FORMAT, MANIFEST, is_plain, is_safe

MOST_MEMBERS = 20_000
MOST_OCTETS = 4 << 30
"""Of all members together, unpacked."""
_MOST_MANIFEST = 16 << 20
_PIECE = 1 << 20
_LINE = re.compile(r"([0-9a-f]{64})  (\S+)")
_END = struct.Struct("<4s4H2LH")
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,  # UnicodeDecodeError is one
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `problems` is empty when the archive is what was made."""

    path: Path
    sha256: str
    bytes: int
    about: str
    """The manifest's own words: which rig, which run, what it came to."""
    members: int
    left_out: tuple[str, ...]
    problems: tuple[str, ...]


def check_evidence(path: Path, sha256: str | None = None) -> Checked:
    """Look through an archive; `sha256` is what the file's own hash has to be.

    Raises `UsageError` when there is no such file, or it cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            check = _Check(file, size)
            if sha256 is not None and digest != sha256.lower():
                check.problems.append(f"the file's SHA-256 is {digest}, not {sha256.lower()}")
            check.run()
    except OSError as error:
        raise UsageError(
            f"it cannot be read: {error.strerror or error}", where=str(path)
        ) from error
    return Checked(
        path=path,
        sha256=digest,
        bytes=size,
        about=check.about,
        members=len(check.infos),
        left_out=tuple(check.left_out),
        problems=tuple(check.problems),
    )


class _Check:
    """The steps, each of which is taken only when those before it found a sound archive."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self.problems: list[str] = []
        self.about = ""
        self.left_out: list[str] = []
        self.infos: list[zipfile.ZipInfo] = []
        self._sums: dict[str, str] = {}

    def run(self) -> None:
        """Take them."""
        try:
            with zipfile.ZipFile(self._file) as archive:
                self.infos = archive.infolist()
                if self._is_well_made(archive) and self._has_manifest(archive):
                    self._holds_what_it_says(archive)
        except _DAMAGE as error:
            self.problems.append(f"it is no whole ZIP file: {_said(error)}")

    def _is_well_made(self, archive: zipfile.ZipFile) -> bool:
        before = len(self.problems)
        names = [info.orig_filename for info in self.infos]
        if len(names) > MOST_MEMBERS:
            self.problems.append(f"it has {len(names)} members; {MOST_MEMBERS} at most are read")
            return False
        declared = sum(info.file_size for info in self.infos)
        if declared > MOST_OCTETS:
            self.problems.append(
                f"it would unpack to {declared} octets; {MOST_OCTETS} at most are read"
            )
            return False
        for name in sorted({name for name in names if not is_safe(name)}):
            self.problems.append(f"a member's name is not one of an archive: {name[:200]!r}")
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(f"it has two members of the name {name}")
        for info in self.infos:
            if is_safe(info.filename) and not is_plain(info):
                self.problems.append(f"{info.filename}: its entry is not as labctl writes it")
        if len({info.date_time for info in self.infos}) > 1:
            self.problems.append("its members are not of one time")
        if len(self.problems) == before:
            self._is_without_gaps(archive)
        return len(self.problems) == before

    def _is_without_gaps(self, archive: zipfile.ZipFile) -> None:
        """Entry follows entry, the directory follows them, and nothing else is in the file."""
        at = 0
        for info in sorted(self.infos, key=lambda info: info.header_offset):
            expected = info.FileHeader(zip64=False)
            self._file.seek(at)
            if info.header_offset != at or self._file.read(len(expected)) != expected:
                self.problems.append(f"{info.filename}: it is not where its entry says")
                return
            at += len(expected) + info.compress_size
        end = self._size - _END.size
        self._file.seek(max(0, end))
        count = len(self.infos)
        directory = _END.pack(b"PK\5\6", 0, 0, count, count, max(0, end - at), at, 0)
        if archive.start_dir != at or self._file.read() != directory:
            self.problems.append("there is something in the file that is no member of it")

    def _has_manifest(self, archive: zipfile.ZipFile) -> bool:
        found = next((info for info in self.infos if info.filename == MANIFEST), None)
        if found is None:
            self.problems.append(f"it has no {MANIFEST}: it is no evidence archive")
            return False
        if found.file_size > _MOST_MANIFEST:
            self.problems.append(f"{MANIFEST}: {found.file_size} octets are too many")
            return False
        lines = archive.read(found).decode().splitlines()
        if not lines or lines[0] != f"# {FORMAT}":
            first = lines[0].removeprefix("# ") if lines else ""
            self.problems.append(f"{MANIFEST}: {first[:60]!r} is not {FORMAT!r}")
            return False
        self.about = lines[1].removeprefix("# ") if len(lines) > 1 else ""
        for line in lines[1:]:
            matched = _LINE.fullmatch(line)
            if matched is not None:
                self._sums[matched[2]] = matched[1]
            elif line.startswith("# left out: "):
                self.left_out.append(line.removeprefix("# left out: "))
            elif not line.startswith("# "):
                self.problems.append(f"{MANIFEST}: {line[:80]!r} is no line of a manifest")
        return True

    def _holds_what_it_says(self, archive: zipfile.ZipFile) -> None:
        there = {info.filename: info for info in self.infos if info.filename != MANIFEST}
        for name in sorted(self._sums.keys() - there.keys()):
            self.problems.append(f"{name}: it is missing")
        for name in sorted(there.keys() - self._sums.keys()):
            self.problems.append(f"{name}: it was added, {MANIFEST} does not have it")
        for name in sorted(there.keys() & self._sums.keys()):
            try:
                found = _digest(archive, there[name])
            except _DAMAGE as error:
                self.problems.append(f"{name}: it is damaged: {_said(error)}")
                continue
            if found != self._sums[name]:
                self.problems.append(f"{name}: it was altered")
        if not self.problems:
            self._is_of_one_run(archive, there)

    def _is_of_one_run(self, archive: zipfile.ZipFile, there: dict[str, zipfile.ZipInfo]) -> None:
        """The report names the configuration by its hash."""
        reports = [name for name in there if name.endswith(".json") and name != CONFIGURATION]
        for name in reports:
            told = json.loads(archive.read(there[name]))
            run = told.get("run", {}) if isinstance(told, dict) else {}
            wanted = run.get("config_sha256") if isinstance(run, dict) else None
            if CONFIGURATION in self._sums and self._sums[CONFIGURATION] != wanted:
                self.problems.append(f"{CONFIGURATION}: it is not that of the run in {name}")


def _digest(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    digest = hashlib.sha256()
    with archive.open(info) as member:
        while piece := member.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
