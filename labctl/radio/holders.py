"""Which processes have a port open, from /proc: a port that somebody uses is not opened.

Without root only the processes of the same user tell what they have open. Whether all of them
could be asked is said, so that "nobody" is not said for "nobody whom I may see".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SCRIPTED = ("python", "bash", "sh", "node", "perl", "ruby", "java")
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port open. `command` is its name, without its arguments."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class Holders:
    """Who has each path open; `unseen` counts the processes that do not tell."""

    by_path: dict[str, tuple[Holder, ...]]
    unseen: int = 0

    def of(self, path: str) -> tuple[Holder, ...]:
        """Who has this path open, whatever link leads to it."""
        return self.by_path.get(os.path.realpath(path), ())


def port_holders(
    paths: Iterable[str], *, proc: Path = _PROC, own_pid: int | None = None
) -> Holders:
    """Who has these device paths open, but for this process. Raises nothing."""
    wanted = {os.path.realpath(path) for path in paths}
    own = os.getpid() if own_pid is None else own_pid
    found: dict[str, list[Holder]] = {}
    unseen = 0
    for folder in _processes(proc):
        if folder.name == str(own):
            continue
        try:
            open_files = [_target(link) for link in (folder / "fd").iterdir()]
        except PermissionError:
            unseen += 1
            continue
        except OSError:
            continue  # it ended meanwhile
        for path in wanted.intersection(open_files):
            found.setdefault(path, []).append(Holder(int(folder.name), _command(folder)))
    return Holders({path: tuple(holders) for path, holders in found.items()}, unseen)


def _processes(proc: Path) -> Sequence[Path]:
    try:
        return sorted((one for one in proc.iterdir() if one.name.isdecimal()), key=_pid)
    except OSError:
        return ()  # no /proc here: macOS


def _pid(folder: Path) -> int:
    return int(folder.name)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""  # closed meanwhile


def _command(folder: Path) -> str:
    """The program, and the script that it runs. Arguments may hold secrets: they stay out."""
    try:
        words = (folder / "cmdline").read_bytes().split(b"\0")
    except OSError:
        words = []
    texts = [word.decode(errors="replace") for word in words if word]
    if not texts:
        return "a process"
    program = os.path.basename(texts[0])
    if program.rstrip("0123456789.") in _SCRIPTED:
        program = _script(texts[1:]) or program
    return program[:_LONGEST]


def _script(words: Sequence[str]) -> str:
    """What an interpreter was told to run."""
    for place, word in enumerate(words):
        if word == "-m" and place + 1 < len(words):
            return words[place + 1]
        if word == "-c":
            return ""
        if not word.startswith("-"):
            return os.path.basename(word)
    return ""
