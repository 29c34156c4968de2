"""What is written down of a lease: who has the thing, since when, and when he was last heard."""

from __future__ import annotations

import getpass
import os
import platform
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_LONGEST_TEXT = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One owner of one thing. Read by people; what counts is the kernel lock of his `seat`.

    `since_us` and `until_us` are UTC microseconds; `until_us` is what the owner said, and None when
    he said nothing. `beat_s` is when he was last heard, on the clock that all processes of a
    computer share and that nobody can set; he is silent `ttl_s` seconds later. None: he never is.
    """

    lease: str
    token: int
    seat: int
    owner: str
    uid: int
    pid: int
    host: str
    boot: str
    purpose: str
    rig: str
    since_us: int
    until_us: int | None
    beat_s: float
    ttl_s: float | None
    idle: bool = False
    """Kept for later: nothing runs on it."""

    def silent(self, now_s: float, *, host: str, boot: str) -> bool:
        """Whether his heartbeat is past its time. Of another computer that cannot be told."""
        if self.ttl_s is None or (self.host, self.boot) != (host, boot):
            return False
        return now_s - self.beat_s > self.ttl_s

    def as_json(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Any) -> Entry:
        """Read it back. Raises `ValueError`."""
        if not isinstance(data, dict):
            raise ValueError("no entry")
        values = {}
        for field in fields(cls):
            if field.name not in data:
                raise ValueError(f"{field.name} is missing")
            value = data[field.name]
            if not _fits(str(field.type), value):
                raise ValueError(f"{field.name} is of a wrong kind")
            values[field.name] = value
        return cls(**values)

    def told(self) -> str:
        """`process 123 (user@host, for `bench` on rig a) since ... UTC, until ...`."""
        what = f"for {self.purpose}" + (f" on rig {self.rig}" if self.rig else "")
        until = "no end was told" if self.until_us is None else f"until {utc_text(self.until_us)}"
        return (
            f"process {self.pid} ({self.owner}@{self.host}, {what}) "
            f"since {utc_text(self.since_us)}, {until}"
        )


def _fits(kind: str, value: object) -> bool:
    if value is None:
        return "None" in kind
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind.startswith("float"):
        return isinstance(value, int | float)
    return isinstance(value, int if kind.startswith("int") else str)


def utc_text(at_us: int) -> str:
    """A time for people."""
    try:
        return f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def short(text: str) -> str:
    """A text that fits into a record, on one line, and is Unicode whatever was typed."""
    line = " ".join(text.encode(errors="replace").decode().split())
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"


def own_name() -> str:
    """Who runs this process, by name where he has one."""
    try:
        return short(getpass.getuser())
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def own_host() -> str:
    """The name of this computer."""
    return short(platform.node() or "localhost")


def own_boot() -> str:
    """Which start of this computer it is: its shared clock begins anew with each."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
