"""How an evidence archive is laid out: whoever makes it and whoever checks it say the same."""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Iterable

from labctl.record.rows import Run
from labctl.report.formats import instant

FORMAT = "labctl evidence 1"
MANIFEST = "MANIFEST"
CONFIGURATION = "configuration.json"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}(?:/[A-Za-z0-9_][A-Za-z0-9._-]{0,199}){0,3}")
_MODE = stat.S_IFREG | 0o644
_UNIX = 3


def is_safe(name: str) -> bool:
    """Whether a member's name stays below the folder that it is unpacked to, on any system."""
    return _NAME.fullmatch(name) is not None and not any(
        part.endswith(".") for part in name.split("/")
    )


def header(run: Run, left_out: Iterable[str]) -> str:
    """The manifest's first lines, which `sha256sum -c` takes as remarks."""
    lines = [
        FORMAT,
        f"rig {run.rig}, run {run.id}, labctl {run.labctl_version}: {run.verdict}",
        "each member's SHA-256: `sha256sum -c MANIFEST`, or `labctl evidence verify`",
        *(f"left out: {each}" for each in left_out),
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)


def member_info(name: str, at_us: int) -> zipfile.ZipInfo:
    """A member's entry. All of it follows from the name and the time of the run's end, UTC."""
    at = instant(max(at_us, 315_532_800_000_000))  # 1980, where the times of ZIP begin
    info = zipfile.ZipInfo(
        name, (at.year, at.month, at.day, at.hour, at.minute, at.second // 2 * 2)
    )
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = _UNIX
    info.external_attr = _MODE << 16
    return info


def is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether an entry says nothing that `member_info` would not have said."""
    return (
        (info.create_system, info.create_version, info.extract_version) == (_UNIX, 20, 20)
        and (info.flag_bits, info.internal_attr, info.volume, info.reserved) == (0, 0, 0, 0)
        and info.external_attr == _MODE << 16
        and info.compress_type == zipfile.ZIP_DEFLATED
        and not info.extra
        and not info.comment
    )
